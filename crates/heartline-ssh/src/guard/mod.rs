//! The guard: the process on the node that holds the fuse, and our side of it.
//!
//! A POSIX shell is started over an exec channel ([`script`](self::script)), says hello with a token of this session alone,
//! answers each beat by its number, and ends the session's own server when no beat came for as long as the fuse. What is
//! sent and what is made of the answers is in [`dialogue`](self::dialogue), who carries it in [`task`](self::task).
//!
//! A guard's [`Duty`] is the session alone, or everything the session has started too, by the fuse or when it is asked to
//! ([`Guard::end`]).
//!
//! It is apart from the session's own beats: those go on whatever the guard does, also while its channel's window is full.
//! Where no guard can work, [`Unguarded`] says why, and the session goes on without a fuse; [`Tries`] remembers it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::task::AtomicWaker;
use heartline_core::{Fuse, Moment};
use thiserror::Error;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::timeout;

use crate::clock::{Clock, asleep};
use crate::far::FarSession;

use dialogue::{Hello, Method};

mod dialogue;
mod script;
mod task;
mod tries;

pub use script::{forced_command, guard_request};
pub use tries::Tries;

pub(crate) use script::name_request;
pub(crate) use task::{Guarding, new_token, open_channel};

/// What a guard is to be like.
#[derive(Clone, Copy, Debug)]
pub struct GuardRule {
    /// No beat for so long, and the far end ends.
    pub fuse: Fuse,
    /// What ends then.
    pub duty: Duty,
    /// The longest wait for its hello.
    pub patience: Duration,
    /// What its answers are counted by.
    pub clock: Clock,
}

/// What a guard ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// The session, by its server, when no beat came for as long as the fuse.
    Session,
    /// Everything the session has started, and then the session, when no beat came for as long as the fuse or the guard's
    /// channel has ended; and everything but the session when it is asked to.
    All,
}

/// A session's guard, as it is known here. Dropping this does not end it; the end of the session does.
#[derive(Debug)]
pub struct Guard {
    known: Arc<Known>,
    rule: GuardRule,
    end: Option<oneshot::Receiver<Unguarded>>,
}

/// What became of the start of a guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It holds the fuse.
    Holds,
    /// There can be none.
    Cannot(Unguarded),
    /// The session is over.
    Over,
}

/// What became of a guard that was asked to end everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has done so.
    Done {
        /// So many processes live still: another user's, or in the kernel's hands.
        left: u32,
    },
    /// Its channel or the session was over before it answered. If it ran, it does the same by itself, and ends the session.
    Over,
    /// It has not answered in time, or is no guard of [`Duty::All`].
    Unanswered,
}

/// What is known of a guard, written by its task.
#[derive(Debug)]
struct Known {
    holds: AtomicBool,
    /// Its last hello said that the fuse burns by `read -t`.
    is_timed: AtomicBool,
    far: OnceLock<FarSession>,
    stage: watch::Sender<Stage>,
    /// Told when something is asked of it.
    asked: Notify,
    /// Signals that it is to pass on, oldest first.
    signals: Mutex<VecDeque<&'static str>>,
    /// When what it guards had been started.
    started: OnceLock<Moment>,
    /// A beat is wanted at once.
    is_beat_wanted: AtomicBool,
    /// How long this machine had been suspended by the last echo but one, which is older than the last beat that was answered, and
    /// by the last.
    slept: Mutex<[Duration; 2]>,
    /// What its last echo told that told any.
    sessions: Mutex<Vec<u32>>,
    /// It was asked to end everything.
    is_asked: AtomicBool,
    /// When it last answered, in nanoseconds of the clock; 0: never.
    echoed: AtomicU64,
    round_trip: AtomicU64,
    /// When the beat was sent that it has owed an answer to for too long, in nanoseconds of the clock; 0: there is none.
    owes: AtomicU64,
    /// That was written, and nobody has looked since.
    is_news: AtomicBool,
    looker: AtomicWaker,
}

/// How far a guard has come.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// It has not said hello on any channel.
    Starting,
    Settled(Settled),
    /// It has ended everything, but for so many.
    Ended(u32),
}

