//! A detector on a trace: how soon it would have seen a crash at any moment, and how often it was wrong while the peer lived.

use std::time::Duration;

use heartline_core::Moment;
use heartline_core::detect::{Beat, Detector};

use super::{Sending, Trace};

/// What the watcher makes of a time in which it did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// What came meanwhile counts as come when it runs again, and a deadline that has passed meanwhile has passed.
    Raw,
    /// What came meanwhile counts by the kernel's clock, and a deadline of that time is looked at only after what has come.
    Gated,
}

/// The measures of Chen, Toueg and Aguilera, of everything after the first 1000 beats.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quality {
    /// Times that a living peer was suspected.
    pub mistakes: u64,
    /// How long that was measured.
    pub period: Duration,
    /// `T_M`: how long a mistake lasted, on average.
    pub mistake_duration: Duration,
    /// `P_A`: share of the time in which a living peer was trusted.
    pub right: f64,
    /// `T_D`: from a crash at a uniformly random moment to its suspicion.
    pub detection: Detection,
    /// Share of beats that it sent out of turn.
    pub extra: f64,
}

impl Quality {
    /// Mistakes in a day.
    #[must_use]
    pub fn per_day(&self) -> f64 {
        let mistakes = f64::from(u32::try_from(self.mistakes).unwrap_or(u32::MAX));
        mistakes / (self.period.as_secs_f64() / 86_400.0).max(f64::MIN_POSITIVE)
    }
}

/// The distribution of the detection time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detection {
    /// The mean.
    pub mean: Duration,
    /// The median.
    pub median: Duration,
    /// Of a hundred, one takes longer.
    pub p99: Duration,
    /// The longest.
    pub longest: Duration,
}

/// Replays a trace through a new detector.
pub fn replay(trace: &Trace, detector: &mut dyn Detector, seen: Seen) -> Quality {
    let steps = steps(trace, detector, seen);
    let (mistakes, wrong) = mistakes(trace, &steps, seen);
    let first = steps.iter().find(|step| step.number >= WARM_UP.into());
    let period = match (first, steps.last()) {
        (Some(first), Some(last)) => last.at.saturating_sub(first.at),
        _ => Duration::ZERO,
    };
    Quality {
        mistakes,
        period,
        mistake_duration: wrong / u32::try_from(mistakes.max(1)).unwrap_or(u32::MAX),
        right: 1.0 - wrong.as_secs_f64() / period.as_secs_f64().max(f64::MIN_POSITIVE),
        detection: detection(trace, &steps),
        extra: 0.0,
    }
}

/// A beat that was newer than all before.
struct Step {
    number: u64,
    /// When it was seen.
    at: Duration,
    deadline: Duration,
}

fn steps(trace: &Trace, detector: &mut dyn Detector, seen: Seen) -> Vec<Step> {
    let numbered = (0..).zip(&trace.beats);
    let mut came: Vec<(Duration, u64, &Sending)> = numbered
        .filter_map(|(number, beat)| Some((beat.came?, number, beat)))
        .collect();
    came.sort_by_key(|(at, number, _)| (*at, *number));
    let mut newest = None;
    let mut steps = Vec::with_capacity(came.len());
    for (at, number, beat) in came {
        if newest >= Some(number) {
            continue;
        }
        newest = Some(number);
        let at = match seen {
            Seen::Raw => trace.awake(at),
            Seen::Gated => at,
        };
        let next = usize::try_from(number + 1)
            .ok()
            .and_then(|next| trace.beats.get(next));
        detector.arrived(Beat {
            number,
            sent: Moment::at(beat.sent),
            next: Moment::at(next.map_or(beat.sent + trace.interval, |next| next.sent)),
            at: Moment::at(at),
        });
        let deadline = detector
            .deadline()
            .map_or(Duration::MAX, Moment::since_start);
        steps.push(Step {
            number,
            at,
            deadline,
        });
    }
    steps
}

/// How often, and how long in all.
fn mistakes(trace: &Trace, steps: &[Step], seen: Seen) -> (u64, Duration) {
    let mut mistakes = 0;
    let mut wrong = Duration::ZERO;
    for (step, next) in steps.iter().zip(steps.iter().skip(1)) {
        // Nobody is suspected by a watcher that does not run.
        let suspected = trace.awake(step.deadline);
        let by = match seen {
            Seen::Raw => step.deadline,
            Seen::Gated => suspected,
        };
        if next.number <= WARM_UP.into() || next.at <= by.max(step.at) {
            continue;
        }
        wrong += next.at.saturating_sub(suspected.max(step.at));
        // One that was suspected already when its beat came is suspected still.
        mistakes += u64::from(by > step.at);
    }
    (mistakes, wrong)
}

/// A crash after each beat, or of a long trace after every so many, at a moment of its interval that is spread evenly over all of them.
fn detection(trace: &Trace, steps: &[Step]) -> Detection {
    let apart = trace.beats.len() / CRASHES + 1;
    let mut times = Vec::with_capacity(trace.beats.len() / apart + 1);
    let mut last = 0;
    let pairs = trace.beats.iter().zip(trace.beats.iter().skip(1));
    let phased = pairs.zip((0..).map(golden)).skip(WARM_UP.into());
    for ((beat, next), golden) in phased.step_by(apart) {
        let crash = beat.sent + next.sent.saturating_sub(beat.sent).mul_f64(golden);
        // The last that had left the peer by then. Those that come after the crash had left before it.
        while steps
            .get(last + 1)
            .is_some_and(|step| left(trace, step) <= crash)
        {
            last += 1;
        }
        let Some(step) = steps.get(last) else {
            continue;
        };
        times.push(trace.awake(step.deadline).saturating_sub(crash));
    }
    Detection::of(times)
}

impl Detection {
    /// The distribution of these.
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        let count = u32::try_from(times.len()).unwrap_or(u32::MAX).max(1);
        Self {
            mean: times.iter().sum::<Duration>() / count,
            median: quantile(&mut times, 0.5),
            p99: quantile(&mut times, 0.99),
            longest: quantile(&mut times, 1.0),
        }
    }
}

/// Between two times, as far as the share lies between them.
fn quantile(times: &mut [Duration], share: f64) -> Duration {
    if times.is_empty() {
        return Duration::ZERO;
    }
    #[expect(clippy::cast_precision_loss, reason = "an index")]
    let place = (times.len() - 1) as f64 * share;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index"
    )]
    let index = place as usize;
    let (_, below, above) = times.select_nth_unstable(index);
    let above = above.iter().min().unwrap_or(below);
    *below + above.saturating_sub(*below).mul_f64(place.fract())
}

fn left(trace: &Trace, step: &Step) -> Duration {
    let beat = usize::try_from(step.number)
        .ok()
        .and_then(|number| trace.beats.get(number));
    beat.map_or(Duration::MAX, |beat| beat.left)
}

/// Multiples of the golden ratio less their whole part: spread more evenly than chance does it.
pub(super) fn golden(number: u32) -> f64 {
    (f64::from(number) * 0.618_033_988_749_894_9).fract()
}

/// Crashes that tell enough.
const CRASHES: usize = 400_000;
/// Beats at the beginning that are not judged.
pub(super) const WARM_UP: u16 = 1_000;
