//! `/metrics`, in the form of `OpenMetrics`: made anew for each scrape from what was counted, so that nothing is counted twice.
//!
//! Labels are bounded by what is configured: nodes, lines, and closed lists. Above [`MOST`] lines round trips are told by node, above as many nodes all together, and of the states of a node
//! only the one that it is in; `heartline_metrics_detail` says which it is.

mod counted;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use heartline_watch::board::Known;
use heartline_watch::{Dials, NodeBrief};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use counted::Counted;

use crate::answer;
use crate::health::Health;
use crate::routes::App;
use crate::row::STATES;
use crate::watched::JournalHealth;

/// Everything, as it is.
pub(crate) async fn scrape(State(app): State<Arc<App>>) -> Response {
    let watched = &app.watched;
    let known = watched.board.read(Scrape::of);
    let scrape = Scrape {
        health: Some(Health::of(&watched.board)),
        journal: watched.journal_health.as_ref().map(|ask| ask()),
        ..known
    };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut text = String::new();
    match text::encode(&mut text, &registry) {
        Ok(()) => answer::typed(KIND, text),
        Err(_) => answer::problem(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "metrics cannot be written",
        ),
    }
}

/// A copy of what is told.
#[derive(Debug, Default)]
struct Scrape {
    nodes: Vec<Arc<NodeBrief>>,
    counted: Counted,
    dials: Dials,
    lag: Duration,
    events: Vec<(&'static str, u64)>,
    health: Option<Health>,
    journal: Option<JournalHealth>,
}

type Written = Result<(), fmt::Error>;

impl Scrape {
    fn of(known: &Known) -> Self {
        Self {
            nodes: known.nodes.clone(),
            counted: Counted::of(&known.samples.lines, known.nodes.len()),
            dials: known.samples.dials.clone(),
            lag: known.samples.lag,
            events: known
                .counts
                .iter()
                .map(|(kind, count)| (*kind, *count))
                .collect(),
            health: None,
            journal: None,
        }
    }

    fn states(&self, to: &mut DescriptorEncoder<'_>) -> Written {
        let is_brief = self.nodes.len() > MOST;
        let mut states = family(
            to,
            "heartline_node_state",
            "Whether a node is in a state",
            GAUGE,
        )?;
        for node in &self.nodes {
            for state in STATES {
                let is_so = node.state.word() == state;
                if is_so || !is_brief {
                    let labels = [("node", &*node.node), ("state", state)];
                    gauge(&mut states, &labels, u64::from(is_so))?;
                }
            }
        }
        let mut causes = family(to, "heartline_node_cause", "Why a node is not up", GAUGE)?;
        for node in &self.nodes {
            if let Some(cause) = node.state.cause() {
                let labels = [("node", &*node.node), ("cause", cause.word())];
                gauge(&mut causes, &labels, 1)?;
            }
        }
        let mut since = seconds(
            to,
            "heartline_node_state_since",
            "When a node came into its state, in seconds since 1970",
            GAUGE,
        )?;
        for node in &self.nodes {
            let labels = [("node", &*node.node)];
            let since_s = u64::try_from(node.since.as_second()).unwrap_or_default();
            gauge(&mut since, &labels, since_s)?;
        }
        Ok(())
    }

    fn lines(&self, to: &mut DescriptorEncoder<'_>) -> Written {
        if self.counted.is_by_line() {
            let mut up = family(to, "heartline_line_up", "Whether a line is up", GAUGE)?;
            for node in &self.nodes {
                for line in &node.lines {
                    let labels = [("node", &*node.node), ("line", &*line.line)];
                    gauge(&mut up, &labels, u64::from(line.state == "up"))?;
                }
            }
        }
        let mut up = family(
            to,
            "heartline_node_lines_up",
            "How many lines of a node are up",
            GAUGE,
        )?;
        for node in &self.nodes {
            let count = node.lines.iter().filter(|line| line.state == "up").count();
            gauge(&mut up, &[("node", &*node.node)], count as u64)?;
        }
        let mut all = family(
            to,
            "heartline_node_lines",
            "How many lines a node has",
            GAUGE,
        )?;
        for node in &self.nodes {
            gauge(&mut all, &[("node", &*node.node)], node.lines.len() as u64)?;
        }
        Ok(())
    }

