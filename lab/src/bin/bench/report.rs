//! What `bench lines` prints: the figures, and the ratios beside what they should be.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::lines::{Client, Row};
use crate::server::Kind;

/// All of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    lines: u32,
    settling_s: f64,
    window_s: f64,
    cores: usize,
    sshd: String,
    debug_build: bool,
    rows: Vec<Row>,
    ratios: Vec<Ratio>,
}

/// One figure of one client by that of another.
#[derive(Debug, Serialize)]
struct Ratio {
    server: Kind,
    what: &'static str,
    of: &'static str,
    came: f64,
    wanted: f64,
    /// Whether `wanted` is the most it may be, or the least.
    at_most: bool,
    ok: bool,
}

/// A ratio that is to be reached.
struct Wanted {
    what: &'static str,
    of: Client,
    by: Client,
    figure: fn(&Row) -> Option<f64>,
    bound: f64,
    at_most: bool,
}

impl Report {
    /// With the ratios of these rows.
    pub(crate) fn new(lines: u32, settling: Duration, window: Duration, rows: Vec<Row>) -> Self {
        let ratios = [Kind::Sshd, Kind::Serve]
            .into_iter()
            .flat_map(|server| WANTED.iter().map(move |wanted| (server, wanted)))
            .filter_map(|(server, wanted)| wanted.of_rows(server, &rows))
            .collect();
        Self {
            lines,
            settling_s: settling.as_secs_f64(),
            window_s: window.as_secs_f64(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            sshd: lab::sshd_version().unwrap_or_else(|_| "unknown".into()),
            debug_build: cfg!(debug_assertions),
            rows,
            ratios,
        }
    }
}

impl Wanted {
    fn of_rows(&self, server: Kind, rows: &[Row]) -> Option<Ratio> {
        let figure = |client| {
            let of_it = |row: &&Row| row.server == server && row.client == client;
            rows.iter().find(of_it).and_then(self.figure)
        };
        let came = figure(self.of)? / figure(self.by)?;
        let ok = if self.at_most {
            came <= self.bound
        } else {
            came >= self.bound
        };
        Some(Ratio {
            server,
            what: self.what,
            of: match self.of {
                Client::Ssh => "ssh : heartline",
                _ => "heartline : floor",
            },
            came,
            wanted: self.bound,
            at_most: self.at_most,
            ok,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lines,
            settling_s,
            window_s,
            ..
        } = self;
        writeln!(
            f,
            "{lines} lines, one beat a second each; settled for {settling_s} s, measured for \
             {window_s} s; {} cores; {}",
            self.cores, self.sshd
        )?;
        if *settling_s < SETTLED_S {
            writeln!(
                f,
                "NOTE: the wanted ratios are of lines with 150 beats behind them"
            )?;
        }
        if self.debug_build {
            writeln!(f, "NOTE: this is a debug build; its figures say nothing")?;
        }
        writeln!(
            f,
            "\n{:6} {:9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>11} {:>8} {:>8} {:>8}",
            "server",
            "client",
            "processes",
            "PSS/line",
            "RSS/line",
            "line more",
            "CPU/beat",
            "CPU/connect",
            "+ ssh -G",
            "TCP RTT",
            "beats"
        )?;
        writeln!(
            f,
            "{:6} {:9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>11} {:>8} {:>8} {:>8}",
            "", "", "", "KiB", "KiB", "KiB", "us", "ms", "ms", "us", ""
        )?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        writeln!(
            f,
            "\n{:6} {:18} {:18} {:>8} {:>8}",
            "server", "ratio of", "", "came", "wanted"
        )?;
        for ratio in &self.ratios {
            writeln!(f, "{ratio}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |figure: Option<f64>, digits: usize| {
            figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}"))
        };
        write!(
            f,
            "{:6} {:9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>11} {:>8} {:>8} {:>8}",
            self.server,
            self.client.name(),
            self.processes,
            shown(Some(self.pss_kib_per_line), 1),
            shown(Some(self.rss_kib_per_line), 1),
            shown(self.marginal_pss_kib_per_line, 1),
            shown(Some(self.cpu_us_per_beat), 1),
            shown(self.cpu_ms_per_connection, 3),
            shown(self.children_ms_per_connection, 3),
            shown(self.round_trip_us, 0),
            self.beats,
        )
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.at_most { "<=" } else { ">=" };
        write!(
            f,
            "{:6} {:18} {:18} {:>8.2} {sign:>3} {:<4} {}",
            self.server,
            self.what,
            self.of,
            self.came,
            self.wanted,
            if self.ok { "ok" } else { "MISSED" },
        )
    }
}

/// What heartline is to reach on 1000 lines.
const WANTED: [Wanted; 5] = [
    Wanted {
        what: "memory",
        of: Client::Ssh,
        by: Client::Heartline,
        figure: |row| Some(row.pss_kib_per_line),
        bound: 14.0,
        at_most: false,
    },
    Wanted {
        what: "CPU a beat",
        of: Client::Ssh,
        by: Client::Heartline,
        figure: |row| Some(row.cpu_us_per_beat),
        bound: 4.0,
        at_most: false,
    },
    Wanted {
        what: "CPU a connection",
        of: Client::Ssh,
        by: Client::Heartline,
        figure: |row| row.cpu_ms_per_connection,
        bound: 14.0,
        at_most: false,
    },
    Wanted {
        what: "same, with ssh -G",
        of: Client::Ssh,
        by: Client::Heartline,
        figure: |row| Some(row.cpu_ms_per_connection? + row.children_ms_per_connection?),
        bound: 14.0,
        at_most: false,
    },
    Wanted {
        what: "CPU a beat",
        of: Client::Heartline,
        by: Client::Floor,
        figure: |row| Some(row.cpu_us_per_beat),
        bound: 3.5,
        at_most: true,
    },
];
/// Memory of a line grows until queues have been used all round.
const SETTLED_S: f64 = 150.0;
