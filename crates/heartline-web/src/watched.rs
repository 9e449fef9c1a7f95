//! What is shown, and where it comes from.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use heartline_watch::Board;
use heartline_watch::board::Wishes;

use crate::reads::Reads;

/// What a server shows. Clones are the same.
#[derive(Clone)]
pub struct Watched {
    pub(crate) board: Board,
    pub(crate) wishes: Wishes,
    pub(crate) journal: Option<Reads>,
    pub(crate) journal_health: Option<Arc<dyn Fn() -> JournalHealth + Send + Sync>>,
}

/// How the writing of the journal goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalHealth {
    /// What was written last was written.
    pub is_written: bool,
    /// Entries that were let go, since the watcher began.
    pub lost: u64,
}

impl Watched {
    /// A watcher without a journal.
    pub fn new(board: Board, wishes: Wishes) -> Self {
        Self {
            board,
            wishes,
            journal: None,
            journal_health: None,
        }
    }

    /// With the journal in this file, and how to find out whether it is written.
    #[must_use]
    pub fn with_journal(
        self,
        path: PathBuf,
        health: impl Fn() -> JournalHealth + Send + Sync + 'static,
    ) -> Self {
        Self {
            journal: Some(Reads::new(path)),
            journal_health: Some(Arc::new(health)),
            ..self
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}
