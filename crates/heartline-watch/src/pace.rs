//! When a beating thread may wake.
//!
//! At one beat a second a line, what a beat costs is mostly the wake-up: a process that wakes for each beat and again for
//! each answer takes twice the CPU of one that does the same work in twenty rounds a second (`bench lines`). So where many
//! lines beat, their threads rest between ticks and then do everything that is due at once. Where few do, a thread wakes
//! for each event.
//!
//! A handshake takes a dozen turns and would take as many ticks, and what a line in doubt waits for is its deadline; while
//! there are any of these the ticks are shorter.
//!
//! What this delays, it delays by one tick at most, which is the least slack of all lines: an answer is taken late but
//! keeps the time at which the kernel had it, and a deadline is acted on at the tick after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The pace of all beating threads of one watcher. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    /// Nanoseconds; 0: whenever there is something to do.
    tick: Arc<AtomicU64>,
    hurried: Arc<AtomicUsize>,
}

/// Somebody who cannot wait for a whole tick, until dropped.
#[derive(Debug)]
pub(crate) struct Hurry(Arc<AtomicUsize>);

impl Drop for Hurry {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pace {
    /// From now on one round a tick; none: a round for each event.
    pub(crate) fn set(&self, tick: Option<Duration>) {
        let nanos = tick.map_or(0, |tick| u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX));
        self.tick.store(nanos, Ordering::Relaxed);
    }

    /// The tick; zero, where there is none.
    pub(crate) fn tick(&self) -> Duration {
        Duration::from_nanos(self.tick.load(Ordering::Relaxed))
    }

    /// From now on shorter ticks.
    pub(crate) fn hurry(&self) -> Hurry {
        self.hurried.fetch_add(1, Ordering::Relaxed);
        Hurry(Arc::clone(&self.hurried))
    }

    /// What a thread does each time before it waits for events.
    pub(crate) fn rest(
        &self,
        is_dialing: impl Fn() -> bool + Send + Sync + 'static,
    ) -> impl Fn() + Send + Sync + 'static {
        let pace = self.clone();
        let begun = Instant::now();
        move || {
            let mut tick = Duration::from_nanos(pace.tick.load(Ordering::Relaxed));
            if is_dialing() || pace.hurried.load(Ordering::Relaxed) > 0 {
                tick /= IN_A_HURRY;
            }
            if let Some(rest) = until_next(begun.elapsed(), tick) {
                thread::sleep(rest);
            }
        }
    }
}

/// How long it is until the next tick; none, where there is no tick.
fn until_next(now: Duration, tick: Duration) -> Option<Duration> {
    let into = now.as_nanos().checked_rem(tick.as_nanos())?;
    let into = Duration::from_nanos(u64::try_from(into).ok()?);
    Some(tick.saturating_sub(into))
}

/// The tick for lines of these intervals, dealt out to so many threads: none, where a thread would find less than a few
/// beats in it.
pub(crate) fn tick(
    intervals: impl Iterator<Item = heartline_core::Interval> + Clone,
    threads: usize,
) -> Option<Duration> {
    let tick = intervals
        .clone()
        .map(heartline_core::Interval::slack)
        .min()?;
    let each = |interval: heartline_core::Interval| tick.div_duration_f64(interval.as_duration());
    let beats: f64 = intervals.map(each).sum();
    let threads = f64::from(u32::try_from(threads.max(1)).unwrap_or(u32::MAX));
    (beats >= FEW * threads).then_some(tick)
}

/// So many times shorter.
const IN_A_HURRY: u32 = 16;
/// Beats a tick and thread. With fewer there is little to be saved.
const FEW: f64 = 4.0;

#[cfg(test)]
mod tests {
    use heartline_core::Interval;

    use super::*;

    const TICK: Duration = Duration::from_millis(50);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_is_never_longer_than_a_tick_to_the_next() {
        for (now, rest) in [(0, 50), (1, 49), (49, 1), (50, 50), (1_049, 1)] {
            assert_eq!(until_next(ms(now), TICK), Some(ms(rest)), "{now}");
        }
        assert_eq!(until_next(ms(7), Duration::ZERO), None);
    }

    #[test]
    fn only_where_many_lines_beat_is_there_a_tick() {
        let lines = |n, each| std::iter::repeat_n(Interval::new(each).unwrap(), n);
        let second = Duration::from_secs(1);
        assert_eq!(tick(lines(0, second), 1), None);
        assert_eq!(tick(lines(79, second), 1), None);
        assert_eq!(tick(lines(81, second), 1), Some(TICK));
        assert_eq!(tick(lines(159, second), 2), None);
        assert_eq!(tick(lines(161, second), 2), Some(TICK));
        // Slow lines do not make a thread busy, quick ones must not wait long.
        assert_eq!(tick(lines(1_000, second * 60), 1), None);
        assert_eq!(tick(lines(1_000, ms(100)), 1), Some(ms(5)));
        let mixed = lines(500, second).chain(lines(500, ms(100)));
        assert_eq!(tick(mixed, 1), Some(ms(5)));
    }
}
