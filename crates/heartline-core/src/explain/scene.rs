//! What is asked: which program, its settings, what flows on the connection, what breaks.

use std::time::Duration;

use super::banner::{Implementation, Software};
use super::channel::ChannelTimeouts;

/// Which end of the connection is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The end that connected: `ServerAlive*`.
    Client,
    /// The end that was connected to: `ClientAlive*`.
    Server,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// The word in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// An interval and a count, as they are set together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Seconds between probes, 0 to `INT_MAX`; 0 sends none.
    pub interval: u32,
    /// Probes that may go unanswered, 0 to `INT_MAX`.
    pub count: u32,
}

/// Everything the answer depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// The end that is explained.
    pub side: Side,
    /// The program at that end.
    pub software: Software,
    /// Seconds between probes, 0 to `INT_MAX`; `None` where nobody set it.
    pub interval: Option<u32>,
    /// Probes that may go unanswered, 0 to `INT_MAX`; 3 where nobody set it.
    pub count: u32,
    /// dropbear's `-I`: seconds without data after which it ends; 0 never.
    pub idle_timeout: u32,
    /// `BatchMode yes`.
    pub batch_mode: bool,
    /// The session rides on a `ControlMaster`'s connection, or may.
    pub control_master: bool,
    /// What the master has set, where that is known: then only that counts.
    pub master: Option<Pair>,
    /// What the other end has set, where that is known.
    pub other_end: Option<Pair>,
    /// TCP settings that were asked for.
    pub tcp: Tcp,
    /// What the kernel does where nobody asks otherwise.
    pub kernel: Kernel,
    /// What flows.
    pub traffic: Traffic,
    /// What breaks.
    pub fault: Fault,
    /// sshd's `ChannelTimeout`.
    pub channel_timeouts: ChannelTimeouts,
    /// sshd's `UnusedConnectionTimeout`, seconds; `None` or 0: off.
    pub unused_connection_timeout: Option<u32>,
    /// Whether the connection has a session; `ssh -N` has none.
    pub has_session: bool,
    /// A firewall on the way forgets a connection after this long without a packet.
    pub nat: Option<Duration>,
    /// Round-trip time.
    pub rtt: Option<Duration>,
    /// The longest wait in a login (a second factor on a phone, a slow directory).
    pub auth: Duration,
}

impl Scene {
    /// The defaults of that program: no probes, a count of 3, one idle session, everything goes silent.
    pub fn new(side: Side, software: Software) -> Self {
        Self {
            side,
            software,
            interval: None,
            count: DEFAULT_COUNT,
            idle_timeout: 0,
            batch_mode: false,
            control_master: false,
            master: None,
            other_end: None,
            tcp: Tcp::default(),
            kernel: Kernel::default(),
            traffic: Traffic::default(),
            fault: Fault::Silence,
            channel_timeouts: ChannelTimeouts::default(),
            unused_connection_timeout: None,
            has_session: true,
            nat: None,
            rtt: None,
            auth: DEFAULT_AUTH,
        }
    }

    /// The interval and count that are in force: the master's where there is one, else what was set, else what the
    /// program has by itself (on Debian `BatchMode` makes it 300 s).
    pub fn pair(&self) -> Pair {
        let by_itself = match self.software.implementation {
            Implementation::Autossh => AUTOSSH_POLL,
            _ if self.is_debian_batch() => DEBIAN_BATCH_INTERVAL,
            _ => 0,
        };
        self.master.unwrap_or(Pair {
            interval: self.interval.unwrap_or(by_itself),
            count: self.count,
        })
    }

    /// Whether the interval is 300 s because Debian's ssh makes it so.
    pub fn is_debian_batch(&self) -> bool {
        self.side == Side::Client
            && self.software.is_debian
            && self.batch_mode
            && self.interval.is_none()
    }

    /// How often this end writes data of its own.
    pub(super) fn own_writes(&self) -> Option<Duration> {
        self.writes_of(self.side)
    }

    /// How often the other end writes data.
    pub(super) fn peer_writes(&self) -> Option<Duration> {
        self.writes_of(self.side.other())
    }

    fn writes_of(&self, side: Side) -> Option<Duration> {
        let every = match side {
            Side::Client => self.traffic.client_writes,
            Side::Server => self.traffic.remote_writes,
        };
        // More often than a timer of a millisecond can tell is always.
        every.map(|every| every.max(Duration::from_millis(1)))
    }

    pub(super) fn rtt(&self) -> Duration {
        self.rtt.unwrap_or_default()
    }
}

/// What flows on a connection that is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The client sends data this often.
    pub client_writes: Option<Duration>,
    /// The remote command has output this often.
    pub remote_writes: Option<Duration>,
    /// Bytes of output a second, where there is so much of it that the channel's window (2 MiB) fills after a cut.
    pub remote_rate: Option<u64>,
}

/// What breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing comes or goes any more: a cable, an interface, an address, a host, a firewall that drops.
    #[default]
    Silence,
    /// The other end's kernel answers TCP, but its ssh or sshd stands still.
    Frozen,
    /// The other end's program is gone, and its kernel says so.
    Closed,
    /// A reset arrives.
    Reset,
    /// A reset or a rejection arrives, but only as the answer to something sent.
    ResetOnSend,
    /// The remote command hangs, sshd's listener or its privileged monitor is gone: the SSH layer itself still answers.
    CommandHung,
}

/// TCP settings that were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    /// `TCPKeepAlive`.
    pub keep_alive: KeepAliveSetting,
    /// `net.ipv4.tcp_retries2`.
    pub retries2: Option<u32>,
    /// `TCP_USER_TIMEOUT`; zero is off. OpenSSH never sets it.
    pub user_timeout: Option<Duration>,
}

/// `TCPKeepAlive`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepAliveSetting {
    /// Nobody said: on, by the program's default, with the kernel's times; counts as a backstop only.
    #[default]
    Unsaid,
    /// Off.
    No,
    /// On, with these times.
    Yes(KernelKeepAlive),
}

/// The kernel's keepalive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelKeepAlive {
    /// `tcp_keepalive_time`: seconds of silence before the first probe.
    pub time: u32,
    /// `tcp_keepalive_intvl`: seconds between probes.
    pub interval: u32,
    /// `tcp_keepalive_probes`: probes that may go unanswered.
    pub probes: u32,
}

/// What the kernel does where nobody asks otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its keepalive, for sockets that ask for one.
    pub keep_alive: KernelKeepAlive,
    /// `tcp_retries2`.
    pub retries2: u32,
}

/// Linux's own defaults.
impl Default for Kernel {
    fn default() -> Self {
        Self {
            keep_alive: KernelKeepAlive {
                time: 7_200,
                interval: 75,
                probes: 9,
            },
            retries2: 15,
        }
    }
}

/// ssh's and sshd's.
const DEFAULT_COUNT: u32 = 3;
/// A push to a phone is answered in so much, mostly.
const DEFAULT_AUTH: Duration = Duration::from_secs(30);
/// Debian's readconf.c.
const DEBIAN_BATCH_INTERVAL: u32 = 300;
/// autossh's own, 10 min.
const AUTOSSH_POLL: u32 = 600;
