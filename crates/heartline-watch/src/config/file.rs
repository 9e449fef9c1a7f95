//! What stands in the file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use heartline_core::{Detection, Patience};
use heartline_ssh::settings::{LineOverride, LineOverrideError};
use schemars::JsonSchema;
use serde::Deserialize;

use super::duration;
use super::error::{ConfigError, Place};
use super::outlets::{HeartbeatEntry, HookEntry, JournalEntry, PageEntry};
use super::schema::Time;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// What every node has unless it says otherwise.
    #[serde(default)]
    pub defaults: TimingEntry,
    /// What answers near this watcher whenever its own side is well: ADDRESS or ADDRESS:PORT, 16 at most.
    #[serde(default, rename = "reference")]
    pub references: Vec<String>,
    /// What is remembered, and for how long.
    #[serde(default)]
    pub journal: JournalEntry,
    /// Where the page is.
    #[serde(default)]
    pub page: PageEntry,
    /// How it is known elsewhere that this watcher lives.
    #[serde(default)]
    pub heartbeat: HeartbeatEntry,
    /// What is run, called or written to when something changes.
    #[serde(default, rename = "hook")]
    pub hooks: Vec<HookEntry>,
    /// The nodes.
    #[serde(default, rename = "node")]
    pub nodes: Vec<NodeEntry>,
}

/// Timing; what is left out comes from the defaults, then from ssh_config, then from heartline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimingEntry {
    /// Time between beats.
    #[serde(default, deserialize_with = "duration::deserialize")]
    #[schemars(with = "Option<Time>")]
    pub interval: Option<Duration>,
    /// Beats that may go unanswered.
    pub count: Option<u32>,
    /// Good beats before a line that was down is up.
    pub rise: Option<u32>,
    /// The most that each stage of a dial may take.
    #[serde(default, deserialize_with = "duration::deserialize")]
    #[schemars(with = "Option<Time>")]
    pub connect_timeout: Option<Duration>,
    /// How long a far end may outlive its last beat: whole seconds, two intervals and 2 s at least; 0: no fuse. Three bounds where
    /// nobody says, 30 s at least.
    #[serde(default, deserialize_with = "duration::deserialize")]
    #[schemars(with = "Option<Time>")]
    pub fuse: Option<Duration>,
    /// When a silence is called down: `adaptive`, as soon as TCP would have repaired a loss, or `openssh`, at the bound.
    pub detector: Option<Detection>,
    /// How long an answer is waited for once a beat is due, in place of a count; of `keep` alone.
    #[serde(skip)]
    pub patience: Option<Patience>,
    /// Whether a network that is down is tried every half second; of `keep` alone.
    #[serde(skip)]
    pub eager: bool,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeEntry {
    /// Its name; also where to go, unless `host` says otherwise.
    pub name: String,
    /// `[user@]host[:port]`, or a `Host` of ssh_config.
    pub host: Option<String>,
    /// Its lines; one to `host` where there are none.
    #[serde(default, rename = "line")]
    pub lines: Vec<LineEntry>,
    /// Watched, but paused by the operator.
    #[serde(default)]
    pub paused: bool,
    /// Words to choose it by, in hooks and on the page.
    #[serde(default, rename = "tag")]
    pub tags: Vec<String>,
    /// As ssh's `-l`.
    pub user: Option<String>,
    /// As ssh's `-p`.
    pub port: Option<u16>,
    /// As ssh's `-i`.
    pub identity_file: Option<PathBuf>,
    /// Time between beats.
    #[serde(default, deserialize_with = "duration::deserialize")]
    #[schemars(with = "Option<Time>")]
    pub interval: Option<Duration>,
    /// Beats that may go unanswered.
    pub count: Option<u32>,
    /// Good beats before a line that was down is up.
    pub rise: Option<u32>,
    /// The most that each stage of a dial may take.
    #[serde(default, deserialize_with = "duration::deserialize")]
    #[schemars(with = "Option<Time>")]
    pub connect_timeout: Option<Duration>,
    /// How long a far end may outlive its last beat: whole seconds, two intervals and 2 s at least; 0: no fuse. Three bounds where
    /// nobody says, 30 s at least.
    #[serde(default, deserialize_with = "duration::deserialize")]
    #[schemars(with = "Option<Time>")]
    pub fuse: Option<Duration>,
    /// When a silence is called down: `adaptive`, as soon as TCP would have repaired a loss, or `openssh`, at the bound.
    pub detector: Option<Detection>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LineEntry {
    /// Address or name to dial.
    pub host: String,
    /// Interface to leave by.
    pub dev: Option<String>,
    /// Source address.
    pub src: Option<String>,
    /// Jump host.
    pub jump: Option<String>,
    /// TCP port.
    pub port: Option<u16>,
    /// What people call it.
    pub name: Option<String>,
}

impl ConfigFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&Self::text(path)?, path)
    }

    /// Reads a text; `path` is for errors only.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Syntax {
            place: Place::of(path, text, error.span()),
            what: error.message().to_owned(),
        })
    }
}

