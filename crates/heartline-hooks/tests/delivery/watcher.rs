//! All of a watcher but the watching.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use heartline_core::Cause;
use heartline_hooks::{Hooks, Limits, Started, Tags, start};
use heartline_journal::{Journal, Message, Opened, Place, Settings};
use heartline_watch::config::ConfigFile;
use heartline_watch::{Board, NodeTold, Told};
use jiff::Timestamp;

/// See the module.
pub(crate) struct Watcher {
    board: Board,
    pub(crate) opened: Opened,
    started: Started,
}

impl Watcher {
    pub(crate) fn start(journal: &Path, hooks: &str, limits: Limits) -> Self {
        Self::start_at(Some(Place::take(journal).unwrap()), hooks, limits)
    }

    /// Without a place nothing is remembered.
    pub(crate) fn start_at(place: Option<Place>, hooks: &str, limits: Limits) -> Self {
        Self::start_as(place, Settings::default(), hooks, limits)
    }

    pub(crate) fn start_as(
        place: Option<Place>,
        settings: Settings,
        hooks: &str,
        limits: Limits,
    ) -> Self {
        let file = ConfigFile::parse(hooks, Path::new("heartline.toml")).unwrap();
        let hooks = Hooks::new(&file.hooks).unwrap();
        let (opening, opened) = Journal::open(place, settings);
        let started = start(opening, &opened, &hooks, Tags::new(), limits).unwrap();
        Self {
            board: Board::new(opened.last_seq),
            opened,
            started,
        }
    }

    pub(crate) fn node(&self, node: &str, from: &'static str, to: &'static str) {
        let is_down = to == "down";
        let t = Timestamp::now();
        let told = NodeTold {
            t,
            node: node.into(),
            from,
            to,
            cause: is_down.then_some(Cause::Silent),
            after_ms: Some(9_804),
            token: u64::try_from(t.as_millisecond()).unwrap(),
            tags: Arc::default(),
            lines: Vec::new(),
        };
        let noted = self.board.note(Told::Node(told), None);
        self.started.journal.tell(noted);
    }

    /// Ends as it should.
    pub(crate) fn end(self) {
        if let Some(deliverer) = self.started.deliverer {
            deliverer.end();
        }
        self.started.journal.end();
        self.started.keeper.wait();
    }
}

/// What waits in a journal that nobody keeps.
pub(crate) fn waiting(journal: &Path) -> Vec<Message> {
    let place = Place::take(journal).unwrap();
    Journal::open(Some(place), Settings::default()).1.waiting
}

/// A thousandth of the time that it takes in use.
pub(crate) fn hurried() -> Limits {
    Limits {
        first_pause: Duration::from_millis(1),
        last_pause: Duration::from_millis(300),
        ..Limits::default()
    }
}
