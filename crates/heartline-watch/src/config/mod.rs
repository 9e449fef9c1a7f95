//! `heartline.toml`: nodes, their lines, and how often. Read whole, checked whole, before anything is started.

mod duration;
mod error;
mod file;
mod find;

pub use duration::{DurationError, parse_duration};
pub use error::{ConfigError, Place};
pub use file::{ConfigFile, LineEntry, NodeEntry, TimingEntry};
pub use find::find;
