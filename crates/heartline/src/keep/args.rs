//! What `heartline keep` is asked for.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use heartline_core::Patience;
use heartline_watch::config::parse_duration;

use crate::flags::OneNode;

/// Holds a session to a node and its forwards for ever: reconnects, and frees its own stale ports.
///
/// Forwards are given as to ssh, and those of ssh_config are made too. What listens on this side stays bound while sessions come
/// and go; a connection that comes meanwhile waits for the next one.
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct KeepArgs {
    #[command(flatten)]
    pub(crate) node: OneNode,
    #[command(flatten)]
    pub(crate) forwards: ForwardFlags,
    #[command(flatten)]
    pub(crate) staying: StayingFlags,
    /// Print JSON Lines
    #[arg(long)]
    pub(crate) json: bool,
    /// A file that always says how it stands, as one JSON object
    #[arg(long, value_name = "FILE")]
    pub(crate) status_file: Option<PathBuf>,
}

/// What to forward.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Forwards, as in ssh")]
pub(crate) struct ForwardFlags {
    /// Listen here, lead there: [bind:]port:host:hostport, or a path for either side; repeat for several
    #[arg(short = 'L', value_name = "SPEC")]
    pub(crate) local: Vec<String>,
    /// Listen there, lead here: as -L; [bind:]port alone serves SOCKS there; port 0 lets the node choose
    #[arg(short = 'R', value_name = "SPEC")]
    pub(crate) remote: Vec<String>,
    /// Listen here and serve SOCKS 4, 4A and 5; names are resolved there: [bind:]port
    #[arg(short = 'D', value_name = "SPEC")]
    pub(crate) dynamic: Vec<String>,
    /// Ports without an address listen on all addresses, not on loopback alone
    #[arg(short = 'g')]
    pub(crate) gateway: bool,
    /// How long a connection may wait for a line, when none is up
    #[arg(long, value_name = "DUR", default_value = "10s", value_parser = parse_duration)]
    pub(crate) hold: Duration,
    /// Connections at once, of all forwards; on this side further ones wait, on the node they are refused
    #[arg(long, value_name = "N", default_value_t = 4_096, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(crate) max_connections: u32,
    /// Send a probe through every forward this often, and say which pass nothing
    #[arg(long, value_name = "DUR", num_args = 0..=1, default_missing_value = "60s", require_equals = true, value_parser = parse_duration)]
    pub(crate) prove_forwards: Option<Duration>,
}

/// When to go on, and when not to.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Staying")]
pub(crate) struct StayingFlags {
    /// Time between beats on a connection that is otherwise idle, so that nothing on the path forgets it; --bound then says how long one may go unanswered [default: --interval]
    #[arg(long, value_name = "DUR", value_parser = parse_duration, conflicts_with = "interval")]
    pub(crate) keep_alive: Option<Duration>,
    /// How long a beat may go unanswered before the session is ended: a time, or never [default: by --interval and --count]
    #[arg(long, value_name = "DUR", value_parser = parse_bound, conflicts_with = "count")]
    pub(crate) bound: Option<Wait>,
    /// Give up if no session stood for so long at the first try; 0: never
    #[arg(long, value_name = "DUR", default_value = "0", value_parser = parse_duration)]
    pub(crate) gate_time: Duration,
    /// Give up after so many dials in a row that came to nothing; 0: never
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) max_tries: u32,
    /// End after so long; 0: never
    #[arg(long, value_name = "DUR", default_value = "0", value_parser = parse_duration)]
    pub(crate) max_lifetime: Duration,
    /// Go on also where trying is senseless: key refused, host key changed or unknown; tried again every five minutes
    #[arg(long)]
    pub(crate) never_give_up: bool,
}

/// A bound as it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) Patience);

fn parse_bound(text: &str) -> Result<Wait, String> {
    if text == "never" {
        return Ok(Wait(Patience::Endless));
    }
    let time = parse_duration(text).map_err(|error| error.to_string())?;
    if time < LEAST_BOUND {
        return Err(format!("give {LEAST_BOUND:?} or more, or never"));
    }
    Ok(Wait(Patience::For(time)))
}

const LEAST_BOUND: Duration = Duration::from_millis(20);

const HELP: &str = "\
Lines: with several (--line) new connections go over the best that is up, and move within one detection time when it falls; those
that stand stay where they are. A line is tried at once when its interface, address or route comes back, after a suspend, and on
SIGUSR1.

-R: a port on the node that a dead session of ours still holds is freed by ending that session there; nobody else's is touched.

Gives up (255, with the cause) where a dial cannot succeed without a person: login refused, host key changed or unknown; unless
--never-give-up. A forward that cannot be made is said, and the others go on, unless ExitOnForwardFailure says otherwise.

As a service (Type=notify): READY when a session and all forwards stand, STATUS says how it is, WATCHDOG while it works.

Exit codes: 0 ended as asked, 255 gave up (why on stderr) or usage.

Examples:
  heartline keep db1 -L 5432:localhost:5432
  heartline keep -R 2222:localhost:22 --prove-forwards gateway.example.org
  heartline keep -D 1080 --keep-alive 60s --bound 10s --line 10.0.1.5,dev=eth0 --line 10.0.2.5,dev=wwan0 db1";
