//! Flags that several commands take: ssh's own, which mean what they mean in ssh, lines, and timing.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use heartline_core::Detection;
use heartline_ssh::settings::{Family, Invocation, LineOverride};
use heartline_watch::config::{TimingEntry, parse_duration};

/// One node and how to reach it.
#[derive(Clone, Debug, Args)]
pub(crate) struct OneNode {
    /// [user@]host[:port], ssh://…, a Host of ssh_config, or a node of heartline.toml
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    #[command(flatten)]
    pub(crate) flags: NodeFlags,
}

/// How to reach nodes and how often to ask.
#[derive(Clone, Debug, Args)]
pub(crate) struct NodeFlags {
    /// The nodes' file [default: ./heartline.toml, else in `$XDG_CONFIG_HOME/heartline`, else in /etc/heartline]
    #[arg(short = 'c', long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A line to the node: ADDR[,dev=IF][,src=IP][,jump=HOST][,port=N][,name=X]; repeat for several
    #[arg(long = "line", value_name = "LINE")]
    pub(crate) lines: Vec<LineOverride>,
    #[command(flatten)]
    pub(crate) timing: TimingFlags,
    #[command(flatten)]
    ssh: SshFlags,
    /// Say more; repeat for more
    #[arg(short = 'v', long, action = ArgAction::Count)]
    verbose: u8,
    /// Say less; repeat for less
    #[arg(short = 'q', long, action = ArgAction::Count)]
    quiet: u8,
}

/// How often to ask, and how long to wait.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Timing")]
pub(crate) struct TimingFlags {
    /// Time between beats, as ServerAliveInterval: 10ms and more [default: ssh_config's, else 5s]
    #[arg(long, value_name = "DUR", value_parser = parse_duration, allow_hyphen_values = true)]
    interval: Option<Duration>,
    /// Beats that may go unanswered, as ServerAliveCountMax: 1 and more; the bound is interval·(count+1) [default: ssh_config's, else 1]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    count: Option<u32>,
    /// Good beats before a line that was down is up again [default: 2]
    #[arg(long, value_name = "N")]
    rise: Option<u32>,
    /// The most that each stage of a dial may take: connect, banner, key exchange, login [default: ssh_config's, else 10s]
    #[arg(long, value_name = "DUR", value_parser = parse_duration, allow_hyphen_values = true)]
    connect_timeout: Option<Duration>,
    /// How long a node's end of a session may outlive its last beat: whole seconds, two intervals and 2s at least; 0: as long as the node lets it [default: 3 bounds, 30s at least; check: 0]
    #[arg(long, value_name = "DUR", value_parser = parse_duration, allow_hyphen_values = true)]
    fuse: Option<Duration>,
    /// When a silent line is called down: adaptive, as soon as TCP would have repaired a loss, or openssh, at the bound [default: adaptive]
    #[arg(long, value_name = "NAME")]
    detector: Option<Detector>,
}

/// By what rule a silent line is called down. Its session ends at the bound by either.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Detector {
    /// As soon as TCP would have repaired a loss; at the bound at the latest
    Adaptive,
    /// At the bound: interval·(count+1) after the last sign of life
    Openssh,
}

impl From<Detector> for Detection {
    fn from(detector: Detector) -> Self {
        match detector {
            Detector::Adaptive => Self::Adaptive,
            Detector::Openssh => Self::OpenSsh,
        }
    }
}

impl TimingFlags {
    /// As a configuration file would say it.
    pub(crate) fn entry(self) -> TimingEntry {
        TimingEntry {
            interval: self.interval,
            count: self.count,
            rise: self.rise,
            connect_timeout: self.connect_timeout,
            fuse: self.fuse,
            detector: self.detector.map(Detection::from),
            ..TimingEntry::default()
        }
    }
}

/// ssh's own.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "As in ssh")]
struct SshFlags {
    /// Port
    #[arg(short = 'p', value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// User
    #[arg(short = 'l', value_name = "USER")]
    user: Option<String>,
    /// Private key file; repeat for several
    #[arg(short = 'i', value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// Jump hosts, comma-separated
    #[arg(short = 'J', value_name = "HOST")]
    jump: Option<String>,
    /// ssh_config file, or none
    #[arg(short = 'F', value_name = "FILE")]
    ssh_config: Option<PathBuf>,
    /// A line of ssh_config; repeat for several
    #[arg(short = 'o', value_name = "KEY=VALUE")]
    option: Vec<String>,
    /// Source address
    #[arg(short = 'b', value_name = "ADDR")]
    bind_address: Option<String>,
    /// Interface to leave by
    #[arg(short = 'B', value_name = "IF")]
    bind_interface: Option<String>,
    /// IPv4 only
    #[arg(short = '4', conflicts_with = "ipv6")]
    ipv4: bool,
    /// IPv6 only
    #[arg(short = '6')]
    ipv6: bool,
}

impl NodeFlags {
    /// `-v` counts up, `-q` down.
    pub(crate) fn verbosity(&self) -> i8 {
        let count = |n: u8| i8::try_from(n).unwrap_or(i8::MAX);
        count(self.verbose).saturating_sub(count(self.quiet))
    }

    /// Whether anything says how to reach a node, beyond its name.
    pub(crate) fn say_how(&self) -> bool {
        let ssh = &self.ssh;
        let given = ssh.port.is_some()
            || ssh.user.is_some()
            || !ssh.identity.is_empty()
            || ssh.jump.is_some()
            || ssh.ssh_config.is_some()
            || !ssh.option.is_empty()
            || ssh.bind_address.is_some()
            || ssh.bind_interface.is_some()
            || ssh.ipv4
            || ssh.ipv6;
        given || !self.lines.is_empty() || self.config.is_some()
    }

    /// What was given along with a destination.
    pub(crate) fn invocation(&self, destination: &str) -> anyhow::Result<Invocation> {
        let ssh = &self.ssh;
        let mut invocation = Invocation::new(destination.parse()?);
        invocation.config_file.clone_from(&ssh.ssh_config);
        invocation.options.clone_from(&ssh.option);
        invocation.port = ssh.port;
        invocation.user.clone_from(&ssh.user);
        invocation.identity_files.clone_from(&ssh.identity);
        invocation.bind_address.clone_from(&ssh.bind_address);
        invocation.bind_interface.clone_from(&ssh.bind_interface);
        invocation.jump = ssh.jump.as_deref().map(str::parse).transpose()?;
        invocation.family = match (ssh.ipv4, ssh.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        };
        Ok(invocation)
    }
}
