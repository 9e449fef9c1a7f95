//! A connection to a jump host, shared by all lines through it, and watched like any other.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError, Weak};
use std::task::{Context, Poll};

use heartline_core::{Alive, AliveRule, AliveStep, Cause, Failure, Moment, Prober, Timing};
use russh::Channel;
use russh::client::Msg;
use tokio::sync::{Mutex, Notify, oneshot};
use tokio::task::yield_now;
use tracing::{debug, warn};

use crate::clock::Clock;
use crate::escape::escape;
use crate::guard::{Guard, Tries, Unguarded};
use crate::session::{RusshSession, Session};
use crate::target::Target;

/// Where the lines through one jump host find its connection.
#[derive(Default)]
pub(crate) struct JumpSlot {
    jump: Mutex<Weak<SharedJump>>,
    /// What is known of guards there.
    guards: StdMutex<Option<Tries>>,
}

impl JumpSlot {
    /// The connection that stands, or a new one by `dial`; those who ask meanwhile wait for it. The deadline is the
    /// caller's.
    pub(crate) async fn get_or_dial<F>(&self, dial: F) -> Result<Arc<SharedJump>, Failure>
    where
        F: Future<Output = Result<Arc<SharedJump>, Failure>>,
    {
        let mut slot = self.jump.lock().await;
        if let Some(jump) = slot.upgrade().filter(|jump| !jump.is_over()) {
            return Ok(jump);
        }
        let jump = dial.await?;
        *slot = Arc::downgrade(&jump);
        Ok(jump)
    }

    fn guards<T>(&self, timing: Timing, what: impl FnOnce(&mut Tries) -> T) -> T {
        let mut guards = self.guards.lock().unwrap_or_else(PoisonError::into_inner);
        what(guards.get_or_insert_with(|| Tries::new(timing)))
    }
}

/// A connection to a jump host.
pub(crate) struct SharedJump {
    session: RusshSession,
    clock: Clock,
    rule: AliveRule,
    /// When it was last asked out of turn.
    asked: StdMutex<Option<Moment>>,
    /// A line's channel was opened.
    used: Arc<Notify>,
    over: AtomicBool,
}

impl SharedJump {
    /// Shares a session that stands, which beats by itself, until it ends by the rule or nobody uses it. Its far end has a
    /// fuse like any other, once a line's channel was opened.
    pub(crate) fn new(
        session: RusshSession,
        ended: oneshot::Receiver<Failure>,
        host: &Target,
        slot: Arc<JumpSlot>,
        clock: Clock,
    ) -> Arc<Self> {
        let timing = host.timing;
        let rule = AliveRule {
            prober: Prober::Session,
            bound: timing.bound(),
            ..AliveRule::new(timing.interval, timing.count)
        };
        let used = Arc::<Notify>::default();
        let jump = Arc::new(Self {
            session,
            clock,
            rule,
            asked: StdMutex::default(),
            used: Arc::clone(&used),
            over: AtomicBool::new(false),
        });
        let watch = Watch {
            jump: Arc::downgrade(&jump),
            alive: Alive::new(rule, clock.now()),
            clock,
            used,
            guarded: false,
            guard: None,
            slot,
            name: host.settings.typed.clone(),
            timing,
        };
        tokio::spawn(watch.run(ended));
        jump
    }

    /// A line's channel, by [`RusshSession::open_tcp`]. The guard waits for the first: one that is not opened may be all that
    /// this session was for, and a refusal does not say whose channel it is about.
    pub(crate) async fn open_tcp(&self, host: &str, port: u16) -> Result<Channel<Msg>, Failure> {
        let channel = self.session.open_tcp(host, port).await?;
        self.used.notify_one();
        Ok(channel)
    }

    /// The session.
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
struct Watch {
    jump: Weak<SharedJump>,
    alive: Alive,
    clock: Clock,
    used: Arc<Notify>,
    /// A guard was started.
    guarded: bool,
    guard: Option<Guard>,
    slot: Arc<JumpSlot>,
    name: String,
    timing: Timing,
}

impl Watch {
    async fn run(mut self, mut ended: oneshot::Receiver<Failure>) {
        while let Some(due) = self.alive.poll_timeout() {
            tokio::select! {
                biased;
                failure = &mut ended => {
                    let failure = failure.unwrap_or_else(|_| Cause::ClosedByPeer.into());
                    // Once nobody uses it, it was we who ended it.
                    if self.jump.strong_count() > 0 {
                        self.ended(&failure);
                    }
                    break;
                }
                why = poll_fn(|cx| unguarded(&mut self.guard, cx)) => self.unguarded(&why),
                () = self.used.notified(), if !self.guarded => self.guard(),
                () = tokio::time::sleep_until(self.clock.instant(due)) => {}
            }
            // What arrived while this process was stopped is read first.
            yield_now().await;
            yield_now().await;
            let Some(jump) = self.jump.upgrade() else {
                return;
            };
            self.alive.handle_life(jump.session.heard().last());
            if self.alive.handle_timeout(self.clock.now()) == Some(AliveStep::End) {
                break;
            }
        }
        if let Some(jump) = self.jump.upgrade() {
            debug!("The jump host's connection is over.");
            jump.over.store(true, Ordering::Release);
            jump.session.abort();
        }
    }

    fn guard(&mut self) {
        let Some(jump) = self.jump.upgrade() else {
            return;
        };
        let start = |guards: &mut Tries| guards.start(&jump.session, self.clock);
        self.guard = self.slot.guards(self.timing, start);
        self.guarded = true;
    }

    fn unguarded(&mut self, why: &Unguarded) {
        self.guard = None;
        if self
            .slot
            .guards(self.timing, |guards| guards.unguarded(why))
        {
            self.warn(why);
        }
    }

    fn ended(&self, failure: &Failure) {
        let guard = self.guard.as_ref();
        let told = |guards: &mut Tries| guards.session_ended(guard, failure);
        if let Some(why) = self.slot.guards(self.timing, told) {
            self.warn(&why);
        }
    }

    fn warn(&self, why: &Unguarded) {
        let name = escape(self.name.as_bytes(), MAX_NAME);
        warn!("No fuse on jump host {name}: {why}. It is used all the same.");
    }
}

fn unguarded(guard: &mut Option<Guard>, cx: &mut Context<'_>) -> Poll<Unguarded> {
    guard
        .as_mut()
        .map_or(Poll::Pending, |guard| guard.poll_end(cx))
}

const MAX_NAME: usize = 255;
