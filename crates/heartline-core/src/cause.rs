//! Why a line or a node is not up: a closed list, one word each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a line or a node is not up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// Not heard from yet since the watcher began.
    Starting,
    /// The interface on our side is down, gone, or has lost the source address.
    LinkDown,
    /// Our side has no route to the address.
    NoRoute,
    /// The name does not resolve.
    Dns,
    /// The host answered that nothing listens there.
    Refused,
    /// The host answered with a TCP reset.
    Reset,
    /// Nothing at all came back.
    Silent,
    /// TCP is open, and no SSH identification came.
    BannerTimeout,
    /// What came instead of an SSH identification was not one.
    NotSsh,
    /// Key exchange did not finish in time.
    KexTimeout,
    /// Key exchange failed: no common algorithm, a bad signature, a malformed packet.
    KexFailed,
    /// The host key is not the one we know.
    HostKeyChanged,
    /// We know no host key for this host.
    HostKeyUnknown,
    /// Authentication did not finish in time.
    AuthTimeout,
    /// The host does not let us in.
    AuthRefused,
    /// The host turns us away for a while (MaxStartups, PerSourcePenalties).
    Penalty,
    /// The host's kernel acknowledges, its sshd says nothing.
    SshdHung,
    /// sshd answers, the shell does not.
    ShellHung,
    /// A jump host on the way is down.
    JumpDown,
    /// The peer ended the session.
    ClosedByPeer,
    /// The peer broke the protocol after the session stood.
    Protocol,
    /// The watcher itself is cut off.
    WatcherIsolated,
    /// The watcher itself was not running.
    WatcherStalled,
    /// What was configured cannot work.
    Config,
}

/// What a cause says of the machine at the far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// The host's kernel was heard, its SSH is not well.
    HostLives,
    /// Nothing was heard, though our side could ask.
    Nothing,
    /// We could not ask, or were not let in: it says nothing of the host.
    CannotTell,
}

impl Cause {
    /// The word that stands in every event, metric and exit message.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::LinkDown => "link_down",
            Self::NoRoute => "no_route",
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Silent => "silent",
            Self::BannerTimeout => "banner_timeout",
            Self::NotSsh => "not_ssh",
            Self::KexTimeout => "kex_timeout",
            Self::KexFailed => "kex_failed",
            Self::HostKeyChanged => "host_key_changed",
            Self::HostKeyUnknown => "host_key_unknown",
            Self::AuthTimeout => "auth_timeout",
            Self::AuthRefused => "auth_refused",
            Self::Penalty => "penalty",
            Self::SshdHung => "sshd_hung",
            Self::ShellHung => "shell_hung",
            Self::JumpDown => "jump_down",
            Self::ClosedByPeer => "closed_by_peer",
            Self::Protocol => "protocol",
            Self::WatcherIsolated => "watcher_isolated",
            Self::WatcherStalled => "watcher_stalled",
            Self::Config => "config",
        }
    }

    /// One sentence for a tired person.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Starting => "not heard from yet",
            Self::LinkDown => {
                "no link on our side: a cable, a port, an interface or an address is gone"
            }
            Self::NoRoute => "our side has no route there",
            Self::Dns => "the name does not resolve",
            Self::Refused => "the host is alive, nothing listens on the port",
            Self::Reset => "the host is alive, it reset the connection",
            Self::Silent => "nothing comes back: host down, or the line is cut",
            Self::BannerTimeout => "TCP opens, SSH never says hello",
            Self::NotSsh => "what answers there is not SSH",
            Self::KexTimeout => "key exchange did not finish in time",
            Self::KexFailed => "key exchange failed",
            Self::HostKeyChanged => "the host key has changed; check who answers there",
            Self::HostKeyUnknown => "the host key is not in known_hosts",
            Self::AuthTimeout => "login did not finish in time",
            Self::AuthRefused => "login refused",
            Self::Penalty => "the host turns us away for a while",
            Self::SshdHung => "the host is alive, its sshd answers nothing",
            Self::ShellHung => "sshd answers, the shell there does not",
            Self::JumpDown => "the jump host on the way is down",
            Self::ClosedByPeer => "the host ended the session",
            Self::Protocol => "the peer broke the SSH protocol",
            Self::WatcherIsolated => "this watcher is cut off",
            Self::WatcherStalled => "this watcher was not running",
            Self::Config => "the configuration cannot work",
        }
    }

    /// Which layer failed: `link` (our interface, cable, address), `network` (what lies between), `tcp`, `ssh`, `shell`, `name`, `login`,
    /// `jump`, `watcher` or `config`.
    pub const fn layer(self) -> &'static str {
        match self {
            Self::LinkDown | Self::NoRoute => "link",
            Self::Silent => "network",
            Self::Refused | Self::Reset => "tcp",
            Self::BannerTimeout
            | Self::NotSsh
            | Self::KexTimeout
            | Self::KexFailed
            | Self::SshdHung
            | Self::ClosedByPeer
            | Self::Protocol
            | Self::Penalty => "ssh",
            Self::ShellHung => "shell",
            Self::Dns => "name",
            Self::HostKeyChanged | Self::HostKeyUnknown | Self::AuthTimeout | Self::AuthRefused => {
                "login"
            }
            Self::JumpDown => "jump",
            Self::Starting | Self::WatcherIsolated | Self::WatcherStalled => "watcher",
            Self::Config => "config",
        }
    }

    /// What it says of the host.
    pub const fn says(self) -> Says {
        match self {
            Self::Refused
            | Self::Reset
            | Self::BannerTimeout
            | Self::NotSsh
            | Self::KexTimeout
            | Self::KexFailed
            | Self::AuthTimeout
            | Self::SshdHung
            | Self::ShellHung
            | Self::ClosedByPeer
            | Self::Protocol => Says::HostLives,
            Self::Silent => Says::Nothing,
            Self::Starting
            | Self::LinkDown
            | Self::NoRoute
            | Self::Dns
            | Self::HostKeyChanged
            | Self::HostKeyUnknown
            | Self::AuthRefused
            | Self::Penalty
            | Self::JumpDown
            | Self::WatcherIsolated
            | Self::WatcherStalled
            | Self::Config => Says::CannotTell,
        }
    }

    /// Whether dialing again is senseless, or an attack in the peer's eyes, until somebody has mended something.
    pub const fn stops_dialing(self) -> bool {
        matches!(
            self,
            Self::HostKeyChanged | Self::HostKeyUnknown | Self::AuthRefused | Self::Config
        )
    }

    /// Whether a dial that failed so was seen by the peer's sshd, which may count it against us.
    pub const fn seen_by_sshd(self) -> bool {
        !matches!(
            self,
            Self::Silent
                | Self::Refused
                | Self::LinkDown
                | Self::NoRoute
                | Self::Dns
                | Self::JumpDown
        )
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
