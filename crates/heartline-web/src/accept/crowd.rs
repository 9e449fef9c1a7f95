//! How many have come from where.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::Peer;

/// Connections that are open, by where they came from. What it remembers is as bounded as they are.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    most: usize,
    open: Arc<Mutex<HashMap<Option<IpAddr>, usize>>>,
}

/// One of them; dropping it makes room.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Crowd,
    of: Option<IpAddr>,
}

impl Crowd {
    /// So many of one address.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            open: Arc::default(),
        }
    }

    /// None, if that address has all that it may.
    pub(super) fn enter(&self, peer: Peer) -> Option<Place> {
        let of = peer.network();
        self.count(|open| {
            let count = open.entry(of).or_default();
            (*count < self.most).then(|| *count += 1)
        })?;
        let crowd = self.clone();
        Some(Place { crowd, of })
    }

    fn count<T>(&self, what: impl FnOnce(&mut HashMap<Option<IpAddr>, usize>) -> T) -> T {
        what(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.count(|open| {
            let left = open.get_mut(&self.of).map(|count| {
                *count = count.saturating_sub(1);
                *count
            });
            if left == Some(0) {
                open.remove(&self.of);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_its_share_and_no_more_and_is_forgotten_when_all_are_gone() {
        let peer = |text: &str| Peer(Some(text.parse().unwrap()));
        let crowd = Crowd::new(2);
        let first = crowd.enter(peer("2001:db8::1")).unwrap();
        let second = crowd.enter(peer("2001:db8::2")).unwrap();
        assert!(crowd.enter(peer("2001:db8::3")).is_none());
        let other = crowd.enter(peer("2001:db8:0:1::1")).unwrap();
        let four = crowd.enter(peer("192.0.2.1")).unwrap();
        drop(first);
        let third = crowd.enter(peer("2001:db8::3")).unwrap();
        assert!(crowd.enter(peer("2001:db8::1")).is_none());
        drop((second, third, other, four));
        assert!(crowd.count(|open| open.is_empty()));
    }
}
