//! What the thread that judges and the thread that writes share, under one lock. Whoever holds it is soon done: the disk is never touched under it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::{info, warn};

use super::batch::Op;
use super::{Shared, WAITING};
use crate::entry::{Change, Entry, Rules};
use crate::open::Opened;
use crate::tally::Tally;

/// See the module.
pub(super) struct Desk {
    state: Mutex<State>,
    /// There is something to write, or nothing more will come.
    work: Condvar,
}

struct State {
    rules: Box<dyn Rules>,
    deliver: Box<dyn FnMut(Vec<Change>) + Send>,
    tally: Tally,
    shared: Arc<Shared>,
    /// There is a file to write to.
    is_written: bool,
    /// What is to be written.
    waiting: VecDeque<Op>,
    /// How much is being written beside that.
    under_way: usize,
    /// Events that had to make room.
    dropped: Option<Dropped>,
    /// How many of those that found no room have been told of.
    counted_lost: u64,
    /// Entries that were judged.
    number: u64,
    /// What is handed on once it is written, the oldest first.
    held: VecDeque<Held>,
    /// When it was said last that the disk does not answer.
    said: Option<Instant>,
    is_over: bool,
}

/// How many had to make room, and the number and time of the last.
pub(super) type Dropped = (u64, u64, Timestamp);

/// What follows from one entry, and since when that waits for the disk.
struct Held {
    number: u64,
    since: Instant,
    changes: Vec<Change>,
}

/// What is written in one transaction: all that belongs to some entries.
pub(super) struct Batch {
    pub(super) ops: VecDeque<Op>,
    pub(super) dropped: Option<Dropped>,
    /// Events that are not there, beside those.
    pub(super) missing: u64,
    /// Of its last entry.
    number: u64,
}

