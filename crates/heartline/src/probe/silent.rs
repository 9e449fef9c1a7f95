//! One connection that is left silent for a while, and then asked.

use std::time::Duration;

use heartline_core::idle::{Death, Trial};
use heartline_core::{Cause, Failure};
use heartline_ssh::{Clock, FarSession, Session};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use super::layers::{LOOK, Listening};

/// See the module.
pub(super) struct Silent {
    pub(super) session: Box<dyn Session>,
    /// None once it was told.
    ended: Option<oneshot::Receiver<Failure>>,
    /// Its name on the node, where that can tell.
    pub(super) far: Option<FarSession>,
}

/// What became of it.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) trial: Trial,
    /// What came by itself came after silences of these lengths.
    pub(super) unasked: Vec<Duration>,
}

impl Told {
    /// It has answered after all.
    pub(super) fn revive(&mut self) {
        if let Trial::Died { silent, .. } = self.trial {
            self.trial = Trial::Survived { silent };
        }
    }
}

impl Silent {
    pub(super) fn new(
        session: Box<dyn Session>,
        ended: oneshot::Receiver<Failure>,
        far: Option<FarSession>,
    ) -> Self {
        Self {
            session,
            ended: Some(ended),
            far,
        }
    }

    /// Its end, unasked. Losing the future loses nothing.
    pub(super) async fn ended(&mut self) -> Death {
        let Some(ended) = &mut self.ended else {
            return Death::Dropped;
        };
        let failure = ended.await;
        self.ended = None;
        match failure.map(|failure| failure.cause) {
            Ok(Cause::Reset) => Death::ResetUnasked,
            // Our kernel has given up, or our own side is gone: that is no word of the peer's.
            Ok(Cause::Silent | Cause::LinkDown | Cause::NoRoute) => Death::Dropped,
            Ok(_) | Err(_) => Death::Closed,
        }
    }

    /// Asks, says nothing for so long, and asks again; nothing, if it does not answer at the beginning.
    pub(super) async fn lie(
        &mut self,
        silence: Duration,
        patience: Duration,
        clock: Clock,
    ) -> Option<Told> {
        self.ask(patience).await.ok()?;
        let until = Instant::now() + silence;
        let mut ear = Listening::from_now(clock);
        let mut unasked = Vec::new();
        // What has spoken so often goes on to.
        while Instant::now() < until && unasked.len() < ENOUGH {
            let look = until.min(Instant::now() + LOOK);
            tokio::select! {
                how = self.ended() => {
                    let silent = ear.silent(clock);
                    let trial = Trial::Died { silent, how };
                    return Some(Told { trial, unasked });
                }
                () = sleep_until(look) => {}
            }
            unasked.extend(ear.look(self.session.as_ref()));
        }
        let last = ear.silent(clock);
        let trial = match self.ask(patience).await {
            Ok(()) => Trial::Survived {
                silent: unasked.iter().copied().fold(last, Duration::max),
            },
            Err(how) => Trial::Died { silent: last, how },
        };
        Some(Told { trial, unasked })
    }

    /// One beat.
    pub(super) async fn ask(&mut self, patience: Duration) -> Result<(), Death> {
        let beat = timeout(patience, self.session.beat());
        tokio::select! {
            // An answer that is there goes before what came after it.
            biased;
            answer = beat => match answer {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(_)) => Err(match timeout(patience, self.ended()).await {
                    Ok(Death::Dropped) | Err(_) => Death::Dropped,
                    Ok(_) => Death::Reset,
                }),
                Err(_) => Err(Death::Dropped),
            },
            how = self.ended() => Err(match how {
                Death::Dropped => Death::Dropped,
                _ => Death::Reset,
            }),
        }
    }
}

/// Packets that come unasked are a habit, not chance.
const ENOUGH: usize = 3;
