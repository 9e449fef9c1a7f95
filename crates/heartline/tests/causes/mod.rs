//! The rows of the confusion matrix of causes.
//!
//! * [`Row`]: what is done, to which bed, and what is to be said of it; [`rows`] has them all, `deeds` those deeds that are
//!   more than a fault on a cable;
//! * `Bed`: the machines of one row, watched and up;
//! * `Wanted`: the words that are true of a row;
//! * [`Verdict`]: those held against what was told;
//! * [`table`] and [`matrix`]: what is printed.

mod bed;
mod deeds;
mod judge;
mod row;
mod rows;
mod table;
mod wanted;

pub(crate) use judge::Verdict;
pub(crate) use row::Row;
pub(crate) use rows::rows;
pub(crate) use table::{matrix, table};
