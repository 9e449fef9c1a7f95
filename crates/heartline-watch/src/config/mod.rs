//! `heartline.toml`: nodes, their lines, and how often. Read whole, checked whole, before anything is started.

mod check;
mod draft;
mod duration;
mod error;
mod file;
mod find;
mod outlets;
mod reference;
mod schema;
#[cfg(test)]
mod tests;
mod tree;

pub use draft::{Draft, Mistake};
pub use duration::{DurationError, parse_duration};
pub use error::{ConfigError, Place};
pub use file::{ConfigFile, LineEntry, NodeEntry, TimingEntry};
pub use find::find;
pub use outlets::{HeartbeatEntry, HookEntry, JournalEntry, MailEntry, PageEntry, State, Subject};
pub use reference::{ReferenceError, parse_reference};
pub use schema::schema;
pub use tree::Step;
