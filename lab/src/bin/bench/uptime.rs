//! For how long the lines stood before all of them did: the beats of that time are not the price of
//! connecting.

use std::time::{Duration, Instant};

/// When each line came up.
#[derive(Debug, Default)]
pub(crate) struct Uptime(Vec<Instant>);

impl Uptime {
    /// One more line stands.
    pub(crate) fn came_up(&mut self, at: Instant) {
        self.0.push(at);
    }

    /// How many lines stand.
    pub(crate) fn lines(&self) -> usize {
        self.0.len()
    }

    /// How long they have stood by `now`, all together. At one beat a second each, the beats since:
    /// to half a beat a line.
    pub(crate) fn sum(&self, now: Instant) -> Duration {
        let each = |at: &Instant| now.saturating_duration_since(*at);
        self.0.iter().map(each).sum()
    }
}
