//! One way in which a connection ends.

use super::banner::Implementation;
use super::scene::{Scene, Side};
use super::span::Span;

/// When one end goes away, by what, and what is seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// What ends it.
    pub by: Mechanism,
    /// From the last data that was received (for ends by TCP: the last segment).
    pub after_last_data: Span,
    /// From the moment that something broke.
    pub after_fault: Span,
    /// Whether it surely comes; else it depends on the moment of the fault.
    pub(super) is_certain: bool,
}

impl Ending {
    pub(super) fn sure(by: Mechanism, after_last_data: Span, after_fault: Span) -> Self {
        Self {
            by,
            after_last_data,
            after_fault,
            is_certain: true,
        }
    }

    /// Both, whichever comes first: who ends it, and when.
    pub(super) fn first_of(endings: &[Self]) -> Option<Self> {
        let sure = endings.iter().filter(|ending| ending.is_certain);
        let mut first = sure
            .clone()
            .min_by_key(|ending| ending.after_fault.max())?
            .clone();
        for ending in sure {
            first.after_last_data = first.after_last_data.or_earlier(ending.after_last_data);
            first.after_fault = first.after_fault.or_earlier(ending.after_fault);
        }
        for ending in endings.iter().filter(|ending| !ending.is_certain) {
            let earlier =
                |span: Span, maybe: Span| Span::new(span.min().min(maybe.min()), span.max());
            first.after_last_data = earlier(first.after_last_data, ending.after_last_data);
            first.after_fault = earlier(first.after_fault, ending.after_fault);
        }
        Some(first)
    }
}

/// What ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mechanism {
    /// Probes of the SSH layer went unanswered.
    Alive,
    /// No data for as long as the program allows (dropbear `-I`).
    IdleTimeout,
    /// The kernel's keepalive probes went unanswered.
    TcpKeepAlive,
    /// The kernel gave up sending the same data again (`tcp_retries2`).
    TcpRetransmission,
    /// The kernel's `TCP_USER_TIMEOUT`.
    TcpUserTimeout,
    /// sshd's `ChannelTimeout`.
    ChannelTimeout,
    /// sshd's `UnusedConnectionTimeout`.
    UnusedConnectionTimeout,
    /// autossh's test through its monitoring port did not come back.
    AutosshMonitor,
    /// The other end, or something that speaks for it, said so.
    Peer,
}

impl Mechanism {
    /// The word in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::IdleTimeout => "idle_timeout",
            Self::TcpKeepAlive => "tcp_keepalive",
            Self::TcpRetransmission => "tcp_retransmission",
            Self::TcpUserTimeout => "tcp_user_timeout",
            Self::ChannelTimeout => "channel_timeout",
            Self::UnusedConnectionTimeout => "unused_connection_timeout",
            Self::AutosshMonitor => "autossh_monitor",
            Self::Peer => "peer",
        }
    }

    /// Whether the kernel does it, on evidence that anybody on the way can forge.
    pub const fn is_tcp(self) -> bool {
        matches!(
            self,
            Self::TcpKeepAlive | Self::TcpRetransmission | Self::TcpUserTimeout
        )
    }
}

/// What is seen of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code of the program, where it has one of its own.
    pub exit_code: Option<u8>,
    /// What it prints, logs or returns. `HOST`, `PORT` and the like stand for what differs.
    pub says: &'static str,
}

impl Outcome {
    /// What this program shows when it ends so; `None` where nobody looked.
    pub(super) fn of(scene: &Scene, by: Mechanism) -> Option<Self> {
        let shown = |exit_code, says| Some(Self { exit_code, says });
        match (scene.software.implementation, scene.side, by) {
            (Implementation::OpenSshClient, _, Mechanism::Alive) if scene.master.is_some() => {
                shown(Some(255), "")
            }
            (Implementation::OpenSshClient, _, Mechanism::Alive) => {
                shown(Some(255), "Timeout, server HOST not responding.")
            }
            (Implementation::OpenSshClient, _, Mechanism::Peer)
                if scene.fault == super::scene::Fault::Closed =>
            {
                shown(Some(255), "Connection to HOST closed by remote host.")
            }
            (Implementation::OpenSshClient, _, by) if by.is_tcp() || by == Mechanism::Peer => {
                shown(Some(255), "client_loop: send disconnect: Broken pipe")
            }
            (Implementation::Sshd(_), _, Mechanism::Alive) => shown(
                None,
                "Timeout, client not responding from user USER ADDRESS port PORT",
            ),
            (Implementation::Sshd(_), _, by) if by.is_tcp() => shown(
                None,
                "Read error from remote host ADDRESS port PORT: Connection timed out",
            ),
            (Implementation::Dropbear, Side::Client, Mechanism::Alive) => {
                shown(Some(1), "exited: Keepalive timeout")
            }
            (Implementation::Dropbear, Side::Client, Mechanism::IdleTimeout) => {
                shown(Some(0), "Idle timeout")
            }
            (Implementation::Putty, _, by) if by.is_tcp() => {
                shown(Some(1), "FATAL ERROR: Connection timed out")
            }
            (Implementation::Paramiko, _, by) if by.is_tcp() => {
                shown(None, "read() returns b'', and no exception is raised")
            }
            (Implementation::AsyncSsh, _, Mechanism::Alive) => shown(
                None,
                "process.wait() returns with exit_status None, and no exception is raised",
            ),
            (Implementation::Autossh, ..) => shown(None, "ssh is killed and another one started"),
            _ => None,
        }
    }
}
