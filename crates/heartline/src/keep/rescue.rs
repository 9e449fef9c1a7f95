//! A port on the node that is taken by a session of ours that is over here and not yet there.
//!
//! Each session that listens there is asked for its name on the node. When the node refuses a port to the next one, those that came
//! before it are ended there, by an inspector over the session that stands. Nobody else's session is touched: not known by
//! name to this process, it is not ours.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use heartline_keep::{Carrier, Rescue};
use heartline_ssh::{
    FarSession, Forwards, InspectError, Inspecting, Naming, Session, name_session,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::debug;

/// Something that only who holds the engine can do.
pub(super) enum Wish {
    /// A session of this line stands.
    Stands(Arc<str>, Forwards),
    /// Somebody needs a port.
    Rescue(Rescuing),
}

/// A port is needed.
pub(super) struct Rescuing {
    /// By this one.
    pub(super) carrier: Carrier,
    tell: oneshot::Sender<Option<String>>,
}

/// See the module.
pub(super) struct Rescuer {
    wishes: mpsc::Sender<Wish>,
    known: Known,
}

/// By carrier's number.
type Known = Arc<Mutex<Vec<(u64, FarSession)>>>;

/// Asks for its name.
pub(super) fn name(session: &dyn Session) -> Naming {
    name_session(session, PATIENCE)
}

/// Starts somebody who can end others.
pub(super) fn inspector(session: &dyn Session) -> Inspecting {
    session.inspect(PATIENCE)
}

impl Rescuer {
    pub(super) fn new() -> (Self, mpsc::Receiver<Wish>) {
        let (wishes, granted) = mpsc::channel(WISHES);
        let rescuer = Self {
            wishes,
            known: Known::default(),
        };
        (rescuer, granted)
    }

    /// What the forwards call.
    pub(super) fn rescue(&self) -> Rescue {
        let wishes = self.wishes.clone();
        Arc::new(move |carrier, _| {
            let wishes = wishes.clone();
            Box::pin(async move {
                let (tell, told) = oneshot::channel();
                let wish = Wish::Rescue(Rescuing { carrier, tell });
                wishes.send(wish).await.ok()?;
                timeout(PATIENCE * 3, told).await.ok()?.ok()?
            })
        })
    }

    /// Passes on how connections are made through a line's session, once that is known.
    pub(super) fn learn(
        &self,
        line: &Arc<str>,
        forwards: impl Future<Output = Option<Forwards>> + Send + 'static,
    ) {
        let (wishes, line) = (self.wishes.clone(), Arc::clone(line));
        tokio::spawn(async move {
            if let Ok(Some(forwards)) = timeout(PATIENCE, forwards).await {
                let _ = wishes.send(Wish::Stands(line, forwards)).await;
            }
        });
    }

    /// Remembers a session's name, once it is known.
    pub(super) fn name(
        &self,
        carrier: &Carrier,
        naming: impl Future<Output = Option<Naming>> + Send + 'static,
    ) {
        let (known, number) = (Arc::clone(&self.known), carrier.number);
        if lock(&known).iter().any(|(had, _)| *had == number) {
            return;
        }
        tokio::spawn(async move {
            let Ok(Some(naming)) = timeout(PATIENCE, naming).await else {
                return;
            };
            let Some(far) = naming.await else {
                debug!(
                    "The node does not name the session; its ports are free when its fuse has burnt."
                );
                return;
            };
            let mut known = lock(&known);
            if known.len() >= MOST_KNOWN {
                known.remove(0);
            }
            known.push((number, far));
        });
    }

    /// Ends those that came before.
    pub(super) fn end_ghosts(
        &self,
        rescuing: Rescuing,
        looking: impl Future<Output = Option<Inspecting>> + Send + 'static,
    ) {
        let Rescuing { carrier, tell } = rescuing;
        let known = Arc::clone(&self.known);
        let before: Vec<_> = lock(&known)
            .iter()
            .filter(|(number, _)| *number < carrier.number)
            .cloned()
            .collect();
        if before.is_empty() {
            let _ = tell.send(None);
            return;
        }
        tokio::spawn(async move {
            let ended = end(before, looking).await;
            let mut done = None;
            for (far, gone) in ended {
                if gone {
                    lock(&known).retain(|(_, had)| *had != far);
                    done = Some(format!(
                        "ended our own session of before there (process {})",
                        far.pid()
                    ));
                }
            }
            let _ = tell.send(done);
        });
    }
}

/// Whether each is gone now; those that nobody knows of are not among them.
async fn end(
    before: Vec<(u64, FarSession)>,
    looking: impl Future<Output = Option<Inspecting>>,
) -> Vec<(FarSession, bool)> {
    let Ok(Some(looking)) = timeout(PATIENCE, looking).await else {
        return Vec::new();
    };
    let Ok(mut inspector) = looking.await else {
        return Vec::new();
    };
    let mut ended = Vec::new();
    for (_, far) in before {
        match inspector.end(&far, PATIENCE).await {
            Ok(left) => ended.push((far, left == 0)),
            // Booted since: it is gone with everything else.
            Err(InspectError::Elsewhere) => {}
            Err(why) => debug!(%why, "A session of ours on the node could not be ended."),
        }
    }
    ended
}

fn lock(known: &Known) -> std::sync::MutexGuard<'_, Vec<(u64, FarSession)>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For each step on the node.
const PATIENCE: Duration = Duration::from_secs(10);
const WISHES: usize = 64;
/// Sessions of before; older ones have had time for their fuses.
const MOST_KNOWN: usize = 16;
