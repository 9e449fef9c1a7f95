//! What a watcher remembers, in one `SQLite` file: every event with its evidence, round trips by the minute and the hour, uptime by the day, and the messages of hooks until they
//! are delivered.
//!
//! [`Journal::tell`] never waits. One thread asks the rules what follows, in memory; another writes, all that has come meanwhile in one transaction (WAL, synchronous NORMAL), and what
//! follows is handed on when it has. So a process that is killed at any moment leaves a
//! whole journal that lacks at most what nobody had been told of by a hook; a machine that loses its power may lose the last transactions too, and no more.
//!
//! A disk that is full, read-only or slow stops nothing: what is to be written waits in memory, [`WAITING`] entries at most, the oldest go first, and it is said how many. Messages are
//! delivered all the same: at once where the disk says no, and after two seconds where it says nothing. A journal that is corrupt or of a later version is set aside under another name, and a new one begun.

mod entry;
mod open;
mod place;
mod read;
mod tally;
mod writer;

pub use entry::{Change, Message, RoundTripRow, Rules};
pub use open::{Opened, SetAside, SetAsideWhy};
pub use place::{Place, default_path};
pub use read::{Day, EventFilter, Hour, ReadError, Reader, Stored, TIMES, Times};
pub use writer::{Journal, JournalError, Keeper, Opening, Settings, WAITING};
