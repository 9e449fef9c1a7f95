//! The two threads of a journal: one asks the rules what follows from what it is told, in memory; the other writes. So a disk that never answers holds up no message.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use heartline_watch::board::Noted;
use jiff::Timestamp;
use rusqlite::Connection;
use thiserror::Error;
use tracing::warn;

use crate::entry::{Change, Entry, RoundTripRow, Rules};
use crate::open::{self, NotOpen, Opened, SetAside};
use crate::place::Place;

use desk::Desk;
use disk::Writer;
use judging::Judging;

mod batch;
mod desk;
mod disk;
mod judging;
mod prune;

/// How a journal is kept.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long events and the hours are kept.
    pub keep: Duration,
    /// The longest wait for another process that writes; none does but by hand.
    pub lock_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep: KEEP,
            lock_wait: LOCK_WAIT,
        }
    }
}

/// Why there is no journal.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The system gave us no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// A journal that is being kept. Clones are the same.
#[derive(Clone, Debug)]
pub struct Journal {
    entries: SyncSender<Entry>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Events that found no room.
    lost: AtomicU64,
    /// The disk does not take what is to be written, or does not say so.
    is_stuck: AtomicBool,
    over: AtomicBool,
}

/// One that has been opened, and is not yet kept.
pub struct Opening {
    place: Option<Place>,
    connection: Option<Connection>,
    /// What it remembers was read, or there is nothing.
    is_read: bool,
    settings: Settings,
}

/// The threads, to wait for.
#[derive(Debug)]
pub struct Keeper(Vec<JoinHandle<()>>);

impl Journal {
    /// Opens the journal there. What cannot be used is set aside; a disk that does not let us is tried again later. With no place nothing is remembered, and messages go out all the same.
    pub fn open(place: Option<Place>, settings: Settings) -> (Opening, Opened) {
        let mut opening = Opening {
            place,
            connection: None,
            is_read: false,
            settings,
        };
        let opened = opening.connect();
        (opening, opened)
    }

    /// Writes this down. Never waits: what finds no room is counted.
    pub fn tell(&self, noted: Arc<Noted>) {
        if self.entries.try_send(Entry::Event(noted)).is_err() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// These nodes are watched from now on, and no others.
    pub fn watches(&self, nodes: Vec<Arc<str>>) {
        let _ = self.entries.try_send(Entry::Nodes(nodes));
    }

    /// How long answers took in the minute that ended at `t`.
    pub fn round_trips(&self, t: Timestamp, rows: Vec<RoundTripRow>) {
        let _ = self.entries.try_send(Entry::RoundTrips(t, rows));
    }

    /// A message has gone out, or is given up. False: there is no room to note it now.
    pub fn done(&self, key: String) -> bool {
        self.entries.try_send(Entry::Done(key)).is_ok()
    }

    /// A message is tried again later. False: there is no room to note it now.
    pub fn put_off(&self, key: String, tries: u32, due: Timestamp) -> bool {
        let entry = Entry::PutOff { key, tries, due };
        self.entries.try_send(entry).is_ok()
    }

    /// Whether the disk takes what is to be written.
    pub fn is_well(&self) -> bool {
        !self.shared.is_stuck.load(Ordering::Relaxed)
    }

    /// How many events are missing in it, of this run.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Writes what has come so far; nothing more is taken.
    pub fn end(&self) {
        self.shared.over.store(true, Ordering::Release);
        // Wakes it, if it waits for nothing else.
        let _ = self.entries.try_send(Entry::Nodes(Vec::new()));
    }
}

impl Keeper {
    /// Waits for them to end, for two seconds at most.
    pub fn wait(self) {
        let until = Instant::now() + GOODBYE;
        let are_over = || self.0.iter().all(JoinHandle::is_finished);
        while !are_over() && Instant::now() < until {
            thread::sleep(LOOK);
        }
    }
}

impl Opening {
    /// Keeps it: by these rules, whose changes are handed to `deliver` once they are written, or cannot be, or the disk has not said which for two seconds. `deliver` never waits.
    pub fn start(
        self,
        rules: Box<dyn Rules>,
        deliver: Box<dyn FnMut(Vec<Change>) + Send>,
    ) -> Result<(Journal, Keeper), JournalError> {
        let (entries, told) = sync_channel(QUEUE);
        let shared = Arc::new(Shared::default());
        let journal = Journal {
            entries,
            shared: Arc::clone(&shared),
        };
        let is_written = self.place.is_some();
        let desk = Arc::new(Desk::new(rules, deliver, Arc::clone(&shared), is_written));
        let mut threads = Vec::new();
        if is_written {
            let writer = Writer::new(self, Arc::clone(&desk));
            let thread = thread::Builder::new().name("heartline-disk".into());
            threads.push(thread.spawn(move || writer.run())?);
        }
        let judging = Judging::new(desk, shared);
        let thread = thread::Builder::new().name("heartline-journal".into());
        threads.push(thread.spawn(move || judging.run(&told))?);
        Ok((journal, Keeper(threads)))
    }

    /// Opens the file, if there is to be one; sets aside what cannot be used.
    fn connect(&mut self) -> Opened {
        let Some(place) = &mut self.place else {
            return Opened::unknown();
        };
        if let Err(error) = place.hold() {
            warn!(path = %place.path().display(), %error, "The journal cannot be opened; it is tried again, and what is to be written waits.");
            return Opened::unknown();
        }
        let path = place.path();
        let mut aside = None;
        // Once for what is there, once for a new one.
        for _ in 0..2 {
            let opened = open::open(path, self.settings.lock_wait).and_then(|connection| {
                let opened = open::remembered(&connection).map_err(open::judge)?;
                Ok((connection, opened))
            });
            match opened {
                Ok((connection, opened)) => {
                    self.connection = Some(connection);
                    self.is_read = true;
                    let fresh = if aside.is_some() {
                        Opened::unknown()
                    } else {
                        opened
                    };
                    return Opened {
                        set_aside: aside,
                        ..fresh
                    };
                }
                Err(NotOpen::Unusable(why)) => match open::set_aside(path) {
                    Ok(to) => aside = Some(SetAside { to, why }),
                    Err(error) => {
                        warn!(path = %path.display(), %error, "The journal cannot be used, nor set aside; nothing is remembered for now.");
                        break;
                    }
                },
                Err(NotOpen::NoPlace(error)) => {
                    warn!(path = %path.display(), %error, "The journal cannot be opened; it is tried again, and what is to be written waits.");
                    break;
                }
                Err(NotOpen::Failed(error)) => {
                    warn!(path = %path.display(), %error, "The journal cannot be opened; it is tried again, and what is to be written waits.");
                    break;
                }
            }
        }
        Opened {
            set_aside: aside,
            ..Opened::unknown()
        }
    }
}

impl Opened {
    /// Nothing is known of the runs before: the numbers are then greater than any that were counted.
    fn unknown() -> Self {
        let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
        Self {
            last_seq: now,
            ..Self::default()
        }
    }
}

/// Says what became of a journal that could not be used.
pub(crate) fn tell_set_aside(aside: &SetAside) {
    warn!(to = %aside.to.display(), why = ?aside.why, "The journal could not be used. It was set aside, and a new one begun.");
}

/// Entries that wait for a disk that takes none, with those that it is about to take.
pub const WAITING: usize = 65_536;
/// Entries that wait to be judged.
const QUEUE: usize = 32_768;
const KEEP: Duration = Duration::from_hours(400 * 24);
const LOCK_WAIT: Duration = Duration::from_secs(2);
const GOODBYE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(2);
