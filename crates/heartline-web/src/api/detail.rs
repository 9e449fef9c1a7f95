//! All that is known of one node.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use heartline_journal::{Hour, Reader};
use heartline_watch::board::{Known, Noted};
use heartline_watch::{NodeBrief, Told};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use tracing::debug;

use super::NodeNow;
use crate::events::{self, Event, Wanted};
use crate::reads::Busy;
use crate::uptime::{self, Uptime};
use crate::watched::Watched;

/// It.
#[derive(Debug, Serialize)]
pub(crate) struct Detail {
    #[serde(flatten)]
    pub(crate) now: NodeNow,
    /// By line: what each layer knew when the line last changed.
    pub(crate) evidence: BTreeMap<Arc<str>, Value>,
    /// The share of the last 90 days in which it answered, by the journal.
    pub(crate) availability: Option<f64>,
    /// Of the node under an empty name, and of its lines.
    #[serde(skip)]
    pub(crate) uptimes: BTreeMap<String, Uptime>,
    /// By line and hour, of the last two days.
    #[serde(skip)]
    pub(crate) hours: BTreeMap<String, Vec<Hour>>,
    /// The last, oldest first.
    #[serde(skip)]
    pub(crate) events: Vec<Event>,
}

/// What the journal tells.
#[derive(Default)]
struct Past {
    uptimes: BTreeMap<String, Uptime>,
    hours: BTreeMap<String, Vec<Hour>>,
}

impl Detail {
    /// None, if no such node is watched.
    pub(crate) async fn read(watched: &Watched, name: &str) -> Result<Option<Self>, Busy> {
        let now = watched.board.read(|known| {
            let brief = known.node(name)?;
            Some((
                NodeNow::of(known, brief, true),
                evidence_at_hand(known, brief),
            ))
        });
        let Some((now, told)) = now else {
            return Ok(None);
        };
        let mut evidence = evidence_of(&told);
        let wanted = Wanted {
            node: Some(name.to_owned()),
            limit: EVENTS,
            ..Wanted::default()
        };
        let (events, past) =
            tokio::try_join!(events::read(watched, wanted), read_past(watched, name))?;
        for line in &now.brief.lines {
            if !evidence.contains_key(&line.line)
                && let Some(found) = evidence_in(&events, &line.line)
            {
                evidence.insert(Arc::clone(&line.line), found);
            }
        }
        let sum = past.uptimes.get("").map(|uptime| uptime.sum);
        Ok(Some(Self {
            now,
            evidence,
            availability: sum.and_then(|sum| sum.availability()),
            uptimes: past.uptimes,
            hours: past.hours,
            events,
        }))
    }
}

/// What was told last of each line, of what was told lately.
fn evidence_at_hand(known: &Known, brief: &NodeBrief) -> BTreeMap<Arc<str>, Arc<Noted>> {
    let mut found = BTreeMap::new();
    for noted in known.recent.iter().rev() {
        if let Told::Line(line) = &noted.told
            && line.node == brief.node
            && !found.contains_key(&line.line)
        {
            found.insert(Arc::clone(&line.line), Arc::clone(noted));
        }
        if found.len() >= brief.lines.len() {
            break;
        }
    }
    found
}

fn evidence_of(told: &BTreeMap<Arc<str>, Arc<Noted>>) -> BTreeMap<Arc<str>, Value> {
    let each = told.iter().filter_map(|(name, noted)| {
        let Told::Line(line) = &noted.told else {
            return None;
        };
        let evidence = serde_json::to_value(&line.evidence).ok()?;
        Some((Arc::clone(name), evidence))
    });
    each.collect()
}

fn evidence_in(events: &[Event], line: &str) -> Option<Value> {
    let mut of_line = events
        .iter()
        .rev()
        .filter(|event| event.json.get("line").and_then(Value::as_str) == Some(line));
    of_line.find_map(|event| event.json.get("evidence").cloned())
}

async fn read_past(watched: &Watched, name: &str) -> Result<Past, Busy> {
    let Some(journal) = &watched.journal else {
        return Ok(Past::default());
    };
    let name = name.to_owned();
    journal.read(move |path| Past::of(path, &name)).await
}

impl Past {
    /// Blocks.
    fn of(path: &Path, name: &str) -> Self {
        let all = uptime::read(path, Some(name), uptime::today()).unwrap_or_else(|why| {
            debug!("No uptime is shown: {why}.");
            HashMap::new()
        });
        let uptimes = all
            .into_iter()
            .map(|((_, line), uptime)| (line.unwrap_or_default(), uptime))
            .collect();
        let since = Timestamp::now()
            .checked_sub(SignedDuration::from_hours(HOURS))
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let read = Reader::open(path).and_then(|reader| reader.round_trips(name, HOUR, since));
        let mut hours: BTreeMap<String, Vec<Hour>> = BTreeMap::new();
        for hour in read.unwrap_or_default() {
            hours.entry(hour.line.clone()).or_default().push(hour);
        }
        Self { uptimes, hours }
    }
}

/// Events that are shown of a node.
const EVENTS: usize = 100;
/// Of round trips.
pub(crate) const HOURS: i64 = 48;
const HOUR: Duration = Duration::from_hours(1);
