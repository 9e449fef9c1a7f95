//! What `prove` takes.

use std::time::Duration;

use clap::Args;
use heartline_watch::config::parse_duration;

use crate::flags::OneNode;

/// Cuts connections to a node and measures when both ends are gone.
///
/// The cable is a relay inside this program, below sessions of its own: from the cut on it passes nothing, and closes nothing.
/// Each cut is made to a session with the fuse, and to a plain one with the same remote command beside it, as any SSH client
/// leaves it. Another connection looks when the last process of each was gone.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct ProveArgs {
    /// How long plain sessions are looked at after their cut
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = parse_duration)]
    pub(crate) patience: Duration,
    /// Sessions at a time, 1 and more, and one that looks; fewer take longer
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) sessions: u16,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) node: OneNode,
}

const HELP: &str = "\
Times count from the cut. The bounds: our end is gone interval · (count + 1) after the last sign
of life, and 100 ms; the far end, which is its sshd and everything the session has started, a
second after the fuse (twice the fuse where the node's shell has no `read -t`), counted from the
last beat that can have come there. Where nothing comes from the node (\"to us\"), our beats still
reach it until our end is gone, and only then the fuse begins to count. That our end is gone the
node does not learn.

What is left at the end of a trial is killed, and would end by itself in some minutes. The first
line of a node is taken; name another by --line. The cut is one of bytes: the kernels at both ends
still acknowledge what they have, so what a node's TCP would do about a real one (after a quarter
of an hour at the earliest, unless it is set otherwise) is not in it.

Where no guard can work (no POSIX shell, a forced command, dropbear) that is said; our end is
measured all the same, and so is a plain session in which nothing runs.

Exit codes: 0 within the bounds, 1 not, 2 usage or configuration, 3 could not tell (all or some of
it); 128+n when ended by signal n, once what was started there is ended.

Examples:
  heartline prove db1
  heartline prove db1 --interval 1s --fuse 5s --patience 2m
  heartline prove db1 --json | jq -r '.rows[] | [.cut, .remote, .far.after_cut_ms, .verdict] | @tsv'";
