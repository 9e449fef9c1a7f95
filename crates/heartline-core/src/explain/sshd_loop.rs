//! sshd's main loop while the remote command writes: every line of output wakes it, and that is what its probes suffer
//! from.
//!
//! serverloop.c, `wait_until_can_do_something`. After every wake-up `ppoll` waits for the whole interval again; up to
//! 9.1 a probe leaves at any wake-up that is late enough, from 9.2 on only where `ppoll` itself ran out, and from 9.2 to
//! 9.4 only a second later than that. The clock that is compared counts whole seconds.

use std::time::Duration;

use super::banner::SshdRelease;
use super::span::Span;

/// The loop, with the last data of the client at its start.
pub(super) struct SshdLoop {
    release: SshdRelease,
    interval_ms: u64,
    writes_ms: u64,
    /// When the channel's window is full after the last room was made, and output stops.
    window: Option<Span>,
}

impl SshdLoop {
    pub(super) fn new(
        release: SshdRelease,
        interval: Duration,
        writes: Duration,
        window: Option<Span>,
    ) -> Self {
        let interval_ms = millis(interval).max(1);
        Self {
            release,
            interval_ms,
            // Finer than this nothing changes but the work.
            writes_ms: millis(writes).max(interval_ms / FINEST).max(1),
            window,
        }
    }

    /// From the last data, and from a fault, to the tick that ends the session; `None`: it never comes.
    ///
    /// `age`: how old the last data may be at a fault, where that is known by other means than probes.
    pub(super) fn spans(&self, last_tick: u32, age: Option<Duration>) -> Option<(Span, Span)> {
        let mut after_last: Option<Span> = None;
        let mut after_fault: Option<Span> = None;
        let add = |all: &mut Option<Span>, span: Span| {
            *all = Some(all.map_or(span, |all| all.hull(span)));
        };
        for run in self.runs() {
            let first = run.tick(1)?;
            let last = run.tick(last_tick)?;
            add(&mut after_last, Span::exact(last));
            let age = age.map_or(first, |age| age.min(first));
            add(&mut after_fault, Span::new(last.saturating_sub(age), last));
        }
        // Between two phases of the output lie others.
        let step = Duration::from_millis(self.writes_ms / OUTPUT_PHASES);
        let widened = |span: Span| {
            let (min, max) = (span.min(), span.max());
            Span::new(min.saturating_sub(step), max.saturating_add(step))
        };
        Some((widened(after_last?), widened(after_fault?)))
    }

    /// The ticks of one plain run.
    pub(super) fn plain_ticks(&self, most: u32) -> Vec<Duration> {
        let run = self.runs().next();
        run.map_or_else(Vec::new, |run| run.ticks(most))
    }

    /// One run for each of many phases of the clock and of the output.
    fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        let stops: Vec<Option<u64>> = match self.window {
            None => vec![None],
            Some(window) => vec![Some(millis(window.min())), Some(millis(window.max()))],
        };
        let outputs = || {
            (1..=OUTPUT_PHASES)
                .map(|phase| (self.writes_ms.saturating_mul(phase) / OUTPUT_PHASES).max(1))
        };
        stops.into_iter().flat_map(move |stop_ms| {
            outputs().flat_map(move |output_ms| {
                self.clock_phases(output_ms).map(move |clock_ms| Run {
                    of: self,
                    clock_ms,
                    output_ms,
                    stop_ms,
                })
            })
        })
    }

    /// Those at which something changes: where one of the first outputs comes just with the next second, or just before it. A timer
    /// that has run out is whole seconds later than an output.
    fn clock_phases(&self, output_ms: u64) -> impl Iterator<Item = u64> + use<> {
        let writes_ms = self.writes_ms;
        let critical = (0..OUTPUTS_APART).flat_map(move |nth| {
            let output = writes_ms.saturating_mul(nth).saturating_add(output_ms);
            let whole = (1_000 - output % 1_000) % 1_000;
            [whole, (whole + 999) % 1_000]
        });
        CLOCK_PHASES_MS.into_iter().chain(critical)
    }
}

/// The loop, with all that is left to chance decided.
struct Run<'a> {
    of: &'a SshdLoop,
    /// The fraction of a second at which the last data came.
    clock_ms: u64,
    /// The first output, from the last data on.
    output_ms: u64,
    /// No output from here on.
    stop_ms: Option<u64>,
}

