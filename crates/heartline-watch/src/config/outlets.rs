//! What a watcher does beside watching: what it remembers, whom it tells, where it shows.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use heartline_core::Cause;
use schemars::JsonSchema;
use serde::Deserialize;

use super::duration;
use super::schema::Time;

/// The journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JournalEntry {
    /// Its file; `none`: no journal. Else `journal.db` in the state directory.
    pub path: Option<PathBuf>,
    /// How long events and the hours are kept; 400 days where nobody says. Minutes are kept for 2 days at most.
    #[serde(default, deserialize_with = "duration::deserialize")]
    #[schemars(with = "Option<Time>")]
    pub keep: Option<Duration>,
}

/// The page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageEntry {
    /// Where it listens: ADDRESS:PORT.
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
    /// A file with the token that lets one in; needed where others than this machine can reach it.
    pub token_file: Option<PathBuf>,
}

/// A sign of life of the watcher itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatEntry {
    /// Fetched while the watcher is well.
    pub url: Option<String>,
    /// Written anew while the watcher is well.
    pub file: Option<PathBuf>,
    /// How often: 60 s where nobody says, 5 s at least.
    #[serde(default, deserialize_with = "duration::deserialize")]
    #[schemars(with = "Option<Time>")]
    pub interval: Option<Duration>,
}

/// What a hook is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A node's verdicts.
    Node,
    /// A line's changes.
    Line,
    /// What befalls the watcher itself.
    Watcher,
}

/// A state that a hook may be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Every line is up.
    Up,
    /// Some line is up, some is not.
    Degraded,
    /// None is up, and one is only doubted.
    Suspect,
    /// Every line is down.
    Down,
    /// It cannot be told.
    Unknown,
    /// Paused by the operator.
    Paused,
}

impl State {
    /// Its word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Suspect => "suspect",
            Self::Down => "down",
            Self::Unknown => "unknown",
            Self::Paused => "paused",
        }
    }
}

/// Something that is done when something changes: one of `run`, `url` and `mail`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HookEntry {
    /// Its name: a-z, 0-9, `-`, `_`; 64 characters at most.
    pub name: String,
    /// Of what; of nodes, where nobody says.
    #[serde(default, rename = "of")]
    pub subjects: Vec<Subject>,
    /// Of which states; of `down`, and of what it was told to be down and is up again, where nobody says.
    #[serde(default, rename = "on")]
    pub states: Vec<State>,
    /// Of nodes with such a name (`*` and `?` stand for any); none: of all.
    #[serde(default, rename = "node")]
    pub nodes: Vec<String>,
    /// For these causes alone; none: for any.
    #[serde(default, rename = "cause")]
    pub causes: Vec<Cause>,
    /// Of nodes with one of these tags; none: of all.
    #[serde(default, rename = "tag")]
    pub tags: Vec<String>,
    /// Only if it is still so after this long.
    #[serde(default, deserialize_with = "duration::deserialize")]
    #[schemars(with = "Option<Time>")]
    pub after: Option<Duration>,
    /// What falls again within this time is told of once as flapping, and then only when it has been as it is for this long; 10 min where nobody
    /// says, 0: never.
    #[serde(default, deserialize_with = "duration::deserialize")]
    #[schemars(with = "Option<Time>")]
    pub settle: Option<Duration>,
    /// The longest that one attempt may take; 30 s where nobody says.
    #[serde(default, deserialize_with = "duration::deserialize")]
    #[schemars(with = "Option<Time>")]
    pub timeout: Option<Duration>,
    /// A program and its arguments, run without a shell.
    pub run: Option<Vec<String>>,
    /// Where the event is sent to by POST.
    pub url: Option<String>,
    /// A file with the key that what is sent there is signed with.
    pub secret_file: Option<PathBuf>,
    /// Who is written to.
    pub mail: Option<MailEntry>,
}

/// Whom to write to, by whom.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailEntry {
    /// The mail server: `smtp://host[:port]`, `smtps://host[:port]`, or `smtp://host?tls=required`.
    pub server: String,
    /// Who it comes from.
    pub from: String,
    /// Who it goes to.
    pub to: Vec<String>,
    /// Who logs in there.
    pub user: Option<String>,
    /// A file with their password.
    pub password_file: Option<PathBuf>,
}
