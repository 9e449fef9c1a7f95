//! `heartline serve`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{ArgAction, Args};
use heartline_core::{Count, Interval};
use heartline_serve::{AuthorizedKeys, ServeConfig, Server, host_key};
use heartline_watch::config::parse_duration;
use tracing::warn;

use crate::watch::{Ends, runtime};

/// An SSH endpoint that lets in who is in authorized_keys, answers beats, and nothing else: no shell, no command, no
/// forwarding.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct ServeArgs {
    /// Address and port to listen on; repeat for several
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:2222")]
    listen: Vec<SocketAddr>,
    /// Host key file in OpenSSH's form; repeat for several kinds [default: a new ed25519 key, printed at the start]
    #[arg(long, value_name = "FILE")]
    host_key: Vec<PathBuf>,
    /// Who may log in; repeat for several [default: `~/.ssh/authorized_keys`]
    #[arg(long, value_name = "FILE")]
    authorized_keys: Vec<PathBuf>,
    /// Silence after which a client is asked for a sign of life, and time between probes, as ClientAliveInterval: 10ms and more
    #[arg(long, value_name = "DUR", default_value = "15s", value_parser = parse_duration, allow_hyphen_values = true)]
    interval: Duration,
    /// Probes that may go unanswered, as ClientAliveCountMax: 1 and more; a silent session ends after interval·(count+1)
    #[arg(
        long,
        value_name = "N",
        default_value = "3",
        allow_hyphen_values = true
    )]
    count: u32,
    /// From connecting to the end of the login: 100ms to 10m
    #[arg(long, value_name = "DUR", default_value = "20s", value_parser = parse_duration, allow_hyphen_values = true)]
    login_grace: Duration,
    /// Connections at once
    #[arg(long, value_name = "N", default_value = "10000")]
    max_connections: NonZeroUsize,
    /// Connections at once that have not logged in yet
    #[arg(long, value_name = "N", default_value = "100")]
    max_unauthenticated: NonZeroUsize,
    /// Connections at once from one address (IPv6: one /64)
    #[arg(long, value_name = "N", default_value = "64")]
    max_per_source: NonZeroUsize,
    /// Say more, also of connections that end before their login; repeat for more
    #[arg(short = 'v', long, action = ArgAction::Count)]
    verbose: u8,
}

impl ServeArgs {
    /// Sessions that begin and end are told by default.
    pub(crate) fn verbosity(&self) -> i8 {
        i8::try_from(self.verbose)
            .unwrap_or(i8::MAX)
            .saturating_add(1)
    }
}

/// Serves until told to end.
pub(crate) fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(serve(args))
}

async fn serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let mut ends = Ends::listen()?;
    let mut host_keys = Vec::new();
    for path in &args.host_key {
        host_keys.push(host_key::load(path)?);
    }
    if host_keys.is_empty() {
        host_keys.push(host_key::generate()?);
    }
    let public: Vec<_> = host_keys
        .iter()
        .map(|key| key.public_key().to_openssh())
        .collect::<Result<_, _>>()
        .context("cannot print the host key")?;
    let authorized = authorized(&args.authorized_keys)?;
    let mut config = ServeConfig::new(args.listen, host_keys, authorized);
    config.interval = Interval::new(args.interval)?;
    config.count = Count::new(args.count)?;
    config.login_grace = args.login_grace;
    config.max_connections = args.max_connections;
    config.max_unauthenticated = args.max_unauthenticated;
    config.max_per_source = args.max_per_source;
    let server = Server::bind(config).await?;
    for address in server.local_addrs() {
        for key in &public {
            // As a line of known_hosts, so that it can be put there.
            println!("[{}]:{} {}", address.ip(), address.port(), key.trim_end());
        }
    }
    server.run(async move { ends.next().await }).await;
    Ok(ExitCode::SUCCESS)
}

fn authorized(files: &[PathBuf]) -> anyhow::Result<AuthorizedKeys> {
    let own;
    let files = if files.is_empty() {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let Some(home) = home.filter(|home| home.is_absolute()) else {
            bail!("HOME is not set; name a file with --authorized-keys");
        };
        own = [home.join(".ssh/authorized_keys")];
        &own[..]
    } else {
        files
    };
    let mut all = AuthorizedKeys::default();
    for path in files {
        let keys = AuthorizedKeys::load(path)?;
        for refused in keys.refused() {
            warn!("{}: {refused}", path.display());
        }
        all.extend(keys);
    }
    Ok(all)
}

const HELP: &str = "\
Prints the address and host key it listens with as lines of known_hosts. SIGINT and SIGTERM end every session cleanly.
Every session's begin and end is a line on standard error; the end names its cause:

  silent            no sign of life for interval·(count+1)
  closed_by_peer    the client said goodbye or closed its side
  reset             the client's machine says that there is no such connection any more
  peer_gone         the network says that the client's machine cannot be reached
  protocol          what the client sent is not SSH, or breaks its rules
  shutdown          this endpoint was told to stop

With silent it says how TCP stood: nothing unacked is a client that hangs (unsent too: it no longer reads), unacked segments
are one that is cut off.

Exit codes: 0 ended as asked, 2 usage or configuration.

Example:
  heartline serve --listen 0.0.0.0:2222 --host-key /etc/heartline/host_key --authorized-keys /etc/heartline/keys";
