//! The watcher's own pulse: whether it was running.
//!
//! A beat that is late because we did not run (stopped by a signal, starved, suspended) says nothing of the peer. Each line
//! notices its own late timers; the pulse adds what no timer shows: Linux' monotonic clock stands still while the machine
//! is suspended, `CLOCK_BOOTTIME` does not.

use std::time::Duration;

use heartline_ssh::asleep;
use tokio::time::Instant;

/// Notices time in which the watcher did not run.
#[derive(Debug)]
pub(crate) struct Pulse {
    last: Instant,
    asleep: Duration,
}

impl Pulse {
    /// Starts now.
    pub(crate) fn start() -> Self {
        Self {
            last: Instant::now(),
            asleep: asleep(),
        }
    }

    /// Waits one beat of it; the time for which the watcher did not run, if that was more than [`Self::LATE`].
    pub(crate) async fn beat(&mut self) -> Option<Duration> {
        tokio::time::sleep_until(self.last + Self::EVERY).await;
        let now = Instant::now();
        let late = now.duration_since(self.last).saturating_sub(Self::EVERY);
        let asleep = asleep();
        let slept = asleep.saturating_sub(self.asleep);
        self.last = now;
        self.asleep = asleep;
        let lost = late + slept;
        (lost > Self::LATE).then_some(lost)
    }

    /// Between two looks; one wake-up a second.
    const EVERY: Duration = Duration::from_secs(1);
    /// Less is ordinary scheduling.
    const LATE: Duration = Duration::from_millis(500);
}