    fn watcher(&self, to: &mut DescriptorEncoder<'_>) -> Written {
        let mut dials = family(to, "heartline_dials", "How dials ended", COUNTER)?;
        counter(&mut dials, &[("outcome", "stood")], self.dials.stood)?;
        for (cause, count) in &self.dials.in_vain {
            counter(&mut dials, &[("outcome", cause.word())], *count)?;
        }
        let mut events = family(to, "heartline_events", "What was told, by kind", COUNTER)?;
        for (kind, count) in &self.events {
            counter(&mut events, &[("kind", *kind)], *count)?;
        }
        seconds(
            to,
            "heartline_watcher_lag",
            "By how much the watcher is late, lately",
            GAUGE,
        )?
        .encode_gauge(&self.lag.as_secs_f64())?;
        if let Some(health) = &self.health {
            family(
                to,
                "heartline_watcher_isolated",
                "Whether the watcher itself is cut off",
                GAUGE,
            )?
            .encode_gauge(&u64::from(health.isolated))?;
            family(
                to,
                "heartline_watcher_ok",
                "Whether what the watcher says can be believed",
                GAUGE,
            )?
            .encode_gauge(&u64::from(health.ok))?;
            if let Some(ms) = health.sampled_ms_ago {
                let age = Duration::from_millis(ms).as_secs_f64();
                seconds(
                    to,
                    "heartline_watcher_sample_age",
                    "How old the numbers are",
                    GAUGE,
                )?
                .encode_gauge(&age)?;
            }
            let begun = u64::try_from(health.begun.as_second()).unwrap_or_default();
            seconds(
                to,
                "process_start_time",
                "When the watcher began, in seconds since 1970",
                GAUGE,
            )?
            .encode_gauge(&begun)?;
        }
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        family(
            to,
            "heartline_build",
            "Which heartline this is",
            MetricType::Info,
        )?
        .encode_info(&version)?;
        let detail = [("round_trips_by", self.counted.detail())];
        family(
            to,
            "heartline_metrics_detail",
            "By what round trips are told",
            MetricType::Info,
        )?
        .encode_info(&detail)
    }

    fn journal(&self, to: &mut DescriptorEncoder<'_>) -> Written {
        let Some(journal) = self.journal else {
            return Ok(());
        };
        family(
            to,
            "heartline_journal_ok",
            "Whether the journal is written",
            GAUGE,
        )?
        .encode_gauge(&u64::from(journal.is_written))?;
        family(
            to,
            "heartline_journal_lost",
            "Entries that the journal lacks",
            COUNTER,
        )?
        .encode_counter::<NoLabelSet, _, u64>(&journal.lost, None)
    }
}

impl Collector for Scrape {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> Written {
        self.states(&mut to)?;
        self.lines(&mut to)?;
        self.counted.encode(&mut to)?;
        self.watcher(&mut to)?;
        self.journal(&mut to)
    }
}

fn family<'a>(
    to: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
    kind: MetricType,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    to.encode_descriptor(name, help, None, kind)
}

fn seconds<'a>(
    to: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
    kind: MetricType,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    to.encode_descriptor(name, help, Some(&Unit::Seconds), kind)
}

fn gauge(of: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, value: u64) -> Written {
    of.encode_family(labels)?.encode_gauge(&value)
}

fn counter(of: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, value: u64) -> Written {
    of.encode_family(labels)?
        .encode_counter::<NoLabelSet, _, u64>(&value, None)
}

const GAUGE: MetricType = MetricType::Gauge;
const COUNTER: MetricType = MetricType::Counter;
pub(crate) const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Lines that are told one by one.
const MOST: usize = 2_000;
