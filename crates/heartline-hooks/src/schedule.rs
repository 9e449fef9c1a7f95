//! What is to go out, and in which order. No clock, no task: it is told the time, as time since it began.
//!
//! Messages of one hook about one node are a *lane*: they go out one after the other, by their time and then by their place, and none is begun before the one before it is done or given
//! up. Lanes do not wait for each other, but for one of the attempts that may be under way at once; of these each hook has a fair share.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use heartline_journal::Message;

use crate::letter::lane;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    slots: HashMap<Arc<str>, Slot>,
    queues: HashMap<Arc<str>, Queue>,
    /// Hooks in the order in which they are asked next.
    turns: VecDeque<Arc<str>>,
    running: usize,
    at_once: usize,
    most_waiting: usize,
    /// Of the last message.
    place: u64,
}

/// One message's.
#[derive(Debug)]
struct Slot {
    hook: Arc<str>,
    place: u64,
    stage: Stage,
    /// It is to go out, whatever comes: nobody may cancel it.
    is_firm: bool,
    at: Duration,
    /// It is taken back if something comes between, until it is begun.
    waits: bool,
    /// None: it is on its way here.
    message: Option<Arc<Message>>,
    tries: u32,
    age: Age,
}

/// How long it is past its time, by the clock that nobody sets; what a former run has left was `before` so old at `at` already.
#[derive(Clone, Copy, Debug)]
struct Age {
    at: Duration,
    before: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Running,
    /// Until it is tried again.
    Resting,
}

/// One hook's.
#[derive(Debug)]
struct Queue {
    lanes: HashMap<Arc<str>, Lane>,
    /// When each lane has something to do that is not under way.
    timers: BTreeSet<(Duration, u64, Arc<str>)>,
    /// Messages by age.
    keys: BTreeMap<u64, Arc<str>>,
    running: usize,
    share: usize,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: BTreeSet<(Duration, u64, Arc<str>)>,
    /// The one that was begun and is not over.
    begun: Option<Arc<str>>,
    timer: Option<(Duration, u64)>,
}

/// A message whose turn it is.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    pub(crate) message: Arc<Message>,
    /// How often it was tried before.
    pub(crate) tries: u32,
    /// Up to now it could have been taken back.
    pub(crate) has_waited: bool,
    age: Age,
}

impl Begun {
    /// How long its time is past.
    pub(crate) fn age(&self, now: Duration) -> Duration {
        let Age { at, before } = self.age;
        before.saturating_add(now.saturating_sub(at))
    }
}

impl Schedule {
    /// An empty one for these hooks, none of which is asked to do more than its share of `at_once`.
    pub(crate) fn new(hooks: &[Arc<str>], at_once: usize, most_waiting: usize) -> Self {
        let share = (at_once / hooks.len().max(1)).max(1);
        let queue = || Queue {
            lanes: HashMap::new(),
            timers: BTreeSet::new(),
            keys: BTreeMap::new(),
            running: 0,
            share,
        };
        Self {
            queues: hooks
                .iter()
                .map(|hook| (Arc::clone(hook), queue()))
                .collect(),
            turns: hooks.iter().cloned().collect(),
            at_once,
            most_waiting,
            ..Self::default()
        }
    }

