//! A survey: the sessions that this user has on a node, and which of them no living client holds.
//!
//! A POSIX shell ([`script`](self::script)) tells what the node knows, over an exec channel; [`reading`](self::reading) takes
//! that for what it is, [`tcp`](self::tcp) the connections in it. [`Here`] is what this machine knows. The judgement on both
//! is a pure function ([`judge`](self::judge)). Whoever is to be ended is ended by an [`Inspector`](crate::Inspector).

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;
use tokio::time::{Instant, timeout, timeout_at};

use self::reading::{Facts, Reading};
use crate::exec::{ExecError, ExecRequest, Part};
use crate::far::FarSession;
use crate::guard;
use crate::session::Session;

mod here;
mod judge;
mod reading;
mod script;
mod tcp;

pub use here::Here;
pub use judge::{Evidence, Verdict};

/// What a node has told of this user's sessions.
#[derive(Clone, Debug)]
pub struct Survey(Facts);

/// A session on a node, and what is to be held of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its sshd, by which it is ended; none, if the node's words do not make one.
    pub far: Option<FarSession>,
    /// The process of its sshd.
    pub pid: u32,
    /// The start of that, in the kernel's ticks: with the process id it is no other's while the node runs.
    pub start: u64,
    /// Since it began.
    pub age: Duration,
    /// Where its client is, as the node sees it; none, where that is not known.
    pub source: Option<SocketAddr>,
    /// Its terminals on the node, if it has any: `pts/0`.
    pub terminal: Option<String>,
    /// Since the client's machine was last heard, by its data or an acknowledgement; none, where the node does not tell.
    pub last_sign: Option<Duration>,
    /// Processes that it has started and that live.
    pub processes: usize,
    /// Whether somebody holds it.
    pub verdict: Verdict,
    /// What shows that.
    pub evidence: Evidence,
}

/// Why nothing is known of a node's sessions.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SurveyError {
    /// Nothing was started.
    #[error("nobody can look on the node: {0}")]
    Exec(#[from] ExecError),
    /// What the login runs is no POSIX shell.
    #[error(
        "nobody can look on the node: what the login runs is not what was asked for; it said: {said:?}"
    )]
    NotRun {
        /// Its last words, escaped.
        said: String,
    },
    /// The node cannot tell one process from another.
    #[error("the node has no /proc to look into")]
    Blind,
    /// It ended in between.
    #[error("the node stopped telling in between")]
    Cut,
    /// It says too much.
    #[error("the node says more than can be taken in")]
    TooMuch,
    /// It has not told in time.
    #[error("no answer within {after:?}")]
    Unanswered {
        /// For this long.
        after: Duration,
    },
}

impl Survey {
    /// Asks the node that this session leads to; `patience` bounds the start, and then the rest.
    ///
    /// # Errors
    /// Where it cannot be asked, or does not tell.
    pub async fn take(session: &dyn Session, patience: Duration) -> Result<Self, SurveyError> {
        let token = guard::new_token().ok_or(ExecError::Over)?;
        let request = ExecRequest {
            command: script::survey_request(&token).into_bytes(),
            patience,
            ..ExecRequest::default()
        };
        let exec = session.exec(request).await?;
        let _ = exec.input.end().await;
        let mut output = exec.output;
        let mut reading = Reading::new(token);
        let deadline = Instant::now() + patience;
        while !reading.is_over() {
            let part = timeout_at(deadline, output.next()).await;
            match part.map_err(|_| SurveyError::Unanswered { after: patience })? {
                Some(Part::Out(bytes)) => reading.take_in(&bytes)?,
                Some(Part::Err(bytes)) => reading.waste(bytes.len())?,
                Some(Part::Ended(_)) => {}
                Some(Part::Closed) | None => break,
            }
        }
        // An sshd that allows one channel at a time (`MaxSessions 1`) opens the next when this one is closed.
        let closed = async { while output.next().await.is_some() {} };
        let _ = timeout(CLOSING, closed).await;
        reading.finish().map(Self)
    }

    /// Every session, oldest first; `here` is what this machine knew after the survey was taken.
    pub fn standings(&self, here: Option<&Here>) -> Vec<Standing> {
        let mut standings = judge::judge(&self.0, here);
        standings.sort_by_key(|standing| (standing.start, standing.pid));
        standings
    }
}

impl Standing {
    /// Whether it is the same session.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.pid, self.start) == (other.pid, other.start)
    }

    /// This, looked at again `apart` after `earlier`: a ghost is one only if it was one before, and was not heard in between.
    #[must_use]
    pub fn since(mut self, earlier: Option<&Self>, apart: Duration) -> Self {
        if self.verdict != Verdict::Ghost {
            return self;
        }
        if self.last_sign.is_some_and(|sign| sign < apart) {
            (self.verdict, self.evidence) = (Verdict::Held, Evidence::Answered);
        } else if earlier.is_none_or(|earlier| earlier.verdict != Verdict::Ghost) {
            (self.verdict, self.evidence) = (Verdict::Unknown, Evidence::Changing);
        }
        self
    }

    /// Whether it may be ended by its own name: nobody is seen to hold it, and it is known which connection is its.
    pub fn may_be_ended(&self) -> bool {
        match self.verdict {
            Verdict::Ghost => true,
            Verdict::Unknown => self.evidence.leaves_the_choice(),
            Verdict::Held => false,
        }
    }
}

/// The longest wait for a channel to be closed: what a login has left in the background may hold it.
const CLOSING: Duration = Duration::from_millis(200);
