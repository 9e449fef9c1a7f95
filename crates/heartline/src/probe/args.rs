//! What `probe` takes.

use std::time::Duration;

use clap::Args;
use heartline_watch::config::parse_duration;

use crate::flags::OneNode;

/// Measures a path: round trips per layer, what answers there, after how long a silence something forgets the connection.
///
/// Without --idle it is one login and about three seconds. With it, connections are left silent for growing times and then
/// asked, so that what lies between (a firewall, a NAT, a proxy) shows when it forgets them; with the interval to set then.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct ProbeArgs {
    /// Find the silence after which the connection is forgotten
    #[arg(long)]
    pub(crate) idle: bool,
    /// With --idle, the longest silence to try: 2s and more
    #[arg(long, value_name = "DUR", default_value = "10m", value_parser = at_most, requires = "idle")]
    pub(crate) at_most: Duration,
    /// With --idle, connections at a time, 1 to 64; each is a login
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=64), requires = "idle")]
    pub(crate) connections: u32,
    /// Round trips to take of each layer, 1 to 10000
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) samples: u32,
    /// How long to listen for what the server sends unasked
    #[arg(long, value_name = "DUR", default_value = "1s", value_parser = parse_duration)]
    pub(crate) listen: Duration,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    // Last: what stands behind it would come under its last heading.
    #[command(flatten)]
    pub(crate) node: OneNode,
}

fn at_most(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).map_err(|error| error.to_string())?;
    if time < LEAST || time > MOST {
        return Err(format!("give {LEAST:?} or more, and a week at most"));
    }
    Ok(time)
}

const LEAST: Duration = Duration::from_secs(2);
const MOST: Duration = Duration::from_hours(7 * 24);

const HELP: &str = "\
Layers: tcp is how long the connection took to be made, which the kernels do alone, and what our
kernel reckons after each beat, which it smooths (an acknowledgement mostly comes with the reply);
ssh a keepalive@openssh.com request and its reply; shell a line through `cat` there. Of a node behind a jump host or a proxy command there is no tcp of ours to ask. A
guard is started for a moment, to see whether a fuse can be had. --fuse 0 runs nothing there.

What comes unasked in a silent session is what the server sends by itself, such as the requests of
its ClientAliveInterval; what they are is not told, only how often they come. --listen 2m sees
slow ones, and a ChannelTimeout that closes the idle channel of `cat`.

--idle: the silences of the first round grow from 4 s to --at-most, those of the next ones lie
between the longest that was survived and the shortest that was not, until these are no further
apart than a second or 5 %, and two connections have died so. The silent connections have no
channel, send no beat, and no TCP keepalive. Progress and the time left go to standard error. It is
  dropped silently     no answer within 3 s (10 round trips, if that is longer), nor as long again
                       once a new connection stands;
  reset                the question, or nothing at all, was answered by a reset;
  closed by the server it ended by itself (UnusedConnectionTimeout, an idle killer). Then one more
                       connection is given beats, and it is said whether these put it off.
If the server speaks by itself no connection is ever silent for longer, and that is said.

Recommended is the largest whole second up to three fifths of what was survived, so that a beat
that is lost and sent again is in time; a minute at most, which costs nothing.

Logins: one for the layers, --connections for the search, and a few to replace those that died.
No more than 4 are under way at a time, fewer than sshd's MaxStartups. What a forgotten connection
leaves on the node, where nobody tells its sshd, is ended there in the end (not with --fuse 0). The
first line of a node is taken; name another by --line. Through a jump host it is the way from there
on; a sshd's own TCPKeepAlive begins after two hours, unless it is set otherwise.

Exit codes: 0 measured, 2 usage or configuration, 3 could not tell; 128+n when ended by signal n.

Examples:
  heartline probe db1
  heartline probe db1 --idle
  heartline probe db1 --idle --at-most 2h --connections 12
  heartline probe db1 --json | jq '.layers[] | {layer, p50_ms, p99_ms}'";
