//! What was told: as the journal has it, and what is so new that it has not; without a journal, what is at hand.

use std::path::Path;

use heartline_journal::{EventFilter, Reader, Stored};
use heartline_watch::Board;
use heartline_watch::board::Noted;
use jiff::Timestamp;
use serde_json::Value;
use tracing::debug;

use crate::reads::Busy;
use crate::watched::Watched;
use crate::words;

/// Which are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Of this node alone.
    pub(crate) node: Option<String>,
    /// Not older.
    pub(crate) since: Option<Timestamp>,
    /// Of greater numbers.
    pub(crate) after: Option<u64>,
    /// The last so many.
    pub(crate) limit: usize,
}

/// An event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) seq: u64,
    pub(crate) t: Timestamp,
    /// For a person.
    pub(crate) words: Option<words::Line>,
    /// All of it, with its number.
    pub(crate) json: Value,
}

/// Those, oldest first.
pub(crate) async fn read(watched: &Watched, wanted: Wanted) -> Result<Vec<Event>, Busy> {
    let mut events = match &watched.journal {
        Some(journal) => {
            let wanted = wanted.clone();
            let read = journal.read(move |path| from_journal(path, wanted));
            read.await?
        }
        None => Vec::new(),
    };
    let last = events.last().map_or(0, |last| last.seq);
    events.extend(at_hand(&watched.board, &wanted, last));
    let surplus = events.len().saturating_sub(wanted.limit);
    events.drain(..surplus);
    Ok(events)
}

/// Blocks.
fn from_journal(path: &Path, wanted: Wanted) -> Vec<Event> {
    let filter = EventFilter {
        node: wanted.node,
        without_lines: false,
        since: wanted.since,
        after: wanted.after.and_then(|after| i64::try_from(after).ok()),
        last: Some(wanted.limit),
    };
    let mut events = Vec::new();
    let read = Reader::open(path)
        .and_then(|reader| reader.events(&filter, |stored| events.extend(Event::stored(&stored))));
    if let Err(why) = read {
        debug!("Events are shown without the journal: {why}.");
    }
    events
}

fn at_hand(board: &Board, wanted: &Wanted, last: u64) -> Vec<Event> {
    let after = wanted.after.unwrap_or_default().max(last);
    let is_wanted = |noted: &Noted| {
        let node = wanted.node.as_deref();
        noted.seq > after
            && wanted.since.is_none_or(|since| noted.told.t() >= since)
            && node.is_none_or(|node| noted.told.node().is_some_and(|of| **of == *node))
    };
    let noted: Vec<_> = board.read(|known| {
        let recent = known.recent.iter().rev().filter(|noted| is_wanted(noted));
        recent.take(wanted.limit).cloned().collect()
    });
    noted
        .iter()
        .rev()
        .filter_map(|noted| Event::noted(noted))
        .collect()
}

impl Event {
    fn noted(noted: &Noted) -> Option<Self> {
        Some(Self {
            seq: noted.seq,
            t: noted.told.t(),
            words: words::line(&noted.told),
            json: serde_json::to_value(noted).ok()?,
        })
    }

    fn stored(stored: &Stored) -> Option<Self> {
        let mut json: Value = serde_json::from_str(&stored.json).ok()?;
        let words = words::stored(stored, &json);
        json.as_object_mut()?
            .insert("seq".to_owned(), stored.seq.into());
        Some(Self {
            seq: u64::try_from(stored.seq).ok()?,
            t: stored.t,
            words,
            json,
        })
    }
}

/// Events at a time.
pub(crate) const MOST: usize = 1_000;