/// Why a session has no guard.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unguarded {
    /// The node opens no channel for it.
    #[error("the node opens no channel for a guard: {why}")]
    NoChannel {
        /// What it says, escaped.
        why: String,
    },
    /// The node runs no command.
    #[error("the node runs no command")]
    NotRun,
    /// What ran instead of a shell, or before it, ended.
    #[error(
        "what the login runs ended ({how}) before a guard answered: no POSIX shell, or a forced command{said}"
    )]
    Ended {
        /// Its status or signal.
        how: String,
        /// The first words it said, escaped.
        said: String,
    },
    /// It said nothing that was foreseen.
    #[error(
        "no guard answered within {after:?}: a forced command, or an rc file that reads the input or starts another shell"
    )]
    Mute {
        /// For this long.
        after: Duration,
    },
    /// It said too much.
    #[error("the login prints more than 64 KiB before and beside a guard's answers")]
    TooMuch,
    /// The guard found no server of the session.
    #[error("a guard finds no sshd above it that it could end")]
    NoServer,
    /// A guard could end nothing but the session.
    #[error(
        "a guard cannot search the node's processes (it needs grep and tr and to read its own environment in /proc, or without /proc a ps that knows -A and -o)"
    )]
    Blind,
    /// The guard may not end the server.
    #[error(
        "a guard may not end the session's server process, which is not this user's (dropbear)"
    )]
    NotOurs,
    /// The node ends the session when asked to run something.
    #[error("the node ends the whole session when it is asked to run a guard")]
    EndsSession,
    /// It ended again and again.
    #[error("the guard ended {times} times, the last time after {after:?}")]
    Lost {
        /// So often.
        times: u32,
        /// Since it was last heard.
        after: Duration,
    },
}

impl Guard {
    /// A guard that is not known to hold yet, and where its task tells.
    fn new(rule: GuardRule, end: oneshot::Receiver<Unguarded>) -> (Self, Arc<Known>) {
        let known = Arc::new(Known::new());
        let guard = Self {
            known: Arc::clone(&known),
            rule,
            end: Some(end),
        };
        (guard, known)
    }

    /// Whether it holds the fuse now, or did when its session ended.
    pub fn holds(&self) -> bool {
        self.known.holds.load(Ordering::Acquire)
    }

    /// When it last answered a beat of its own, and after how long.
    pub fn echo(&self) -> Option<(Moment, Duration)> {
        let nanos = |of: &AtomicU64| Duration::from_nanos(of.load(Ordering::Acquire));
        let at = nanos(&self.known.echoed);
        (!at.is_zero()).then(|| (Moment::at(at), nanos(&self.known.round_trip)))
    }

    /// Waits until it holds the fuse for the first time, or never will. [`GuardRule::patience`] bounds it twice: for the
    /// channel and for the hello.
    pub async fn settled(&self) -> Settled {
        let mut stage = self.known.stage.subscribe();
        let settled = stage.wait_for(|stage| *stage != Stage::Starting).await;
        match settled.as_deref() {
            Ok(Stage::Settled(settled)) => settled.clone(),
            Ok(Stage::Starting | Stage::Ended(_)) | Err(_) => Settled::Over,
        }
    }

    /// What the session is at its far end; nothing before a guard of [`Duty::All`] holds, nor on a node that cannot tell.
    pub fn far(&self) -> Option<FarSession> {
        self.known.far.get().cloned()
    }

    /// The ids that the sessions of its processes had on the node when it last answered, with [`Duty::All`]; none, if it has not
    /// answered since [`started`](Self::started).
    pub fn sessions(&self) -> Option<Vec<u32>> {
        let started = *self.known.started.get()?;
        let (at, round_trip) = self.echo()?;
        let sessions = self.known.sessions.lock();
        let sessions = || sessions.unwrap_or_else(PoisonError::into_inner).clone();
        (at >= started + round_trip).then(sessions)
    }

    /// Something runs from now on that its next answer should know of; it beats at once.
    pub fn started(&self) {
        let _ = self.known.started.set(self.rule.clock.now());
        self.known.is_beat_wanted.store(true, Ordering::Release);
        self.known.asked.notify_one();
    }

    /// When the fuse begins to burn at the latest, after the last beat came there: the fuse, or twice that where the node's
    /// shell cannot wait for so long, or it is not known yet. With [`Duty::All`] everything is gone a second later.
    pub fn burns_within(&self) -> Duration {
        let fuse = self.rule.fuse.as_duration();
        if self.known.is_timed.load(Ordering::Acquire) {
            fuse
        } else {
            fuse * 2
        }
    }

    /// Asks it to signal everything the session has started, by a name without `SIG`; one of [`Duty::All`] does. Not told is
    /// whether it was done.
    pub fn signal(&self, name: &'static str) {
        if self.rule.duty == Duty::All {
            let mut signals = self.known.signals();
            if signals.len() < MOST_SIGNALS {
                signals.push_back(name);
            }
            self.known.asked.notify_one();
        }
    }

    /// Whether it certainly has not burnt yet, so that nothing there has ended by it. It has not for as long as the fuse after
    /// the beat that it last answered was sent.
    pub fn cannot_have_burnt(&self) -> bool {
        let fuse = self.rule.fuse.as_duration();
        // Our clock stands still in a suspend, the node's does not.
        let slept = self.known.slept.lock();
        let [before, _] = *slept.unwrap_or_else(PoisonError::into_inner);
        asleep() <= before + A_TICK
            && self.echo().is_some_and(|(at, round_trip)| {
                self.rule.clock.now().saturating_since(at) + round_trip < fuse
            })
    }

