//! `bench lines`: memory, CPU a beat and CPU a connection of every client, on every server.
//!
//! One client after the other holds the same number of lines, to the same addresses, at one beat a
//! second each. Only once all its lines stand does its time begin: first it settles, then it is
//! measured, both for as long as every other. Counted are beats that the kernel sent, not beats that
//! should have been. What each figure means is said at the fields of [`Row`].

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::Pid;
use serde::Serialize;

use crate::arguments::LinesArguments;
use crate::flock::{self, Flock};
use crate::floor::Floor;
use crate::interrupt;
use crate::measure::{self, Connections, Memory};
use crate::report;
use crate::server::{Kind, Server};
use crate::site::{self, Site};
use crate::uptime::Uptime;
use crate::watcher::Watcher;

/// Measures and prints.
pub(crate) fn run(arguments: &LinesArguments) -> Result<()> {
    let bench = Bench::new(arguments)?;
    let mut rows = Vec::new();
    let kinds = [Kind::Sshd, Kind::Serve].into_iter();
    for kind in kinds.filter(|kind| arguments.server.is_none_or(|only| only == *kind)) {
        let mut server = bench.server(kind)?;
        rows.push(bench.heartline(kind, &mut server)?);
        rows.push(bench.floor(kind)?);
        rows.push(bench.ssh(kind, &mut server)?);
    }
    let report = report::Report::new(arguments.n, bench.settling, bench.window, rows);
    print!("{report}");
    arguments.common.put_out(&report)
}

/// What one client costs on one server.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// The server.
    pub(crate) server: Kind,
    /// The client.
    pub(crate) client: Client,
    /// Its processes.
    pub(crate) processes: usize,
    /// Resident memory of all of it, divided by the lines.
    pub(crate) pss_kib_per_line: f64,
    /// As before, but pages that processes share count in each.
    pub(crate) rss_kib_per_line: f64,
    /// What one line more costs: the same process with one line taken off, divided by the rest.
    pub(crate) marginal_pss_kib_per_line: Option<f64>,
    /// Beats in the window: segments with data that its ends of the connections sent.
    pub(crate) beats: u64,
    /// Its CPU time in the window, divided by them.
    pub(crate) cpu_us_per_beat: f64,
    /// CPU time from its start until all lines stood, less that of the beats sent meanwhile, divided
    /// by the lines.
    pub(crate) cpu_ms_per_connection: Option<f64>,
    /// What processes took besides that it started itself: `ssh -G`, once a node, at the start alone.
    pub(crate) children_ms_per_connection: Option<f64>,
    /// Median over the lines of TCP's smoothed round trip.
    pub(crate) round_trip_us: Option<f64>,
}

/// What holds the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Client {
    /// One `heartline watch`.
    Heartline,
    /// One `ssh -N -o ServerAliveInterval=1` a line.
    Ssh,
    /// One thread without SSH; to a peer of its own.
    Floor,
}

impl Client {
    /// As printed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Heartline => "heartline",
            Self::Ssh => "ssh",
            Self::Floor => "floor",
        }
    }
}

/// What all clients have in common.
struct Bench {
    heartline: PathBuf,
    site: Site,
    n: usize,
    settling: Duration,
    window: Duration,
    tick: u32,
    fuse: u32,
}

/// What the window showed.
struct Held {
    memory: Memory,
    beats: u64,
    per_beat: Duration,
    round_trip: Option<f64>,
}

/// What it took until all lines stood.
struct Dialed {
    cpu: Duration,
    children: Duration,
    /// Meanwhile lines that stood had beaten so often.
    beats: f64,
}

impl Bench {
    fn new(arguments: &LinesArguments) -> Result<Self> {
        let seconds = Duration::from_secs(arguments.seconds);
        let window = (seconds / 2).min(WINDOW);
        Ok(Self {
            heartline: arguments.common.heartline()?,
            site: Site::create()?,
            n: usize::try_from(arguments.n)?,
            settling: seconds.saturating_sub(window),
            window,
            tick: arguments.tick,
            fuse: arguments.fuse,
        })
    }

    fn server(&self, kind: Kind) -> Result<Server> {
        let port = site::free_port()?;
        match kind {
            Kind::Sshd => Server::sshd(&self.site, port, ""),
            Kind::Serve => Server::serve(&self.heartline, &self.site, port, self.n),
        }
    }

    fn heartline(&self, kind: Kind, server: &mut Server) -> Result<Row> {
        say(kind, "heartline", "dials");
        let one = self.one_line(kind, server)?;
        let mut watcher = self.watcher("heartline.toml", kind, self.n, server)?;
        let n = self.n;
        watcher.wait_until("last line up", self.ceiling(), |seen| seen.up == n)?;
        let dialed = dialed_by(&watcher)?;
        say(kind, "heartline", "settles, and is measured");
        watcher.listen(self.settling)?;
        let before = watcher.seen().changes.len();
        let pids = [watcher.pid()];
        let held = self.hold(&pids, server.port(), |time| watcher.listen(time))?;
        if watcher.seen().changes.len() != before {
            bail!("lines changed while they were measured: the machine is too busy");
        }
        watcher.end()?;
        server.wait_until_idle()?;
        let mut row = self.row(kind, Client::Heartline, pids.len(), &held, Some(&dialed))?;
        if n > 1 {
            row.marginal_pss_kib_per_line = Some((held.memory.pss - one) / (float(n)? - 1.0));
        }
        Ok(row)
    }

