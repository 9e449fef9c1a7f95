//! Which session carries new connections now.

use std::sync::Arc;

use heartline_ssh::Forwards;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// A line that is up, and how connections are made through its session.
#[derive(Clone, Debug)]
pub struct Carrier {
    /// The line's name.
    pub line: Arc<str>,
    /// Through its session.
    pub forwards: Forwards,
    /// Of sessions one after another: no two have the same.
    pub number: u64,
}

/// Where those who need one find it.
#[derive(Clone, Debug)]
pub(crate) struct Current(watch::Receiver<Option<Carrier>>);

impl Current {
    pub(crate) fn new(current: watch::Receiver<Option<Carrier>>) -> Self {
        Self(current)
    }

    /// The one that carries now, or that does by then; none, if none does.
    pub(crate) async fn by(&mut self, deadline: Instant) -> Option<Carrier> {
        timeout_at(deadline, self.get()).await.ok().flatten()
    }

    /// The one that carries, as soon as one does; none, when there will be none any more.
    pub(crate) async fn get(&mut self) -> Option<Carrier> {
        let stands = |carrier: &Option<Carrier>| {
            carrier
                .as_ref()
                .is_some_and(|carrier| !carrier.forwards.is_over())
        };
        let found = self.0.wait_for(stands).await.ok()?;
        found.clone()
    }

    /// Returns when another carries than this one, or none does.
    pub(crate) async fn instead_of(&mut self, number: u64) {
        let is_other = |carrier: &Option<Carrier>| {
            carrier
                .as_ref()
                .is_none_or(|carrier| carrier.number != number)
        };
        if self.0.wait_for(is_other).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
