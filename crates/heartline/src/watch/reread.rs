//! The configuration, read again by SIGHUP: what it says of nodes is used, and what it says of anything else is not.

use std::future::Future;
use std::pin::Pin;

use heartline_watch::Plan;
use heartline_watch::config::{ConfigFile, HeartbeatEntry, HookEntry, JournalEntry, PageEntry};
use tracing::warn;

use crate::asked::Asked;

/// See the module.
pub(super) struct Reread<'a> {
    asked: &'a Asked,
    /// What is carried on until the end, whatever the file says.
    kept: Kept,
    reading: Option<Reading<'a>>,
}

type Reading<'a> = Pin<Box<dyn Future<Output = anyhow::Result<(Plan, Kept)>> + 'a>>;

/// What is read at the start alone.
#[derive(Debug)]
struct Kept {
    hooks: Vec<HookEntry>,
    journal: JournalEntry,
    page: PageEntry,
    heartbeat: HeartbeatEntry,
}

impl<'a> Reread<'a> {
    /// This is what stood in the file at the start.
    pub(super) fn new(asked: &'a Asked, file: &ConfigFile) -> Self {
        Self {
            asked,
            kept: Kept::of(file),
            reading: None,
        }
    }

    /// Reads it again, from the beginning if that is under way already.
    pub(super) fn begin(&mut self) {
        let asked = self.asked;
        self.reading = Some(Box::pin(async move {
            let file = asked.file()?;
            Ok((asked.lasting_plan(&file).await?, Kept::of(&file)))
        }));
    }

    /// The plan that is being read again; never, while none is. Says what of the file needs a restart.
    pub(super) async fn next(&mut self) -> anyhow::Result<Plan> {
        let Some(reading) = &mut self.reading else {
            return std::future::pending().await;
        };
        let read = reading.await;
        self.reading = None;
        let (plan, kept) = read?;
        for what in self.kept.differs(&kept) {
            warn!("What heartline.toml says of {what} has changed. It is used after a restart.");
        }
        Ok(plan)
    }
}

impl Kept {
    fn of(file: &ConfigFile) -> Self {
        Self {
            hooks: file.hooks.clone(),
            journal: file.journal.clone(),
            page: file.page.clone(),
            heartbeat: file.heartbeat.clone(),
        }
    }

    /// What differs from those.
    fn differs(&self, others: &Self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("hooks", self.hooks == others.hooks),
            ("the journal", self.journal == others.journal),
            ("the page", self.page == others.page),
            ("the heartbeat", self.heartbeat == others.heartbeat),
        ];
        let differing = all.into_iter().filter(|(_, is_same)| !is_same);
        differing.map(|(what, _)| what)
    }
}
