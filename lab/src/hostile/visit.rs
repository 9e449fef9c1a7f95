//! Who came, and how they left.

use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// One connection to a hostile peer.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The client's address and port.
    pub client: SocketAddr,
    /// When it was accepted.
    pub opened: Instant,
    /// How many bytes came from the client.
    pub received: u64,
    /// How it ended; `None` while it lasts.
    pub left: Option<Departure>,
}

impl Visit {
    pub(super) fn new(client: SocketAddr) -> Self {
        Self {
            client,
            opened: Instant::now(),
            received: 0,
            left: None,
        }
    }
}

/// The end of one side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// When it was noticed: within some 20 ms.
    pub at: Instant,
    /// How.
    pub how: How,
}

impl Departure {
    pub(super) fn now(how: How) -> Self {
        Self {
            at: Instant::now(),
            how,
        }
    }
}

/// How one side of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It closed, or said that it will send no more (FIN).
    Eof,
    /// It sent RST.
    Reset,
    /// No process holds its socket any more, though neither FIN nor RST could reach us: they wait
    /// behind bytes that we do not take.
    Orphaned,
    /// We ended it.
    ByUs,
}

/// A list that others wait on. Bounded: what comes beyond [`Log::KEPT`] is turned away.
#[derive(Debug)]
pub(super) struct Log<T> {
    entries: Mutex<Vec<T>>,
    changed: Condvar,
}

impl<T: Clone> Log<T> {
    /// More than any test makes.
    const KEPT: usize = 10_000;

    pub(super) fn new() -> Self {
        Self {
            entries: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Adds an entry, and says where it is.
    pub(super) fn add(&self, entry: T) -> Option<usize> {
        let mut entries = self.lock();
        if entries.len() >= Self::KEPT {
            return None;
        }
        entries.push(entry);
        self.changed.notify_all();
        Some(entries.len() - 1)
    }

    pub(super) fn update(&self, at: usize, change: impl FnOnce(&mut T)) {
        if let Some(entry) = self.lock().get_mut(at) {
            change(entry);
            self.changed.notify_all();
        }
    }

    pub(super) fn all(&self) -> Vec<T> {
        self.lock().clone()
    }

    /// Waits until it holds of all entries; fails after `ceiling`.
    pub(super) fn wait(
        &self,
        what: &str,
        ceiling: Duration,
        holds: impl Fn(&[T]) -> bool,
    ) -> Result<Vec<T>> {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), ceiling, |entries| !holds(entries));
        let (entries, timed_out) = waited.unwrap_or_else(PoisonError::into_inner);
        if timed_out.timed_out() {
            bail!("not within {ceiling:?}: {what}");
        }
        Ok(entries.clone())
    }

    /// A panic elsewhere cannot leave an entry half written.
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
