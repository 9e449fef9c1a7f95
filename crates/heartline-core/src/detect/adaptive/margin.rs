//! How much longer than usual a living peer may be silent.

use std::array;
use std::time::Duration;

use crate::time::Moment;

/// The margin: given, or learnt.
#[derive(Clone, Debug)]
pub(super) enum Margin {
    Fixed(Duration),
    Learnt(Box<Learnt>),
}

/// Learnt from the silences that ended: how many of them were longer than what, in a past that fades.
///
/// The margin is the least that as many silences exceed as mistakes are wanted in the time that is remembered. Before much is known, a
/// first guess stands beside what was seen, of the weight of one wanted mistake: lateness over [`GUESS`] once in that time, over twice as
/// much half as often. After a mistake it is longer than that silence was, at once, and stays so until the next one may be.
#[derive(Clone, Debug)]
pub(super) struct Learnt {
    /// One mistake is wanted in so much time.
    every: Duration,
    /// Silences by their lateness, as far as they are remembered.
    late: [f32; CLASSES],
    /// The time that is remembered, in units of `every`, and up to when.
    seen: f64,
    until: Moment,
    /// No less than this until then.
    least: Option<(Duration, Moment)>,
    value: Duration,
}

impl Margin {
    pub(super) fn learnt(now: Moment, every: Duration) -> Self {
        Self::Learnt(Box::new(Learnt {
            every: every.max(SHORTEST),
            late: array::from_fn(|_| 0.0),
            seen: 0.0,
            until: now,
            least: None,
            value: GUESS,
        }))
    }

    pub(super) fn value(&self) -> Duration {
        match self {
            Self::Fixed(margin) => *margin,
            Self::Learnt(learnt) => learnt.value,
        }
    }

    /// A living peer was silent for so much longer than the patience, and taken for dead meanwhile or not.
    pub(super) fn learn(&mut self, now: Moment, late: Duration, was_dead: bool) {
        let Self::Learnt(learnt) = self else {
            return;
        };
        learnt.fade(now);
        if let Some(count) = learnt.late.get_mut(class(late)) {
            *count += 1.0;
        }
        if was_dead {
            learnt.least = Some((late + late / 16 + STEP, now + learnt.every));
        }
        learnt.judge(now);
    }

    /// Time passes, and nothing was late.
    pub(super) fn elapsed(&mut self, now: Moment) {
        if let Self::Learnt(learnt) = self
            && now.saturating_since(learnt.until) >= learnt.every / 100
        {
            learnt.fade(now);
            learnt.judge(now);
        }
    }
}

impl Learnt {
    fn fade(&mut self, now: Moment) {
        let passed = now.saturating_since(self.until).as_secs_f64() / self.every.as_secs_f64();
        self.until = self.until.max(now);
        let left = (-passed / MEMORY).exp();
        self.seen = MEMORY - (MEMORY - self.seen) * left;
        #[expect(clippy::cast_possible_truncation, reason = "a share")]
        let left = left as f32;
        for count in &mut self.late {
            *count *= left;
        }
    }

    fn judge(&mut self, now: Moment) {
        let allowed = self.seen + 1.0;
        let mut value = longest(CLASSES);
        let mut longer = 0.0;
        // From the longest down, as long as those above are few enough.
        for (class, count) in self.late.iter().enumerate().rev() {
            let candidate = longest(class);
            if longer + GUESS.as_secs_f64() / candidate.as_secs_f64() > allowed {
                break;
            }
            value = candidate;
            longer += f64::from(*count);
        }
        self.least = self.least.filter(|(_, until)| now < *until);
        self.value = self.least.map_or(value, |(least, _)| value.max(least));
    }
}

/// The class of a lateness: the longest that is not shorter than this is its own.
fn class(late: Duration) -> usize {
    let octaves = (late.as_secs_f64() / GUESS.as_secs_f64())
        .max(f64::MIN_POSITIVE)
        .log2();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a class, and a negative one is 0"
    )]
    let class = (octaves * PER_OCTAVE + GUESSED).ceil() as usize;
    class.min(CLASSES - 1)
}

/// The longest lateness of a class.
fn longest(class: usize) -> Duration {
    let above = f64::from(u32::try_from(class).unwrap_or(u32::MAX)) - GUESSED;
    GUESS.mul_f64((above / PER_OCTAVE).exp2())
}

/// The margin at first.
const GUESS: Duration = Duration::from_millis(100);
/// Its class.
const GUESSED: f64 = 54.0;
/// From 1 ms to a minute.
const CLASSES: usize = 128;
/// Classes until the lateness is doubled.
const PER_OCTAVE: f64 = 8.0;
/// What is remembered has a weight of so many wanted mistakes' time, at most.
const MEMORY: f64 = 4.0;
/// Mistakes are wanted so far apart, at least.
const SHORTEST: Duration = Duration::from_secs(1);
/// Longer than a mistake, at least.
const STEP: Duration = Duration::from_millis(10);
