//! Why no settings could be made.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::destination::DestinationError;
use super::parser::ParseError;
use super::tokens::TokenError;

/// Why an [`Invocation`](super::Invocation) could not be resolved. Nothing was changed anywhere; the
/// same question may be asked again. All text from outside is escaped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// `ssh -G` refused: a bad option, an unreadable file, a broken line. Its own words.
    #[error("{said}")]
    Refused {
        /// Its exit code (255 by custom); `None` where a signal ended it.
        code: Option<i32>,
        /// What it wrote to stderr, escaped, lines joined by `; `.
        said: String,
    },
    /// `ssh` could not be started.
    #[error("cannot run {}: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// `ssh -G` or the reading of the files took too long (a `Match exec` that hangs, a dead file server).
    #[error("reading ssh_config took longer than {} s", after.as_secs())]
    Deadline {
        /// How long was waited.
        after: Duration,
    },
    /// `ssh -G` printed more than any configuration can be.
    #[error("ssh -G printed more than {limit} bytes")]
    TooMuchOutput {
        /// The bound, in bytes.
        limit: usize,
    },
    /// `ssh -G` printed something that is not understood.
    #[error("ssh -G printed `{keyword} {came}`, expected {expected}")]
    BadOutput {
        /// The keyword, escaped.
        keyword: String,
        /// What was expected.
        expected: &'static str,
        /// What came, escaped.
        came: String,
    },
    /// A file or `-o` option that our own parser does not take.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A `%` token, a `~user` or a `${VARIABLE}` that stands for nothing.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// What was found is no destination: a jump host, or a `HostName` after expansion.
    #[error("{keyword}: {source}")]
    Destination {
        /// The `ssh_config` keyword it came from.
        keyword: &'static str,
        /// What is wrong with it.
        source: DestinationError,
    },
    /// The destination is its own jump host.
    #[error("jump host loop via {host}")]
    JumpLoop {
        /// The host.
        host: String,
    },
    /// The thread that read the files is gone (the runtime is shutting down).
    #[error("reading ssh_config was cancelled")]
    Cancelled,
}
