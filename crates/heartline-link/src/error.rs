//! Why ways cannot be followed, or not any more.

use std::io;
use std::time::Duration;

/// Why ways cannot be followed. Nothing of what was told before is taken back by it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// No netlink here: another system, or a container that keeps it away.
    #[error("netlink is not available: {0}")]
    Unavailable(#[source] io::Error),
    /// A socket that worked fails.
    #[error("netlink fails: {0}")]
    Socket(#[source] io::Error),
    /// The kernel does not say what it was asked for.
    #[error("the kernel does not tell its {what}: {error}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// The kernel's error.
        #[source]
        error: io::Error,
    },
    /// The kernel has not answered in time.
    #[error("the kernel has not told its {what} within {within:?}")]
    Late {
        /// What was asked for.
        what: &'static str,
        /// How long we waited.
        within: Duration,
    },
    /// There is more of it than we keep.
    #[error("more than {limit} {what}")]
    TooMany {
        /// What there is so much of.
        what: &'static str,
        /// How much we keep.
        limit: usize,
    },
    /// The thread that follows the kernel is gone. A bug.
    #[error("what follows the kernel has ended")]
    Ended,
}
