//! From arguments, ssh_config and the kernel to a scene.

use std::path::Path;
use std::time::Duration;

use heartline_core::explain::{
    ChannelTimeouts, KeepAliveSetting, Keyword, Scene, Side, Software, Tcp, Traffic, ValueError,
};
use heartline_ssh::escape;

use super::args::{ExplainArgs, KeepAliveArg};
use super::connect;
use super::host::Host;
use super::kernel;

/// Everything that is known before anything is explained.
pub(super) struct Request {
    pub(super) scene: Scene,
    /// What the peer calls itself, escaped.
    pub(super) banner: Option<String>,
    /// What could not be found out.
    pub(super) missing: Vec<String>,
    pub(super) is_unreachable: bool,
}

/// Why there is nothing to explain.
pub(super) enum Refused {
    /// ssh or sshd would refuse it.
    AsSsh {
        /// What they print.
        said: String,
        /// What we have to add.
        mend: String,
    },
    /// Anything else.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl Request {
    pub(super) fn make(args: &ExplainArgs) -> Result<Self, Refused> {
        let side = Side::from(args.side);
        let typed = Typed::read(args, side)?;
        let mut missing = Vec::new();
        let mut scene = Scene::new(side, software(args, side));
        scene.kernel = kernel::read(&mut missing);
        let mut request = Self {
            scene,
            banner: None,
            missing,
            is_unreachable: false,
        };
        if let Some(node) = &args.node {
            request.look_up(args, node)?;
        }
        request.lay_over(args, typed);
        Ok(request)
    }

    /// What ssh_config says, and the peer, if it is to be asked.
    fn look_up(&mut self, args: &ExplainArgs, node: &str) -> Result<(), Refused> {
        let runtime = crate::watch::runtime().map_err(anyhow::Error::from)?;
        let host = runtime.block_on(Host::find(node, &args.ssh))?;
        if self.scene.side == Side::Client {
            host.lay_into(&mut self.scene);
        } else if args.interval.is_none() {
            self.missing.push(
                "ClientAliveInterval and ClientAliveCountMax there (`sshd -T` says them, which takes a login); give \
                 --interval and --count"
                    .to_owned(),
            );
        }
        if !args.connect {
            return Ok(());
        }
        match runtime.block_on(connect::banner(&host.settings)) {
            Ok(Some(banner)) => self.heard(banner, args.peer.is_some()),
            Ok(None) => self.missing.push(
                "the peer's banner (it is behind a jump host or a ProxyCommand, and no login is made)".to_owned(),
            ),
            Err(error) => {
                self.is_unreachable = true;
                self.missing.push(format!("the peer's banner ({error:#})"));
            }
        }
        if self.scene.side == Side::Client && args.other_end.is_none() {
            self.missing.push(
                "the server's ClientAlive (`sshd -T` there says it, which takes a login); give --other-end".to_owned(),
            );
        }
        // Told after the banner: runtime threads that still resolve a name are not waited for.
        runtime.shutdown_background();
        Ok(())
    }

    fn heard(&mut self, banner: String, is_named: bool) {
        if self.scene.side == Side::Server && !is_named {
            self.scene.software = Software::from_banner(&banner, Side::Server);
        }
        self.banner = Some(banner);
    }

