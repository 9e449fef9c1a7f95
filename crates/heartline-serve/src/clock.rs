//! Where moments come from. Core is told the time; this tells it.

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
}
