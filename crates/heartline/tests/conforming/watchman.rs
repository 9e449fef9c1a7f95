//! Sees processes end that are not our children, and how late this machine was.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::Pid;

/// Looks at all of them every [`TICK`], until it is dropped.
pub(crate) struct Watchman {
    book: Arc<Mutex<Book>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Book {
    watched: Vec<Watched>,
    /// When it looked, and how much too late.
    late: Vec<(Instant, Duration)>,
}

struct Watched {
    pid: Pid,
    /// `/proc/PID/stat`, which stays that of this process.
    stat: File,
    ended: Option<Instant>,
}

impl Watchman {
    pub(crate) fn start() -> Result<Self> {
        let (book, stopping) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (shared, flag) = (Arc::clone(&book), Arc::clone(&stopping));
        let thread = std::thread::Builder::new()
            .name("watchman".to_owned())
            .spawn(move || watch(&shared, &flag))?;
        Ok(Self {
            book,
            stopping,
            thread: Some(thread),
        })
    }

    /// Looks out for the end of this one, which lives.
    pub(crate) fn add(&self, pid: Pid) -> Result<()> {
        let path = format!("/proc/{pid}/stat");
        let stat = File::open(&path).context(path)?;
        let ended = None;
        lock(&self.book).watched.push(Watched { pid, stat, ended });
        Ok(())
    }

    /// When the last of these was gone; `None` while one lives.
    pub(crate) fn ended(&self, pids: &[Pid]) -> Option<Instant> {
        let book = lock(&self.book);
        let of = |pid: &Pid| {
            let mut watched = book.watched.iter().rev();
            watched.find(|watched| watched.pid == *pid)?.ended
        };
        let ends: Option<Vec<Instant>> = pids.iter().map(of).collect();
        ends?.into_iter().max()
    }

    /// Something that takes milliseconds took so long.
    pub(crate) fn note(&self, took: Duration) {
        if took > WORTH_NOTING {
            lock(&self.book).late.push((Instant::now(), took));
        }
    }

    /// By how much this machine was late at most since then.
    pub(crate) fn latest_since(&self, since: Instant) -> Duration {
        let book = lock(&self.book);
        let late = book.late.iter().filter(|(at, _)| *at >= since);
        late.map(|(_, late)| *late).max().unwrap_or_default()
    }
}

impl Drop for Watchman {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(book: &Mutex<Book>, stopping: &AtomicBool) {
    let mut looked = Instant::now();
    while !stopping.load(Ordering::Relaxed) {
        std::thread::sleep(TICK);
        let now = Instant::now();
        let late = now.duration_since(looked).saturating_sub(TICK);
        looked = now;
        let mut book = lock(book);
        if late > WORTH_NOTING {
            book.late.push((now, late));
        }
        for watched in &mut book.watched {
            if watched.ended.is_none() && watched.is_gone() {
                watched.ended = Some(now);
            }
        }
    }
}

impl Watched {
    /// Gone, or a zombie: sshd's monitor often ends before it has buried the user's process, and who does that then
    /// may take seconds.
    fn is_gone(&self) -> bool {
        let mut text = [0; 256];
        let Ok(length) = self.stat.read_at(&mut text, 0) else {
            return true;
        };
        let text = String::from_utf8_lossy(text.get(..length).unwrap_or_default());
        let state = text.rsplit_once(") ").map(|(_, rest)| rest);
        state.is_none_or(|state| state.starts_with(['Z', 'X']))
    }
}

/// A panic elsewhere cannot leave it half changed.
fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

const TICK: Duration = Duration::from_millis(5);
const WORTH_NOTING: Duration = Duration::from_millis(20);
