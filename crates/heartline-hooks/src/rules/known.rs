//! What a hook knows of one subject; in the journal as JSON. Times are in milliseconds since 1970, as the journal has them.

use heartline_watch::config::State;
use serde::{Deserialize, Serialize, Serializer};

use crate::hook::Hook;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Known {
    /// What it was told last.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "word_or_none"
    )]
    pub(super) told: Option<State>,
    /// When it was told last that something got worse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fell: Option<i64>,
    /// Whether it has been told since that something got better.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) rose: bool,
    /// It was told that this flaps, and not yet that it has settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) flaps: Option<Flaps>,
    /// What it will be told, unless something comes between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pending: Option<Pending>,
}

/// Since it was told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Flaps {
    /// How often it has changed.
    pub(super) changes: u32,
    /// When it changed last.
    pub(super) last: i64,
    /// What it has been since.
    #[serde(serialize_with = "word")]
    pub(super) state: State,
}

/// A message that waits for its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) key: String,
    #[serde(serialize_with = "word")]
    pub(super) to: State,
    pub(super) kind: Kind,
    pub(super) due: i64,
}

/// What a message tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// It got worse.
    Fall,
    /// It got worse again, and silence follows.
    Flapping,
    /// It got better.
    Return,
    /// What had flapped has stayed as it is.
    Outcome,
}

impl Known {
    pub(super) fn parse(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// None, if that is nothing.
    pub(super) fn to_json(&self) -> Option<String> {
        if *self == Self::default() {
            return None;
        }
        serde_json::to_string(self).ok()
    }

    /// The hook is told this.
    pub(super) fn is_told(&mut self, hook: &Hook, to: State, kind: Kind, at: i64) {
        self.told = Some(to);
        let is_worse = match kind {
            Kind::Fall | Kind::Flapping => true,
            Kind::Return => false,
            Kind::Outcome => hook.is_fall(Some(to)),
        };
        if is_worse {
            self.fell = Some(at);
        }
        self.rose = !is_worse;
        match kind {
            Kind::Flapping => {
                self.flaps = Some(Flaps {
                    changes: 0,
                    last: at,
                    state: to,
                });
            }
            Kind::Outcome => self.flaps = None,
            Kind::Fall | Kind::Return => {}
        }
    }
}

/// Whether a subject that is this can no longer be said to be that. A doubt says nothing against anything, and that it cannot be told nothing against a fall.
pub(super) fn contradicts(is: State, that: State) -> bool {
    match that {
        _ if is == that => false,
        State::Down => matches!(is, State::Up | State::Degraded | State::Paused),
        State::Up | State::Degraded | State::Unknown | State::Paused => is != State::Suspect,
        State::Suspect => true,
    }
}

/// How bad it is.
pub(super) fn badness(state: State) -> u8 {
    match state {
        State::Up | State::Paused => 0,
        State::Degraded => 1,
        State::Suspect => 2,
        State::Unknown => 3,
        State::Down => 4,
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes by reference"
)]
fn word<S: Serializer>(state: &State, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(state.word())
}

#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes by reference"
)]
fn word_or_none<S: Serializer>(state: &Option<State>, to: S) -> Result<S::Ok, S::Error> {
    match state {
        Some(state) => word(state, to),
        None => to.serialize_none(),
    }
}
