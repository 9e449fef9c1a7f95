//! What a person reads.

use std::fmt::Write;
use std::io::{IsTerminal, Write as _};

use heartline_core::Cause;
use heartline_ssh::escape;
use heartline_watch::told::{SharedTold, WatcherTold};
use heartline_watch::{FuseTold, LineBrief, LineTold, NodeBrief, NodeTold, Told};

/// Whether to colour standard output: on a terminal, unless `NO_COLOR` says no.
pub(crate) fn is_coloured() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !unwanted && std::io::stdout().is_terminal()
}

/// One line on standard error: what and why and the mend.
pub(crate) fn complain(error: &anyhow::Error) {
    let text = format!("{error:#}");
    let text = text
        .split('\n')
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ");
    // What came from a file or a peer is escaped already, and what was escaped stays as it is.
    let text: Vec<_> = text.split('\\').map(plain).collect();
    say(&format!("heartline: {}", text.join("\\")));
}

/// One line on standard error as it is. Whoever has closed that hears nothing, and nothing else comes of it.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints to standard output, all of it. Who has seen enough may stop reading; anything else is an error.
pub(crate) fn put_out(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// A first dial is news to a program, and none to a person; nor is what a node's only line does, beside what the node
/// does.
pub(crate) fn is_worth_telling(told: &Told) -> bool {
    !matches!(told, Told::Line(line) if line.to == "dialing" || line.is_only)
}

/// One thing told, as text.
pub(crate) fn told(told: &Told, coloured: bool) -> String {
    match told {
        Told::Line(line) => line_told(line, coloured),
        Told::Node(node) => node_told(node, coloured),
        Told::Fuse(fuse) => fuse_told(fuse),
        Told::Watcher(watcher) => watcher_told(watcher),
        Told::Shared(shared) => shared_told(shared, coloured),
        Told::Layer(layer) => format!(
            "{}  (nothing is known of layer {} here: {}; the rest works)",
            clock(layer.t),
            layer.layer,
            plain(&layer.detail)
        ),
        _ => String::new(),
    }
}

/// `check`'s one line, in the form of a Nagios plugin: what, then performance data.
pub(crate) fn nagios(brief: &NodeBrief) -> String {
    let state = brief.state.word().to_uppercase();
    let up = brief.lines.iter().filter(|line| line.state == "up").count();
    let all = brief.lines.len();
    let mut text = format!("HEARTLINE {state}: {} ", plain(&brief.node));
    let _ = match brief.state.cause() {
        None => write!(text, "{up} of {all} lines up"),
        Some(cause) => write!(text, "{cause}, {up} of {all} lines up"),
    };
    for line in brief.lines.iter().filter(|line| line.state != "up") {
        let _ = write!(
            text,
            "; {} {}",
            plain(&line.line),
            why(&line.state, line.cause)
        );
        if let Some(detail) = &line.detail {
            let _ = write!(text, " ({})", detail.replace('|', "/"));
        }
        push_flaps(&mut text, line.flaps);
    }
    let _ = write!(text, " | lines_up={up};;;0;{all}");
    for line in &brief.lines {
        if let Some(rtt) = line.rtt_ms {
            let label = plain(&line.line).replace(['\'', '='], "_");
            let _ = write!(text, " '{label}_rtt'={rtt:.3}ms;;;0");
        }
    }
    text
}

fn node_told(node: &NodeTold, coloured: bool) -> String {
    let name = plain(&node.node);
    let state = paint(node.to, coloured);
    let mut text = format!("{}  {name}  {state}", clock(node.t));
    if let Some(cause) = node.cause {
        let _ = write!(text, "  {cause}: {}", cause.sentence());
    }
    if let ([line], true) = (node.lines.as_slice(), node.cause.is_some())
        && let Some(detail) = &line.detail
    {
        let _ = write!(text, " ({detail})");
    }
    push_after(&mut text, node.after_ms, node.to);
    if let [line] = node.lines.as_slice() {
        push_flaps(&mut text, line.flaps);
    }
    if node.lines.len() > 1 {
        let lines: Vec<_> = node.lines.iter().map(line_brief).collect();
        let _ = write!(text, "  [{}]", lines.join(", "));
    }
    text
}

fn line_told(line: &LineTold, coloured: bool) -> String {
    let mut text = format!(
        "{}    {}  line {}  {}",
        clock(line.t),
        plain(&line.node),
        plain(&line.line),
        paint(line.to, coloured)
    );
    if let Some(cause) = line.cause {
        let _ = write!(text, "  {cause}: {}", cause.sentence());
        if let Some(detail) = line.evidence.detail(cause) {
            let _ = write!(text, " ({detail})");
        }
    } else if let (Some(rtt), "up") = (line.evidence.ssh.rtt_ms, line.to) {
        let _ = write!(text, "  answers in {rtt:.1} ms");
    }
    push_after(&mut text, line.after_ms, line.to);
    push_flaps(&mut text, line.flaps);
    text
}

fn push_flaps(text: &mut String, flaps: u32) {
    if flaps > 1 {
        let _ = write!(text, "; down {flaps} times in ten minutes");
    }
}

fn watcher_told(watcher: &WatcherTold) -> String {
    let what = match (watcher.cause, watcher.lost_ms) {
        (Cause::WatcherIsolated, None) => {
            "this watcher is cut off: nothing at all is heard, of nobody; no node is called down for that".to_owned()
        }
        (Cause::WatcherIsolated, Some(ms)) => format!(
            "this watcher is heard again, after {}; its nodes are being asked",
            seconds(ms)
        ),
        (_, lost) => format!(
            "this watcher did not run for {}; no silence counts for that time",
            seconds(lost.unwrap_or_default())
        ),
    };
    format!("{}  ({what})", clock(watcher.t))
}

fn shared_told(shared: &SharedTold, coloured: bool) -> String {
    let state = paint(shared.to, coloured);
    let (by, name) = (shared.by, plain(&shared.name));
    let mut text = format!("{}  {by} {name}  {state}", clock(shared.t));
    if let Some(cause) = shared.cause {
        let _ = write!(text, "  {cause}: {}", shared.extent(plain));
    }
    text
}

/// Whole seconds and tenths.
pub(crate) fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

/// What is wrong, and what holds all the same.
fn fuse_told(fuse: &FuseTold) -> String {
    format!(
        "{}    {}  line {}  no fuse  {}; the line beats on, and its far end lives as long as the node's own sshd lets it",
        clock(fuse.t),
        plain(&fuse.node),
        plain(&fuse.line),
        fuse.detail
    )
}

fn push_after(text: &mut String, after_ms: Option<u64>, to: &str) {
    if let (Some(ms), "down" | "suspect") = (after_ms, to) {
        let _ = write!(text, ", {} after its last sign of life", seconds(ms));
    }
}

fn line_brief(line: &LineBrief) -> String {
    format!("{} {}", plain(&line.line), why(&line.state, line.cause))
}

fn why(state: &str, cause: Option<Cause>) -> String {
    cause.map_or_else(|| state.to_owned(), |cause| format!("{state} ({cause})"))
}

/// The time of day, here.
pub(crate) fn clock(t: jiff::Timestamp) -> String {
    let local = t.to_zoned(jiff::tz::TimeZone::system());
    local.strftime("%H:%M:%S%.3f").to_string()
}

/// A state in its colour.
pub(crate) fn paint(state: &str, coloured: bool) -> String {
    let code = match state {
        "up" => "32",
        "down" => "1;31",
        "degraded" | "suspect" => "33",
        "unknown" => "35",
        _ => "2",
    };
    if coloured {
        format!("\x1b[{code}m{state}\x1b[0m")
    } else {
        state.to_owned()
    }
}

/// Names come from arguments and files; they too are made fit for a terminal.
pub(crate) fn plain(name: &str) -> String {
    escape(name.as_bytes(), MAX_NAME)
}

const MAX_NAME: usize = 1_000;
