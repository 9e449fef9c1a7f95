//! Reads of the journal for whoever asks: a bounded number at a time, since a disk that hangs ends none of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

/// The journal, to be read. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    path: PathBuf,
    room: Arc<Semaphore>,
    patience: Duration,
}

/// It does not answer, or too many wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

impl Reads {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            room: Arc::new(Semaphore::new(MOST)),
            patience: PATIENCE,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Has it read by a thread that may block. Nobody waits for longer than [`PATIENCE`]; what has begun keeps its room until it is over, whoever waits for it.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Path) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let permit = Arc::clone(&self.room).try_acquire_owned();
        let permit = permit.map_err(|_| Busy)?;
        let path = self.path.clone();
        let until = Instant::now() + self.patience;
        let reading = spawn_blocking(move || {
            // Whoever asked may be gone before it was its turn.
            let read = (Instant::now() < until).then(|| what(&path));
            drop(permit);
            read
        });
        match timeout_at(until, reading).await {
            Ok(Ok(Some(read))) => Ok(read),
            _ => Err(Busy),
        }
    }
}

/// That are going on, or wait for a thread.
const MOST: usize = 16;
/// For the journal to answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_hangs_keeps_its_room_when_nobody_waits_for_it_any_more() {
        let reads = Reads {
            path: PathBuf::new(),
            room: Arc::new(Semaphore::new(2)),
            patience: Duration::from_millis(50),
        };
        let mut hung = Vec::new();
        for _ in 0..2 {
            let (go_on, wait) = mpsc::channel::<()>();
            let read = reads.read(move |_| {
                let _ = wait.recv();
            });
            assert_eq!(read.await, Err(Busy));
            hung.push(go_on);
        }
        assert_eq!(reads.room.available_permits(), 0);
        assert_eq!(
            reads.read(|_| panic!("no thread is taken")).await,
            Err(Busy)
        );
        drop(hung);
        let begun = Instant::now();
        while reads.room.available_permits() < 2 {
            assert!(begun.elapsed() < Duration::from_secs(30), "no room again");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let patient = Reads {
            patience: Duration::from_secs(30),
            ..reads
        };
        assert_eq!(patient.read(|_| 7).await, Ok(7));
    }
}
