//! What is known of each forward, for whoever tells people.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use heartline_ssh::settings::Spec;

/// What is known of one forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardState {
    /// What it is.
    pub spec: Spec,
    /// Whether connections are taken.
    pub stand: Stand,
    /// The port that listens, where it is not the one that was asked for.
    pub port: Option<u16>,
    /// Connections now.
    pub open: usize,
    /// Connections that were carried, these among them.
    pub carried: u64,
    /// Connections that came and could not be.
    pub failed: u64,
    /// Why the last of those could not, if none was carried since.
    pub last_failure: Option<String>,
}

/// Whether a forward takes connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It does.
    Stands,
    /// It waits for a line.
    Waits,
    /// It does not, for this reason.
    Fails(String),
}

/// All of them, shared.
#[derive(Clone, Debug)]
pub(crate) struct Board(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    states: Mutex<Vec<ForwardState>>,
    changed: Notify,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    board: Board,
    at: usize,
}

/// A connection that is counted as open.
#[derive(Debug)]
pub(crate) struct Open(Place);

impl Board {
    pub(crate) fn new(specs: &[Spec]) -> Self {
        let state = |spec: &Spec| ForwardState {
            spec: spec.clone(),
            stand: Stand::Waits,
            port: None,
            open: 0,
            carried: 0,
            failed: 0,
            last_failure: None,
        };
        Self(Arc::new(Shared {
            states: Mutex::new(specs.iter().map(state).collect()),
            changed: Notify::new(),
        }))
    }

    pub(crate) fn place(&self, at: usize) -> Place {
        Place {
            board: self.clone(),
            at,
        }
    }

    pub(crate) fn all(&self) -> Vec<ForwardState> {
        self.states().clone()
    }

    /// Returns when one stands that did not, or the other way round.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    fn states(&self) -> MutexGuard<'_, Vec<ForwardState>> {
        self.0.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// It stands like this now.
    pub(crate) fn set(&self, stand: Stand, port: Option<u16>) {
        let is_new = self.change(|state| {
            let is_new = state.stand != stand || state.port != port;
            state.stand = stand;
            state.port = port;
            is_new
        });
        if is_new == Some(true) {
            self.board.0.changed.notify_one();
        }
    }

    /// A connection is carried.
    pub(crate) fn carries(&self) -> Open {
        self.change(|state| {
            state.open += 1;
            state.carried += 1;
            state.last_failure = None;
        });
        Open(self.clone())
    }

    /// One could not be; whether that is worth a word, since the one before it was, or failed otherwise.
    pub(crate) fn failed(&self, why: &str) -> bool {
        let is_new = self.change(|state| {
            state.failed += 1;
            let is_new = state.last_failure.as_deref() != Some(why);
            state.last_failure = Some(why.to_owned());
            is_new
        });
        is_new == Some(true)
    }

    fn change<T>(&self, what: impl FnOnce(&mut ForwardState) -> T) -> Option<T> {
        self.board.states().get_mut(self.at).map(what)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0
            .change(|state| state.open = state.open.saturating_sub(1));
    }
}
