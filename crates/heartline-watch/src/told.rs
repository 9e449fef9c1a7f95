//! What a reader is told, in the form it is told in: the fields of CLI.md, wall time put on at this edge.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use heartline_core::fate::Tie;
use heartline_core::{Cause, Evidence, LineEvent, LineState, Moment, NodeEvent, NodeState};
use heartline_ssh::Unguarded;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, Serializer};

/// One thing told; serialises to one line of `watch --json`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Told {
    /// A line changed.
    Line(LineTold),
    /// A node's verdict changed.
    Node(NodeTold),
    /// A line's far end has no fuse.
    Fuse(FuseTold),
    /// Something about the watcher itself.
    Watcher(WatcherTold),
    /// Lines of several nodes fell together, or what they share stands again.
    Shared(SharedTold),
    /// Something that evidence comes from is not there.
    Layer(LayerTold),
}

impl Told {
    /// When it was, by the wall clock.
    pub fn t(&self) -> Timestamp {
        match self {
            Self::Line(told) => told.t,
            Self::Node(told) => told.t,
            Self::Fuse(told) => told.t,
            Self::Watcher(told) => told.t,
            Self::Shared(told) => told.t,
            Self::Layer(told) => told.t,
        }
    }

    /// What kind of event it is: `event` in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Line(_) => "line",
            Self::Node(_) => "node",
            Self::Fuse(_) => "fuse",
            Self::Watcher(_) => "watcher",
            Self::Shared(_) => "shared",
            Self::Layer(_) => "layer",
        }
    }

    /// The node that it is about, if it is about one.
    pub fn node(&self) -> Option<&Arc<str>> {
        match self {
            Self::Line(told) => Some(&told.node),
            Self::Node(told) => Some(&told.node),
            Self::Fuse(told) => Some(&told.node),
            Self::Watcher(_) | Self::Shared(_) | Self::Layer(_) => None,
        }
    }

    /// The line that it is about, if it is about one.
    pub fn line(&self) -> Option<&Arc<str>> {
        match self {
            Self::Line(told) => Some(&told.line),
            Self::Fuse(told) => Some(&told.line),
            _ => None,
        }
    }

    /// The state that it is in now, in one word.
    pub fn to(&self) -> Option<&'static str> {
        match self {
            Self::Line(told) => Some(told.to),
            Self::Node(told) => Some(told.to),
            Self::Shared(told) => Some(told.to),
            _ => None,
        }
    }

    /// Why it is so.
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::Line(told) => told.cause,
            Self::Node(told) => told.cause,
            Self::Watcher(told) => Some(told.cause),
            Self::Shared(told) => told.cause,
            Self::Fuse(_) | Self::Layer(_) => None,
        }
    }
}

/// A line's far end has no fuse, though it was to have one: told once a line, and again when it was asked to try again. The
/// line beats on.
#[derive(Clone, Debug, Serialize)]
pub struct FuseTold {
    /// When, by the wall clock.
    #[serde(serialize_with = "milliseconds")]
    pub t: Timestamp,
    /// The node.
    pub node: Arc<str>,
    /// The line.
    pub line: Arc<str>,
    /// Whether a guard holds it; false.
    pub holds: bool,
    /// Why not, in one word.
    pub why: &'static str,
    /// The same for a person; escaped.
    pub detail: String,
}

/// A line changed.
#[derive(Clone, Debug, Serialize)]
pub struct LineTold {
    /// When, by the wall clock.
    #[serde(serialize_with = "milliseconds")]
    pub t: Timestamp,
    /// The node.
    pub node: Arc<str>,
    /// The line.
    pub line: Arc<str>,
    /// Its state before.
    pub from: &'static str,
    /// Its state now.
    pub to: &'static str,
    /// Why it is not up.
    pub cause: Option<Cause>,
    /// The layer that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<&'static str>,
    /// From the last sign of life to this event.
    pub after_ms: Option<u64>,
    /// What each layer knew.
    pub evidence: Evidence,
    /// How often it went down in the last ten minutes, this time too.
    #[serde(skip_serializing_if = "is_zero")]
    pub flaps: u32,
    /// Whether it is its node's only line, so that the node's own event says the same.
    #[serde(skip)]
    pub is_only: bool,
}

