//! Where the caller and the thread meet: orders one way, news the other. Never more of either than there are ways.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::{LinkError, OurSide, Way};

/// What both sides hold.
#[derive(Debug, Default)]
pub(crate) struct Board {
    state: Mutex<State>,
    ordered: Notify,
    told: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// What is followed, and the last told of each.
    known: HashMap<Way, Option<OurSide>>,
    /// The last order about each way that the thread has not taken yet.
    orders: HashMap<Way, Order>,
    /// Told and not yet read.
    fresh: HashMap<Way, OurSide>,
    failure: Failure,
    is_closed: bool,
}

#[derive(Debug, Default)]
enum Failure {
    #[default]
    None,
    Untold(LinkError),
    Told,
}

/// What to do with a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Follow,
    Forget,
}

/// What there is to tell.
#[derive(Debug)]
pub(crate) enum News {
    None,
    Changed(Vec<(Way, OurSide)>),
    Failed(LinkError),
    /// The failure has been told, and nothing will follow.
    Over,
}

/// The caller's side.
impl Board {
    pub(crate) fn follow(&self, way: &Way) -> Option<OurSide> {
        let mut state = self.lock();
        if let Some(known) = state.known.get(way) {
            return known.clone();
        }
        state.known.insert(way.clone(), None);
        state.orders.insert(way.clone(), Order::Follow);
        drop(state);
        self.ordered.notify_one();
        None
    }

    pub(crate) fn forget(&self, way: &Way) {
        let mut state = self.lock();
        if state.known.remove(way).is_none() {
            return;
        }
        state.fresh.remove(way);
        state.orders.insert(way.clone(), Order::Forget);
        drop(state);
        self.ordered.notify_one();
    }

    pub(crate) fn news(&self) -> News {
        let mut state = self.lock();
        if !state.fresh.is_empty() {
            return News::Changed(state.fresh.drain().collect());
        }
        match std::mem::replace(&mut state.failure, Failure::Told) {
            Failure::None => {
                state.failure = Failure::None;
                News::None
            }
            Failure::Untold(error) => News::Failed(error),
            Failure::Told => News::Over,
        }
    }

    /// Waits until there may be news.
    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }

    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.ordered.notify_one();
    }
}

/// The thread's side.
impl Board {
    /// Waits until there may be orders.
    pub(crate) async fn ordered(&self) {
        self.ordered.notified().await;
    }

    /// The orders since the last time; `None` when nobody listens any more.
    pub(crate) fn orders(&self) -> Option<HashMap<Way, Order>> {
        let mut state = self.lock();
        if state.is_closed {
            return None;
        }
        Some(std::mem::take(&mut state.orders))
    }

    pub(crate) fn tell(&self, changed: impl IntoIterator<Item = (Way, OurSide)>) {
        let mut state = self.lock();
        for (way, side) in changed {
            // It may have been forgotten meanwhile.
            if let Some(known) = state.known.get_mut(&way) {
                *known = Some(side.clone());
                state.fresh.insert(way, side);
            }
        }
        let is_fresh = !state.fresh.is_empty();
        drop(state);
        if is_fresh {
            self.told.notify_one();
        }
    }

    pub(crate) fn fail(&self, error: LinkError) {
        let mut state = self.lock();
        if matches!(state.failure, Failure::None) {
            state.failure = Failure::Untold(error);
        }
        drop(state);
        self.told.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(last: u8) -> Way {
        Way {
            peer: [192, 0, 2, last].into(),
            local: None,
            device: None,
        }
    }

    fn side(carrier: bool) -> OurSide {
        OurSide {
            interface: None,
            carrier,
            address: true,
            route: true,
        }
    }

    #[test]
    fn a_way_that_is_followed_twice_is_ordered_once_and_known_the_second_time() {
        let board = Board::default();
        assert_eq!(board.follow(&way(1)), None);
        assert_eq!(board.orders().unwrap().len(), 1);
        assert_eq!(board.follow(&way(1)), None);
        assert!(board.orders().unwrap().is_empty());
        board.tell([(way(1), side(true))]);
        assert_eq!(board.follow(&way(1)), Some(side(true)));
    }

    #[test]
    fn of_a_way_only_the_last_is_told_and_of_a_forgotten_one_nothing() {
        let board = Board::default();
        board.follow(&way(1));
        board.follow(&way(2));
        board.tell([(way(1), side(false)), (way(2), side(false))]);
        board.tell([(way(1), side(true)), (way(3), side(true))]);
        board.forget(&way(2));
        board.tell([(way(2), side(true))]);
        let News::Changed(changed) = board.news() else {
            panic!("nothing is told");
        };
        assert_eq!(changed, [(way(1), side(true))]);
        assert!(matches!(board.news(), News::None));
        assert_eq!(board.orders().unwrap()[&way(2)], Order::Forget);
    }

    #[test]
    fn a_failure_is_told_once_and_after_what_was_known() {
        let board = Board::default();
        board.follow(&way(1));
        board.tell([(way(1), side(true))]);
        board.fail(LinkError::Ended);
        board.fail(LinkError::Ended);
        assert!(matches!(board.news(), News::Changed(_)));
        assert!(matches!(board.news(), News::Failed(LinkError::Ended)));
        assert!(matches!(board.news(), News::Over));
        board.fail(LinkError::Ended);
        assert!(matches!(board.news(), News::Over));
    }

    #[test]
    fn who_listens_no_more_is_noticed() {
        let board = Board::default();
        board.follow(&way(1));
        board.close();
        assert!(board.orders().is_none());
    }
}
