//! The thread that asks the rules. It never touches the disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::Shared;
use super::desk::Desk;
use crate::entry::Entry;

/// See the module.
pub(super) struct Judging {
    desk: Arc<Desk>,
    shared: Arc<Shared>,
    next_tally: Instant,
}

impl Judging {
    pub(super) fn new(desk: Arc<Desk>, shared: Arc<Shared>) -> Self {
        Self {
            desk,
            shared,
            next_tally: Instant::now() + MINUTE,
        }
    }

    pub(super) fn run(mut self, told: &Receiver<Entry>) {
        loop {
            let is_over = self.shared.over.load(Ordering::Acquire);
            let first = if is_over {
                told.try_recv().ok()
            } else {
                self.wait(told)
            };
            let is_last = is_over && first.is_none();
            let more = std::iter::from_fn(|| told.try_recv().ok());
            for entry in first.into_iter().chain(more).take(BATCH) {
                self.desk.take_in(entry);
            }
            let now = Instant::now();
            if now >= self.next_tally || is_last {
                self.next_tally = now + MINUTE;
                self.desk.tally();
            }
            self.desk.hand_on(now);
            if is_last {
                self.desk.end();
                return;
            }
        }
    }

    fn wait(&self, told: &Receiver<Entry>) -> Option<Entry> {
        let patience = self.desk.patience();
        let next = patience.map_or(self.next_tally, |until| until.min(self.next_tally));
        let wait = next.saturating_duration_since(Instant::now());
        match told.recv_timeout(wait) {
            Ok(entry) => Some(entry),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                self.shared.over.store(true, Ordering::Release);
                None
            }
        }
    }
}

/// Entries that are judged before their changes are handed on.
const BATCH: usize = 8_192;
const MINUTE: Duration = Duration::from_mins(1);
