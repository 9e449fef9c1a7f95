//! The engine behind `heartline explain`, held against the programs of this machine.
//!
//! * `Row`: one session: its settings, what flows, what happens, which ends are judged; [`rows`] has them all;
//! * [`Bench`]: the lab they run in, one cable a row;
//! * [`Trial`]: carries one row out, and notes when its ends went away;
//! * [`Watchman`]: sees processes end, and knows how late this machine was;
//! * [`Predicted`]: what `heartline explain --json` says of an end;
//! * [`Verdict`]: the two held against each other, and the table.
//!
//! Not here: what was measured once on other releases (facts, `explain_rows.rs`).

mod bench;
mod judge;
mod predicted;
mod row;
mod rows;
mod session;
mod table;
mod trial;
mod watchman;

pub(crate) use bench::Bench;
pub(crate) use judge::Verdict;
pub(crate) use predicted::Predicted;
pub(crate) use rows::rows;
pub(crate) use table::table;
pub(crate) use trial::{Attempt, Trial};
pub(crate) use watchman::Watchman;

use std::time::Duration;

/// How far a measured time may lie beside its window.
pub(crate) const SLACK: Duration = Duration::from_millis(250);
/// Longer than anything takes that is not itself measured.
pub(crate) const CEILING: Duration = Duration::from_secs(40);
