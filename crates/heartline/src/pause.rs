//! `heartline pause` and `heartline resume`: maintenance, told to a running watcher.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use heartline_watch::NodeBrief;
use heartline_watch::config::parse_duration;
use heartline_watch::status_socket::Request;
use heartline_web::client;

use crate::watch::{runtime, socket_path};
use crate::words;

/// Tells a running watcher that nodes are under maintenance: their sessions end, nobody dials them, and they are `paused`.
///
/// It lasts until `heartline resume`, or for --for; over a SIGHUP, and not over the watcher's end. SIGUSR1 pauses all nodes.
#[derive(Debug, Args)]
#[command(after_help = PAUSE_HELP)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    which: Which,
    /// Resume by itself after this long
    #[arg(long = "for", value_name = "DUR", value_parser = parse_duration)]
    for_: Option<Duration>,
}

/// Tells a running watcher that nodes are no longer under maintenance.
///
/// What heartline.toml pauses stays paused. SIGUSR2 resumes all nodes.
#[derive(Debug, Args)]
#[command(after_help = RESUME_HELP)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    which: Which,
}

/// Of which watcher, and which of its nodes.
#[derive(Debug, Args)]
struct Which {
    /// Nodes by the names that the watcher has for them
    #[arg(
        value_name = "NODE",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    nodes: Vec<String>,
    /// All nodes of the watcher
    #[arg(long)]
    all: bool,
    /// Where the watcher answers [default: as watch]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// Pauses them.
pub(crate) fn pause(args: &PauseArgs) -> anyhow::Result<ExitCode> {
    let for_ms = args.for_.map(|time| u64::try_from(time.as_millis()));
    let for_ms = for_ms.transpose().context("--for is too long")?;
    let nodes = args.which.nodes.clone();
    tell(
        &args.which,
        &Request::Pause { nodes, for_ms },
        "told to pause",
    )
}

/// Resumes them.
pub(crate) fn resume(args: &ResumeArgs) -> anyhow::Result<ExitCode> {
    let nodes = args.which.nodes.clone();
    tell(&args.which, &Request::Resume { nodes }, "told to resume")
}

fn tell(which: &Which, request: &Request, done: &str) -> anyhow::Result<ExitCode> {
    let Some(path) = socket_path(which.socket.as_ref()) else {
        bail!("no folder for a watcher's socket; name it with --socket");
    };
    let known = runtime()?.block_on(client::order(&path, request));
    let known = known.context("start heartline watch, or name its socket with --socket")?;
    let is_known = |name: &String| known.iter().any(|brief: &NodeBrief| *brief.node == **name);
    for name in which.nodes.iter().filter(|name| is_known(name)) {
        println!("{}  {done}", words::plain(name));
    }
    if which.all {
        println!("all {} nodes  {done}", known.len());
    }
    let unknown: Vec<_> = which.nodes.iter().filter(|name| !is_known(name)).collect();
    for name in &unknown {
        words::say(&format!(
            "heartline: {}: that watcher watches no node of this name; see heartline watch",
            words::plain(name)
        ));
    }
    Ok(ExitCode::from(u8::from(!unknown.is_empty())))
}

const PAUSE_HELP: &str = "\
Exit codes: 0 done, 1 a node is not watched there, 2 usage, or no watcher answers.

Examples:
  heartline pause db1 --for 30m
  heartline pause --all";

const RESUME_HELP: &str = "\
Exit codes: 0 done, 1 a node is not watched there, 2 usage, or no watcher answers.

Example:
  heartline resume db1";
