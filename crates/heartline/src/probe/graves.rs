//! The far ends of connections that were forgotten: nobody tells their sshd, so it is ended by another connection.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use heartline_ssh::{FarSession, Session};
use tokio::time::sleep;

/// Far sessions that were begun here and are not known to be over.
#[derive(Default)]
pub(super) struct Graves(Mutex<Vec<FarSession>>);

impl Graves {
    pub(super) fn begun(&self, far: &FarSession) {
        self.lock().push(far.clone());
    }

    pub(super) fn is_over(&self, far: &FarSession) {
        self.lock().retain(|other| other != far);
    }

    /// Those that are not.
    pub(super) fn all(&self) -> Vec<FarSession> {
        self.lock().clone()
    }

    /// Ends these by an inspector over this session. What could not be ended stays known.
    pub(super) async fn bury(
        &self,
        session: &dyn Session,
        dead: &[FarSession],
        patience: Duration,
    ) {
        if dead.is_empty() {
            return;
        }
        let Ok(mut inspector) = session.inspect(patience).await else {
            return;
        };
        for far in dead {
            for _ in 0..TRIES {
                match inspector.kill(far, patience).await {
                    Ok(0) => {
                        self.is_over(far);
                        break;
                    }
                    Ok(_) => sleep(SOON).await,
                    Err(_) => return,
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<FarSession>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process that was killed is there for a moment yet.
const SOON: Duration = Duration::from_millis(50);
const TRIES: usize = 10;
