//! What is written.

use std::sync::Arc;
use std::time::Duration;

use heartline_ssh::RoundTripCounts;
use heartline_watch::board::Noted;
use jiff::Timestamp;

use crate::open::Opened;

/// A message of a hook, on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its own, whoever delivers it and however often.
    pub key: String,
    /// Whose.
    pub hook: String,
    /// What it is about: messages about one go out one after the other.
    pub subject: String,
    /// When it is to go out.
    pub due: Timestamp,
    /// How often that was tried.
    pub tries: u32,
    /// What it says.
    pub body: String,
}

/// What follows from an event, for hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A message is to go out; one of the same key is replaced.
    Put(Message),
    /// One is no longer to.
    Cancel {
        /// Its key.
        key: String,
    },
    /// What a hook knows of a subject from now on.
    Knows {
        /// Which hook.
        hook: String,
        /// Of what.
        subject: String,
        /// What, as JSON; none: nothing.
        what: Option<String>,
    },
}

/// What follows from events. Pure: called once an event, in order.
pub trait Rules: Send {
    /// What follows from this one.
    fn judge(&mut self, noted: &Noted) -> Vec<Change>;

    /// All that they hold, for a journal that is begun anew.
    fn everything(&self) -> Vec<Change> {
        Vec::new()
    }

    /// What a journal remembers that could not be read when it was opened. What has been judged since counts more.
    fn recall(&mut self, opened: &Opened) {
        let _ = opened;
    }
}

/// How long the answers of a line took in the last minute.
#[derive(Clone, Debug)]
pub struct RoundTripRow {
    /// The node.
    pub node: Arc<str>,
    /// The line.
    pub line: Arc<str>,
    /// How many, by class.
    pub counts: RoundTripCounts,
    /// The shortest.
    pub shortest: Duration,
    /// The longest.
    pub longest: Duration,
}

/// What a journal is told.
#[derive(Debug)]
pub(crate) enum Entry {
    Event(Arc<Noted>),
    /// These are watched now, and no others.
    Nodes(Vec<Arc<str>>),
    RoundTrips(Timestamp, Vec<RoundTripRow>),
    Done(String),
    PutOff {
        key: String,
        tries: u32,
        due: Timestamp,
    },
}