/// A node's verdict changed.
#[derive(Clone, Debug, Serialize)]
pub struct NodeTold {
    /// When, by the wall clock.
    #[serde(serialize_with = "milliseconds")]
    pub t: Timestamp,
    /// The node.
    pub node: Arc<str>,
    /// Its state before.
    pub from: &'static str,
    /// Its state now.
    pub to: &'static str,
    /// Why it is not up.
    pub cause: Option<Cause>,
    /// From the last sign of life to this event.
    pub after_ms: Option<u64>,
    /// Grows with each verdict, also over a restart: whoever acts on this can ask whether it is still the last.
    pub token: u64,
    /// Words to choose it by.
    #[serde(skip_serializing_if = "is_none")]
    pub tags: Arc<[String]>,
    /// Its lines.
    pub lines: Vec<LineBrief>,
}

/// Something about the watcher itself. No node is called down for it.
#[derive(Clone, Debug, Serialize)]
pub struct WatcherTold {
    /// When it was noticed, by the wall clock.
    #[serde(serialize_with = "milliseconds")]
    pub t: Timestamp,
    /// `watcher_stalled`: it did not run for a while. `watcher_isolated`: it is cut off.
    pub cause: Cause,
    /// Whether that is over. A stall is told of when it is.
    pub over: bool,
    /// How long it lasted, once it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_ms: Option<u64>,
}

/// Lines of several nodes fell within an interval of each other, and this is what they share; or it stands again.
#[derive(Clone, Debug, Serialize)]
pub struct SharedTold {
    /// When, by the wall clock.
    #[serde(serialize_with = "milliseconds")]
    pub t: Timestamp,
    /// What it is: `interface`, `jump`, `source` or `subnet`.
    pub by: &'static str,
    /// Which.
    pub name: String,
    /// `down`, or `up` once one of them is.
    pub to: &'static str,
    /// Why they are down, by the most telling of them.
    pub cause: Option<Cause>,
    /// How many lines share it.
    pub line_count: usize,
    /// Whose lines, by name.
    pub nodes: Vec<Arc<str>>,
}

/// Something that evidence comes from is not there; told once. The rest works.
#[derive(Clone, Debug, Serialize)]
pub struct LayerTold {
    /// When, by the wall clock.
    #[serde(serialize_with = "milliseconds")]
    pub t: Timestamp,
    /// Which layer: `link`.
    pub layer: &'static str,
    /// `unavailable`.
    pub state: &'static str,
    /// Why, for a person.
    pub detail: String,
}

/// What is known of a line, in one row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LineBrief {
    /// The line.
    pub line: Arc<str>,
    /// Its state.
    pub state: Cow<'static, str>,
    /// Why it is not up.
    pub cause: Option<Cause>,
    /// Round trip of its last answered beat.
    pub rtt_ms: Option<f64>,
    /// Since when it is in this state.
    #[serde(serialize_with = "milliseconds")]
    pub since: Timestamp,
    /// What went wrong, for a person; escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How often it went down in the ten minutes before it last changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flaps: u32,
}

/// Turns monotonic moments into wall time: by how long ago they were, so that a clock that was set back or forward
/// meanwhile does no harm to anything but print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wall {
    now: Moment,
    wall: Timestamp,
}

impl Wall {
    pub(crate) fn at(now: Moment) -> Self {
        Self {
            now,
            wall: Timestamp::now(),
        }
    }

