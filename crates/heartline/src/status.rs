//! `heartline status`.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use heartline_watch::NodeBrief;
use heartline_web::client;
use jiff::Timestamp;

use crate::check::code;
use crate::report::lasted;
use crate::watch::{runtime, socket_path};
use crate::words;

/// Prints what a running watcher knows of its nodes now.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct StatusArgs {
    /// This node alone, with its lines, by the name that the watcher has for it
    #[arg(value_name = "NODE")]
    node: Option<String>,
    /// Print one JSON object a node
    #[arg(long)]
    json: bool,
    /// Say nothing of the nodes, only by the exit code whether a watcher answers
    #[arg(long, conflicts_with_all = ["node", "json"])]
    alive: bool,
    /// Where the watcher answers [default: as watch]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// Asks, and prints.
pub(crate) fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let known = ask(args.socket.as_ref())?;
    if args.alive {
        return Ok(ExitCode::SUCCESS);
    }
    let nodes: Vec<_> = match &args.node {
        None => known,
        Some(name) => {
            let found = known.into_iter().find(|brief| *brief.node == **name);
            vec![found.with_context(|| {
                format!(
                    "{}: that watcher watches no node of this name",
                    words::plain(name)
                )
            })?]
        }
    };
    let text = if args.json {
        let lines = nodes.iter().map(serde_json::to_string);
        let lines: Vec<_> = lines.collect::<Result<_, _>>()?;
        lines.join("\n") + "\n"
    } else {
        table(&nodes, args.node.is_some())
    };
    words::put_out(&text)?;
    Ok(ExitCode::from(worst(&nodes)))
}

/// What the watcher there knows.
pub(crate) fn ask(socket: Option<&PathBuf>) -> anyhow::Result<Vec<NodeBrief>> {
    let Some(path) = socket_path(socket) else {
        bail!("no folder for a watcher's socket; name it with --socket");
    };
    let known = runtime()?.block_on(client::get_nodes(&path));
    known.with_context(|| {
        format!("no watcher of this user answers on {}; start heartline watch, or name its socket with --socket", path.display())
    })
}

/// That of the worst: a node that is down, one that cannot be told, one that is not quite well.
fn worst(nodes: &[NodeBrief]) -> u8 {
    let codes = nodes.iter().map(code);
    let rank = |code: &u8| match code {
        2 => 3,
        3 => 2,
        code => *code,
    };
    codes.max_by_key(rank).unwrap_or_default()
}

fn table(nodes: &[NodeBrief], with_lines: bool) -> String {
    let mut text = String::new();
    let coloured = words::is_coloured();
    let now = Timestamp::now();
    let width = |name: &str| words::plain(name).chars().count();
    let names = nodes.iter().map(|brief| width(&brief.node));
    let lines = nodes.iter().flat_map(|brief| &brief.lines);
    let lines = lines
        .filter(|_| with_lines)
        .map(|line| width(&line.line) + 2);
    let wide = names.chain(lines).max().unwrap_or_default().clamp(4, 60);
    let _ = writeln!(
        text,
        "{:wide$}  {:8}  {:>8}  {:>5}  {:>9}  WHY",
        "NODE", "STATE", "FOR", "LINES", "RTT"
    );
    for brief in nodes {
        let up = brief.lines.iter().filter(|line| line.state == "up").count();
        let rtt = brief.lines.iter().filter_map(|line| line.rtt_ms);
        let _ = writeln!(
            text,
            "{:wide$}  {}  {:>8}  {:>5}  {:>9}  {}",
            words::plain(&brief.node),
            state(brief.state.word(), coloured),
            since(now, brief.since),
            format!("{up}/{}", brief.lines.len()),
            round_trip(rtt.reduce(f64::min)),
            why(brief),
        );
        for line in brief.lines.iter().filter(|_| with_lines) {
            let cause = line
                .cause
                .map(|cause| format!("{cause}: {}", cause.sentence()));
            let detail = line
                .detail
                .as_ref()
                .map(|detail| format!(" ({})", words::plain(detail)));
            let _ = writeln!(
                text,
                "{:wide$}  {}  {:>8}  {:>5}  {:>9}  {}{}",
                format!("  {}", words::plain(&line.line)),
                state(&words::plain(&line.state), coloured),
                since(now, line.since),
                "",
                round_trip(line.rtt_ms),
                cause.unwrap_or_default(),
                detail.unwrap_or_default(),
            );
        }
    }
    text
}

/// Padded before it is painted.
fn state(word: &str, coloured: bool) -> String {
    let padding = 8_usize.saturating_sub(word.len());
    format!("{}{:padding$}", words::paint(word, coloured), "")
}

/// Why a node is not up; which lines are not, where some are.
pub(crate) fn why(brief: &NodeBrief) -> String {
    let Some(cause) = brief.state.cause() else {
        return String::new();
    };
    let not_up = brief.lines.iter().filter(|line| line.state != "up");
    let lines: Vec<_> = not_up.map(|line| words::plain(&line.line)).collect();
    let is_one = brief.lines.len() == 1;
    let lines = if is_one || lines.is_empty() {
        String::new()
    } else {
        format!(" [{}]", lines.join(", "))
    };
    format!("{cause}: {}{lines}", cause.sentence())
}

/// For how long.
pub(crate) fn since(now: Timestamp, since: Timestamp) -> String {
    let ms = now.duration_since(since).as_millis();
    lasted(Duration::from_millis(u64::try_from(ms).unwrap_or_default()))
}

/// In milliseconds.
pub(crate) fn round_trip(ms: Option<f64>) -> String {
    ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"))
}

const HELP: &str = "\
Exit codes: 0 all up, 1 one is degraded or suspect, 2 one is down (or usage, or no watcher answers), 3 one is unknown or paused, none down.

Examples:
  heartline status
  heartline status db1 --json";
