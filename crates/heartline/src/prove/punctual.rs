//! Whether this process ran when it was due: what a machine that is busy adds to a time is no lateness of heartline's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Notes the longest time by which a timer was late, on the thread on which everything is measured.
#[derive(Debug)]
pub(super) struct Punctual(Arc<AtomicU64>);

impl Punctual {
    /// From now on, until dropped.
    pub(super) fn start() -> Self {
        let worst = Arc::new(AtomicU64::new(0));
        let noted = Arc::downgrade(&worst);
        tokio::spawn(async move {
            while let Some(worst) = noted.upgrade() {
                let due = Instant::now() + EVERY;
                sleep_until(due).await;
                let late = u64::try_from(due.elapsed().as_millis()).unwrap_or(u64::MAX);
                worst.fetch_max(late, Ordering::Relaxed);
            }
        });
        Self(worst)
    }

    /// The longest yet.
    pub(super) fn worst(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

const EVERY: Duration = Duration::from_millis(10);
