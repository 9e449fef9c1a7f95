//! The guard: the process on the node that holds the fuse, and our side of it.
//!
//! A POSIX shell is started over an exec channel ([`script`](self::script)), says hello with a token of this session alone,
//! answers each beat by its number, and ends the session's own server when no beat came for as long as the fuse. What is
//! sent and what is made of the answers is in [`dialogue`](self::dialogue), who carries it in [`task`](self::task).
//!
//! It is apart from the session's own beats: those go on whatever the guard does, also while its channel's window is full.
//! Where no guard can work, [`Unguarded`] says why, and the session goes on without a fuse; [`Tries`] remembers it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use heartline_core::{Fuse, Moment};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::clock::Clock;

mod dialogue;
mod script;
mod task;
mod tries;

pub use script::forced_command;
pub use tries::Tries;

pub(crate) use task::Guarding;

/// What a guard is to be like.
#[derive(Clone, Copy, Debug)]
pub struct GuardRule {
    /// No beat for so long, and the far end ends.
    pub fuse: Fuse,
    /// The longest wait for its hello.
    pub patience: Duration,
    /// What its answers are counted by.
    pub clock: Clock,
}

/// A session's guard, as it is known here. Dropping this does not end it; the end of the session does.
#[derive(Debug)]
pub struct Guard {
    known: Arc<Known>,
    end: Option<oneshot::Receiver<Unguarded>>,
}

/// What is known of a guard, written by its task.
#[derive(Debug, Default)]
struct Known {
    holds: AtomicBool,
    /// When it last answered, in nanoseconds of the clock; 0: never.
    echoed: AtomicU64,
    round_trip: AtomicU64,
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
    fn new(end: oneshot::Receiver<Unguarded>) -> (Self, Arc<Known>) {
        let known = Arc::<Known>::default();
        let guard = Self {
            known: Arc::clone(&known),
            end: Some(end),
        };
        (guard, known)
    }

    /// Whether it holds the fuse now.
    pub fn holds(&self) -> bool {
        self.known.holds.load(Ordering::Acquire)
    }

    /// When it last answered a beat of its own, and after how long.
    pub fn echo(&self) -> Option<(Moment, Duration)> {
        let nanos = |of: &AtomicU64| Duration::from_nanos(of.load(Ordering::Acquire));
        let at = nanos(&self.known.echoed);
        (!at.is_zero()).then(|| (Moment::at(at), nanos(&self.known.round_trip)))
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

impl Known {
    fn set_holds(&self, holds: bool) {
        self.holds.store(holds, Ordering::Release);
    }

    fn echo(&self, at: Moment, round_trip: Duration) {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.round_trip.store(nanos(round_trip), Ordering::Release);
        self.echoed
            .store(nanos(at.since_start()).max(1), Ordering::Release);
    }
}

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
