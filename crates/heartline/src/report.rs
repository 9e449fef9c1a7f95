//! `heartline report`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use heartline_journal::{EventFilter, Reader, Stored, Times};
use jiff::Timestamp;
use serde::Serialize;

use crate::log::{JournalFlag, moment};
use crate::words;

/// Prints how well each node was: availability, incidents, how long they lasted, and why.
///
/// Availability is the share of the time in which the node answered, of that in which it could be judged and was not paused. It counts whole days (UTC). An incident lasts from `down` to the next `up` or `degraded`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct ReportArgs {
    /// Of this node alone, by the name that the watcher has for it
    #[arg(value_name = "NODE")]
    node: Option<String>,
    /// Since when: a time ago (24h, 30d), a day (2026-11-01), or a moment
    #[arg(long, value_name = "WHEN", default_value = "30d", value_parser = moment)]
    since: Timestamp,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    journal: JournalFlag,
}

/// All that is reported.
#[derive(Debug, Serialize)]
struct Report {
    since: String,
    nodes: Vec<OfNode>,
}

/// One node.
#[derive(Debug, Default, Serialize)]
struct OfNode {
    node: String,
    availability: Option<f64>,
    /// How long it was in which state.
    times_ms: BTreeMap<&'static str, u64>,
    incidents: Vec<Incident>,
    /// Mean time to repair, of the incidents that are over.
    mttr_ms: Option<u64>,
    causes: BTreeMap<String, usize>,
}

/// From down to up.
#[derive(Clone, Debug, Serialize)]
struct Incident {
    #[serde(serialize_with = "milliseconds")]
    from: Timestamp,
    /// None: it goes on.
    to: Option<String>,
    duration_ms: Option<u64>,
    cause: Option<String>,
}

/// Prints it.
pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let reader = args.journal.open()?;
    let report = report(&reader, args)?;
    let text = if args.json {
        serde_json::to_string(&report)? + "\n"
    } else {
        table(&report)
    };
    words::put_out(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn report(reader: &Reader, args: &ReportArgs) -> anyhow::Result<Report> {
    let mut nodes: BTreeMap<String, OfNode> = BTreeMap::new();
    let day = args.since.as_second().div_euclid(86_400);
    let mut all: BTreeMap<String, Times> = BTreeMap::new();
    for day in reader.days(day, args.node.as_deref(), false)? {
        all.entry(day.node).or_default().add(&day.times);
    }
    for (node, times) in all {
        let words = heartline_journal::TIMES.into_iter().zip(times.0);
        let of = nodes.entry(node).or_default();
        of.availability = times.availability();
        of.times_ms = words.filter(|(_, ms)| *ms > 0).collect();
    }
    let filter = EventFilter {
        node: args.node.clone(),
        without_lines: true,
        since: Some(args.since),
        ..EventFilter::default()
    };
    reader.events(&filter, |event| {
        if let (Some(node), "node") = (&event.node, event.kind.as_str()) {
            nodes.entry(node.clone()).or_default().take_in(&event);
        }
    })?;
    let nodes = nodes.into_iter().map(|(node, of)| of.finish(node));
    Ok(Report {
        since: format!("{:.3}", args.since),
        nodes: nodes.collect(),
    })
}

impl OfNode {
    /// Suspicion and doubt neither begin an incident nor end one.
    fn take_in(&mut self, event: &Stored) {
        let open = self.incidents.last_mut().filter(|last| last.to.is_none());
        match (event.state.as_deref(), open) {
            (Some("down"), None) => {
                if let Some(cause) = &event.cause {
                    *self.causes.entry(cause.clone()).or_default() += 1;
                }
                self.incidents.push(Incident {
                    from: event.t,
                    to: None,
                    duration_ms: None,
                    cause: event.cause.clone(),
                });
            }
            (Some("up" | "degraded"), Some(open)) => {
                open.to = Some(format!("{:.3}", event.t));
                let lasted = event.t.duration_since(open.from).as_millis();
                open.duration_ms = Some(u64::try_from(lasted).unwrap_or_default());
            }
            _ => {}
        }
    }

    fn finish(self, node: String) -> Self {
        let over = self.incidents.iter().filter_map(|one| one.duration_ms);
        let (count, sum) = over.fold((0, 0), |(count, sum), ms| (count + 1, sum + ms));
        Self {
            node,
            mttr_ms: u64::checked_div(sum, count),
            ..self
        }
    }
}

fn table(report: &Report) -> String {
    let mut text = String::new();
    let widest = report
        .nodes
        .iter()
        .map(|of| words::plain(&of.node).chars().count());
    let wide = widest.max().unwrap_or_default().clamp(4, 40);
    let _ = writeln!(
        text,
        "{:wide$}  {:>9}  {:>9}  {:>9}  {:>9}  {:>9}  CAUSES",
        "NODE", "AVAILABLE", "INCIDENTS", "DOWN", "LONGEST", "MTTR"
    );
    for of in &report.nodes {
        let available = of.availability.map_or("-".to_owned(), percent);
        let span =
            |ms: Option<u64>| ms.map_or("-".to_owned(), |ms| lasted(Duration::from_millis(ms)));
        let longest = of.incidents.iter().filter_map(|one| one.duration_ms).max();
        let mut causes: Vec<_> = of.causes.iter().collect();
        causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let causes = causes
            .iter()
            .map(|(cause, count)| format!("{} {count}", words::plain(cause)));
        let causes = causes.collect::<Vec<_>>().join(", ");
        let on = of.incidents.last().is_some_and(|last| last.to.is_none());
        let _ = writeln!(
            text,
            "{:wide$}  {available:>9}  {:>9}  {:>9}  {:>9}  {:>9}  {causes}{}",
            words::plain(&of.node),
            of.incidents.len(),
            span(of.times_ms.get("down").copied()),
            span(longest),
            span(of.mttr_ms),
            if on { " (down now)" } else { "" },
        );
    }
    if report.nodes.is_empty() {
        let _ = writeln!(text, "nothing is known of that time");
    }
    text
}

/// Never rounded up to 100.
fn percent(share: f64) -> String {
    let percent = (share * 100_000.0).floor() / 1_000.0;
    format!("{percent:.3} %")
}

/// In the two largest units.
pub(crate) fn lasted(time: Duration) -> String {
    let s = time.as_secs();
    match s {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{s}.{} s", time.subsec_millis() / 100),
        60..3_600 => format!("{}m {}s", s / 60, s % 60),
        3_600..86_400 => format!("{}h {}m", s / 3_600, s % 3_600 / 60),
        _ => format!("{}d {}h", s / 86_400, s % 86_400 / 3_600),
    }
}

fn milliseconds<S: serde::Serializer>(t: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{t:.3}"))
}

const HELP: &str = "\
Exit codes: 0, 2 usage, or no journal.

Examples:
  heartline report
  heartline report db1 --since 90d --json";
