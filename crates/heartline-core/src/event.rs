//! What leaves the engine: typed, serialisable, and nothing else does.
//!
//! The journal, hooks, the page, metrics and the command line all read these. Wall time is put on at the very edge.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::cause::Cause;
use crate::detect::Kernel;
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
    /// How often it went down lately ([`Flaps::WINDOW`](crate::flap::Flaps::WINDOW)), this time too.
    pub flaps: u32,
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
    /// Our own side: interface, address, route. None where the system does not tell, or no session ever stood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkEvidence>,
    /// The SSH layer.
    pub ssh: SshEvidence,
    /// The TCP layer; spoofable, so it explains a silence and never proves life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpEvidence>,
    /// The guard, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<ShellEvidence>,
}

impl Evidence {
    /// What a person should know of it beside the cause: bytes of the peer in it are escaped.
    pub fn detail(&self, cause: Cause) -> Option<String> {
        if let Some(detail) = &self.ssh.detail {
            return Some(detail.clone());
        }
        let interface = self
            .link
            .as_ref()
            .and_then(|link| link.interface.as_deref());
        let ours = interface.unwrap_or("our interface");
        match (cause, &self.link, self.tcp) {
            (Cause::LinkDown, Some(link), _) if !link.carrier => {
                Some(format!("{ours} has no carrier"))
            }
            (Cause::LinkDown, Some(link), _) if !link.address => {
                Some(format!("the line's source address is gone from {ours}"))
            }
            (Cause::Silent, Some(link), Some(_)) if link.fault().is_none() => {
                Some(format!("{ours} is well, what we sent is not acknowledged"))
            }
            (Cause::SshdHung, _, Some(tcp)) => Some(format!(
                "its kernel acknowledged {} ms ago",
                tcp.last_ack_ms
            )),
            (Cause::ShellHung, _, _) => self.shell.map(|shell| {
                format!(
                    "it last answered {:.1} s ago",
                    Duration::from_millis(shell.age_ms).as_secs_f64()
                )
            }),
            _ => None,
        }
    }
}

/// What our own side has for the line, by the kernel's events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkEvidence {
    /// The interface that the line leaves by, or last left by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<Arc<str>>,
    /// That is there, and up, and has a carrier.
    pub carrier: bool,
    /// The line's source address is still ours.
    pub address: bool,
    /// There is a route to the peer.
    pub route: bool,
}

impl LinkEvidence {
    /// What is wrong with our side, if anything is.
    pub const fn fault(&self) -> Option<Cause> {
        if !self.carrier || !self.address {
            Some(Cause::LinkDown)
        } else if !self.route {
            Some(Cause::NoRoute)
        } else {
            None
        }
    }
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
    /// Milliseconds since we last sent data.
    pub last_sent_ms: u32,
    /// Smoothed round trip in microseconds.
    pub rtt_us: u32,
    /// How far round trips stray from it, on average, in microseconds.
    pub rtt_var_us: u32,
    /// Whether a loss is being repaired.
    pub recovers: bool,
}

impl TcpEvidence {
    /// Whether the peer's kernel has acknowledged all that we sent.
    pub const fn all_acked(&self) -> bool {
        self.unacked == 0 && self.unsent == 0 && self.retransmits == 0
    }

    /// The part of it that tells how long a silence may last.
    pub fn kernel(&self) -> Kernel {
        Kernel {
            round_trip: Duration::from_micros(self.rtt_us.into()),
            variation: Duration::from_micros(self.rtt_var_us.into()),
            last_ack: Duration::from_millis(self.last_ack_ms.into()),
            all_acked: self.all_acked(),
            recovers: self.recovers,
        }
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
