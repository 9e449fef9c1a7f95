//! What a watcher does with what it is told, beside printing it: board, journal, hooks, a sign of life of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use heartline_hooks::{Deliverer, Hooks, Limits};
use heartline_journal::{Journal, Keeper, Opened, Opening, Place, Settings, default_path};
use heartline_watch::board::{Board, Noted, Wishes};
use heartline_watch::config::ConfigFile;
use heartline_watch::{Engine, Told};
use heartline_web::{Door, JournalHealth, Server, Watched};
use tracing::{info, warn};

use super::heartbeat::Heartbeat;
use super::minute::Minute;
use crate::cli::WatchArgs;

/// See the module.
pub(super) struct Outlets {
    board: Board,
    /// Of the journal, if one is kept.
    path: Option<PathBuf>,
    journal: Journal,
    keeper: Keeper,
    deliverer: Option<Deliverer>,
    minute: Minute,
    heartbeat: Option<Heartbeat>,
}

impl Outlets {
    /// Starts all that was asked for. What stands in the file counts where no flag says otherwise.
    pub(super) fn start(
        args: &WatchArgs,
        file: &ConfigFile,
        hooks: &Hooks,
        engine: &mut Engine,
    ) -> anyhow::Result<Self> {
        let (path, (opening, opened)) = open(args, file);
        tell_of(&opened);
        engine.begin_after(opened.last_token);
        let board = Board::new(opened.last_seq);
        let nodes = engine.snapshot();
        let tags = nodes
            .iter()
            .map(|brief| (Arc::clone(&brief.node), Arc::clone(&brief.tags)));
        let limits = Limits::default();
        let started = heartline_hooks::start(opening, &opened, hooks, tags.collect(), limits)?;
        let mut outlets = Self {
            board,
            path,
            journal: started.journal,
            keeper: started.keeper,
            deliverer: started.deliverer,
            minute: Minute::default(),
            heartbeat: Heartbeat::start(&file.heartbeat)?,
        };
        outlets.planned(engine);
        Ok(outlets)
    }

    /// Lets others in by these doors.
    pub(super) fn serve(&self, doors: Vec<Door>, wishes: Wishes) -> anyhow::Result<Server> {
        let watched = Watched::new(self.board.clone(), wishes);
        let watched = match &self.path {
            None => watched,
            Some(path) => {
                let journal = self.journal.clone();
                watched.with_journal(path.clone(), move || JournalHealth {
                    is_written: journal.is_well(),
                    lost: journal.lost(),
                })
            }
        };
        Ok(Server::start(doors, &watched)?)
    }

    /// Where the journal is, if one is kept.
    fn place(args: &WatchArgs, file: &ConfigFile) -> Option<PathBuf> {
        let none = Path::new("none");
        match args.journal.as_ref().or(file.journal.path.as_ref()) {
            Some(path) if path == none => None,
            Some(path) => Some(path.clone()),
            // Somebody who looks at a node for a while wants no traces left.
            None if !args.nodes.is_empty() => None,
            None => default_path(),
        }
    }

    /// There is another plan.
    pub(super) fn planned(&mut self, engine: &Engine) {
        let nodes = engine.snapshot();
        let names = nodes.iter().map(|brief| Arc::clone(&brief.node));
        self.journal.watches(names.collect());
        self.board.set(nodes);
    }

    /// Something was told.
    pub(super) fn note(&mut self, engine: &Engine, told: Told) -> Arc<Noted> {
        let brief = told.node().and_then(|node| engine.brief(node));
        let noted = self.board.note(told, brief);
        self.journal.tell(Arc::clone(&noted));
        noted
    }

    /// Every few seconds: takes numbers, and says that the watcher lives.
    pub(super) fn sample(&mut self, engine: &Engine) {
        let samples = engine.samples();
        if let Some((t, rows)) = self.minute.take_in(&samples.lines) {
            self.journal.round_trips(t, rows);
        }
        self.board.sample(samples);
        if let Some(heartbeat) = &self.heartbeat
            && !self.board.read(|known| known.is_isolated)
        {
            heartbeat.is_well();
        }
    }

    /// Writes what is left.
    pub(super) fn end(self) {
        if let Some(deliverer) = self.deliverer {
            deliverer.end();
        }
        self.journal.end();
        self.keeper.wait();
    }
}

/// The journal, unless there is to be none, or another watcher keeps it.
fn open(args: &WatchArgs, file: &ConfigFile) -> (Option<PathBuf>, (Opening, Opened)) {
    let usual = Settings::default();
    let settings = Settings {
        keep: file.journal.keep.unwrap_or(usual.keep),
        ..usual
    };
    let place = Outlets::place(args, file).and_then(|path| match Place::take(&path) {
        Ok(place) => Some(place),
        Err(error) => {
            let path = path.display();
            warn!(%path, %error, "No journal is kept: another watcher keeps it, or its folder does not let us.");
            None
        }
    });
    let path = place.as_ref().map(|place| place.path().to_owned());
    (path, Journal::open(place, settings))
}

fn tell_of(opened: &Opened) {
    if let Some(aside) = &opened.set_aside {
        let to = aside.to.display();
        warn!(%to, why = ?aside.why, "The journal could not be used. It was set aside, and a new one begun.");
    }
    info!(events = opened.last_seq, "Journal opened.");
}
