//! What is said of hooks that fail: at once when one begins to, and then no more than once a minute.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use tracing::{info, warn};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    failing: HashSet<String>,
    given_up: HashMap<String, GivenUp>,
    dropped: u64,
    /// When something was said last.
    said: Option<Instant>,
}

#[derive(Debug, Default)]
struct GivenUp {
    count: u64,
    /// What the last was about, and why.
    about: String,
    why: String,
}

impl Complaints {
    /// Whether that is new.
    pub(super) fn fails(&mut self, hook: &str) -> bool {
        !self.failing.contains(hook) && self.failing.insert(hook.to_owned())
    }

    pub(super) fn works(&mut self, hook: &str) {
        if self.failing.remove(hook) {
            info!(hook, "The hook works again.");
        }
    }

    pub(super) fn gave_up(&mut self, hook: &str, about: &str, why: String) {
        let given_up = self.given_up.entry(hook.to_owned()).or_default();
        given_up.count += 1;
        about.clone_into(&mut given_up.about);
        given_up.why = why;
    }

    /// So many messages had to make room.
    pub(super) fn dropped(&mut self, count: u64) {
        self.dropped += count;
    }

    /// Whether there is nothing to be said.
    pub(super) fn is_silent(&self) -> bool {
        self.given_up.is_empty() && self.dropped == 0
    }

    /// Says it, unless something was said lately.
    pub(super) fn say(&mut self, now: Instant) {
        let is_early = |said: Instant| now.saturating_duration_since(said) < PAUSE;
        if self.is_silent() || self.said.is_some_and(is_early) {
            return;
        }
        self.said = Some(now);
        for (hook, GivenUp { count, about, why }) in self.given_up.drain() {
            warn!(
                hook,
                count, about, why, "Messages of a hook were given up; the last of them is shown."
            );
        }
        if self.dropped > 0 {
            warn!(
                count = self.dropped,
                "Too many messages wait: the oldest were let go."
            );
            self.dropped = 0;
        }
    }
}

const PAUSE: Duration = Duration::from_mins(1);
