//! What can be wrong with the file, and where.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use heartline_ssh::escape;
use thiserror::Error;

/// Why the file is not used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is too large to be one.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// It is not what it should be.
    #[error("{place}: {}, in `{}`", one_line(what), place.text)]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong, and what would be right.
        what: String,
    },
}

/// A place in the file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    path: PathBuf,
    line: usize,
    column: usize,
    /// The line's text, escaped.
    text: String,
}

impl Place {
    /// Where `span` begins; the first character where there is none.
    pub(super) fn of(path: &Path, text: &str, span: Option<Range<usize>>) -> Self {
        let start = span.map_or(0, |span| span.start).min(text.len());
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text.get(line_start..).unwrap_or_default();
        let line = line.lines().next().unwrap_or_default().trim();
        Self {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before
                .get(line_start..)
                .map_or(0, |part| part.chars().count())
                + 1,
            text: escape(line.as_bytes(), MAX_SHOWN),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The character in the line, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// What stands in that line, escaped.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// Fit for a line of a terminal.
pub(super) fn one_line(what: &str) -> String {
    let joined = what.lines().map(str::trim).collect::<Vec<_>>().join("; ");
    escape(joined.as_bytes(), MAX_WHAT)
}

/// How much of a line is shown.
const MAX_SHOWN: usize = 80;
const MAX_WHAT: usize = 400;
