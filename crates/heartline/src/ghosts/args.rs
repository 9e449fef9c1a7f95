//! What `ghosts` takes.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use heartline_watch::config::parse_duration;

use crate::flags::OneNode;

/// Lists the user's own sessions on a node, says who holds them, and ends those it is told to.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct GhostsArgs {
    /// End the session of this process, and what it has started; or all: every ghost. Repeat for several
    #[arg(long, value_name = "PID|all", value_delimiter = ',')]
    pub(crate) end: Vec<End>,
    /// Only sessions that began so long ago
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    pub(crate) older: Option<Duration>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    // Last: what stands behind it would come under its last heading.
    #[command(flatten)]
    pub(crate) node: OneNode,
}

/// What to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Every ghost.
    All,
    /// The session of this process.
    Session(u32),
}

impl FromStr for End {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.parse()) {
            ("all", _) => Ok(Self::All),
            (_, Ok(pid @ 1..)) => Ok(Self::Session(pid)),
            _ => Err("neither a process id from the list nor `all`"),
        }
    }
}

const HELP: &str = "\
Listed are all your own sessions on the node; those of others are not looked at. A session is
  held     if its client is seen on this machine, or its client's machine has answered in the
           last two minutes;
  ghost    if its connection is no more on the node, if its client has closed it, if it came from
           this machine and nobody here has its connection, or if its client's machine leaves
           what is sent to it unanswered: sent again three times at least, and nothing came for
           30 s (without `ss` on the node: sent again eight times);
  unknown  else. An idle connection on which nothing is sent shows nothing. Where this machine
           forwards packets for others (containers), that nobody here has it says nothing.
A client that lives behind a cut line is called a ghost too, if its machine does not answer.

Each is looked at twice, half a second apart, and once more before it is ended. --end all ends
ghosts alone. --end PID ends one that is unknown too, if its connection is known; never one that
is held, nor this command's own, nor one whose process id has changed hands. Its sshd gets TERM,
after a second KILL; what the session has started is killed; its -R ports are free. Nothing is
written on the node. Sessions of dropbear are not found.

Exit codes: 0 listed, or ended as asked; 1 something it was told to end lives on or was refused;
2 usage or configuration; 3 could not tell (node not reached, or nothing to be found out there).

Examples:
  heartline ghosts db1
  heartline ghosts db1 --older 1h --end all
  heartline ghosts db1 --end 4711 --end 4712 --json";
