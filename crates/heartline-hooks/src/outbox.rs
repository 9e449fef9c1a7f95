//! What is on its way, between those who decide what goes out and the one who sends it.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use heartline_journal::{Change, Message};
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::hook::{Hook, Hooks};
use crate::letter::Letter;
use crate::limits::Limits;
use crate::schedule::Schedule;

/// See the module. Clones are the same. Whoever holds its lock is soon done, so nobody waits for it.
#[derive(Clone)]
pub struct Outbox(Arc<Shared>);

struct Shared {
    schedule: Mutex<Schedule>,
    clock: Box<dyn Fn() -> Now + Send + Sync>,
    pub(crate) wake: Notify,
    is_over: AtomicBool,
    /// Messages that had to make room.
    dropped: AtomicU64,
    /// Messages of the runs before that no hook is there for: their keys.
    orphans: Mutex<Vec<String>>,
    limits: Limits,
}

/// A moment by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Since some beginning; nobody sets it.
    pub(crate) at: Duration,
    /// By the wall, which messages are dated by.
    pub(crate) wall: Timestamp,
}

impl Outbox {
    /// One for these hooks, with what the runs before have left.
    pub fn new(hooks: &Hooks, waiting: &[Message], limits: &Limits) -> Self {
        let begun = Instant::now();
        let clock = move || Now {
            at: begun.elapsed(),
            wall: Timestamp::now(),
        };
        Self::with_clock(hooks, waiting, limits, Box::new(clock))
    }

    pub(crate) fn with_clock(
        hooks: &Hooks,
        waiting: &[Message],
        limits: &Limits,
        clock: Box<dyn Fn() -> Now + Send + Sync>,
    ) -> Self {
        let names: Vec<_> = hooks
            .all()
            .iter()
            .map(|hook| Arc::clone(&hook.name))
            .collect();
        let outbox = Self(Arc::new(Shared {
            schedule: Mutex::new(Schedule::new(&names, limits.at_once, limits.waiting)),
            clock,
            wake: Notify::new(),
            is_over: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            orphans: Mutex::default(),
            limits: *limits,
        }));
        outbox.begin_with(hooks, waiting, limits);
        outbox
    }

    /// What waits since before, and could be read only now.
    pub(crate) fn recall(&self, hooks: &Hooks, waiting: &[Message]) {
        self.begin_with(hooks, waiting, &self.0.limits);
        self.0.wake.notify_one();
    }

    /// What waits since before. Nobody knows whether one whose time has come was received, so it can no longer be cancelled.
    fn begin_with(&self, hooks: &Hooks, waiting: &[Message], limits: &Limits) {
        let now = self.now();
        let mut orphans = Vec::new();
        let mut schedule = self.lock();
        for message in waiting {
            let Some(hook) = hooks.named(&message.hook) else {
                orphans.push(message.key.clone());
                continue;
            };
            let longest = if message.tries > 0 {
                limits.last_pause
            } else {
                hook.longest_wait()
            };
            // All that are due already are so from the beginning, in the order in which they stand.
            let is_due = message.due <= now.wall;
            let at = if is_due {
                Duration::ZERO
            } else {
                when(now, message.due, longest)
            };
            if let Some(oldest) = schedule.announce(&message.hook, &message.key, at) {
                orphans.push(oldest.to_string());
                self.0.dropped.fetch_add(1, Ordering::Relaxed);
            }
            schedule.put(message.clone());
            let before = past(now, message, hook);
            schedule.is_left(&message.key, now.at, before);
            if message.tries > 0 || is_due {
                schedule.make_firm(&message.key);
            } else {
                schedule.will_wait(&message.key);
            }
        }
        self.orphans().extend(orphans);
    }

    /// What the journal has written: never waits.
    pub fn changes(&self, changes: Vec<Change>) {
        let mut schedule = self.lock();
        for change in changes {
            match change {
                Change::Put(message) => schedule.put(message),
                Change::Cancel { key } => {
                    schedule.cancel(&key);
                }
                Change::Knows { .. } => {}
            }
        }
        drop(schedule);
        self.0.wake.notify_one();
    }

    /// A message of this key will be put, to go out after this delay. Returns the key of one that had to make room.
    pub(crate) fn announce(&self, hook: &str, key: &str, delay: Duration) -> Option<String> {
        let at = self.now().at + delay;
        let mut schedule = self.lock();
        let oldest = schedule.announce(hook, key, at);
        if !delay.is_zero() {
            schedule.will_wait(key);
        }
        drop(schedule);
        let oldest = oldest?;
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
        Some(oldest.to_string())
    }

    pub(crate) fn is_open(&self, key: &str) -> bool {
        self.lock().is_open(key)
    }

    /// Whether its time has come, by the clock that nobody sets.
    pub(crate) fn is_due(&self, key: &str) -> bool {
        let now = self.now();
        self.lock().is_due(key, now.at)
    }

    /// False: it has been begun, or is over.
    pub(crate) fn cancel(&self, key: &str) -> bool {
        self.lock().cancel(key)
    }

    pub(crate) fn hasten(&self, key: &str) {
        let now = self.now();
        self.lock().hasten(key, now.at);
        self.0.wake.notify_one();
    }

    /// Of what the runs before have left only these wait for their time. A wall clock that was set back since makes none of the others late.
    pub(crate) fn hasten_all_but(&self, pending: &HashSet<&str>) {
        let mut schedule = self.lock();
        for key in schedule.keys() {
            if !pending.contains(&*key) {
                schedule.hasten(&key, Duration::ZERO);
            }
        }
    }

    pub(crate) fn now(&self) -> Now {
        (self.0.clock)()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Schedule> {
        let schedule = self.0.schedule.lock();
        schedule.unwrap_or_else(PoisonError::into_inner)
    }

    /// Something may have changed since this was last asked.
    pub(crate) async fn woken(&self) {
        self.0.wake.notified().await;
    }

    /// Nothing more is begun.
    pub(crate) fn end(&self) {
        self.0.is_over.store(true, Ordering::Release);
        self.0.wake.notify_one();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::Acquire)
    }

    /// How many had to make room since this was last asked.
    pub(crate) fn take_dropped(&self) -> u64 {
        self.0.dropped.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn take_orphans(&self) -> Vec<String> {
        std::mem::take(&mut *self.orphans())
    }

    fn orphans(&self) -> MutexGuard<'_, Vec<String>> {
        let orphans = self.0.orphans.lock();
        orphans.unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.lock().count();
        f.debug_struct("Outbox")
            .field("count", &count)
            .finish_non_exhaustive()
    }
}

/// When it is due by the clock that nobody sets. A wall clock that was set back keeps nothing longer than it was to wait.
fn when(now: Now, due: Timestamp, longest: Duration) -> Duration {
    let wait = Duration::try_from(due.duration_since(now.wall)).unwrap_or_default();
    now.at + wait.min(longest)
}

/// For how long the time of a message that a former run has left is past. Nothing but the wall clock knows; it is asked once.
fn past(now: Now, message: &Message, hook: &Hook) -> Duration {
    let letter = serde_json::from_str::<Letter>(&message.body).ok();
    let t = letter.and_then(|letter| letter.t.parse::<Timestamp>().ok());
    // Its own `due` is when it is tried next.
    let age = now.wall.duration_since(t.unwrap_or(message.due));
    let age = Duration::try_from(age).unwrap_or_default();
    age.saturating_sub(hook.longest_wait())
}
