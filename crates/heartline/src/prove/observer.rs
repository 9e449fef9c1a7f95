//! Looks at far ends over a connection of its own, and ends what is left of them.

use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use heartline_core::Stage;
use heartline_ssh::{
    Cable, Clock, Dialer, Established, FarSession, InspectError, Inspector, Peer, Progress, Session,
};
use heartline_watch::LinePlan;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// See the module.
pub(super) struct Observer {
    line: LinePlan,
    dialer: Dialer,
    eye: Mutex<Option<Eye>>,
    /// Nobody can look there, and why.
    blind: Option<String>,
    /// Far sessions that are not known to be gone.
    begun: StdMutex<Vec<FarSession>>,
}

/// A connection with an inspector.
struct Eye {
    /// None on a node where none can be.
    inspector: Option<Inspector>,
    session: Box<dyn Session>,
}

/// One answer.
struct Look {
    asked: Instant,
    answered: Instant,
    alive: usize,
}

/// What was seen of one far end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// It was alive when this was asked.
    pub(super) alive: Option<Instant>,
    /// So many processes were, at the last look.
    pub(super) left: Option<usize>,
    /// By now nothing of it was.
    pub(super) gone: Option<Instant>,
    /// Its sshd had closed the connection.
    pub(super) sshd_gone: Option<Instant>,
}

impl Observer {
    /// Dials, and says who answers there; or why there is no session.
    pub(super) async fn start(line: &LinePlan) -> Result<(Self, Peer), String> {
        let mut observer = Self {
            line: line.clone(),
            dialer: Dialer::new(Clock::start(), Handle::current()),
            eye: Mutex::default(),
            blind: None,
            begun: StdMutex::default(),
        };
        let session = observer.dial().await?;
        let peer = session.peer().clone();
        let inspector = match session.inspect(line.timing.stage_timeout).await {
            Ok(inspector) => Some(inspector),
            Err(why) => {
                observer.blind = Some(match why {
                    // It is the same for a guard.
                    InspectError::Unfit(why) => why.to_string(),
                    why => why.to_string(),
                });
                None
            }
        };
        observer.eye = Mutex::new(Some(Eye { inspector, session }));
        Ok((observer, peer))
    }

    /// Why nobody can look, if so. Then no guard can work there either, and nothing is to be started.
    pub(super) fn blind(&self) -> Option<&str> {
        self.blind.as_deref()
    }

    /// This one is ended if it is not seen to end.
    pub(super) fn begun(&self, far: &FarSession) {
        self.lock().push(far.clone());
    }

    /// Looks until nothing of it is left, by a deadline. While its connection stands it looks now and then.
    pub(super) async fn watch(
        &self,
        far: Option<&FarSession>,
        cable: &Cable,
        pace: Duration,
        deadline: Instant,
    ) -> Seen {
        let mut seen = Seen::default();
        let Some(far) = far else {
            seen.sshd_gone = timeout_at(deadline, cable.ended()).await.ok();
            return seen;
        };
        let mut first = None;
        while let Ok(look) = timeout_at(deadline, self.count(far)).await {
            let mut is_soon = cable.has_ended().is_some();
            match look {
                // Twice, since a process that forks and ends may be missed once.
                Some(look) if look.alive == 0 => {
                    if let Some(first) = first {
                        seen.gone = Some(first);
                        seen.left = Some(0);
                        self.is_gone(far);
                        break;
                    }
                    first = Some(look.answered);
                    is_soon = true;
                }
                Some(look) => {
                    first = None;
                    seen.alive = Some(look.asked);
                    seen.left = Some(look.alive);
                }
                None => {}
            }
            if is_soon {
                sleep(SOON).await;
            } else {
                // Whoever ends everything ends the connection last.
                let _ = timeout(pace, cable.ended()).await;
            }
        }
        seen.sshd_gone = cable.has_ended();
        seen
    }

    /// Kills what is left of it, if it can be reached soon.
    pub(super) async fn end(&self, far: &FarSession) {
        let patience = self.line.timing.stage_timeout;
        let _ = timeout(patience, self.kill(far)).await;
    }

    async fn kill(&self, far: &FarSession) {
        let mut none = 0;
        for _ in 0..TRIES {
            let alive = self.ask(far, true).await.map(|look| look.alive);
            none = if alive == Some(0) { none + 1 } else { 0 };
            if none == 2 {
                return self.is_gone(far);
            }
            sleep(SOON).await;
        }
    }

    /// Ends all that is left, and the connection; how many could not be ended.
    pub(super) async fn stop(&self) -> usize {
        let left = self.lock().clone();
        // They are asked one after the other, and all have the same time.
        join_all(left.iter().map(|far| self.end(far))).await;
        if let Some(eye) = self.eye.lock().await.take() {
            drop(eye.inspector);
            eye.session.disconnect().await;
        }
        self.lock().len()
    }

    async fn count(&self, far: &FarSession) -> Option<Look> {
        self.ask(far, false).await
    }

    /// One question at a time. A connection that is lost is made anew with the next question.
    async fn ask(&self, far: &FarSession, kill: bool) -> Option<Look> {
        if self.blind.is_some() {
            return None;
        }
        let patience = self.line.timing.stage_timeout;
        let mut eye = self.eye.lock().await;
        if eye.is_none() {
            *eye = Some(self.open().await?);
        }
        let inspector = eye.as_mut()?.inspector.as_mut()?;
        let asked = Instant::now();
        let answer = if kill {
            inspector.kill(far, patience).await
        } else {
            inspector.count(far, patience).await
        };
        let answered = Instant::now();
        let Ok(alive) = answer else {
            *eye = None;
            return None;
        };
        Some(Look {
            asked,
            answered,
            alive,
        })
    }

    async fn open(&self) -> Option<Eye> {
        let session = self.dial().await.ok()?;
        let inspector = session.inspect(self.line.timing.stage_timeout).await.ok()?;
        Some(Eye {
            inspector: Some(inspector),
            session,
        })
    }

    async fn dial(&self) -> Result<Box<dyn Session>, String> {
        let progress: Arc<dyn Progress> = Arc::new(|_: Stage| {});
        let dial = self.dialer.dial(&self.line.target, &progress);
        // Each stage has a deadline of its own; this stands behind them.
        match timeout(self.line.timing.dial_timeout(), dial).await {
            Ok(Ok(Established { session, .. })) => Ok(session),
            Ok(Err(failure)) => {
                let why = failure.detail.unwrap_or_default();
                Err(format!(
                    "{} ({}: {why})",
                    failure.cause.sentence(),
                    failure.cause
                ))
            }
            Err(_) => Err("the dial took too long".to_owned()),
        }
    }

    fn is_gone(&self, far: &FarSession) {
        self.lock().retain(|other| other != far);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<FarSession>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between two looks at one that is about to go.
const SOON: Duration = Duration::from_millis(50);
const TRIES: usize = 10;