impl NodeEntry {
    /// Its own timing.
    pub fn timing(&self) -> TimingEntry {
        TimingEntry {
            interval: self.interval,
            count: self.count,
            rise: self.rise,
            connect_timeout: self.connect_timeout,
            fuse: self.fuse,
            detector: self.detector,
            patience: None,
            eager: false,
        }
    }
}

impl TimingEntry {
    /// These, and for what they leave out the others.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            interval: self.interval.or(others.interval),
            count: self.count.or(others.count),
            rise: self.rise.or(others.rise),
            connect_timeout: self.connect_timeout.or(others.connect_timeout),
            fuse: self.fuse.or(others.fuse),
            detector: self.detector.or(others.detector),
            patience: self.patience.or(others.patience),
            eager: self.eager || others.eager,
        }
    }
}

impl LineEntry {
    /// As what it says of its node. A jump host may be several here, comma-separated, which `--line` has no room for.
    pub fn to_line(&self) -> Result<LineOverride, LineOverrideError> {
        let alone = Self {
            jump: None,
            ..self.clone()
        };
        let mut line: LineOverride = alone.to_flag().parse()?;
        line.jump = self.jump.as_deref().map(str::parse).transpose()?;
        Ok(line)
    }

    /// As `--line` takes it: `ADDR[,dev=IF][,src=IP][,jump=HOST][,port=N][,name=X]`.
    pub fn to_flag(&self) -> String {
        let mut text = self.host.clone();
        let parts = [
            ("dev", self.dev.clone()),
            ("src", self.src.clone()),
            ("jump", self.jump.clone()),
            ("port", self.port.map(|port| port.to_string())),
            ("name", self.name.clone()),
        ];
        for (key, value) in parts {
            if let Some(value) = value {
                text.extend([",", key, "=", value.as_str()]);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, ConfigError> {
        ConfigFile::parse(text, Path::new("heartline.toml"))
    }

    #[test]
    fn reads_the_example_of_the_contract() {
        let file = parse(
            r#"
            [defaults]
            interval = "5s"
            count = 1
            [[node]]
            name = "db1"
            line = [ { host = "10.0.1.5", dev = "eth0" }, { host = "10.0.2.5", dev = "eth1" },
                     { host = "db1.example.org", jump = "bastion" } ]
            "#,
        )
        .unwrap();
        assert_eq!(file.defaults.interval, Some(Duration::from_secs(5)));
        let lines: Vec<_> = file.nodes[0].lines.iter().map(LineEntry::to_flag).collect();
        assert_eq!(
            lines,
            [
                "10.0.1.5,dev=eth0",
                "10.0.2.5,dev=eth1",
                "db1.example.org,jump=bastion"
            ]
        );
    }

    #[test]
    fn a_mistake_is_shown_with_its_place_its_text_and_what_would_be_right() {
        for (text, want) in [
            (
                "[defaults]\nintervall = \"5s\"\n",
                "heartline.toml:2:1: unknown field `intervall`, expected one of `interval`, `count`, `rise`, `connect_timeout`, `fuse`, `detector`, in `intervall = \"5s\"`",
            ),
            (
                "[defaults]\ninterval = \"5 parsecs\"\n",
                "heartline.toml:2:12: \"5 parsecs\" is no time; give one like 5s, 250ms or 1m30s (a bare number is seconds), in `interval = \"5 parsecs\"`",
            ),
            ("[[node]\nname = 1", "heartline.toml:1:8: "),
            (
                "[[node]]\nname = 1",
                "heartline.toml:2:8: invalid type: integer `1`, expected a string, in `name = 1`",
            ),
            ("[[node]]\nname = \"a\x1b[2J\"", "heartline.toml:2:"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(want), "{error}");
            assert!(!error.contains(['\n', '\x1b']), "{error:?}");
        }
    }
}
