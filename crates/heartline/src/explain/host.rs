//! What ssh_config says of a node.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use heartline_core::explain::{KeepAliveSetting, Scene};
use heartline_ssh::settings::{Family, Invocation, Resolver, Settings};
use heartline_watch::config::{ConfigFile, NodeEntry, find};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::args::SshArgs;

/// A node's effective settings.
pub(super) struct Host {
    pub(super) settings: Settings,
    dump: Dump,
}

/// What `ssh -G` prints beyond what the settings hold.
#[derive(Debug, Default, PartialEq, Eq)]
struct Dump {
    /// With Debian's 300 of `BatchMode`.
    interval: Option<u32>,
    /// A `ControlPath` is set: a master that runs there is used.
    has_control_path: bool,
}

impl Host {
    /// Looks the node up in heartline.toml and ssh_config.
    pub(super) async fn find(node: &str, args: &SshArgs) -> anyhow::Result<Self> {
        let invocation = invocation(node, args)?;
        let settings = Resolver::detect().resolve(&invocation).await?;
        // The resolver has shown that this ssh answers, or has read the files without one; then this adds nothing.
        let dump = dump(&invocation).await.unwrap_or_default();
        Ok(Self { settings, dump })
    }

    /// What it says of the client's end.
    pub(super) fn lay_into(&self, scene: &mut Scene) {
        let own = self.settings.server_alive_interval;
        let own = own.and_then(|interval| u32::try_from(interval.as_secs()).ok());
        scene.interval = own;
        if let (None, Some(interval)) = (own, self.dump.interval.filter(|interval| *interval > 0)) {
            // Only Debian's default for BatchMode is left.
            scene.software.is_debian = interval == DEBIAN_BATCH_INTERVAL;
        } else if own.is_none() {
            scene.interval = Some(0);
        }
        if let Some(count) = self.settings.server_alive_count_max {
            scene.count = count;
        }
        scene.batch_mode = self.settings.identity.batch_mode;
        scene.control_master = self.dump.has_control_path;
        scene.tcp.keep_alive = if self.settings.tcp_keep_alive {
            KeepAliveSetting::Yes(scene.kernel.keep_alive)
        } else {
            KeepAliveSetting::No
        };
    }
}

fn invocation(node: &str, args: &SshArgs) -> anyhow::Result<Invocation> {
    let path = args.config.clone().or_else(find);
    let file = path.map(|path| ConfigFile::read(&path)).transpose()?;
    let file = file.unwrap_or_default();
    let listed: Option<&NodeEntry> = file.nodes.iter().find(|entry| entry.name == node);
    let destination = listed.and_then(|entry| entry.host.as_deref());
    let mut invocation = Invocation::new(destination.unwrap_or(node).parse()?);
    invocation.config_file.clone_from(&args.ssh_config);
    invocation.options.clone_from(&args.option);
    let port = listed.and_then(|entry| entry.port);
    invocation.port = args.port.or(port);
    let user = listed.and_then(|entry| entry.user.clone());
    invocation.user = args.user.clone().or(user);
    invocation.jump = args.jump.as_deref().map(str::parse).transpose()?;
    invocation.family = match (args.ipv4, args.ipv6) {
        (true, _) => Family::V4,
        (_, true) => Family::V6,
        _ => Family::Any,
    };
    Ok(invocation)
}

/// Asks `ssh -G` for the two that the settings do not hold.
async fn dump(invocation: &Invocation) -> anyhow::Result<Dump> {
    let mut child = Command::new("ssh")
        .args(arguments(invocation))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().context("no pipe")?;
    let mut text = Vec::new();
    timeout(DEADLINE, stdout.take(MAX_OUTPUT).read_to_end(&mut text)).await??;
    Ok(Dump::parse(&String::from_utf8_lossy(&text)))
}

fn arguments(invocation: &Invocation) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["-G".into(), "-T".into()];
    let mut flag = |name: &str, value: OsString| args.extend([name.into(), value]);
    if let Some(file) = &invocation.config_file {
        flag("-F", file.into());
    }
    if let Some(port) = invocation.port {
        flag("-p", port.to_string().into());
    }
    if let Some(user) = &invocation.user {
        flag("-l", user.into());
    }
    for option in &invocation.options {
        flag("-o", option.into());
    }
    if let Some(port) = invocation.destination.port() {
        flag("-p", port.to_string().into());
    }
    if let Some(user) = invocation.destination.user() {
        flag("-l", user.into());
    }
    args.extend(["--".into(), invocation.destination.host().into()]);
    args
}

impl Dump {
    fn parse(text: &str) -> Self {
        let value = |keyword: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            lines.find_map(|(key, value)| key.eq_ignore_ascii_case(keyword).then_some(value))
        };
        let path = value("controlpath").filter(|path| !path.eq_ignore_ascii_case("none"));
        Self {
            interval: value("serveraliveinterval").and_then(|value| value.parse().ok()),
            has_control_path: path.is_some(),
        }
    }
}

const DEADLINE: Duration = Duration::from_secs(10);
const MAX_OUTPUT: u64 = 1024 * 1024;
/// Debian's readconf.c.
const DEBIAN_BATCH_INTERVAL: u32 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_ssh_prints() {
        let dump = Dump::parse("host h\nserveraliveinterval 300\ncontrolpath /tmp/a b\n");
        assert_eq!(dump.interval, Some(300));
        assert!(dump.has_control_path);
        let dump = Dump::parse("controlpath none\ncontrolmaster auto\n");
        assert_eq!(dump, Dump::default());
    }
}
