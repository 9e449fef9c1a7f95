//! The commands and their flags: the one table that help, man page and completions come from.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use heartline_watch::config::parse_duration;

use crate::config::ConfigArgs;
use crate::demo::DemoArgs;
use crate::explain::ExplainArgs;
use crate::flags::{NodeFlags, OneNode};
use crate::ghosts::GhostsArgs;
use crate::keep::KeepArgs;
use crate::log::LogArgs;
use crate::pause::{PauseArgs, ResumeArgs};
use crate::probe::ProbeArgs;
use crate::prove::ProveArgs;
use crate::report::ReportArgs;
use crate::run::RunArgs;
use crate::serve::ServeArgs;
use crate::status::StatusArgs;
use crate::top::TopArgs;
use crate::words;

/// Which of your machines is down, within a stated bound, over the SSH they already run.
#[derive(Debug, Parser)]
#[command(
    name = "heartline",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
#[command(
    after_help = "Exit codes, JSON fields and examples: heartline COMMAND --help, or heartline man COMMAND."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Hold the lines and print every change
    Watch(WatchArgs),
    /// One verdict now, one line in Nagios plugin form
    Check(CheckArgs),
    /// Return when a node is up, or down
    Wait(WaitArgs),
    /// Tell a running watcher that nodes are under maintenance
    Pause(PauseArgs),
    /// Tell a running watcher that they no longer are
    Resume(ResumeArgs),
    /// What a running watcher knows, as a table
    Status(StatusArgs),
    /// The same, live in the terminal
    Top(TopArgs),
    /// Print what a watcher has written down
    Log(LogArgs),
    /// How well each node was: availability, incidents, repair times, causes
    Report(ReportArgs),
    /// Run a command on a node that dies with the connection
    Run(Box<RunArgs>),
    /// Hold a session and its forwards for ever
    Keep(Box<KeepArgs>),
    /// Cut connections to a node and time both ends
    Prove(Box<ProveArgs>),
    /// Measure a path: round trips per layer, and the silence after which it is forgotten
    Probe(Box<ProbeArgs>),
    /// List your sessions on a node that no living client holds, and end them
    Ghosts(Box<GhostsArgs>),
    /// An SSH endpoint that answers beats and nothing else
    Serve(ServeArgs),
    /// What keepalive settings really do
    Explain(Box<ExplainArgs>),
    /// Cut, freeze and heal embedded nodes, and see each verdict
    Demo(DemoArgs),
    /// Print what gives a key the right to beat and nothing else
    #[command(name = "guard-command")]
    Guard(GuardCommandArgs),
    /// Look a configuration over, describe it, or make one from ssh_config or an inventory
    Config(Box<ConfigArgs>),
    /// Print a completion script
    Completions(CompletionsArgs),
    /// Print a man page
    Man(ManArgs),
}

/// Holds one SSH session per line and prints every change of a line or a node.
#[derive(Debug, Args)]
#[command(after_help = WATCH_HELP)]
pub(crate) struct WatchArgs {
    /// Nodes: [user@]host[:port], ssh://…, a Host of ssh_config, or a node of heartline.toml; none: all of heartline.toml
    #[arg(value_name = "NODE")]
    pub(crate) nodes: Vec<String>,
    #[command(flatten)]
    pub(crate) flags: NodeFlags,
    /// Print JSON Lines
    #[arg(long)]
    pub(crate) json: bool,
    /// What answers near this watcher whenever its own side is well, a gateway or a peer: ADDRESS[:PORT], repeat for several; asked by a TCP connection, to port 22 unless given, when all nodes are silent
    #[arg(long = "reference", value_name = "ADDR")]
    pub(crate) references: Vec<String>,
    /// Where other commands ask what this watcher knows; or none [default: heartline.sock in `$XDG_RUNTIME_DIR`, for root in /run]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Serve the page, the API and the metrics there; others than this machine need a token [default: the key listen of `[page]`, else not]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// A file with the token that lets one in, 16 characters at least; over loopback without one everybody may read and nobody may order
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Where events, round trips and uptime are remembered; or none [default: journal.db in the state directory; with NODE: none]
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
    /// End by itself after this long
    #[arg(long = "for", value_name = "DUR", value_parser = parse_duration)]
    pub(crate) for_: Option<Duration>,
}

