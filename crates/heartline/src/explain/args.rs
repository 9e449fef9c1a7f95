//! The flags of `explain`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use heartline_core::explain::{Fault, KernelKeepAlive, Pair, Side};
use heartline_watch::config::parse_duration;

use super::parsers::{keep_alive, pair};

/// Says what keepalive settings really do: when each end of a connection goes away, what they keep open, what they kill.
///
/// For bare numbers, or for a node by its effective ssh_config. Nothing is dialed unless --connect asks for it.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct ExplainArgs {
    /// [user@]host[:port], ssh://…, a Host of ssh_config, or a node of heartline.toml; none: bare numbers
    #[arg(value_name = "NODE")]
    pub(super) node: Option<String>,
    /// ServerAliveInterval, or ClientAliveInterval with --side server, as ssh reads it: 15, 1m30s
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) interval: Option<String>,
    /// ServerAliveCountMax or ClientAliveCountMax, as ssh reads it [default: 3]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(super) count: Option<String>,
    /// Which end is explained
    #[arg(long, value_name = "SIDE", default_value = "client")]
    pub(super) side: SideArg,
    /// The program at that end, as its SSH banner names it: `OpenSSH_9.2p1`, `dropbear_2022.83`, `PuTTY_Release_0.78` …
    #[arg(long, value_name = "STRING")]
    pub(super) peer: Option<String>,
    /// What the other end has set
    #[arg(long, value_name = "INTERVAL/COUNT", value_parser = pair)]
    pub(super) other_end: Option<Pair>,
    /// What the `ControlMaster` has set, where the session rides on one
    #[arg(long, value_name = "INTERVAL/COUNT", value_parser = pair)]
    pub(super) master: Option<Pair>,
    /// `BatchMode yes`
    #[arg(long)]
    pub(super) batch_mode: bool,
    /// dropbear's -I, seconds
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) idle_timeout: Option<String>,
    /// sshd's ChannelTimeout, as in sshd_config: "session:*=5m"
    #[arg(long, value_name = "TYPE=TIME …", allow_hyphen_values = true)]
    pub(super) channel_timeout: Option<String>,
    /// sshd's UnusedConnectionTimeout
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) unused_connection_timeout: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
    /// Ask the node for its banner (one TCP connection, no login)
    #[arg(long, requires = "node")]
    pub(super) connect: bool,
    #[command(flatten)]
    pub(super) network: NetworkArgs,
    #[command(flatten)]
    pub(super) ssh: SshArgs,
}

/// What flows, what breaks, what TCP does.
#[derive(Debug, Args)]
#[command(next_help_heading = "The connection")]
pub(super) struct NetworkArgs {
    /// `TCPKeepAlive`: yes and no with the kernel's times, or these, in seconds
    #[arg(long, value_name = "TIME/INTVL/PROBES|yes|no", value_parser = keep_alive)]
    pub(super) tcp_keepalive: Option<KeepAliveArg>,
    /// `net.ipv4.tcp_retries2`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=255))]
    pub(super) tcp_retries2: Option<u32>,
    /// `TCP_USER_TIMEOUT` of the socket
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    pub(super) tcp_user_timeout: Option<Duration>,
    /// The remote command has output this often
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    pub(super) remote_writes: Option<Duration>,
    /// Bytes of output a second, where it is so much that the channel's window fills
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) remote_rate: Option<u64>,
    /// The client sends data this often
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    pub(super) client_writes: Option<Duration>,
    /// No session, forwards only, as with ssh -N
    #[arg(short = 'N', long)]
    pub(super) no_session: bool,
    /// A firewall on the way forgets a connection that is silent for so long
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    pub(super) nat: Option<Duration>,
    /// Round-trip time
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    pub(super) rtt: Option<Duration>,
    /// The longest wait in a login (a second factor on a phone)
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = parse_duration)]
    pub(super) auth: Duration,
    /// What breaks
    #[arg(long, value_name = "FAULT", default_value = "silence")]
    pub(super) fault: FaultArg,
}

/// How to find the node.
#[derive(Debug, Args)]
#[command(next_help_heading = "As in ssh")]
pub(super) struct SshArgs {
    /// The nodes' file [default: ./heartline.toml, else in `$XDG_CONFIG_HOME/heartline`, else in /etc/heartline]
    #[arg(short = 'c', long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Port
    #[arg(short = 'p', value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: Option<u16>,
    /// User
    #[arg(short = 'l', value_name = "USER")]
    pub(super) user: Option<String>,
    /// Jump hosts, comma-separated
    #[arg(short = 'J', value_name = "HOST")]
    pub(super) jump: Option<String>,
    /// ssh_config file, or none
    #[arg(short = 'F', value_name = "FILE")]
    pub(super) ssh_config: Option<PathBuf>,
    /// A line of ssh_config; repeat for several
    #[arg(short = 'o', value_name = "KEY=VALUE")]
    pub(super) option: Vec<String>,
    /// IPv4 only
    #[arg(short = '4', conflicts_with = "ipv6")]
    pub(super) ipv4: bool,
    /// IPv6 only
    #[arg(short = '6')]
    pub(super) ipv6: bool,
}

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SideArg {
    /// The end that connects: ServerAlive
    Client,
    /// The end that is connected to: ClientAlive
    Server,
}

impl From<SideArg> for Side {
    fn from(side: SideArg) -> Self {
        match side {
            SideArg::Client => Self::Client,
            SideArg::Server => Self::Server,
        }
    }
}

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FaultArg {
    /// Nothing comes or goes any more: cable, interface, host, a firewall that drops
    Silence,
    /// The other end's kernel answers, its ssh or sshd stands still
    Frozen,
    /// The other end's program is gone and its kernel says so
    Closed,
    /// A reset arrives
    Reset,
    /// A reset or rejection arrives, but only as an answer to something sent
    ResetOnSend,
    /// The remote command hangs; sshd itself is well
    CommandHung,
}

impl From<FaultArg> for Fault {
    fn from(fault: FaultArg) -> Self {
        match fault {
            FaultArg::Silence => Self::Silence,
            FaultArg::Frozen => Self::Frozen,
            FaultArg::Closed => Self::Closed,
            FaultArg::Reset => Self::Reset,
            FaultArg::ResetOnSend => Self::ResetOnSend,
            FaultArg::CommandHung => Self::CommandHung,
        }
    }
}

/// `TCPKeepAlive` as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeepAliveArg {
    /// With the kernel's times.
    Yes,
    /// Off.
    No,
    /// With these.
    Times(KernelKeepAlive),
}

const HELP: &str = "\
--peer names the program at the end that is explained. Values that ssh refuses are refused in its words.
Windows are counted from the cut (it may come at any moment) and from the last data that was received.

Exit codes: 0 nothing to warn of, 1 warnings, 2 usage, 3 --connect did not reach the node (what could be explained is).

Examples:
  heartline explain --interval 15 --count 3
  heartline explain --side server --peer OpenSSH_9.2p1 --interval 15 --count 3 --remote-writes 1s
  heartline explain db1 --nat 350s
  heartline explain db1 --connect --json";
