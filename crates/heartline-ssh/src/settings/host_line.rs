//! A `Host` line of ssh_config, as it stands there.

use std::path::{Path, PathBuf};

/// The names and the patterns of one `Host` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLine {
    /// What stands for one host each, in order.
    pub names: Vec<String>,
    /// What stands for any number of hosts (`*`, `?`), or takes some out (`!`).
    pub patterns: Vec<String>,
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: usize,
}

impl HostLine {
    pub(super) fn of(words: Vec<String>, file: &Path, line: usize) -> Self {
        let is_pattern = |word: &String| word.starts_with('!') || word.contains(['*', '?']);
        let (patterns, names) = words.into_iter().partition(is_pattern);
        Self {
            names,
            patterns,
            file: file.to_owned(),
            line,
        }
    }
}