impl Desk {
    pub(super) fn new(
        rules: Box<dyn Rules>,
        deliver: Box<dyn FnMut(Vec<Change>) + Send>,
        shared: Arc<Shared>,
        is_written: bool,
    ) -> Self {
        let state = State {
            rules,
            deliver,
            tally: Tally::default(),
            shared,
            is_written,
            waiting: VecDeque::new(),
            under_way: 0,
            dropped: None,
            counted_lost: 0,
            number: 0,
            held: VecDeque::new(),
            said: None,
            is_over: false,
        };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
        }
    }

    /// Judges it. All that follows from it is written with it, or not at all.
    pub(super) fn take_in(&self, entry: Entry) {
        self.lock().take_in(entry);
    }

    /// Time in each state up to now is to be written.
    pub(super) fn tally(&self) {
        let mut state = self.lock();
        let times = state.tally.take(Instant::now(), Timestamp::now());
        if !times.is_empty() {
            state.hold(Vec::new());
            state.push(Op::Uptime(times));
        }
    }

    /// Hands on what waits for nothing, and has the rest written.
    pub(super) fn hand_on(&self, now: Instant) {
        let mut state = self.lock();
        state.look_at_disk(now);
        let count = if !state.is_written || state.is_stuck() {
            state.held.len()
        } else {
            // What finds no room is not written any more, so there is nothing to wait for.
            state.held.len().saturating_sub(WAITING)
        };
        state.release(count);
        drop(state);
        self.work.notify_one();
    }

    /// Until when the disk has time to say that it has written; none, if nothing waits for that.
    pub(super) fn patience(&self) -> Option<Instant> {
        Some(self.lock().held.front()?.since + PATIENCE)
    }

    /// Nothing more comes.
    pub(super) fn end(&self) {
        self.lock().is_over = true;
        self.work.notify_one();
    }

    /// Waits for something to write, which is not begun before `from`, and until then for as long; and whether nothing more comes.
    pub(super) fn next(&self, from: Option<Instant>, until: Instant) -> (Option<Batch>, bool) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let may = state.is_over || from.is_none_or(|from| now >= from);
            if may && !state.waiting.is_empty() {
                return (Some(state.batch()), state.is_over);
            }
            if state.is_over || now >= until {
                return (None, state.is_over);
            }
            let next = from.filter(|_| !state.waiting.is_empty());
            let next = next.map_or(until, |from| from.min(until));
            let waited = self.work.wait_timeout(state, next - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// It is in the journal: what follows from it is handed on.
    pub(super) fn written(&self, batch: &Batch) {
        let mut state = self.lock();
        state.under_way = 0;
        state.counted_lost += batch.missing;
        let of_batch = |held: &&Held| held.number <= batch.number;
        let count = state.held.iter().take_while(of_batch).count();
        state.release(count);
        if state.shared.is_stuck.swap(false, Ordering::Relaxed) {
            let missing = batch.dropped.map_or(0, |(count, _, _)| count);
            info!(missing, "The journal is written again.");
        }
    }

    /// It is not, and waits on. What follows from it is handed on all the same.
    pub(super) fn not_written(&self, mut batch: Batch) {
        let mut state = self.lock();
        state.under_way = 0;
        batch.ops.append(&mut state.waiting);
        state.waiting = batch.ops;
        if let Some((count, seq, t)) = batch.dropped {
            let later = state.dropped.unwrap_or((0, seq, t));
            state.dropped = Some((count + later.0, later.1, later.2));
        }
        state.shared.is_stuck.store(true, Ordering::Relaxed);
        let count = state.held.len();
        state.release(count);
    }

    /// For a journal that is begun anew: what rules hold, and then all that waits.
    pub(super) fn everything(&self, batch: &mut Batch) {
        let mut state = self.lock();
        batch.ops.append(&mut state.waiting);
        batch.number = state.number;
        for change in state.rules.everything().into_iter().rev() {
            batch.ops.push_front(Op::Change(change));
        }
        state.under_way = batch.ops.len();
    }

    /// What a journal remembers that could not be read before.
    pub(super) fn recall(&self, opened: &Opened) {
        self.lock().rules.recall(opened);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_in(&mut self, entry: Entry) {
        let (now, wall) = (Instant::now(), Timestamp::now());
        match entry {
            Entry::Event(noted) => {
                self.tally.see(now, wall, &noted.told);
                let changes = self.rules.judge(&noted);
                self.hold(changes.clone());
                self.push(Op::Event(noted));
                for change in changes {
                    self.push(Op::Change(change));
                }
            }
            Entry::Nodes(nodes) => self.tally.keep(now, wall, &nodes),
            Entry::RoundTrips(t, rows) => self.push_one(Op::RoundTrips(t, rows)),
            Entry::Done(key) => self.push_one(Op::Change(Change::Cancel { key })),
            Entry::PutOff { key, tries, due } => self.push_one(Op::PutOff { key, tries, due }),
        }
    }

    fn push_one(&mut self, op: Op) {
        self.hold(Vec::new());
        self.push(op);
    }

    fn hold(&mut self, changes: Vec<Change>) {
        self.number += 1;
        self.held.push_back(Held {
            number: self.number,
            since: Instant::now(),
            changes,
        });
    }

    /// Without a file nothing waits to be written; with one, the oldest make room.
    fn push(&mut self, op: Op) {
        if !self.is_written {
            return;
        }
        let oldest = if self.waiting.len() + self.under_way < WAITING {
            None
        } else {
            self.waiting.pop_front()
        };
        match oldest {
            Some(Op::Event(noted)) => {
                let before = self.dropped.map_or(0, |(count, _, _)| count);
                self.dropped = Some((before + 1, noted.seq, noted.told.t()));
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
                self.counted_lost += 1;
            }
            Some(Op::Uptime(times)) => self.tally.put_back(times),
            // A message goes out by what is in memory; minutes that are missing are missing.
            Some(Op::Change(_) | Op::PutOff { .. } | Op::RoundTrips(..)) | None => {}
        }
        self.waiting.push_back(op);
    }

    fn batch(&mut self) -> Batch {
        let ops = std::mem::take(&mut self.waiting);
        self.under_way = ops.len();
        Batch {
            ops,
            dropped: self.dropped.take(),
            missing: self.shared.lost.load(Ordering::Relaxed) - self.counted_lost,
            number: self.number,
        }
    }

    /// Says so, once in a while, if the disk does not answer.
    fn look_at_disk(&mut self, now: Instant) {
        let is_late = |held: &Held| now.saturating_duration_since(held.since) >= PATIENCE;
        if !self.is_written || self.is_stuck() || !self.held.front().is_some_and(is_late) {
            return;
        }
        self.shared.is_stuck.store(true, Ordering::Relaxed);
        let was_lately = |said: Instant| now.saturating_duration_since(said) < SILENCE;
        if self.said.is_some_and(was_lately) {
            return;
        }
        self.said = Some(now);
        warn!(
            "The journal's disk has not answered for {PATIENCE:?}. The watching goes on, messages go out, and up to {WAITING} entries wait in memory."
        );
    }

    /// Hands on what follows from the oldest entries, so many, in their order.
    fn release(&mut self, count: usize) {
        let held = self.held.drain(..count);
        let changes: Vec<_> = held.flat_map(|held| held.changes).collect();
        if !changes.is_empty() {
            (self.deliver)(changes);
        }
    }

    fn is_stuck(&self) -> bool {
        self.shared.is_stuck.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

/// How long a message waits for the disk. Then it goes out all the same.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two complaints of a disk that is slow.
const SILENCE: Duration = Duration::from_mins(1);
