//! `bench page`: what it costs to be looked at.
//!
//! The same lines are held twice in turn, by a watcher that nobody can ask and that remembers nothing, and by one with a journal and a page: the page open in one place, its metrics scraped every
//! fifteen seconds. CPU is divided by the beats that the kernel sent, as in `bench lines`. At the end a first load is fetched as a browser would, and the server is stopped: from the event's own time to its
//! arrival at whoever listens.

mod visitor;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::arguments::PageArguments;
use crate::interrupt;
use crate::measure;
use crate::server::Server;
use crate::site::{self, Site};
use crate::watcher::Watcher;
use visitor::{Load, Visitor};

/// Measures and prints.
pub(crate) fn run(arguments: &PageArguments) -> Result<()> {
    let mut bench = Bench::new(arguments)?;
    let (mut alone, mut shown) = (Vec::new(), Vec::new());
    let mut visit = None;
    for round in 1..=arguments.rounds {
        eprintln!("round {round}: alone");
        alone.push(bench.alone()?);
        eprintln!("round {round}: with a page that is open");
        let (cost, seen) = bench.shown(round == arguments.rounds)?;
        shown.push(cost);
        visit = seen;
    }
    let visit = visit.context("no round")?;
    let report = Report::new(arguments.n, alone, shown, visit);
    print!("{report}");
    arguments.common.put_out(&report)
}

struct Bench {
    heartline: PathBuf,
    site: Site,
    server: Server,
    n: usize,
    window: Duration,
}

/// What somebody who looks at it sees.
#[derive(Debug, Serialize)]
struct Visit {
    load: Load,
    events: usize,
    event_ms: f64,
    slowest_event_ms: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    lines: u32,
    debug_build: bool,
    alone_us_per_beat: f64,
    shown_us_per_beat: f64,
    more_percent: f64,
    visit: Visit,
}

impl Bench {
    fn new(arguments: &PageArguments) -> Result<Self> {
        let heartline = arguments.common.heartline()?;
        let site = Site::create()?;
        let n = usize::try_from(arguments.n)?;
        let server = Server::serve(&heartline, &site, site::free_port()?, n)?;
        Ok(Self {
            heartline,
            site,
            server,
            n,
            window: Duration::from_secs(arguments.seconds),
        })
    }

    fn watcher(&self, more: &[&str]) -> Result<Watcher> {
        let places = site::places(0, self.n, &[self.server.port()]);
        let config = self.site.write_nodes("page.toml", &places)?;
        let ssh_config = self.site.write_ssh_config(&[self.server.port()])?;
        let started = Watcher::start_with(&self.heartline, &ssh_config, &config, 1, COUNT, 0, more);
        let mut watcher = started?;
        let n = self.n;
        let ceiling = CEILING + EACH * u32::try_from(n)?;
        watcher.wait_until("last line up", ceiling, |seen| seen.up == n)?;
        watcher.listen(SETTLES)?;
        Ok(watcher)
    }

    /// CPU of a beat, in microseconds.
    fn alone(&mut self) -> Result<f64> {
        let mut watcher = self.watcher(&["--socket", "none", "--journal", "none"])?;
        let cost = self.hold(&mut watcher, |_| Ok(()))?;
        watcher.end()?;
        self.server.wait_until_idle()?;
        Ok(cost)
    }

    /// The last one stops the server.
    fn shown(&mut self, is_last: bool) -> Result<(f64, Option<Visit>)> {
        let listen = format!("127.0.0.1:{}", site::free_port()?);
        let socket = self.site.file("page.sock");
        let socket = socket.to_str().context("a path that is not text")?;
        let journal = self.site.file("page.db");
        let journal = journal.to_str().context("a path that is not text")?;
        let words = [
            "--listen",
            &listen,
            "--socket",
            socket,
            "--journal",
            journal,
        ];
        let mut watcher = self.watcher(&words)?;
        let visitor = Visitor::new(&listen)?;
        let page = visitor.open("/live")?;
        let cost = self.hold(&mut watcher, |second| {
            if second % 15 == 0 {
                visitor.fetch("/metrics")?;
            }
            Ok(())
        })?;
        drop(page);
        if is_last {
            return Ok((cost, Some(self.visit(&visitor, &mut watcher)?)));
        }
        watcher.end()?;
        self.server.wait_until_idle()?;
        Ok((cost, None))
    }

    fn visit(&self, visitor: &Visitor, watcher: &mut Watcher) -> Result<Visit> {
        let load = visitor.load()?;
        let listening = visitor.open("/api/v1/stream")?;
        self.server.stop()?;
        watcher.listen(AFTERMATH)?;
        let mut late = listening.lateness();
        late.sort_by(f64::total_cmp);
        let (Some(event_ms), Some(slowest_event_ms)) = (late.get(late.len() / 2), late.last())
        else {
            bail!("not one event came");
        };
        Ok(Visit {
            load,
            events: late.len(),
            event_ms: *event_ms,
            slowest_event_ms: *slowest_event_ms,
        })
    }

    /// The window, with something done each second.
    fn hold(&self, watcher: &mut Watcher, mut each: impl FnMut(u64) -> Result<()>) -> Result<f64> {
        let pids = [watcher.pid()];
        let port = self.server.port();
        let begun = (measure::connections(port)?, measure::cpu(&pids)?);
        for second in 0..self.window.as_secs() {
            each(second)?;
            watcher.listen(Duration::from_secs(1))?;
            interrupt::check()?;
        }
        let ended = (measure::connections(port)?, measure::cpu(&pids)?);
        let beats = ended.0.sent.saturating_sub(begun.0.sent);
        let cpu = ended.1.saturating_sub(begun.1);
        let beats = u32::try_from(beats).context("too many beats")?;
        if beats == 0 {
            bail!("not one beat was sent");
        }
        Ok(cpu.as_secs_f64() * 1e6 / f64::from(beats))
    }
}

impl Report {
    fn new(lines: u32, alone: Vec<f64>, shown: Vec<f64>, visit: Visit) -> Self {
        let (alone, shown) = (median(alone), median(shown));
        Self {
            lines,
            debug_build: cfg!(debug_assertions),
            alone_us_per_beat: alone,
            shown_us_per_beat: shown,
            more_percent: (shown / alone - 1.0) * 100.0,
            visit,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { visit, .. } = self;
        let Load {
            bytes,
            ms,
            slowest_ms,
        } = visit.load;
        writeln!(f, "{} lines, one beat a second each", self.lines)?;
        writeln!(
            f,
            "CPU of a beat, alone         {:8.2} us",
            self.alone_us_per_beat
        )?;
        writeln!(
            f,
            "CPU of a beat, looked at     {:8.2} us",
            self.shown_us_per_beat
        )?;
        writeln!(
            f,
            "more                         {:8.2} %    (at most 5)",
            self.more_percent
        )?;
        writeln!(
            f,
            "first load                   {bytes:8} bytes (at most 100000)"
        )?;
        writeln!(
            f,
            "first load, median, slowest  {ms:8.1}, {slowest_ms:.1} ms (at most 200)"
        )?;
        writeln!(
            f,
            "event, median, slowest       {:8.1}, {:.1} ms of {} events (at most 100)",
            visit.event_ms, visit.slowest_event_ms, visit.events
        )
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

const COUNT: u32 = 3;
const SETTLES: Duration = Duration::from_secs(10);
const CEILING: Duration = Duration::from_mins(1);
const EACH: Duration = Duration::from_millis(100);
/// Longer than the bound.
const AFTERMATH: Duration = Duration::from_secs(6);
