//! Dials, and says how long each stage took.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use heartline_core::{Failure, Stage};
use heartline_ssh::{Clock, Dialer, Established, Progress, Session, Target};
use heartline_watch::LinePlan;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

/// Where to, by sessions that say nothing by themselves.
pub(super) struct Reacher {
    dialer: Dialer,
    target: Arc<Target>,
    limit: Duration,
}

/// A session, and what became of its dial.
pub(super) struct Reached {
    pub(super) session: Box<dyn Session>,
    pub(super) ended: oneshot::Receiver<Failure>,
    pub(super) took: Took,
}

/// How long a dial's stages took; nothing of those that it had not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Took {
    /// TCP's, and only where the connection is our own.
    pub(super) connect: Option<Duration>,
    pub(super) banner: Option<Duration>,
    pub(super) kex: Option<Duration>,
    pub(super) login: Option<Duration>,
}

impl Reacher {
    pub(super) fn new(line: &LinePlan) -> Self {
        Self {
            dialer: Dialer::new(Clock::start(), Handle::current()),
            target: line.target.left_alone(),
            limit: line.timing.dial_timeout(),
        }
    }

    /// What sessions count by.
    pub(super) fn clock(&self) -> Clock {
        self.dialer.clock()
    }

    /// Dials once.
    pub(super) async fn reach(&self) -> Result<Reached, String> {
        let marks = Arc::new(Mutex::new(Vec::new()));
        let marking = Arc::clone(&marks);
        let progress: Arc<dyn Progress> = Arc::new(move |stage: Stage| {
            let mut marks = marking.lock().unwrap_or_else(PoisonError::into_inner);
            if marks.len() < MOST_MARKS {
                marks.push((stage, Instant::now()));
            }
        });
        let dial = self.dialer.dial(&self.target, &progress);
        // Each stage has a deadline of its own; this stands behind them.
        let dialed = timeout(self.limit, dial)
            .await
            .map_err(|_| "the dial took too long".to_owned())?;
        let Established { session, ended } = dialed.map_err(|failure| words(&failure))?;
        let mut took = {
            let marks = marks.lock().unwrap_or_else(PoisonError::into_inner);
            Took::of(&marks, Instant::now())
        };
        if session.tcp_evidence().is_none() || !session.is_direct() {
            took.connect = None;
        }
        Ok(Reached {
            session,
            ended,
            took,
        })
    }
}

impl Took {
    fn of(marks: &[(Stage, Instant)], end: Instant) -> Self {
        let ends = marks.iter().skip(1).map(|(_, at)| *at).chain([end]);
        let mut took = Self::default();
        for ((stage, at), end) in marks.iter().zip(ends) {
            let time = end.saturating_duration_since(*at);
            let slot = match stage {
                Stage::Connect => &mut took.connect,
                Stage::Banner => &mut took.banner,
                Stage::Kex => &mut took.kex,
                Stage::Auth => &mut took.login,
                _ => continue,
            };
            *slot = Some(slot.unwrap_or_default() + time);
        }
        took
    }
}

/// For a person; what came from the peer is escaped already.
pub(super) fn words(failure: &Failure) -> String {
    let sentence = failure.cause.sentence();
    match &failure.detail {
        Some(detail) => format!("{sentence} ({}: {detail})", failure.cause),
        None => format!("{sentence} ({})", failure.cause),
    }
}

/// A dial has a stage or two more than there are kinds of them.
const MOST_MARKS: usize = 32;