/// Prints what is known of a node now, as one line in Nagios plugin form.
///
/// Asks a running watcher of this user first, unless flags say how to reach the node; else dials every line of it.
#[derive(Debug, Args)]
#[command(after_help = CHECK_HELP)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) node: OneNode,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Where to ask a running watcher; or none, to dial always [default: as watch]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// The longest this may take; lines not heard from by then count as not known
    #[arg(long, value_name = "DUR", default_value = "10s", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
}

/// Watches a node until it is up, or down.
#[derive(Debug, Args)]
#[command(after_help = WAIT_HELP)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    pub(crate) node: OneNode,
    /// What to wait for
    #[arg(long, value_name = "STATE")]
    pub(crate) until: Until,
    /// The longest to wait [default: for ever]
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Print one JSON object at the end
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `wait` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Until {
    /// Any line is up
    Up,
    /// Every line is down
    Down,
}

/// Prints a line for authorized_keys that gives a key the right to beat and nothing else.
///
/// Whatever that key asks for, the node runs the guard of heartline's fuse, and forwards nothing.
#[derive(Debug, Args)]
#[command(after_help = GUARD_COMMAND_HELP)]
pub(crate) struct GuardCommandArgs {
    /// The public key; none: only what stands before it
    #[arg(value_name = "KEY.pub")]
    pub(crate) key: Option<PathBuf>,
}

/// Prints a completion script for a shell.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

/// Prints a man page (troff) to standard output.
#[derive(Debug, Args)]
#[command(after_help = "Example: heartline man watch | man -l -")]
pub(crate) struct ManArgs {
    /// A command, and a command of it; none: heartline itself
    #[arg(conflicts_with = "all")]
    pub(crate) command: Vec<String>,
    /// Write all pages into this folder instead
    #[arg(long, value_name = "DIR")]
    pub(crate) all: Option<PathBuf>,
}

impl Cli {
    /// Parses the command line; prints help or what is wrong with it, and ends the process, where there is nothing to do.
    pub(crate) fn parse_or_exit(args: &[OsString]) -> Self {
        Self::try_parse_from(args).unwrap_or_else(|error| {
            let asked_for = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            if asked_for {
                error.exit();
            }
            let text = error.to_string();
            let lines = text.lines().map(str::trim);
            let tip = lines.clone().find(|line| line.starts_with("tip:"));
            // What is wrong may go over several lines, to the first that is empty.
            let what: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let what = what.join(" ");
            let what = what.trim_start_matches("error: ");
            let mend = tip.unwrap_or("see heartline --help");
            words::complain(&anyhow::anyhow!("{what}; {mend}"));
            let code = match args.get(1).and_then(|command| command.to_str()) {
                Some("check") => UNKNOWN,
                Some("run" | "keep") => FAILED,
                _ => USAGE,
            };
            std::process::exit(code.into());
        })
    }

    /// The exit code for what is wrong with usage or configuration. For a Nagios plugin 2 would say that the node is
    /// down.
    pub(crate) fn usage_code(&self) -> u8 {
        match self.command {
            Command::Check(_) => UNKNOWN,
            Command::Run(_) | Command::Keep(_) => FAILED,
            _ => USAGE,
        }
    }

