//! What a message says: the JSON that a program reads and a webhook gets.

use heartline_core::Cause;
use heartline_watch::Told;
use heartline_watch::config::{State, Subject};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// See the module. What does not apply is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) hook: String,
    pub(crate) key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
    pub(crate) from: String,
    pub(crate) to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<Cause>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sentence: Option<String>,
    pub(crate) t: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "is_not")]
    pub(crate) flapping: bool,
    /// How often it changed since it was told of as flapping: where this is, it has settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) changes: Option<u32>,
    /// The whole event; nobody here reads it again.
    #[serde(default, skip_deserializing)]
    pub(crate) event: Value,
}

/// What rules and letters want to know of an event.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) of: Subject,
    pub(crate) node: Option<&'a str>,
    pub(crate) line: Option<&'a str>,
    pub(crate) from: &'static str,
    pub(crate) to: State,
    pub(crate) cause: Option<Cause>,
    pub(crate) token: Option<u64>,
    pub(crate) after_ms: Option<u64>,
    pub(crate) t: Timestamp,
}

impl<'a> Facts<'a> {
    /// None of what is no transition.
    pub(crate) fn of(told: &'a Told) -> Option<Self> {
        match told {
            Told::Node(node) => Some(Self {
                of: Subject::Node,
                node: Some(&node.node),
                line: None,
                from: node.from,
                to: state(node.to)?,
                cause: node.cause,
                token: Some(node.token),
                after_ms: node.after_ms,
                t: node.t,
            }),
            Told::Line(line) => Some(Self {
                of: Subject::Line,
                node: Some(&line.node),
                line: Some(&line.line),
                from: line.from,
                // One that dials is what it was.
                to: state(line.to)?,
                cause: line.cause,
                token: None,
                after_ms: line.after_ms,
                t: line.t,
            }),
            Told::Watcher(watcher) if watcher.cause == Cause::WatcherIsolated => {
                let (from, to) = if watcher.over {
                    (State::Down, State::Up)
                } else {
                    (State::Up, State::Down)
                };
                Some(Self {
                    of: Subject::Watcher,
                    node: None,
                    line: None,
                    from: from.word(),
                    to,
                    cause: Some(watcher.cause).filter(|_| !watcher.over),
                    token: None,
                    after_ms: watcher.lost_ms,
                    t: watcher.t,
                })
            }
            _ => None,
        }
    }

    /// As journal and lanes name it: `NODE`, `NODE/LINE`, or [`WATCHER`], which is no node's. A slash in a node's name is `%2F`.
    pub(crate) fn subject(&self) -> String {
        let Some(node) = self.node else {
            return WATCHER.to_owned();
        };
        let node = node.replace('%', "%25").replace('/', "%2F");
        match self.line {
            Some(line) => format!("{node}/{line}"),
            None => node,
        }
    }
}

impl Letter {
    /// Without what makes it one of a settled or flapping subject.
    pub(crate) fn new(
        hook: &str,
        key: &str,
        facts: &Facts<'_>,
        tags: &[String],
        told: &Told,
    ) -> Self {
        Self {
            hook: hook.to_owned(),
            key: key.to_owned(),
            token: facts.token,
            node: facts.node.map(str::to_owned),
            line: facts.line.map(str::to_owned),
            tags: tags.to_vec(),
            from: facts.from.to_owned(),
            to: facts.to.word().to_owned(),
            cause: facts.cause,
            sentence: facts.cause.map(|cause| cause.sentence().to_owned()),
            t: format!("{:.3}", facts.t),
            after_ms: facts.after_ms,
            flapping: false,
            changes: None,
            // These types have nothing that cannot be written.
            event: serde_json::to_value(told).unwrap_or_default(),
        }
    }

    /// As it goes out.
    pub(crate) fn body(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The state of that name.
pub(crate) fn state(word: &str) -> Option<State> {
    STATES.into_iter().find(|state| state.word() == word)
}

/// The node of a subject: what is before the slash.
pub(crate) fn lane(subject: &str) -> &str {
    subject.split_once('/').map_or(subject, |(node, _)| node)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes by reference"
)]
fn is_not(flag: &bool) -> bool {
    !flag
}

/// The subject that is the watcher itself.
const WATCHER: &str = "/watcher";
const STATES: [State; 6] = [
    State::Up,
    State::Degraded,
    State::Suspect,
    State::Down,
    State::Unknown,
    State::Paused,
];
