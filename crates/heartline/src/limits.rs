//! What the system lets one process have.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::debug;

/// Raises the number of open files to what is allowed: a line takes two. Lowers the memory that may be locked to none:
/// russh locks every session's keys, which at thousands of sessions costs whole pages and mappings (the map count of a
/// process is bounded); without the allowance it goes on quietly.
pub(crate) fn raise() {
    let files = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    let locked = getrlimit(Resource::RLIMIT_MEMLOCK)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_MEMLOCK, 0, hard));
    debug!(?files, ?locked, "Limits set.");
}
