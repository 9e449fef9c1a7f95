//! On what grounds a host key was taken.

use std::path::PathBuf;

use super::error::KeyName;
use super::place::Place;

/// Why a host key is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// The key is known.
    Known {
        /// The line it stands on.
        place: Place,
    },
    /// A known authority vouches for it.
    Certified {
        /// The authority's line.
        authority: Place,
    },
    /// It was unknown and is written down now (`StrictHostKeyChecking accept-new` or `no`).
    Added {
        /// The key.
        shown: KeyName,
        /// The file it was added to.
        path: PathBuf,
    },
    /// It was unknown, is taken (`accept-new` or `no`), and could not be written down: the next dial will not know it.
    NotWritten {
        /// The key.
        shown: KeyName,
        /// What went wrong, with the file's path.
        why: String,
    },
    /// Another key is known, and this one is taken all the same (`StrictHostKeyChecking no`).
    Changed {
        /// The key.
        shown: KeyName,
        /// The line of the other key.
        place: Place,
    },
}

impl Trust {
    /// What the operator should look at, in one line.
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::Known { .. } | Self::Certified { .. } | Self::Added { .. } => None,
            Self::NotWritten { shown, why } => Some(format!(
                "the new host key {shown} was taken but not written down: {why}"
            )),
            Self::Changed { shown, place } => Some(format!(
                "the host key {shown} is not the one of {place}; taken since StrictHostKeyChecking is no"
            )),
        }
    }
}
