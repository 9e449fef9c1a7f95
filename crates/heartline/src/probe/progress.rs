//! What is told while it searches, on standard error.

use std::time::Duration;

use heartline_core::idle::{Death, Trial};

use super::silent::Told;
use super::text::{rounded, seconds};
use crate::words;

/// Tells, or does not.
pub(super) struct Progress {
    pub(super) name: String,
    pub(super) is_quiet: bool,
}

impl Progress {
    pub(super) fn round(&self, silences: &[Duration], left: Duration) {
        let times: Vec<_> = silences.iter().map(|time| seconds(*time)).collect();
        self.say(&format!(
            "silent for {}; about {} left",
            times.join(", "),
            rounded(left)
        ));
    }

    pub(super) fn told(&self, silence: Duration, told: &Told, left: Duration) {
        let (silent, what) = match told.trial {
            Trial::Survived { silent } if !told.unasked.is_empty() => {
                (silent, "answered; the server had spoken by itself")
            }
            Trial::Survived { .. } => (silence, "answered"),
            Trial::Died { silent, how } => (silent, fate(how)),
        };
        self.say(&format!(
            "after {}: {what}; about {} left",
            seconds(silent),
            rounded(left)
        ));
    }

    pub(super) fn revived(&self, silence: Duration) {
        self.say(&format!(
            "after {}: answered after all, the network was gone for a while",
            seconds(silence)
        ));
    }

    pub(super) fn left(&self, left: Duration) {
        self.say(&format!("about {} left", rounded(left)));
    }

    pub(super) fn fewer(&self, stand: usize, wanted: usize, why: &str) {
        self.say(&format!("{stand} of {wanted} connections stand: {why}"));
    }

    pub(super) fn beating(&self, interval: Duration) {
        self.say(&format!(
            "one more connection, with a beat every {}, to see whether that puts it off",
            seconds(interval)
        ));
    }

    fn say(&self, text: &str) {
        if !self.is_quiet {
            words::say(&format!("{}: {text}", self.name));
        }
    }
}

/// In words.
fn fate(how: Death) -> &'static str {
    match how {
        Death::Dropped => "no answer",
        Death::Reset => "reset when it was asked",
        Death::ResetUnasked => "reset, unasked",
        Death::Closed => "closed by the server",
    }
}
