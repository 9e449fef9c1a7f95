//! A file on trial: every mistake that can be found in it, not the first alone.
//!
//! What cannot be read is noted and taken out of the tree, and the rest is read again, until it can be. What then is there goes
//! through [`check`](super::check).

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

use super::error::{ConfigError, Place, one_line};
use super::file::ConfigFile;
use super::tree::{self, Step};

/// Something wrong with the file, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What is wrong, and what would be right; in one line, fit for a terminal.
    pub what: String,
}

/// A file that is being checked.
pub struct Draft<'t> {
    path: PathBuf,
    text: &'t str,
    tree: Spanned<DeTable<'t>>,
    /// What could be read of it.
    pub file: ConfigFile,
    /// What is wrong, in the order of the file.
    pub mistakes: Vec<Mistake>,
    /// What works, and hardly as it was meant.
    pub warnings: Vec<Mistake>,
}

impl<'t> Draft<'t> {
    /// Reads a text; `path` is for places only.
    pub fn of(text: &'t str, path: &Path) -> Self {
        let (tree, errors) = DeTable::parse_recoverable(text);
        let mut draft = Self {
            path: path.to_owned(),
            text,
            tree,
            file: ConfigFile::default(),
            mistakes: Vec::new(),
            warnings: Vec::new(),
        };
        for error in errors.into_iter().take(MOST) {
            draft.note(error.span(), error.message());
        }
        // What a broken line was to say nobody knows; what is missing may stand in it.
        if draft.mistakes.is_empty() {
            draft.read();
        }
        draft.sort();
        draft
    }

    /// Where what these steps lead to stands.
    pub fn place(&self, steps: &[Step]) -> Place {
        let span = tree::span(&self.tree, steps);
        Place::of(&self.path, self.text, Some(span))
    }

    /// Notes something that is wrong there, once, while there is not too much of it.
    pub fn mistaken(&mut self, steps: &[Step], what: &str) {
        if self.mistakes.len() < MOST {
            let mistake = self.mistake(steps, what);
            push_new(&mut self.mistakes, mistake);
        }
    }

    /// Notes something that works, and hardly as it was meant.
    pub fn warn(&mut self, steps: &[Step], what: &str) {
        if self.warnings.len() < MOST {
            let mistake = self.mistake(steps, what);
            push_new(&mut self.warnings, mistake);
        }
    }

    /// Whether there was so much that no more was looked for.
    pub fn is_full(&self) -> bool {
        self.mistakes.len() >= MOST
    }

    /// By their places.
    pub fn sort(&mut self) {
        for all in [&mut self.mistakes, &mut self.warnings] {
            all.sort_by_key(|mistake| (mistake.place.line(), mistake.place.column()));
        }
    }

    fn mistake(&self, steps: &[Step], what: &str) -> Mistake {
        Mistake {
            place: self.place(steps),
            what: one_line(what),
        }
    }

    fn read(&mut self) {
        let mut taken = HashSet::new();
        for _ in 0..MOST {
            let error = match ConfigFile::deserialize(Deserializer::from(self.tree.clone())) {
                Ok(file) => {
                    self.file = file;
                    return;
                }
                Err(error) => error,
            };
            let span = error.span();
            // A field that was wrong and so was taken out is not missing.
            let follows = span.as_ref().is_some_and(|span| {
                taken.iter().any(|(key, parent)| {
                    parent == span && error.message() == format!("missing field `{key}`")
                })
            });
            if !follows {
                self.note(span.clone(), error.message());
            }
            let Some(out) = span.and_then(|span| tree::take(&mut self.tree, &span)) else {
                return;
            };
            taken.extend(out.key.map(|key| (key, out.parent)));
        }
    }

    fn note(&mut self, span: Option<Range<usize>>, what: &str) {
        self.mistakes.push(Mistake {
            place: Place::of(&self.path, self.text, span),
            what: one_line(what),
        });
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}, in `{}`",
            self.place,
            self.what,
            self.place.text()
        )
    }
}

fn push_new(all: &mut Vec<Mistake>, one: Mistake) {
    if !all.contains(&one) {
        all.push(one);
    }
}

impl ConfigFile {
    /// Reads a file's text.
    pub fn text(path: &Path) -> Result<String, ConfigError> {
        let failed = |source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let mut text = String::new();
        let file = fs::File::open(path).map_err(failed)?;
        file.take(MAX_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(failed)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(ConfigError::TooLarge {
                path: path.to_owned(),
                limit: MAX_BYTES,
            });
        }
        Ok(text)
    }
}

/// A hundred thousand nodes fit.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Mistakes that are looked for; who has so many begins with these.
const MOST: usize = 200;
