//! What bounds the sending of messages.

use std::time::Duration;

/// See the module. The defaults are for use; others are for tests.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Attempts under way at once, of all hooks. Each hook has an equal share of them, one at least.
    pub at_once: usize,
    /// Messages of one hook that wait; the oldest make room.
    pub waiting: usize,
    /// The longest pause after the first attempt; it doubles with each. How long it is, is left to chance.
    pub first_pause: Duration,
    /// The longest of all pauses.
    pub last_pause: Duration,
    /// How long after its time a message is given up, if its receiver can be hoped for.
    pub give_up: Duration,
    /// How often a program is tried that fails.
    pub failures: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            at_once: 16,
            waiting: 10_000,
            first_pause: Duration::from_secs(1),
            last_pause: Duration::from_mins(5),
            give_up: Duration::from_hours(24),
            failures: 3,
        }
    }
}

impl Limits {
    /// How long to pause after so many attempts: full jitter, so that those who failed together do not come again together.
    pub(crate) fn pause(&self, tries: u32) -> Duration {
        let longest = self
            .first_pause
            .saturating_mul(1 << tries.min(20))
            .min(self.last_pause);
        longest.mul_f64(fastrand::f64())
    }
}
