//! What `ssh_config` and the command line say about one destination, resolved.
//!
//! [`Settings`] is the finished product: every token expanded, every list of algorithms spelled out, every path absolute.
//! Nothing below this module reads a configuration file again. An [`Invocation`] (a [`Destination`] and the flags given
//! with it) goes in, and the [`Resolver`] makes settings of it:
//!
//! * `ssh_g` asks the installed `ssh -G`, which is the truth where there is one;
//! * `shared` asks it once for all hosts that the files do not tell apart;
//! * `parser` reads the files itself where there is none;
//! * `found` takes what either found, lays a line's overrides over it ([`LineOverride`]) and expands it
//!   (`tokens`), so that both ways end alike.
//!
//! A line may dial another address than its node's, and then its host key stands in `known_hosts` under either name:
//! [`HostKeySettings::also`] says where to look next.
//!
//! Not here: names are not looked up, no key is read, nothing is dialled.

mod destination;
mod error;
mod forward;
mod found;
mod host_line;
mod invocation;
mod jump;
mod line_override;
mod local;
mod parser;
mod resolver;
mod shared;
mod ssh_g;
mod tokens;

#[cfg(test)]
mod tests;

pub use destination::{Destination, DestinationError};
pub use error::SettingsError;
pub use forward::{Aim, Flag, Listen, Side, Spec, SpecError};
pub use host_line::HostLine;
pub use invocation::Invocation;
pub use jump::Jump;
pub use line_override::{LineOverride, LineOverrideError};
pub use parser::{ParseError, ParseErrorKind};
pub use resolver::Resolver;
pub use tokens::TokenError;

use std::path::PathBuf;
use std::time::Duration;

/// Everything needed to reach and authenticate one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The destination's host as it was typed (ssh's `%n`), without user and port.
    pub typed: String,
    /// What to connect to: `HostName` with its tokens expanded, or the destination itself. A name or an address.
    pub host: String,
    /// TCP port, 1 to 65535; 22 where nothing says otherwise.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// `AddressFamily`.
    pub family: Family,
    /// `BindAddress` (`-b`): the source address of the connection.
    pub bind_address: Option<String>,
    /// `BindInterface` (`-B`): the interface the connection leaves by.
    pub bind_interface: Option<String>,
    /// `ConnectTimeout`; `None` where unset.
    pub connect_timeout: Option<Duration>,
    /// `ServerAliveInterval`; `None` where unset or 0 (and where only Debian's `BatchMode` default of 300 s speaks).
    pub server_alive_interval: Option<Duration>,
    /// `ServerAliveCountMax`; `None` where it has ssh's default (3).
    pub server_alive_count_max: Option<u32>,
    /// `TCPKeepAlive`.
    pub tcp_keep_alive: bool,
    /// How we show who we are.
    pub identity: IdentitySettings,
    /// How the peer shows who it is.
    pub host_key: HostKeySettings,
    /// What may be negotiated.
    pub algorithms: Algorithms,
    /// What lies between us and the destination.
    pub proxy: Proxy,
    /// What is to be forwarded.
    pub forwarding: Forwarding,
}

/// `LocalForward` and its kin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// `LocalForward`, `RemoteForward` and `DynamicForward`, in this order.
    pub forwards: Vec<Spec>,
    /// `ExitOnForwardFailure`.
    pub exit_on_failure: bool,
    /// `GatewayPorts`.
    pub gateway_ports: bool,
    /// `StreamLocalBindUnlink`.
    pub bind_unlink: bool,
    /// `StreamLocalBindMask`.
    pub bind_mask: u32,
}

impl Default for Forwarding {
    fn default() -> Self {
        Self {
            forwards: Vec::new(),
            exit_on_failure: false,
            gateway_ports: false,
            bind_unlink: false,
            bind_mask: 0o177,
        }
    }
}

