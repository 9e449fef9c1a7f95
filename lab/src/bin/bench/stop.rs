//! `bench stop`: the servers of thousands of lines freeze in one instant; when is each line called
//! down?
//!
//! One node in a hundred is on a sshd of its own that knows no key exchange but group16, the kind
//! that computes for a tenth of a second in one piece. Its sessions are killed just before, so that
//! these nodes, which are dialed again a second later, handshake while the others' silence is counted.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::arguments::StopArguments;
use crate::server::Server;
use crate::site::{self, Site};
use crate::watcher::{Change, Watcher};

/// Measures and prints.
pub(crate) fn run(arguments: &StopArguments) -> Result<()> {
    let mut scene = Scene::set(arguments)?;
    let stopped = scene.stop()?;
    let report = scene.report(&stopped)?;
    print!("{report}");
    arguments.common.put_out(&report)
}

/// Everything that runs.
struct Scene {
    /// First, so that it goes first.
    watcher: Watcher,
    modern: Vec<Server>,
    legacy: Server,
    /// Lines to `legacy`: those with the lowest numbers.
    slow: usize,
    n: usize,
    bound: Duration,
    _site: Site,
}

/// The stop, and the first change of each line to down since.
struct Stopped {
    at: Instant,
    down: Vec<Change>,
    handshakes: usize,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Report {
    lines: usize,
    group16_lines: usize,
    group16_handshakes_meanwhile: usize,
    called_down: usize,
    called_down_before: usize,
    causes: BTreeMap<String, usize>,
    bound_ms: f64,
    /// From the last sign of life, by the watcher's own word.
    soonest_after_ms: f64,
    median_after_ms: f64,
    slowest_after_ms: f64,
    /// From the stop to when we read of it: the last sign of life came before the stop.
    slowest_since_stop_ms: f64,
    slowest_by_bound: f64,
    wanted: f64,
    ok: bool,
    watcher_stalls: usize,
}

impl Scene {
    fn set(arguments: &StopArguments) -> Result<Self> {
        let heartline = arguments.common.heartline()?;
        let site = Site::create()?;
        let n = usize::try_from(arguments.n)?;
        let slow = (n / 100).max(1);
        let legacy = Server::sshd(&site, site::free_port()?, GROUP16)?;
        let mut modern = Vec::new();
        for _ in 0..arguments.servers {
            modern.push(Server::serve(&heartline, &site, site::free_port()?, n)?);
        }
        let ports: Vec<_> = modern.iter().map(Server::port).collect();
        let mut places = site::places(0, slow, &[legacy.port()]);
        places.extend(site::places(slow, n - slow, &ports));
        let config = site.write_nodes("heartline.toml", &places)?;
        let all: Vec<_> = ports.iter().copied().chain([legacy.port()]).collect();
        let ssh_config = site.write_ssh_config(&all)?;
        let (interval, count) = (arguments.interval, arguments.count);
        let mut watcher = Watcher::start(&heartline, &ssh_config, &config, interval, count, 0)?;
        eprintln!("{n} lines are dialed, {slow} of them by group16");
        let ceiling = CEILING + EACH * arguments.n;
        watcher.wait_until("last line up", ceiling, |seen| seen.up == n)?;
        let bound = Duration::from_secs(interval.into()) * (count + 1);
        watcher.listen(bound * 2)?;
        Ok(Self {
            watcher,
            modern,
            legacy,
            slow,
            n,
            bound,
            _site: site,
        })
    }

