//! What other programs do to the machine, so that it is not held against ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Lets this thread, and what it starts from now on, go before everything else on the machine, so that a measurement is
/// not one of the machine's other work. Where that is not allowed it goes on as it is.
pub(crate) fn go_first() {
    let me = std::fs::read_link("/proc/thread-self").unwrap();
    let _ = std::process::Command::new("renice")
        .args(["-n", "-15", "-p"])
        .arg(me.file_name().unwrap())
        .output();
}

/// A thread that does nothing but wake up and look how late it is.
pub(crate) struct Lateness {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    worst_micros: AtomicU64,
}

impl Lateness {
    /// Looks from now on.
    pub(crate) fn measure() -> Self {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            while !seen.stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                thread::sleep(NAP);
                let late = begun.elapsed().saturating_sub(NAP);
                let micros = u64::try_from(late.as_micros()).unwrap();
                seen.worst_micros.fetch_max(micros, Ordering::Relaxed);
            }
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// The latest that a thread was woken since.
    pub(crate) fn worst(&self) -> Duration {
        Duration::from_micros(self.shared.worst_micros.load(Ordering::Relaxed))
    }
}

impl Drop for Lateness {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

const NAP: Duration = Duration::from_millis(2);
