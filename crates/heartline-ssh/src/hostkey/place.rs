//! Where a line stands, and what was wrong with it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    path: Arc<Path>,
    line: usize,
}

impl Place {
    pub(super) fn new(path: Arc<Path>, line: usize) -> Self {
        Self { path, line }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line in it, from 1.
    pub fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// A line that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    place: Place,
    why: &'static str,
}

impl Note {
    pub(super) fn new(place: Place, why: &'static str) -> Self {
        Self { place, why }
    }

    /// Where.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Why, in a few words.
    pub fn why(&self) -> &'static str {
        self.why
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}
