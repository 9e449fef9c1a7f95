//! What became of one attempt.

use std::time::Duration;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was taken.
    Done,
    /// It may be, later.
    Later {
        /// Not before so long, if the receiver said so.
        wait: Option<Duration>,
        /// Why not now; fit to be shown.
        why: String,
    },
    /// It went wrong, and may again: it is tried a few times. Why; fit to be shown.
    Failed(String),
    /// It never will be. Why; fit to be shown.
    Refused(String),
}