    pub(crate) fn of(self, moment: Moment) -> Timestamp {
        let ago = self.now.saturating_since(moment);
        let ago = SignedDuration::try_from(ago).unwrap_or(SignedDuration::ZERO);
        self.wall.checked_sub(ago).unwrap_or(self.wall)
    }
}

impl LineTold {
    pub(crate) fn new(wall: Wall, node: &Arc<str>, line: &Arc<str>, event: &LineEvent) -> Self {
        Self {
            t: wall.of(event.at),
            node: Arc::clone(node),
            line: Arc::clone(line),
            from: event.from.word(),
            to: event.to.word(),
            cause: event.to.cause(),
            layer: event.to.cause().map(Cause::layer),
            after_ms: event.after.map(whole_ms),
            evidence: event.evidence.clone(),
            flaps: event.flaps,
            is_only: false,
        }
    }
}

impl WatcherTold {
    pub(crate) fn stalled(t: Timestamp, lost: Duration) -> Self {
        Self {
            t,
            cause: Cause::WatcherStalled,
            over: true,
            lost_ms: Some(whole_ms(lost)),
        }
    }

    pub(crate) fn isolated(t: Timestamp, lasted: Option<Duration>) -> Self {
        Self {
            t,
            cause: Cause::WatcherIsolated,
            over: lasted.is_some(),
            lost_ms: lasted.map(whole_ms),
        }
    }
}

impl SharedTold {
    /// How many lines fell, and of whom, for a person; each name as `shown`.
    pub fn extent(&self, shown: impl Fn(&str) -> String) -> String {
        let names: Vec<_> = self
            .nodes
            .iter()
            .take(FEW)
            .map(|name| shown(name))
            .collect();
        let more = match self.nodes.len() - names.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(
            "all {} lines by it fell together, of {}{more}",
            self.line_count,
            names.join(", ")
        )
    }

    pub(crate) fn fell(
        t: Timestamp,
        tie: &Tie,
        cause: Cause,
        line_count: usize,
        nodes: Vec<Arc<str>>,
    ) -> Self {
        Self {
            t,
            by: tie.word(),
            name: tie.to_string(),
            to: "down",
            cause: Some(cause),
            line_count,
            nodes,
        }
    }

    pub(crate) fn stands(t: Timestamp, tie: &Tie, line_count: usize) -> Self {
        Self {
            t,
            by: tie.word(),
            name: tie.to_string(),
            to: "up",
            cause: None,
            line_count,
            nodes: Vec::new(),
        }
    }
}

impl LayerTold {
    pub(crate) fn unavailable(t: Timestamp, layer: &'static str, detail: String) -> Self {
        Self {
            t,
            layer,
            state: "unavailable",
            detail,
        }
    }
}

impl FuseTold {
    pub(crate) fn unguarded(
        t: Timestamp,
        node: &Arc<str>,
        line: &Arc<str>,
        why: &Unguarded,
    ) -> Self {
        Self {
            t,
            node: Arc::clone(node),
            line: Arc::clone(line),
            holds: false,
            why: why.word(),
            detail: why.to_string(),
        }
    }
}

impl NodeTold {
    pub(crate) fn new(
        wall: Wall,
        node: &Arc<str>,
        event: &NodeEvent,
        lines: Vec<LineBrief>,
        token: u64,
    ) -> Self {
        Self {
            t: wall.of(event.at),
            node: Arc::clone(node),
            from: event.from.word(),
            to: event.to.word(),
            cause: event.to.cause(),
            after_ms: event.after.map(whole_ms),
            token,
            tags: Arc::default(),
            lines,
        }
    }

    pub(crate) fn tagged(self, tags: &Arc<[String]>) -> Self {
        let tags = Arc::clone(tags);
        Self { tags, ..self }
    }

    /// Whether the node is up, by any line.
    pub fn is_reachable(&self) -> bool {
        matches!(self.to, "up" | "degraded")
    }
}

