//! A session that stands, and how far a dial has come.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use heartline_core::{Failure, Moment, Stage};
use heartline_ssh::{Beat, Guard, Progress, Session};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A session that stands.
pub(super) struct Live {
    pub(super) session: Box<dyn Session>,
    pub(super) ended: oneshot::Receiver<Failure>,
    pub(super) owed: VecDeque<Beat>,
    pub(super) begun: Moment,
    pub(super) guard: Option<Guard>,
    /// A guard was started.
    pub(super) guarded: bool,
    pub(super) held: bool,
    /// After this long a session whose peer never answers a beat in a form we know is begun anew.
    pub(super) patience: Duration,
}

impl Live {
    /// Sends a beat. Of a peer that never answers directly (UNIMPLEMENTED) only the last few are remembered.
    pub(super) fn beat(&mut self) {
        if self.owed.len() >= MAX_OWED {
            self.owed.pop_front();
        }
        self.owed.push_back(self.session.beat());
    }

    /// Whether it has a channel, so that an sshd has no reason to end it for want of one.
    pub(super) fn has_channel(&self) -> bool {
        self.held || self.guard.as_ref().is_some_and(Guard::holds)
    }

    /// Whether it lives and yet has left the same beats unanswered for very long: russh remembers every one of them.
    pub(super) fn is_mute(&self, now: Moment) -> bool {
        !self.owed.is_empty() && now.saturating_since(self.begun) > self.patience
    }

    pub(super) fn poll_answer(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Result<Duration, Failure>> {
        for at in 0..self.owed.len() {
            if let Some(beat) = self.owed.get_mut(at)
                && let Poll::Ready(answer) = beat.as_mut().poll(cx)
            {
                drop(self.owed.remove(at));
                return Poll::Ready(answer);
            }
        }
        Poll::Pending
    }

    /// An answer that is there already.
    pub(super) fn answer_now(&mut self) -> Option<Result<Duration, Failure>> {
        let waker = std::task::Waker::noop();
        let mut cx = std::task::Context::from_waker(waker);
        match self.poll_answer(&mut cx) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }
}

/// How far a dial has come, left where the driver looks when it next wakes.
#[derive(Default)]
pub(super) struct Reached(Mutex<Option<(Stage, Instant)>>);

impl Reached {
    /// The last stage, and when it was reached.
    pub(super) fn last(&self) -> Option<(Stage, Instant)> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Reached {
    fn reached(&self, stage: Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((stage, Instant::now()));
    }
}

/// More beats than this are never owed: russh queues ten requests while it exchanges keys.
const MAX_OWED: usize = 8;
/// So many beats, of a few dozen bytes each, are remembered for a peer that answers none.
pub(super) const MOST_UNTOLD: u32 = 100_000;