    /// What was typed goes before what was found.
    fn lay_over(&mut self, args: &ExplainArgs, typed: Typed) {
        let scene = &mut self.scene;
        let network = &args.network;
        scene.interval = typed.interval.or(scene.interval);
        scene.count = typed.count.unwrap_or(scene.count);
        scene.idle_timeout = typed.idle_timeout.unwrap_or_default();
        scene.unused_connection_timeout = typed.unused_connection_timeout;
        scene.channel_timeouts = typed.channel_timeouts;
        scene.batch_mode |= args.batch_mode;
        scene.master = args.master;
        scene.other_end = args.other_end;
        scene.has_session = !network.no_session;
        scene.nat = network.nat;
        scene.rtt = network.rtt;
        scene.auth = network.auth;
        scene.fault = network.fault.into();
        let keep_alive = match network.tcp_keepalive {
            None => scene.tcp.keep_alive,
            Some(KeepAliveArg::No) => KeepAliveSetting::No,
            Some(KeepAliveArg::Yes) => KeepAliveSetting::Yes(scene.kernel.keep_alive),
            Some(KeepAliveArg::Times(times)) => KeepAliveSetting::Yes(times),
        };
        scene.tcp = Tcp {
            keep_alive,
            retries2: network.tcp_retries2,
            user_timeout: network.tcp_user_timeout,
        };
        // So much output is a line at every moment.
        let flood = network.remote_rate.map(|_| FLOOD);
        scene.traffic = Traffic {
            client_writes: network.client_writes,
            remote_writes: network.remote_writes.or(flood),
            remote_rate: network.remote_rate,
        };
    }
}

/// What was typed in ssh's own form, read.
struct Typed {
    interval: Option<u32>,
    count: Option<u32>,
    idle_timeout: Option<u32>,
    unused_connection_timeout: Option<u32>,
    channel_timeouts: ChannelTimeouts,
}

impl Typed {
    fn read(args: &ExplainArgs, side: Side) -> Result<Self, Refused> {
        let (interval, count) = match side {
            Side::Client => (Keyword::ServerAliveInterval, Keyword::ServerAliveCountMax),
            Side::Server => (Keyword::ClientAliveInterval, Keyword::ClientAliveCountMax),
        };
        let unused = Keyword::UnusedConnectionTimeout;
        let channel_timeouts = args.channel_timeout.as_deref().map(ChannelTimeouts::parse);
        let channel_timeouts = channel_timeouts
            .transpose()
            .map_err(|error| Refused::AsSsh {
                said: error.to_string(),
                mend: "--channel-timeout takes TYPE=TIME, like \"session:*=5m\"".to_owned(),
            })?;
        Ok(Self {
            interval: one("--interval", interval, args.interval.as_deref())?,
            count: one("--count", count, args.count.as_deref())?,
            idle_timeout: one(
                "--idle-timeout",
                Keyword::ClientAliveInterval,
                args.idle_timeout.as_deref(),
            )?,
            unused_connection_timeout: one(
                "--unused-connection-timeout",
                unused,
                args.unused_connection_timeout.as_deref(),
            )?,
            channel_timeouts: channel_timeouts.unwrap_or_default(),
        })
    }
}

fn one(flag: &str, keyword: Keyword, text: Option<&str>) -> Result<Option<u32>, Refused> {
    let Some(text) = text else {
        return Ok(None);
    };
    keyword
        .parse(text)
        .map_err(|error| refused(flag, text, error))
}

fn refused(flag: &str, text: &str, error: ValueError) -> Refused {
    let takes = if error.keyword.is_count() {
        "a whole number from 0 to 2147483647"
    } else {
        "a time in whole seconds up to 2147483647, like 15, 90s or 1m30s"
    };
    let came = escape(text.as_bytes(), MAX_SHOWN);
    Refused::AsSsh {
        said: error.to_string(),
        mend: format!(
            "{flag} {came:?} is no {}; give {takes}",
            error.keyword.name()
        ),
    }
}

fn software(args: &ExplainArgs, side: Side) -> Software {
    if let Some(banner) = &args.peer {
        return Software::from_banner(&escape(banner.as_bytes(), MAX_BANNER), side);
    }
    let mut software = Software::openssh(side);
    // The ssh that is meant is this machine's.
    software.is_debian = side == Side::Client && Path::new(DEBIAN).exists();
    software
}

const FLOOD: Duration = Duration::from_millis(100);
const DEBIAN: &str = "/etc/debian_version";
const MAX_SHOWN: usize = 80;
/// RFC 4253 section 4.2.
pub(super) const MAX_BANNER: usize = 255;