impl LineBrief {
    pub(crate) fn new(
        wall: Wall,
        line: &Arc<str>,
        state: LineState,
        since: Moment,
        round_trip: Option<Duration>,
        evidence: &Evidence,
        flaps: u32,
    ) -> Self {
        let last = round_trip.map(|time| time.as_secs_f64() * 1_000.0);
        let is_up = state == LineState::Up;
        Self {
            line: Arc::clone(line),
            state: state.word().into(),
            cause: state.cause(),
            rtt_ms: last.or(evidence.ssh.rtt_ms).filter(|_| is_up),
            since: wall.of(since),
            detail: state.cause().and_then(|cause| evidence.detail(cause)),
            flaps,
        }
    }
}

/// What is known of a node: `check --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeBrief {
    /// The node.
    pub node: Arc<str>,
    /// The verdict: in JSON its word in `state`, why it is not up in `cause`.
    #[serde(flatten, with = "verdict")]
    pub state: NodeState,
    /// Since when it is in this state.
    #[serde(serialize_with = "milliseconds")]
    pub since: Timestamp,
    /// Of the event that said so; none before the first.
    #[serde(default)]
    pub token: u64,
    /// Words to choose it by.
    #[serde(default, skip_serializing_if = "is_none")]
    pub tags: Arc<[String]>,
    /// Its lines.
    pub lines: Vec<LineBrief>,
}

pub(crate) fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes by reference"
)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

fn is_none(tags: &Arc<[String]>) -> bool {
    tags.is_empty()
}

fn milliseconds<S: Serializer>(t: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{t:.3}"))
}

mod verdict {
    use std::borrow::Cow;

    use heartline_core::{Cause, NodeState};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Parts<'a> {
        state: Cow<'a, str>,
        cause: Option<Cause>,
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes by reference"
    )]
    pub(super) fn serialize<S: Serializer>(state: &NodeState, to: S) -> Result<S::Ok, S::Error> {
        let parts = Parts {
            state: state.word().into(),
            cause: state.cause(),
        };
        parts.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<NodeState, D::Error> {
        let parts = Parts::deserialize(from)?;
        NodeState::from_word(&parts.state, parts.cause)
            .ok_or_else(|| D::Error::custom("no such verdict"))
    }
}

/// Names that are told of many.
const FEW: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_comes_back_as_it_was() {
        let brief = NodeBrief {
            node: "db1".into(),
            state: NodeState::Down(Cause::Silent),
            since: "2026-11-20T23:31:00.123Z".parse().unwrap(),
            token: 7,
            tags: Arc::default(),
            lines: Vec::new(),
        };
        let text = serde_json::to_string(&brief).unwrap();
        assert_eq!(
            text,
            r#"{"node":"db1","state":"down","cause":"silent","since":"2026-11-20T23:31:00.123Z","token":7,"lines":[]}"#
        );
        let back: NodeBrief = serde_json::from_str(&text).unwrap();
        assert_eq!(back.state, brief.state);
    }

    #[test]
    fn serialises_with_the_field_names_of_the_contract() {
        let event = LineEvent {
            at: Moment::START,
            from: LineState::Suspect(Cause::Silent),
            to: LineState::Down(Cause::Silent),
            after: Some(Duration::from_micros(9_804_900)),
            evidence: Evidence::default(),
            flaps: 0,
        };
        let wall = Wall {
            now: Moment::START,
            wall: "2026-11-20T23:31:00.123456Z".parse().unwrap(),
        };
        let told = LineTold::new(wall, &"db1".into(), &"10.0.1.5%eth0".into(), &event);
        assert_eq!(
            serde_json::to_string(&Told::Line(told)).unwrap(),
            r#"{"event":"line","t":"2026-11-20T23:31:00.123Z","node":"db1","line":"10.0.1.5%eth0","from":"suspect","to":"down","cause":"silent","layer":"network","after_ms":9804,"evidence":{"ssh":{"unanswered":0}}}"#
        );
    }
}
