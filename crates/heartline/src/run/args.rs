//! What `run` takes.

use std::ffi::OsString;

use clap::{ArgAction, Args};

use crate::flags::OneNode;

/// Runs a command on a node that dies with the connection.
///
/// A guard on the node ends the command when no beat came for --fuse: its processes, its children, also those that left its
/// session. It is ended too when this program ends, however that comes about. Standard input, output and error pass through as
/// they are; so do SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2. What it leaves behind in the background is ended
/// with it.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) node: OneNode,
    /// Run it on a terminal; twice: also where our standard input is none
    #[arg(short = 't', action = ArgAction::Count)]
    pub(crate) terminal: u8,
    /// A variable for it: NAME=VALUE, or NAME with our own value; the node's sshd must take it (`AcceptEnv`). Repeat for several
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Say what became of it as JSON, on standard error
    #[arg(long)]
    pub(crate) json: bool,
    /// The command, for the login shell there: its words are joined by spaces, as ssh does it
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

const HELP: &str = "\
A guard on the node ends the command when no beat came for --fuse: TERM, soon KILL, to it and to all
it has started, also what has left its session. It is ended too when this program ends, however that
comes about, and what it leaves behind in the background ends with it. Standard input, output and
error pass through as they are; so do SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2. The same
one of the first four a second time does not wait for a command that will not hear.

When contact is lost, this returns once the command is proven dead (another connection looks, and
ends what it finds), or once it cannot be alive any more: 2 s and 1.001 times the fuse after our end
was gone (2.002 times where the node's shell has no `read -t`, as dash). Which of them, and since
when, is said on standard error; then the service may be started elsewhere. A paused virtual machine
holds the command and its fuse alike; only \"proven dead\" covers that. What has become another user's
(sudo) no fuse ends: where it is seen to live, that is said.

Where no guard can work (no POSIX shell, a forced command, dropbear) nothing is run; --fuse 0 runs it
without one. Lines are tried in their order; the command is begun over one of them, once.

Exit codes: the command's own; 128+n if it died of signal n; 255 if nothing was run or contact was
lost.

Examples:
  heartline run db1 -- systemctl is-system-running
  heartline run db1 --fuse 10s --interval 2s -- /usr/local/bin/worker --exclusive
  tar c data | heartline run db1 -- 'cat > data.tar'
  heartline run -t db1 -- top";
