//! A port on the node that is taken by a session of ours that is over here and not yet there.
//!
//! Each session that listens there is asked for its name on the node. When the node refuses a port to another one, those that are over
//! here are ended there, by an inspector over the session that carries. One that lives on is left alone, and so is everybody
//! else's: not known by name to this process, it is not ours.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use heartline_keep::{Carrier, Rescue};
use heartline_ssh::{
    FarSession, Forwards, InspectError, Inspecting, Naming, Session, name_session,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
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

/// Sessions of ours, by their carrier.
type Known = Arc<Mutex<Book>>;

#[derive(Default)]
struct Book {
    sessions: Vec<(Carrier, FarSession)>,
    /// When one was last ended: who else was refused meanwhile may ask again.
    ended: Option<Instant>,
}

/// Asks for its name, if it is the carrier's session and not one that came after it.
pub(super) fn name(session: &dyn Session, carrier: &Carrier) -> Option<Naming> {
    let is_it = session.forwards().is_same(&carrier.forwards);
    is_it.then(|| name_session(session, PATIENCE))
}

/// Starts somebody who can end others, by the carrier's session.
pub(super) fn inspector(session: &dyn Session, carrier: &Carrier) -> Option<Inspecting> {
    let is_it = session.forwards().is_same(&carrier.forwards);
    is_it.then(|| session.inspect(PATIENCE))
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
        naming: impl Future<Output = Option<Option<Naming>>> + Send + 'static,
    ) {
        let (known, carrier) = (Arc::clone(&self.known), carrier.clone());
        let is_it = |(had, _): &(Carrier, FarSession)| had.number == carrier.number;
        if lock(&known).sessions.iter().any(is_it) {
            return;
        }
        tokio::spawn(async move {
            let Ok(Some(Some(naming))) = timeout(PATIENCE, naming).await else {
                return;
            };
            let Some(far) = naming.await else {
                debug!(
                    "The node does not name the session; its ports are free when its fuse has burnt."
                );
                return;
            };
            let sessions = &mut lock(&known).sessions;
            if sessions.len() >= MOST_KNOWN {
                sessions.remove(0);
            }
            sessions.push((carrier, far));
        });
    }

    /// Ends those that are over here.
    pub(super) fn end_ghosts(
        &self,
        rescuing: Rescuing,
        looking: impl Future<Output = Option<Option<Inspecting>>> + Send + 'static,
    ) {
        let Rescuing { carrier, tell } = rescuing;
        let known = Arc::clone(&self.known);
        let (dead, ended) = {
            let book = lock(&known);
            let is_dead = |(had, _): &&(Carrier, FarSession)| {
                had.number != carrier.number && had.forwards.is_over()
            };
            let dead: Vec<_> = book.sessions.iter().filter(is_dead).cloned().collect();
            (dead, book.ended)
        };
        if dead.is_empty() {
            let lately = ended.is_some_and(|at| at.elapsed() < LATELY);
            let _ = tell.send(lately.then(|| "another port of ours was freed there".to_owned()));
            return;
        }
        tokio::spawn(async move {
            let ended = timeout(PATIENCE * 2, end(dead, looking)).await;
            let mut done = None;
            for (far, gone) in ended.unwrap_or_default() {
                if gone {
                    let mut book = lock(&known);
                    book.sessions.retain(|(_, had)| *had != far);
                    book.ended = Some(Instant::now());
                    done = Some(format!(
                        "ended a dead session of ours there (process {})",
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
    dead: Vec<(Carrier, FarSession)>,
    looking: impl Future<Output = Option<Option<Inspecting>>>,
) -> Vec<(FarSession, bool)> {
    let Ok(Some(Some(looking))) = timeout(PATIENCE, looking).await else {
        return Vec::new();
    };
    let Ok(mut inspector) = looking.await else {
        return Vec::new();
    };
    let mut ended = Vec::new();
    for (_, far) in dead {
        match inspector.end(&far, PATIENCE).await {
            Ok(left) => ended.push((far, left == 0)),
            // Booted since: it is gone with everything else.
            Err(InspectError::Elsewhere) => {}
            Err(why) => debug!(%why, "A session of ours on the node could not be ended."),
        }
    }
    ended
}

fn lock(known: &Known) -> std::sync::MutexGuard<'_, Book> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For each step on the node.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long others that were refused a port may ask again.
const LATELY: Duration = Duration::from_secs(5);
const WISHES: usize = 64;
/// Sessions of before; older ones have had time for their fuses.
const MOST_KNOWN: usize = 16;
