//! Where this process's monotonic moments come from. Core is told the time; this tells it.

use std::time::Duration;

use heartline_core::Moment;
use nix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// A start that all moments of one watcher are counted from.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The present.
    pub fn now(self) -> Moment {
        Moment::at(self.0.elapsed())
    }

    /// For tokio's timers.
    pub fn instant(self, at: Moment) -> Instant {
        self.0
            .checked_add(at.since_start())
            .unwrap_or_else(|| self.0 + FAR)
    }
}

/// For how long the machine has been suspended since it booted, which its monotonic clock does not show.
pub fn asleep() -> Duration {
    let clock = |id| clock_gettime(id).map(Duration::from).unwrap_or_default();
    clock(ClockId::CLOCK_BOOTTIME).saturating_sub(clock(ClockId::CLOCK_MONOTONIC))
}

/// A century: what tokio's timers take for "never".
const FAR: Duration = Duration::from_hours(24 * 365 * 100);
