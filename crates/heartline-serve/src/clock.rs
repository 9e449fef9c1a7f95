//! Where moments come from. Core is told the time; this tells it.

use std::time::Duration;

use heartline_core::Moment;
use tokio::time::Instant;

/// A start that all moments of one endpoint are counted from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// Starts now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// The present.
    pub(crate) fn now(self) -> Moment {
        Moment::at(self.0.elapsed())
    }

    /// For tokio's timers.
    pub(crate) fn instant(self, at: Moment) -> Instant {
        self.0
            .checked_add(at.since_start())
            .unwrap_or_else(|| self.0 + FAR)
    }
}

/// A century: what tokio's timers take for "never".
const FAR: Duration = Duration::from_hours(24 * 365 * 100);