    /// `-v` counts up, `-q` down.
    pub(crate) fn verbosity(&self) -> i8 {
        match &self.command {
            Command::Watch(args) => args.flags.verbosity(),
            Command::Check(args) => args.node.flags.verbosity(),
            Command::Wait(args) => args.node.flags.verbosity(),
            Command::Run(args) => args.node.flags.verbosity(),
            Command::Keep(args) => args.node.flags.verbosity(),
            Command::Prove(args) => args.node.flags.verbosity(),
            Command::Probe(args) => args.node.flags.verbosity(),
            Command::Ghosts(args) => args.node.flags.verbosity(),
            Command::Serve(args) => args.verbosity(),
            Command::Config(args) => args.verbosity(),
            Command::Explain(_)
            | Command::Demo(_)
            | Command::Status(_)
            | Command::Top(_)
            | Command::Log(_)
            | Command::Report(_)
            | Command::Guard(_)
            | Command::Pause(_)
            | Command::Resume(_)
            | Command::Completions(_)
            | Command::Man(_) => 0,
        }
    }
}

/// Usage or configuration.
const USAGE: u8 = 2;
/// `check` could not tell.
const UNKNOWN: u8 = 3;
/// `run` and `keep`, as ssh; of `run` all other codes are the command's.
const FAILED: u8 = 255;

const WATCH_HELP: &str = "\
SIGHUP reads nodes and references again and lets lines that had given up try again; lines that did not change keep their
sessions. SIGINT and SIGTERM end every session cleanly. SIGUSR1 pauses all nodes, SIGUSR2 resumes them (heartline pause).

Fuse: a shell on the node, the guard, ends the session there when no beat came for --fuse: within a second more where it has
`read -t` (bash, busybox, ksh), within twice the fuse where not (dash). It is beaten every third of the fuse, and its last
answer is the evidence \"shell\". Nothing is written or installed there. Where none can work (no POSIX shell, a forced command,
dropbear) an event \"fuse\" says so once, with the reason, and the line beats on without. --fuse 0 runs nothing on the nodes.

Down: with --detector adaptive a silent line is called down as soon as TCP would have repaired a loss, on a LAN about 0.15 s after
the beat that nothing acknowledged; its session is kept until the bound, so that one that was only slow is up again without a
login. A kernel that acknowledges has until the bound: that is a hung sshd, or a machine under load. What is wrong with our own side
(cable, address, route) is known at once. A line that fell several times in ten minutes is up only after 2, 4, 8 … times --rise
good beats; \"flaps\" says how often.

Whose fault: a node is down for a silence only if somebody else was heard since, another node or a --reference. If not, this watcher is
cut off: one event \"watcher\", and its nodes are unknown (watcher_isolated). Lines of several nodes that fall within an interval of each
other and share an interface, a jump host, a source address or a subnet get one event \"shared\".

Beside: what happens is written to the journal (heartline log, heartline report), hooks are told (docs/hooks.md), a page is served
(--listen), and a sign of life is given ([heartbeat]). None of these holds up the watching. They are read at the start, not by SIGHUP.

Exit codes: 0 ended as asked, 2 usage or configuration (nothing was started).

Examples:
  heartline watch db1
  heartline watch db1 --line 10.0.1.5,dev=eth0 --line 10.0.2.5,dev=eth1 --interval 1s
  heartline watch --json -c heartline.toml";

const CHECK_HELP: &str = "\
Exit codes: 0 up, 1 degraded or suspect, 2 down, 3 unknown (also when usage or configuration are wrong).

Examples:
  heartline check db1
  heartline check db1 --line 10.0.1.5 --line 10.0.2.5 --timeout 5s --json";

const WAIT_HELP: &str = "\
Exit codes: 0 reached, 1 timed out, 2 usage or configuration.

Examples:
  heartline wait db1 --until up --timeout 5m && ssh db1 uptime
  heartline wait db1 --until down";

const GUARD_COMMAND_HELP: &str = "\
Needs OpenSSH 7.2 or later on the node (`restrict`). The key's fuse is the watcher's --fuse.

Exit codes: 0, 2 the key cannot be read.

Example:
  heartline guard-command ~/.ssh/watch.pub | ssh db1 'cat >> .ssh/authorized_keys'";
