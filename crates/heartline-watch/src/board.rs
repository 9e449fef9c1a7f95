//! What is known now and what was told lately, for those who show it: page, terminal, metrics. The watcher writes, anybody reads, and nobody who reads can make the watcher wait
//! for longer than a copy takes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use heartline_core::Cause;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::engine::{Samples, Snapshot};
use crate::status_socket::Request;
use crate::told::{NodeBrief, Told};

/// See the module. Clones are the same.
#[derive(Clone, Debug)]
pub struct Board(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    known: Mutex<Known>,
    news: broadcast::Sender<Arc<Noted>>,
    begun: Timestamp,
}

/// An event with its number.
#[derive(Clone, Debug, Serialize)]
pub struct Noted {
    /// Grows by one with each event; where there is a journal, over all runs.
    pub seq: u64,
    /// What was told.
    #[serde(flatten)]
    pub told: Told,
}

/// What is known.
#[derive(Debug, Default)]
pub struct Known {
    /// Every node, in the order of the plan.
    pub nodes: Vec<Arc<NodeBrief>>,
    /// The last numbers that were taken.
    pub samples: Samples,
    /// What was told last, oldest first; [`RECENT`] at most.
    pub recent: VecDeque<Arc<Noted>>,
    /// The number of what was told last.
    pub seq: u64,
    /// This watcher is cut off.
    pub is_isolated: bool,
    /// When the numbers were taken: a watcher that judges takes them every few seconds.
    pub sampled: Option<Instant>,
    /// How many events of each kind were told.
    pub counts: BTreeMap<&'static str, u64>,
    /// How many plans there have been.
    pub plans: u64,
    places: HashMap<Arc<str>, usize>,
    trails: HashMap<(Arc<str>, Arc<str>), Trail>,
}

/// The last round trips of a line, one for each time that numbers were taken, oldest first; none where it was not up.
pub type Trail = VecDeque<Option<Duration>>;

/// Somebody wants something of the watcher.
#[derive(Debug)]
pub struct Wish {
    /// What.
    pub request: Request,
    /// Where they wait for what is known once it is done.
    pub done: oneshot::Sender<Snapshot>,
}

/// Where wishes are left. At most [`WISHES`] wait.
#[derive(Clone, Debug)]
pub struct Wishes(mpsc::Sender<Wish>);

impl Board {
    /// An empty one, whose next event has the number after this one.
    pub fn new(last_seq: u64) -> Self {
        let (news, _) = broadcast::channel(NEWS);
        let known = Known {
            seq: last_seq,
            ..Known::default()
        };
        Self(Arc::new(Shared {
            known: Mutex::new(known),
            news,
            begun: Timestamp::now(),
        }))
    }

    /// Another plan, or the first: all nodes are these.
    pub fn set(&self, nodes: Snapshot) {
        let mut known = self.lock();
        known.plans += 1;
        known.places = nodes
            .iter()
            .enumerate()
            .map(|(at, brief)| (Arc::clone(&brief.node), at))
            .collect();
        known.nodes = nodes.into_iter().map(Arc::new).collect();
    }

    /// Something was told, and this is what is known since of the node that it is about.
    pub fn note(&self, told: Told, brief: Option<NodeBrief>) -> Arc<Noted> {
        let mut known = self.lock();
        known.seq += 1;
        *known.counts.entry(told.kind()).or_default() += 1;
        if let Told::Watcher(watcher) = &told
            && watcher.cause == Cause::WatcherIsolated
        {
            known.is_isolated = !watcher.over;
        }
        let noted = Arc::new(Noted {
            seq: known.seq,
            told,
        });
        if let Some(brief) = brief {
            known.put(brief);
        }
        if known.recent.len() >= RECENT {
            known.recent.pop_front();
        }
        known.recent.push_back(Arc::clone(&noted));
        // Nobody listens, mostly.
        let _ = self.0.news.send(Arc::clone(&noted));
        noted
    }