    /// Makes the slow ones handshake, stops the others' servers, and reads on until every one of their lines is down.
    fn stop(&mut self) -> Result<Stopped> {
        let (slow, wanted) = (self.slow, self.n - self.slow);
        let handshakes = self.legacy.logins()?;
        let mut read = self.watcher.seen().changes.len();
        if self.legacy.kill_sessions()? == 0 {
            bail!("no group16 session to kill");
        }
        self.watcher.listen(BEFORE_DIALS)?;
        eprintln!("{slow} lines are dialed again, {wanted} are stopped");
        let at = Instant::now();
        for server in &self.modern {
            server.stop()?;
        }
        let ceiling = self.bound * 3 + CEILING;
        let mut down: BTreeMap<usize, Change> = BTreeMap::new();
        let all = self.watcher.wait_until("last line down", ceiling, |seen| {
            let new = seen.changes.get(read..).unwrap_or_default();
            read += new.len();
            for change in new.iter().filter(|change| change.node >= slow) {
                if change.to == "down" {
                    down.entry(change.node).or_insert_with(|| change.clone());
                }
            }
            down.len() == wanted
        });
        all.with_context(|| format!("{} of {wanted} lines were called down", down.len()))?;
        Ok(Stopped {
            at,
            down: down.into_values().collect(),
            handshakes: match self.legacy.logins()? - handshakes {
                0 => bail!("no group16 handshake was done meanwhile"),
                some => some,
            },
        })
    }

    fn report(&self, stopped: &Stopped) -> Result<Report> {
        let seen = self.watcher.seen();
        let mut after: Vec<_> = stopped.down.iter().filter_map(|line| line.after).collect();
        after.sort();
        let [soonest, .., slowest] = after.as_slice() else {
            bail!("no two lines said how long their peers had been silent");
        };
        let median = after.get(after.len() / 2).unwrap_or(slowest);
        let since_stop = stopped
            .down
            .iter()
            .map(|line| line.at.saturating_duration_since(stopped.at));
        let mut causes = BTreeMap::new();
        for line in &stopped.down {
            let cause = line.cause.clone().unwrap_or_else(|| "none".into());
            *causes.entry(cause).or_default() += 1;
        }
        let is_false = |change: &&Change| {
            change.node >= self.slow && change.at < stopped.at && change.to == "down"
        };
        let by_bound = slowest.as_secs_f64() / self.bound.as_secs_f64();
        Ok(Report {
            lines: self.n,
            group16_lines: self.slow,
            group16_handshakes_meanwhile: stopped.handshakes,
            called_down: stopped.down.len(),
            called_down_before: seen.changes.iter().filter(is_false).count(),
            causes,
            bound_ms: milliseconds(self.bound),
            soonest_after_ms: milliseconds(*soonest),
            median_after_ms: milliseconds(*median),
            slowest_after_ms: milliseconds(*slowest),
            slowest_since_stop_ms: milliseconds(since_stop.max().unwrap_or_default()),
            slowest_by_bound: by_bound,
            wanted: WANTED,
            ok: by_bound <= WANTED,
            watcher_stalls: seen.stalls,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} lines, {} of them to nodes that did {} group16 handshakes meanwhile",
            self.lines, self.group16_lines, self.group16_handshakes_meanwhile
        )?;
        writeln!(
            f,
            "called down            {:>8}   {:?}",
            self.called_down, self.causes
        )?;
        writeln!(
            f,
            "called down before     {:>8}   of those that were well",
            self.called_down_before
        )?;
        writeln!(f, "watcher stalls         {:>8}", self.watcher_stalls)?;
        writeln!(f, "bound                  {:>8.0} ms", self.bound_ms)?;
        writeln!(
            f,
            "after_ms, soonest      {:>8.0} ms",
            self.soonest_after_ms
        )?;
        writeln!(f, "after_ms, median       {:>8.0} ms", self.median_after_ms)?;
        writeln!(
            f,
            "after_ms, slowest      {:>8.0} ms",
            self.slowest_after_ms
        )?;
        writeln!(
            f,
            "read after the stop    {:>8.0} ms, slowest",
            self.slowest_since_stop_ms
        )?;
        writeln!(
            f,
            "slowest : bound        {:>8.3}   <= {} {}",
            self.slowest_by_bound,
            self.wanted,
            if self.ok { "ok" } else { "MISSED" },
        )
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// The most that the slowest may take, by its bound.
const WANTED: f64 = 1.05;
/// Before anything else, for a sshd that has it: nothing but the slow key exchange.
const GROUP16: &str = "KexAlgorithms diffie-hellman-group16-sha512";
/// From the kill to the stop. A session that did not last is dialed again after a second at least.
const BEFORE_DIALS: Duration = Duration::from_millis(900);
const CEILING: Duration = Duration::from_mins(1);
const EACH: Duration = Duration::from_millis(50);