impl Run<'_> {
    /// When the nth tick comes. Ticks beyond those that are worth counting one by one follow at the pace of the last.
    fn tick(&self, nth: u32) -> Option<Duration> {
        let counted = self.ticks(nth.min(COUNTED));
        if nth <= COUNTED {
            return counted
                .get(usize::try_from(nth).ok()?.checked_sub(1)?)
                .copied();
        }
        let half = usize::try_from(COUNTED / 2).ok()?;
        let (last, middle) = (*counted.last()?, *counted.get(half - 1)?);
        let pace = last.saturating_sub(middle) / (COUNTED / 2);
        Some(last.saturating_add(pace.saturating_mul(nth - COUNTED)))
    }

    /// The first ticks, fewer than asked for where no more come.
    fn ticks(&self, most: u32) -> Vec<Duration> {
        let interval = self.of.interval_ms;
        let seconds = |now: u64| self.clock_ms.saturating_add(now) / 1_000;
        let interval_s = interval / 1_000;
        let (mut now, mut next_output) = self.start();
        let mut last = seconds(0);
        let mut ticks = Vec::new();
        for _ in 0..MOST_STEPS {
            if ticks.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
                break;
            }
            let writes = self.stop_ms.is_none_or(|stop| next_output <= stop);
            let runs_out = now.saturating_add(interval);
            let ran_out = !writes || runs_out < next_output;
            if ran_out {
                now = runs_out;
            } else {
                now = next_output;
                next_output = next_output.saturating_add(self.of.writes_ms);
            }
            let due = last.saturating_add(interval_s);
            let is_tick = match self.of.release {
                SshdRelease::Before82 | SshdRelease::From82To91 => ran_out || due <= seconds(now),
                SshdRelease::From92To94 => ran_out && seconds(now) > due,
                SshdRelease::From95To96 | SshdRelease::From97 | SshdRelease::Unknown => {
                    ran_out && seconds(now) >= due
                }
            };
            if is_tick {
                last = seconds(now);
                ticks.push(Duration::from_millis(now));
            } else if !ran_out && self.stop_ms.is_none() && self.of.starves() {
                break;
            }
        }
        ticks
    }

    /// Now, and the next output: at the last data. Where no wake-up can make a difference before the window is full, the
    /// last two outputs before that.
    fn start(&self) -> (u64, u64) {
        let first = self.output_ms;
        let stop = self.stop_ms.filter(|_| self.of.starves());
        let skipped = stop.map_or(0, |stop| stop.saturating_sub(first) / self.of.writes_ms);
        match skipped.checked_sub(1) {
            None => (0, first),
            Some(before) => (
                first.saturating_add(before.saturating_mul(self.of.writes_ms)),
                first.saturating_add(skipped.saturating_mul(self.of.writes_ms)),
            ),
        }
    }
}

impl SshdLoop {
    /// Output comes at least as often as the timer runs out: it never does.
    fn starves(&self) -> bool {
        self.writes_ms <= self.interval_ms && self.release.is_starved_by_output()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

const CLOCK_PHASES_MS: [u64; 5] = [0, 250, 500, 750, 999];
const OUTPUT_PHASES: u64 = 60;
/// Outputs of which each is looked at by itself.
const OUTPUTS_APART: u64 = 4;
/// Output within one interval that is told apart.
const FINEST: u64 = 64;
/// Ticks counted one by one.
const COUNTED: u32 = 64;
/// A bound on the work of one run: far over what 64 ticks need at any pace of output that matters.
const MOST_STEPS: u32 = 20_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What lies between the phases that are looked at lies in the window all the same.
        #[test]
        fn the_window_holds_every_phase(
            release in prop::sample::select(vec![
                SshdRelease::From82To91, SshdRelease::From92To94, SshdRelease::From97,
            ]),
            interval in 1_u64..8,
            writes in 100_u64..20_000,
            ticks in 1_u32..6,
            clock_ms in 0_u64..1_000,
            phase in 0.0..1.0,
        ) {
            let interval = Duration::from_secs(interval);
            let of = SshdLoop::new(release, interval, Duration::from_millis(writes), None);
            let output_ms = Duration::from_millis(of.writes_ms).mul_f64(phase);
            let run = Run { of: &of, clock_ms, output_ms: millis(output_ms).max(1), stop_ms: None };
            match of.spans(ticks, None) {
                None => prop_assert_eq!(run.tick(ticks), None),
                Some((after_last, _)) => {
                    let came = run.tick(ticks).unwrap();
                    prop_assert!(after_last.holds(came, Duration::from_millis(5)), "{came:?} {after_last:?}");
                }
            }
        }
    }
}
