//! What is wrong with a configuration file, and where.

use std::fmt;
use std::path::Path;

use thiserror::Error;

use crate::settings::destination::{DestinationError, shown};
use crate::settings::tokens::TokenError;

/// What is wrong, and in which line of which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    file: String,
    line: usize,
    kind: Box<ParseErrorKind>,
}

impl ParseError {
    pub(super) fn at(file: &Path, line: usize, kind: ParseErrorKind) -> Self {
        Self {
            file: shown(&file.to_string_lossy()),
            line,
            kind: Box::new(kind),
        }
    }

    /// In an `-o` option.
    pub(super) fn command_line(kind: ParseErrorKind) -> Self {
        Self {
            file: "command line".to_owned(),
            line: 0,
            kind: Box::new(kind),
        }
    }

    /// In no one line: what all of them together come to.
    pub(super) fn nowhere(kind: ParseErrorKind) -> Self {
        Self {
            file: "ssh_config".to_owned(),
            line: 0,
            kind: Box::new(kind),
        }
    }

    /// The file, escaped, or `command line`.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, from 1; `None` where the whole file or an option is meant.
    pub fn line(&self) -> Option<usize> {
        (self.line > 0).then_some(self.line)
    }

    /// What is wrong.
    pub fn kind(&self) -> &ParseErrorKind {
        &self.kind
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line() {
            Some(line) => write!(f, "{} line {line}: {}", self.file, self.kind),
            None => write!(f, "{}: {}", self.file, self.kind),
        }
    }
}

impl std::error::Error for ParseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.kind.source()
    }
}

/// What is wrong with one line or one file. Text from the file is escaped.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The file cannot be read.
    #[error("cannot be read: {why}")]
    Unreadable {
        /// The system's reason.
        why: String,
    },
    /// Somebody else may write to the file.
    #[error("owned or writable by others, which ssh refuses too (chmod go-w, chown)")]
    Permissions,
    /// Larger than a configuration can be.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: u64,
    },
    /// Files that include files that include files.
    #[error("more than {limit} files included one in the other")]
    TooDeep {
        /// The bound.
        limit: usize,
    },
    /// An `Include` that matches half the disk.
    #[error("more than {limit} files included")]
    TooManyFiles {
        /// The bound.
        limit: usize,
    },
    /// The line is not text.
    #[error("the line is not UTF-8 text or has control characters")]
    NotText,
    /// A quote that does not close.
    #[error("a quote is not closed")]
    Quotes,
    /// No such keyword.
    #[error("bad configuration option `{came}`")]
    UnknownKeyword {
        /// The keyword, escaped.
        came: String,
    },
    /// A keyword with no value.
    #[error("no argument after `{keyword}`")]
    NoValue {
        /// The keyword.
        keyword: String,
    },
    /// A value the keyword does not take.
    #[error("{keyword} is `{came}`, expected {expected}")]
    BadValue {
        /// The keyword.
        keyword: String,
        /// What it takes.
        expected: &'static str,
        /// What came, escaped.
        came: String,
    },
    /// More than the keyword takes.
    #[error("extra arguments after `{keyword}`: `{came}`")]
    Extra {
        /// The keyword.
        keyword: String,
        /// The first that is too much, escaped.
        came: String,
    },
    /// More files than ssh takes.
    #[error("more than {limit} times {keyword}")]
    TooMany {
        /// The keyword.
        keyword: String,
        /// The bound.
        limit: usize,
    },
    /// `Match` without a criterion, or one that cannot be combined.
    #[error("bad Match: {why}")]
    BadMatch {
        /// What is wrong with it.
        why: &'static str,
    },
    /// What only a real ssh can do.
    #[error("{what} needs an installed ssh")]
    NeedsSsh {
        /// What was asked for.
        what: &'static str,
    },
    /// A block keyword given by `-o`.
    #[error("{keyword} is not an option of the command line")]
    NotHere {
        /// The keyword.
        keyword: String,
    },
    /// A jump host that is no destination.
    #[error("ProxyJump: {0}")]
    Jump(#[from] DestinationError),
    /// A `HostName` with a token that stands for nothing.
    #[error(transparent)]
    Token(#[from] TokenError),
}
