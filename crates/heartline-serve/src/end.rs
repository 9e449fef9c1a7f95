//! Why a connection ended: a closed list, one word each, for the log.

use std::fmt;
use std::io;

/// What ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer said goodbye or closed its side.
    ClosedByPeer,
    /// The peer sent RST.
    Reset,
    /// The peer's machine stopped acknowledging, or cannot be reached any more.
    PeerGone,
    /// The client gave no sign of life for the whole bound.
    Silent,
    /// The login was not done within its grace time.
    LoginTimeout,
    /// Every try to log in was refused.
    LoginRefused,
    /// What the peer sent is not SSH, or breaks its rules.
    Protocol,
    /// The endpoint was told to stop.
    Shutdown,
    /// A bug in here or in russh.
    Internal,
}

impl End {
    /// What a session's result means.
    pub(crate) fn of(result: &Result<(), russh::Error>) -> Self {
        match result {
            Ok(()) | Err(russh::Error::Disconnect | russh::Error::HUP) => Self::ClosedByPeer,
            Err(russh::Error::IO(error)) => Self::of_io(error),
            // russh's task is gone without a result: it panicked.
            Err(russh::Error::Join(_)) => Self::Internal,
            Err(_) => Self::Protocol,
        }
    }

    fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::WriteZero => Self::ClosedByPeer,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected => Self::Reset,
            _ => Self::PeerGone,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClosedByPeer => "closed_by_peer",
            Self::Reset => "reset",
            Self::PeerGone => "peer_gone",
            Self::Silent => "silent",
            Self::LoginTimeout => "login_timeout",
            Self::LoginRefused => "login_refused",
            Self::Protocol => "protocol",
            Self::Shutdown => "shutdown",
            Self::Internal => "internal",
        })
    }
}