    /// Memory of a watcher with one line.
    fn one_line(&self, kind: Kind, server: &mut Server) -> Result<f64> {
        let mut watcher = self.watcher("one.toml", kind, 1, server)?;
        watcher.wait_until("line up", self.ceiling(), |seen| seen.up == 1)?;
        watcher.listen(self.settling.min(ONE_LINE))?;
        let memory = measure::memory(&[watcher.pid()])?;
        watcher.end()?;
        server.wait_until_idle()?;
        Ok(memory.pss)
    }

    fn watcher(&self, name: &str, kind: Kind, n: usize, server: &Server) -> Result<Watcher> {
        let places = site::places(0, n, &[server.port()]);
        let config = self.site.write_nodes(name, &places)?;
        let ssh_config = self.site.write_ssh_config(&[server.port()])?;
        // Ours runs no command.
        let fuse = if kind == Kind::Sshd { self.fuse } else { 0 };
        Watcher::start(&self.heartline, &ssh_config, &config, 1, COUNT, fuse)
    }

    fn ssh(&self, kind: Kind, server: &mut Server) -> Result<Row> {
        say(kind, "ssh", "dials");
        let places = site::places(0, self.n, &[server.port()]);
        let ssh_config = self.site.write_ssh_config(&[server.port()])?;
        let said = self.site.file("ssh_said");
        let flock = Flock::start(&ssh_config, &said, &places, server)?;
        let pids = flock.pids()?;
        let dialed = Dialed {
            cpu: measure::cpu(&pids)?,
            children: Duration::ZERO,
            beats: flock.uptime().sum(Instant::now()).as_secs_f64(),
        };
        say(kind, "ssh", "settles, and is measured");
        interrupt::sleep(self.settling)?;
        let held = self.hold(&pids, server.port(), interrupt::sleep);
        let held = held.with_context(|| format!("ssh said {:?}", flock::said(&said)))?;
        drop(flock);
        server.wait_until_idle()?;
        self.row(kind, Client::Ssh, pids.len(), &held, Some(&dialed))
    }

    fn floor(&self, kind: Kind) -> Result<Row> {
        say(kind, "floor", "settles, and is measured");
        let floor = Floor::start(self.n, self.tick)?;
        interrupt::sleep(self.settling.min(FLOOR_SETTLES))?;
        let pids = [floor.pid()];
        let held = self.hold(&pids, floor.port(), interrupt::sleep)?;
        self.row(kind, Client::Floor, pids.len(), &held, None)
    }

    /// The window.
    fn hold(
        &self,
        pids: &[Pid],
        port: u16,
        wait: impl FnOnce(Duration) -> Result<()>,
    ) -> Result<Held> {
        let begun = (self.connections(port)?, measure::cpu(pids)?);
        wait(self.window)?;
        let ended = (self.connections(port)?, measure::cpu(pids)?);
        let beats = ended.0.sent.saturating_sub(begun.0.sent);
        let cpu = ended.1.saturating_sub(begun.1);
        if beats == 0 {
            bail!("not one beat was sent");
        }
        Ok(Held {
            memory: measure::memory(pids)?,
            beats,
            per_beat: cpu.div_f64(float(usize::try_from(beats)?)?),
            round_trip: ended.0.round_trip(),
        })
    }

    /// The lines' connections, which must all stand.
    fn connections(&self, port: u16) -> Result<Connections> {
        let found = measure::connections(port)?;
        if found.standing != self.n {
            bail!("{} of {} connections stand", found.standing, self.n);
        }
        Ok(found)
    }

    fn row(
        &self,
        server: Kind,
        client: Client,
        processes: usize,
        held: &Held,
        dialed: Option<&Dialed>,
    ) -> Result<Row> {
        let n = float(self.n)?;
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0 / n;
        let connection = dialed.map(|dialed| {
            let beats = held.per_beat.mul_f64(dialed.beats);
            ms(dialed.cpu.saturating_sub(beats))
        });
        Ok(Row {
            server,
            client,
            processes,
            pss_kib_per_line: held.memory.pss / n,
            rss_kib_per_line: held.memory.rss / n,
            marginal_pss_kib_per_line: None,
            beats: held.beats,
            cpu_us_per_beat: held.per_beat.as_secs_f64() * 1e6,
            cpu_ms_per_connection: connection,
            children_ms_per_connection: dialed.map(|dialed| ms(dialed.children)),
            round_trip_us: held.round_trip,
        })
    }

    /// The longest that dialing may take.
    fn ceiling(&self) -> Duration {
        CEILING + EACH * u32::try_from(self.n).unwrap_or(u32::MAX)
    }
}

/// What dialing cost a watcher of which all lines have just come up.
fn dialed_by(watcher: &Watcher) -> Result<Dialed> {
    let (now, pid) = (Instant::now(), watcher.pid());
    let mut uptime = Uptime::default();
    for change in watcher
        .seen()
        .changes
        .iter()
        .filter(|change| change.to == "up")
    {
        uptime.came_up(change.at);
    }
    Ok(Dialed {
        cpu: measure::cpu(&[pid])?,
        children: measure::cpu_of_children(pid)?,
        beats: uptime.sum(now).as_secs_f64(),
    })
}

fn say(server: Kind, client: &str, does: &str) {
    eprintln!("{server}: {client} {does}");
}

fn float(number: usize) -> Result<f64> {
    let number = u32::try_from(number).context("too many")?;
    Ok(f64::from(number))
}

/// The longest window.
const WINDOW: Duration = Duration::from_secs(30);
/// A watcher with one line has its memory by then.
const ONE_LINE: Duration = Duration::from_secs(10);
/// The floor has no memory of earlier beats.
const FLOOR_SETTLES: Duration = Duration::from_secs(5);
/// As ssh's own default: the machine may be busy, and a line that falls costs a handshake.
const COUNT: u32 = 3;
const CEILING: Duration = Duration::from_mins(1);
const EACH: Duration = Duration::from_millis(100);
