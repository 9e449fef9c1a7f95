//! What leaves the engine: typed, serialisable, and nothing else does.
//!
//! The journal, hooks, the page, metrics and the command line all read these. Wall time is put on at the very edge.

use std::time::Duration;

use serde::Serialize;

use crate::line::{LineState, Stage};
use crate::node::NodeState;
use crate::time::Moment;

/// A line went from one state to another, or its cause changed.
#[derive(Clone, Debug, PartialEq)]
pub struct LineEvent {
    /// When it was noticed.
    pub at: Moment,
    /// Before.
    pub from: LineState,
    /// After.
    pub to: LineState,
    /// From the last sign of life to this event; `None` if there never was one.
    pub after: Option<Duration>,
    /// What each layer knew.
    pub evidence: Evidence,
}

/// A node's verdict changed.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeEvent {
    /// When it was noticed.
    pub at: Moment,
    /// Before.
    pub from: NodeState,
    /// After.
    pub to: NodeState,
    /// From the last sign of life on any of its lines to this event; `None` if there never was one.
    pub after: Option<Duration>,
}

/// Something about the watcher itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatcherEvent {
    /// It did not run for this long (stopped, suspended or starved); none of it counts against a node.
    Stalled {
        /// When it ran again.
        at: Moment,
        /// For how long it had not.
        lost: Duration,
    },
}

/// What each layer knows of a line.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evidence {
    /// The SSH layer.
    pub ssh: SshEvidence,
    /// The TCP layer; spoofable, so it explains a silence and never proves life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpEvidence>,
    /// The guard, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<ShellEvidence>,
}

/// The SSH layer's evidence.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SshEvidence {
    /// Beats sent since the last sign of life.
    pub unanswered: u32,
    /// Round trip of the last beat that was answered, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// The furthest a dial in progress, or the last one that failed, has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// What went wrong, for a person; bytes of the peer in it are escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The TCP layer's evidence (Linux: `TCP_INFO`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TcpEvidence {
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// Bytes that our own side could not send: no link, no route, or a peer that takes no more.
    pub unsent: u32,
    /// Bytes that the peer has acknowledged since the connection began.
    pub bytes_acked: u64,
    /// Bytes that the peer's kernel has room for.
    pub window: u32,
    /// Retransmissions of the segment at the head, in a row.
    pub retransmits: u8,
    /// How often the retransmission timer was doubled.
    pub backoff: u8,
    /// Milliseconds since the last acknowledgement arrived.
    pub last_ack_ms: u32,
    /// Smoothed round trip in microseconds.
    pub rtt_us: u32,
}

impl TcpEvidence {
    /// Whether the peer's kernel has acknowledged all that we sent.
    pub const fn all_acked(&self) -> bool {
        self.unacked == 0 && self.unsent == 0 && self.retransmits == 0
    }
}

/// The shell's evidence: the guard's last answer to a beat of its own. It tells whether the machine still runs programs, and
/// says nothing of the line: guards are asked seldom, and a machine under load lets them wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ShellEvidence {
    /// Its round trip, in milliseconds.
    pub rtt_ms: f64,
    /// Milliseconds since it arrived.
    pub age_ms: u64,
}
