//! A TCP relay before a real SSH server that freezes the conversation at a chosen step.
//!
//! Frozen means: nothing is forwarded and nothing read, both sockets stay open, both kernels go on
//! acknowledging. What an end does in the meantime is noted, but the other end hears of it only once
//! the relay is unfrozen.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::cleartext::Step;
use super::door::Door;
use super::visit::{Departure, Log};
use carrier::Carrier;

mod carrier;

/// A relay on a port of 127.0.0.1, until it is dropped.
#[derive(Debug)]
pub struct StepRelay {
    door: Door,
    control: Arc<Mutex<Control>>,
    visits: Arc<Log<RelayVisit>>,
}

impl StepRelay {
    /// Forwards to `target`. Every connection freezes at `step`, if there is one, until
    /// [`StepRelay::unfreeze`].
    pub fn start(target: SocketAddr, step: Option<Step>) -> Result<Self> {
        let control = Arc::new(Mutex::new(Control {
            step,
            ..Control::default()
        }));
        let visits = Arc::new(Log::new());
        let (shared, log) = (Arc::clone(&control), Arc::clone(&visits));
        let door = Door::open(
            "step relay",
            Some(RECEIVE_BUFFER),
            move |client, addr, stopping| {
                Carrier::carry(client, addr, target, &shared, &log, stopping);
            },
        )?;
        Ok(Self {
            door,
            control,
            visits,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// From the return of this on, nothing is forwarded in either direction.
    pub fn freeze(&self) {
        let mut control = lock(&self.control);
        (control.to_server, control.to_client) = (false, false);
    }

    /// From the return of this on, the server hears nothing more and nothing is read from the
    /// client, whose send buffer fills as soon as some 100 KB wait. The server's bytes pass.
    pub fn freeze_towards_server(&self) {
        lock(&self.control).to_server = false;
    }

    /// Everything passes again, first what waited; there is no step any more.
    pub fn unfreeze(&self) {
        let mut control = lock(&self.control);
        *control = Control {
            thaws: control.thaws + 1,
            ..Control::default()
        };
    }

    /// Every connection so far, in the order of coming.
    pub fn visits(&self) -> Vec<RelayVisit> {
        self.visits.all()
    }

    /// Waits until the visits are as wanted; fails after `ceiling`, saying `what` was wanted.
    pub fn wait(
        &self,
        what: &str,
        ceiling: Duration,
        wanted: impl Fn(&[RelayVisit]) -> bool,
    ) -> Result<Vec<RelayVisit>> {
        self.visits.wait(what, ceiling, wanted)
    }

    /// Waits until `count` connections have come to the step.
    pub fn wait_until_at_step(&self, count: usize, ceiling: Duration) -> Result<Vec<RelayVisit>> {
        let what = format!("{count} connections at the step");
        self.wait(&what, ceiling, |visits| {
            visits
                .iter()
                .filter(|visit| visit.at_step.is_some())
                .count()
                >= count
        })
    }

    /// Waits until at least `count` connections have come and the client of every one has left.
    pub fn wait_until_left(&self, count: usize, ceiling: Duration) -> Result<Vec<RelayVisit>> {
        let what = format!("{count} clients have come and left");
        self.wait(&what, ceiling, |visits| {
            visits.len() >= count && visits.iter().all(|visit| visit.client_left.is_some())
        })
    }
}

/// One connection through the relay.
#[derive(Clone, Debug)]
pub struct RelayVisit {
    /// The client's address and port.
    pub client: SocketAddr,
    /// When it was accepted.
    pub opened: Instant,
    /// When it froze at the step.
    pub at_step: Option<Instant>,
    /// How the client's side ended; `None` while it lasts.
    pub client_left: Option<Departure>,
    /// How the server's side ended; `None` while it lasts.
    pub server_left: Option<Departure>,
    /// How many of the client's bytes the server was given.
    pub to_server: u64,
    /// How many of the server's bytes the client was given.
    pub to_client: u64,
}

/// What all connections obey.
#[derive(Debug)]
struct Control {
    to_server: bool,
    to_client: bool,
    step: Option<Step>,
    /// Counts [`StepRelay::unfreeze`]: who froze at a step before goes on.
    thaws: u64,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            to_server: true,
            to_client: true,
            step: None,
            thaws: 0,
        }
    }
}

/// A panic elsewhere cannot leave it half changed.
fn lock(control: &Mutex<Control>) -> MutexGuard<'_, Control> {
    control.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The kernel doubles it. Small, so that a client whose bytes are not read has to wait soon.
const RECEIVE_BUFFER: usize = 16 * 1024;