    /// Asks it to end now everything the session has started, and waits so long for it to say that it has; the session
    /// stays. It cannot be taken back: no beat comes to the guard any more, so the session lives as long as the fuse, and no
    /// other is started, whoever drops this.
    pub async fn end(&self, patience: Duration) -> Ended {
        if self.rule.duty != Duty::All {
            return Ended::Unanswered;
        }
        let mut stage = self.known.stage.subscribe();
        self.known.is_asked.store(true, Ordering::Release);
        self.known.asked.notify_one();
        let ended = stage
            .wait_for(|stage| !matches!(stage, Stage::Starting | Stage::Settled(Settled::Holds)));
        match timeout(patience, ended)
            .await
            .as_ref()
            .map(|stage| stage.as_deref())
        {
            Ok(Ok(Stage::Ended(left))) => Ended::Done { left: *left },
            Ok(_) => Ended::Over,
            Err(_) => Ended::Unanswered,
        }
    }

    /// Whether its shell owes an answer, and has for two thirds of the fuse: the beat of which moment. Told again with every beat while
    /// it does, and once when it does no longer.
    pub fn poll_shell(&self, cx: &mut Context<'_>) -> Poll<Option<Moment>> {
        self.known.looker.register(cx.waker());
        if !self.known.is_news.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let owes = Duration::from_nanos(self.known.owes.load(Ordering::Acquire));
        Poll::Ready((!owes.is_zero()).then_some(Moment::at(owes)))
    }

    /// Whether it has been found that there can be none, and why. Told once; never, once the session is over.
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Unguarded> {
        let Some(end) = &mut self.end else {
            return Poll::Pending;
        };
        let why = ready!(std::pin::Pin::new(end).poll(cx));
        self.end = None;
        why.map_or(Poll::Pending, Poll::Ready)
    }
}

/// Signals that wait for a guard that is not heard; the same ones again say nothing new.
const MOST_SIGNALS: usize = 16;

impl Known {
    fn signals(&self) -> MutexGuard<'_, VecDeque<&'static str>> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new() -> Self {
        Self {
            holds: AtomicBool::default(),
            is_timed: AtomicBool::default(),
            far: OnceLock::new(),
            stage: watch::Sender::new(Stage::Starting),
            asked: Notify::new(),
            signals: Mutex::default(),
            started: OnceLock::new(),
            is_beat_wanted: AtomicBool::default(),
            slept: Mutex::new([asleep(); 2]),
            sessions: Mutex::default(),
            is_asked: AtomicBool::default(),
            echoed: AtomicU64::default(),
            round_trip: AtomicU64::default(),
            owes: AtomicU64::default(),
            is_news: AtomicBool::default(),
            looker: AtomicWaker::new(),
        }
    }

    /// Its shell owes an answer to the beat of that moment, and has for too long; or does so no longer.
    fn owes(&self, since: Option<Moment>) {
        let nanos = |at: Moment| u64::try_from(at.since_start().as_nanos()).unwrap_or(u64::MAX);
        let owes = since.map_or(0, |since| nanos(since).max(1));
        let before = self.owes.swap(owes, Ordering::AcqRel);
        // While it does, it is told again and again: whether the session is well changes.
        if owes > 0 || before > 0 {
            self.is_news.store(true, Ordering::Release);
            self.looker.wake();
        }
    }

    fn said(&self, hello: Hello) {
        self.is_timed
            .store(hello.method == Method::Timed, Ordering::Release);
        if let Some(far) = hello.far {
            // Another guard of the same session says the same.
            let _ = self.far.set(far);
        }
        self.set_holds(true);
        self.stage.send_replace(Stage::Settled(Settled::Holds));
    }

    fn set_holds(&self, holds: bool) {
        self.holds.store(holds, Ordering::Release);
    }

    fn echo(&self, at: Moment, round_trip: Duration, sessions: Vec<u32>) {
        if !sessions.is_empty() {
            *self.sessions.lock().unwrap_or_else(PoisonError::into_inner) = sessions;
        }
        let mut slept = self.slept.lock().unwrap_or_else(PoisonError::into_inner);
        let [_, last] = *slept;
        *slept = [last, asleep()];
        drop(slept);
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.round_trip.store(nanos(round_trip), Ordering::Release);
        self.echoed
            .store(nanos(at.since_start()).max(1), Ordering::Release);
    }
}

/// The two clocks are not read at once.
const A_TICK: Duration = Duration::from_millis(100);

impl Unguarded {
    /// The word in JSON.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NoChannel { .. } => "no_channel",
            Self::NotRun => "not_run",
            Self::Ended { .. } => "ended",
            Self::Mute { .. } => "mute",
            Self::TooMuch => "too_much",
            Self::NoServer => "no_server",
            Self::Blind => "blind",
            Self::NotOurs => "not_ours",
            Self::EndsSession => "ends_session",
            Self::Lost { .. } => "lost",
        }
    }

    /// Whether another session may well have a guard. Where not, none is tried, so that a forced command is not run again
    /// at each dial.
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::NoChannel { .. } | Self::Mute { .. } | Self::Lost { .. }
        )
    }
}