/// `AddressFamily`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4 and IPv6, in the resolver's order.
    #[default]
    Any,
    /// IPv4 only (`-4`).
    V4,
    /// IPv6 only (`-6`).
    V6,
}

/// Keys, certificates and agent to authenticate with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentitySettings {
    /// `IdentityFile`, absolute, tokens expanded, in order.
    pub files: Vec<IdentityFile>,
    /// `CertificateFile`, absolute, tokens expanded, in order.
    pub certificates: Vec<PathBuf>,
    /// `IdentitiesOnly`: offer only the files above, also where an agent holds more.
    pub identities_only: bool,
    /// The agent's socket (`IdentityAgent`, else `SSH_AUTH_SOCK`); `None` for `IdentityAgent none` or no agent.
    pub agent: Option<PathBuf>,
    /// `BatchMode`: never ask for a passphrase.
    pub batch_mode: bool,
    /// `PubkeyAuthentication`.
    pub pubkey: bool,
    /// `PubkeyAcceptedAlgorithms`, spelled out; `None` where it has ssh's default.
    pub accepted_algorithms: Option<Vec<String>>,
}

/// One `IdentityFile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFile {
    /// Absolute path.
    pub path: PathBuf,
    /// Whether somebody named it (then a missing file is an error), or it is one of ssh's default names.
    pub explicit: bool,
}

/// How host keys are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKeySettings {
    /// The name to look up: `HostKeyAlias`, else the lower-cased host.
    pub name: String,
    /// The port that belongs to the name; `None` with a `HostKeyAlias` (then no `[name]:port` form is used).
    pub port: Option<u16>,
    /// Names to look up where `name` is in no file, in order, each with its port: the node's own name where a line dials
    /// another address. Empty with a `HostKeyAlias`. The first name that is found anywhere decides; a key that is
    /// written down (accept-new) goes under `name`.
    pub also: Vec<(String, Option<u16>)>,
    /// `UserKnownHostsFile`, absolute; empty for `none`. New keys (accept-new) go to the first.
    pub user_files: Vec<PathBuf>,
    /// `GlobalKnownHostsFile`, absolute.
    pub global_files: Vec<PathBuf>,
    /// `StrictHostKeyChecking`.
    pub strict: Strict,
    /// `HashKnownHosts`: hash names in lines we add.
    pub hash_new: bool,
    /// `HostKeyAlgorithms`, spelled out; `None` where it has ssh's default.
    pub algorithms: Option<Vec<String>>,
    /// `CASignatureAlgorithms`, spelled out; `None` where it has ssh's default.
    pub ca_algorithms: Option<Vec<String>>,
    /// `RevokedHostKeys`: a file of keys (one a line) or a KRL.
    pub revoked: Option<PathBuf>,
}

/// `StrictHostKeyChecking`. Host keys are always checked; this says what becomes of an unknown one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strict {
    /// `yes`, and `ask` (nobody is there to answer): an unknown key is refused.
    #[default]
    Yes,
    /// `accept-new`: an unknown key is written down and accepted, a changed one refused.
    AcceptNew,
    /// `no` and `off`: as `accept-new`, and a changed key is accepted with a warning.
    No,
}

/// Algorithm lists, in order of preference; `None` = the owner has not spoken, ours apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Algorithms {
    /// `KexAlgorithms`.
    pub kex: Option<Vec<String>>,
    /// `Ciphers`.
    pub ciphers: Option<Vec<String>>,
    /// `MACs`.
    pub macs: Option<Vec<String>>,
    /// `Compression`.
    pub compression: bool,
}

/// What lies between us and the destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxy {
    /// A plain TCP connection.
    #[default]
    None,
    /// `ProxyJump`: through these, nearest to us first; each `[user@]host[:port]` or `ssh://…` as ssh takes it.
    Jump(Vec<String>),
    /// `ProxyCommand`, tokens expanded, run by the user's shell as ssh does (`exec …`).
    Command(String),
}
