//! What systemd is told, where it listens (`sd_notify(3)`).

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;

use super::tell::Standing;

/// See the module.
pub(super) struct Service {
    is_ready: bool,
    said: String,
    /// How often to show that we work; none: nobody asks.
    watchdog: Option<Duration>,
    last: Instant,
}

impl Service {
    pub(super) fn start() -> Self {
        Self {
            is_ready: false,
            said: String::new(),
            watchdog: sd_notify::watchdog_enabled(),
            last: Instant::now(),
        }
    }

    /// READY once all stands, and always in what state it is.
    pub(super) fn tell(&mut self, standing: &Standing<'_>) {
        let says = standing.sentence();
        if says != self.said {
            let _ = sd_notify::notify(&[NotifyState::Status(&says)]);
            self.said = says;
        }
        if !self.is_ready && standing.is_whole() {
            self.is_ready = true;
            let _ = sd_notify::notify(&[NotifyState::Ready]);
        }
    }

    /// It works.
    pub(super) fn alive(&mut self) {
        let is_due = |every: Duration| self.last.elapsed() >= every / 3;
        if self.watchdog.is_some_and(is_due) {
            self.last = Instant::now();
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
    }

    pub(super) fn stopping() {
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
    }
}
