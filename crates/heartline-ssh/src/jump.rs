//! A connection to a jump host, shared by all lines through it, and watched like any other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError, Weak};

use heartline_core::{Alive, AliveRule, AliveStep, Failure, Moment};
use tokio::sync::{Mutex, oneshot};
use tokio::task::yield_now;
use tracing::debug;

use crate::clock::Clock;
use crate::session::{RusshSession, Session};

/// Where the lines through one jump host find its connection.
#[derive(Default)]
pub(crate) struct JumpSlot(Mutex<Weak<SharedJump>>);

impl JumpSlot {
    /// The connection that stands, or a new one by `dial`; those who ask meanwhile wait for it. The deadline is the
    /// caller's.
    pub(crate) async fn get_or_dial<F>(&self, dial: F) -> Result<Arc<SharedJump>, Failure>
    where
        F: Future<Output = Result<Arc<SharedJump>, Failure>>,
    {
        let mut slot = self.0.lock().await;
        if let Some(jump) = slot.upgrade().filter(|jump| !jump.is_over()) {
            return Ok(jump);
        }
        let jump = dial.await?;
        *slot = Arc::downgrade(&jump);
        Ok(jump)
    }
}

/// A connection to a jump host.
pub(crate) struct SharedJump {
    session: RusshSession,
    clock: Clock,
    rule: AliveRule,
    /// When it was last asked out of turn.
    asked: StdMutex<Option<Moment>>,
    over: AtomicBool,
}

impl SharedJump {
    /// Shares a session that stands, which beats by itself, until it ends by the rule or nobody uses it.
    pub(crate) fn new(
        session: RusshSession,
        ended: oneshot::Receiver<Failure>,
        rule: AliveRule,
        clock: Clock,
    ) -> Arc<Self> {
        let jump = Arc::new(Self {
            session,
            clock,
            rule,
            asked: StdMutex::default(),
            over: AtomicBool::new(false),
        });
        let alive = Alive::new(rule, clock.now());
        tokio::spawn(watch(Arc::downgrade(&jump), ended, alive, clock));
        jump
    }

    /// The session, to open channels on.
    pub(crate) fn session(&self) -> &RusshSession {
        &self.session
    }

    /// The session, for its only user to end it.
    pub(crate) fn into_session(self) -> RusshSession {
        self.session
    }

    /// Sends a beat out of turn, unless one was sent since it was last heard. Lines have phases of their own: when one of
    /// them is silent, the jump host may have been heard for another a moment ago and owe nothing yet.
    pub(crate) fn ask(&self) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.is_none_or(|at| self.session.heard().last() > at) {
            *asked = Some(self.clock.now());
            // Its answer is heard by the session; a session that ends lets it go.
            tokio::spawn(self.session.beat());
        }
    }

    /// Whether it has ended, or has owed an answer to a beat for a quarter of an interval.
    pub(crate) fn is_in_doubt(&self) -> bool {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let patience = self.rule.interval.as_duration() / 4;
        let (now, heard) = (self.clock.now(), self.session.heard().last());
        let owes = asked.is_some_and(|at| heard <= at && now.saturating_since(at) > patience);
        self.is_over() || owes
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// Ends one jump host's session at the bound, for all who use it.
async fn watch(
    jump: Weak<SharedJump>,
    mut ended: oneshot::Receiver<Failure>,
    mut alive: Alive,
    clock: Clock,
) {
    while let Some(due) = alive.poll_timeout() {
        tokio::select! {
            biased;
            _ = &mut ended => break,
            () = tokio::time::sleep_until(clock.instant(due)) => {}
        }
        // What arrived while this process was stopped is read first.
        yield_now().await;
        yield_now().await;
        let Some(jump) = jump.upgrade() else { return };
        alive.handle_life(jump.session.heard().last());
        if alive.handle_timeout(clock.now()) == Some(AliveStep::End) {
            break;
        }
    }
    if let Some(jump) = jump.upgrade() {
        debug!("The jump host's connection is over.");
        jump.over.store(true, Ordering::Release);
        jump.session.abort();
    }
}