    /// Numbers were taken.
    pub fn sample(&self, samples: Samples) {
        let mut known = self.lock();
        let mut old = std::mem::take(&mut known.trails);
        for line in &samples.lines {
            let key = (Arc::clone(&line.node), Arc::clone(&line.line));
            let mut trail = old.remove(&key).unwrap_or_default();
            if trail.len() >= TRAIL {
                trail.pop_front();
            }
            trail.push_back(line.last);
            known.trails.insert(key, trail);
        }
        known.samples = samples;
        known.sampled = Some(Instant::now());
    }

    /// Reads. Whoever does holds up the watcher, so it copies what it wants and is gone.
    pub fn read<T>(&self, what: impl FnOnce(&Known) -> T) -> T {
        what(&self.lock())
    }

    /// What is told from now on. Who is [`NEWS`] events behind is told so, and goes on with what is there.
    pub fn follow(&self) -> broadcast::Receiver<Arc<Noted>> {
        self.0.news.subscribe()
    }

    /// When this watcher began.
    pub fn begun(&self) -> Timestamp {
        self.0.begun
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        let known = self.0.known.lock();
        known.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// What is known of a node.
    pub fn node(&self, name: &str) -> Option<&Arc<NodeBrief>> {
        self.nodes.get(*self.places.get(name)?)
    }

    /// The last round trips of a line.
    pub fn trail(&self, node: &Arc<str>, line: &Arc<str>) -> Option<&Trail> {
        self.trails.get(&(Arc::clone(node), Arc::clone(line)))
    }

    fn put(&mut self, brief: NodeBrief) {
        let at = self.places.get(&brief.node);
        if let Some(place) = at.and_then(|at| self.nodes.get_mut(*at)) {
            *place = Arc::new(brief);
        }
    }
}

impl Wishes {
    /// Where they are left, and where they are found.
    pub fn new() -> (Self, mpsc::Receiver<Wish>) {
        let (tell, told) = mpsc::channel(WISHES);
        (Self(tell), told)
    }

    /// Leaves one and waits until it is done; what is known then. None, if the watcher is gone.
    pub async fn wish(&self, request: Request) -> Option<Snapshot> {
        let (done, told) = oneshot::channel();
        self.0.send(Wish { request, done }).await.ok()?;
        told.await.ok()
    }
}

/// Events that are kept at hand.
pub const RECENT: usize = 1_000;
/// Round trips of a line that are kept at hand.
pub const TRAIL: usize = 60;
/// Events that one who follows may be behind.
pub const NEWS: usize = 4_096;
/// Wishes that wait.
pub const WISHES: usize = 64;

#[cfg(test)]
mod tests {
    use heartline_core::NodeState;

    use super::*;
    use crate::told::WatcherTold;

    fn brief(node: &str, state: NodeState) -> NodeBrief {
        NodeBrief {
            node: node.into(),
            state,
            since: Timestamp::UNIX_EPOCH,
            token: 0,
            tags: Arc::default(),
            lines: Vec::new(),
        }
    }

    fn stalled() -> Told {
        Told::Watcher(WatcherTold::stalled(
            Timestamp::UNIX_EPOCH,
            Duration::from_secs(1),
        ))
    }

    #[test]
    fn events_are_numbered_on_and_the_oldest_are_let_go() {
        let board = Board::new(41);
        let mut news = board.follow();
        for _ in 0..RECENT + 5 {
            board.note(stalled(), None);
        }
        let (first, count) = board.read(|known| (known.recent[0].seq, known.recent.len()));
        assert_eq!((first, count), (42 + 5, RECENT));
        assert_eq!(news.try_recv().unwrap().seq, 42);
    }

    #[test]
    fn what_is_known_of_a_node_is_the_last_and_one_that_is_not_watched_is_nowhere() {
        let board = Board::new(0);
        board.set(vec![
            brief("b", NodeState::Paused),
            brief("a", NodeState::Paused),
        ]);
        board.note(stalled(), Some(brief("a", NodeState::Up)));
        board.note(stalled(), Some(brief("c", NodeState::Up)));
        let known = board.read(|known| known.nodes.clone());
        let known: Vec<_> = known.iter().map(|one| (&*one.node, one.state)).collect();
        assert_eq!(known, [("b", NodeState::Paused), ("a", NodeState::Up)]);
        assert!(board.read(|known| known.node("c").is_none()));
    }
}