    /// All that has come and is not over, the oldest first.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let mut slots: Vec<_> = self.slots.values().collect();
        slots.sort_by_key(|slot| slot.place);
        let message = |slot: &Slot| {
            let message = slot.message.as_deref()?.clone();
            let tries = slot.tries;
            Some(Message { tries, ..message })
        };
        slots.into_iter().filter_map(message).collect()
    }

    /// A message of this key will come, for then. Returns the key of one that had to make room.
    pub(crate) fn announce(&mut self, hook: &str, key: &str, at: Duration) -> Option<Arc<str>> {
        let (hook, _) = self.queues.get_key_value(hook)?;
        let hook = Arc::clone(hook);
        let key: Arc<str> = key.into();
        if self.slots.contains_key(&key) {
            return None;
        }
        let oldest = self.oldest_of_many(&hook);
        if let Some(oldest) = &oldest {
            self.forget(oldest);
        }
        self.place += 1;
        let slot = Slot {
            hook: Arc::clone(&hook),
            place: self.place,
            stage: Stage::Waiting,
            is_firm: false,
            at,
            waits: false,
            message: None,
            tries: 0,
            age: Age {
                at,
                before: Duration::ZERO,
            },
        };
        if let Some(queue) = self.queues.get_mut(&hook) {
            queue.keys.insert(slot.place, Arc::clone(&key));
        }
        self.slots.insert(key, slot);
        oldest
    }

    /// A former run has left it, when its time was past for so long.
    pub(crate) fn is_left(&mut self, key: &str, now: Duration, before: Duration) {
        if let Some(slot) = self.slots.get_mut(key) {
            let at = slot.at.max(now);
            slot.age = Age { at, before };
        }
    }

    /// That one waits for its time, and may be taken back until then.
    pub(crate) fn will_wait(&mut self, key: &str) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.waits = true;
        }
    }

    /// Here it is. One that was not announced, or is cancelled, is let go; one that waits already is replaced.
    pub(crate) fn put(&mut self, message: Message) {
        let Some((key, slot)) = self.slots.get_key_value(message.key.as_str()) else {
            return;
        };
        if slot.stage != Stage::Waiting {
            return;
        }
        let key = Arc::clone(key);
        self.unlist(&key);
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.tries = message.tries;
            slot.message = Some(Arc::new(message));
        }
        self.list(&key);
    }

    /// It was begun by a run before, or its time has passed: nobody may cancel it. One that was tried comes before all others of its lane.
    pub(crate) fn make_firm(&mut self, key: &str) {
        let Some((key, slot)) = self.slots.get_key_value(key) else {
            return;
        };
        let (key, hook, tries) = (Arc::clone(key), Arc::clone(&slot.hook), slot.tries);
        let node = slot.node();
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.is_firm = true;
        }
        let Some(node) = node.filter(|_| tries > 0) else {
            return;
        };
        let queue = self.queues.get_mut(&hook);
        let Some(lane) = queue.and_then(|queue| queue.lanes.get_mut(&node)) else {
            return;
        };
        if lane.begun.is_none()
            && let Some(slot) = self.slots.get_mut(&key)
        {
            lane.waiting
                .remove(&(slot.at, slot.place, Arc::clone(&key)));
            lane.begun = Some(key);
            slot.stage = Stage::Resting;
        }
        self.refresh(&hook, &node);
    }

    /// Whether it could still be cancelled.
    pub(crate) fn is_open(&self, key: &str) -> bool {
        let slot = self.slots.get(key);
        slot.is_some_and(|slot| slot.stage == Stage::Waiting && !slot.is_firm)
    }

    /// Whether its time has come.
    pub(crate) fn is_due(&self, key: &str, now: Duration) -> bool {
        self.slots.get(key).is_some_and(|slot| slot.at <= now)
    }

    /// Takes it back; false, if it has been begun, or is over.
    pub(crate) fn cancel(&mut self, key: &str) -> bool {
        let is_open = self.is_open(key);
        if is_open {
            self.forget(key);
        }
        is_open
    }

    /// Its time has come, and nobody may cancel it.
    pub(crate) fn hasten(&mut self, key: &str, now: Duration) {
        if !self.is_open(key) {
            return;
        }
        self.unlist(key);
        if let Some(slot) = self.slots.get_mut(key) {
            (slot.at, slot.is_firm) = (slot.at.min(now), true);
        }
        self.list(key);
    }

    /// One whose turn it is; none, if there is none, or as many as may be are under way.
    pub(crate) fn begin(&mut self, now: Duration) -> Option<Begun> {
        if self.running >= self.at_once {
            return None;
        }
        for _ in 0..self.turns.len() {
            let hook = self.turns.pop_front()?;
            self.turns.push_back(Arc::clone(&hook));
            if let Some(begun) = self.begin_of(&hook, now) {
                return Some(begun);
            }
        }
        None
    }

    fn begin_of(&mut self, hook: &Arc<str>, now: Duration) -> Option<Begun> {
        let queue = self.queues.get_mut(hook)?;
        if queue.running >= queue.share {
            return None;
        }
        let (at, _, node) = queue.timers.first()?;
        if *at > now {
            return None;
        }
        let node = Arc::clone(node);
        let lane = queue.lanes.get_mut(&node)?;
        let key = match lane.begun.take() {
            Some(key) => key,
            None => lane.waiting.pop_first()?.2,
        };
        lane.begun = Some(Arc::clone(&key));
        queue.running += 1;
        self.running += 1;
        let slot = self.slots.get_mut(&key)?;
        slot.stage = Stage::Running;
        let begun = Begun {
            message: Arc::clone(slot.message.as_ref()?),
            tries: slot.tries,
            has_waited: std::mem::take(&mut slot.waits),
            age: slot.age,
        };
        self.refresh(hook, &node);
        Some(begun)
    }

    /// That attempt was the last.
    pub(crate) fn finish(&mut self, key: &str) {
        self.rest(key);
        self.forget(key);
    }

    /// It is tried again then. Returns how often it was tried.
    pub(crate) fn retry(&mut self, key: &str, at: Duration) -> u32 {
        self.rest(key);
        let Some(slot) = self.slots.get_mut(key) else {
            return 0;
        };
        slot.at = at;
        slot.tries = slot.tries.saturating_add(1);
        let tries = slot.tries;
        let (hook, node) = (Arc::clone(&slot.hook), slot.node());
        if let Some(node) = node {
            self.refresh(&hook, &node);
        }
        tries
    }

    /// When there will be something to begin, if nothing else happens.
    pub(crate) fn next(&self) -> Option<Duration> {
        if self.running >= self.at_once {
            return None;
        }
        let free = self
            .queues
            .values()
            .filter(|queue| queue.running < queue.share);
        free.filter_map(|queue| Some(queue.timers.first()?.0)).min()
    }

    /// Of all that there are.
    pub(crate) fn keys(&self) -> Vec<Arc<str>> {
        self.slots.keys().cloned().collect()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.slots.len()
    }

    /// No longer under way.
    fn rest(&mut self, key: &str) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if slot.stage == Stage::Running {
            slot.stage = Stage::Resting;
            self.running = self.running.saturating_sub(1);
            if let Some(queue) = self.queues.get_mut(&slot.hook) {
                queue.running = queue.running.saturating_sub(1);
            }
        }
    }

    /// The oldest of a hook's that is not under way, if there are as many as there may be.
    fn oldest_of_many(&self, hook: &str) -> Option<Arc<str>> {
        let queue = self.queues.get(hook)?;
        if queue.keys.len() < self.most_waiting {
            return None;
        }
        let may_go = |key: &&Arc<str>| {
            let slot = self.slots.get(&***key);
            slot.is_some_and(|slot| slot.stage != Stage::Running)
        };
        queue.keys.values().find(may_go).cloned()
    }

    fn forget(&mut self, key: &str) {
        self.unlist(key);
        let Some(slot) = self.slots.remove(key) else {
            return;
        };
        let node = slot.node();
        let Some(queue) = self.queues.get_mut(&slot.hook) else {
            return;
        };
        queue.keys.remove(&slot.place);
        let Some(node) = node else {
            return;
        };
        if let Some(lane) = queue.lanes.get_mut(&node)
            && lane.begun.as_deref() == Some(key)
        {
            lane.begun = None;
        }
        self.refresh(&slot.hook, &node);
    }

    /// Takes it out of what waits in its lane.
    fn unlist(&mut self, key: &str) {
        let Some((key, slot)) = self.slots.get_key_value(key) else {
            return;
        };
        let queue = self.queues.get_mut(&slot.hook);
        if let Some(node) = slot.node()
            && let Some(lane) = queue.and_then(|queue| queue.lanes.get_mut(&node))
        {
            lane.waiting.remove(&(slot.at, slot.place, Arc::clone(key)));
        }
    }

    /// Puts it among what waits in its lane, if it is here.
    fn list(&mut self, key: &str) {
        let Some((key, slot)) = self.slots.get_key_value(key) else {
            return;
        };
        let (hook, entry) = (
            Arc::clone(&slot.hook),
            (slot.at, slot.place, Arc::clone(key)),
        );
        let Some(node) = slot.node() else {
            return;
        };
        if let Some(queue) = self.queues.get_mut(&hook) {
            let lane = queue.lanes.entry(Arc::clone(&node)).or_default();
            lane.waiting.insert(entry);
        }
        self.refresh(&hook, &node);
    }

    /// Sets the lane's timer anew, after any change of it.
    fn refresh(&mut self, hook: &str, node: &Arc<str>) {
        let Some(queue) = self.queues.get_mut(hook) else {
            return;
        };
        let Some(lane) = queue.lanes.get_mut(node) else {
            return;
        };
        if let Some((at, place)) = lane.timer.take() {
            queue.timers.remove(&(at, place, Arc::clone(node)));
        }
        lane.timer = match lane.begun.as_ref().map(|key| self.slots.get(key)) {
            Some(Some(slot)) if slot.stage == Stage::Resting => Some((slot.at, slot.place)),
            Some(_) => None,
            None => lane.waiting.first().map(|(at, place, _)| (*at, *place)),
        };
        if let Some((at, place)) = lane.timer {
            queue.timers.insert((at, place, Arc::clone(node)));
        }
        if lane.begun.is_none() && lane.waiting.is_empty() {
            queue.lanes.remove(node);
        }
    }
}

impl Slot {
    fn node(&self) -> Option<Arc<str>> {
        let message = self.message.as_ref()?;
        Some(lane(&message.subject).into())
    }
}

#[cfg(test)]
mod tests;
