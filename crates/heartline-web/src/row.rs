//! A node as the page shows it: in one row, from one copy of what is known.

use std::sync::Arc;
use std::time::Duration;

use heartline_core::Cause;
use heartline_watch::board::Known;
use heartline_watch::{LineBrief, NodeBrief};
use serde::Serialize;

use crate::chart::{self, Level};
use crate::words;

/// A row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What is known.
    pub(crate) brief: Arc<NodeBrief>,
    /// Its place in the plan.
    pub(crate) at: usize,
    /// The last round trips by the fastest of its lines, oldest first, [`SPARK`] at most.
    pub(crate) trips: Vec<Option<Duration>>,
}

/// What changes of a row, for the script.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Face {
    /// The node's name, as it is.
    pub(crate) n: Arc<str>,
    /// Its state.
    pub(crate) s: &'static str,
    /// Its cause in words.
    pub(crate) w: String,
    /// Lines that are up, of how many.
    pub(crate) l: String,
    /// Since when, in seconds since 1970.
    pub(crate) t: i64,
}

impl Row {
    /// Of all nodes, in the order of the plan.
    pub(crate) fn all(known: &Known) -> Vec<Self> {
        let each = known.nodes.iter().enumerate();
        each.map(|(at, brief)| Self {
            brief: Arc::clone(brief),
            at,
            trips: trips(known, brief, SPARK),
        })
        .collect()
    }

    /// The last round trip, if it is up.
    pub(crate) fn last(&self) -> Option<Duration> {
        self.trips.last().copied().flatten()
    }

    pub(crate) fn levels(&self) -> Vec<Level> {
        chart::levels(&self.trips)
    }
}

impl Face {
    pub(crate) fn of(brief: &NodeBrief) -> Self {
        let up = brief.lines.iter().filter(|line| line.state == "up").count();
        Self {
            n: Arc::clone(&brief.node),
            s: brief.state.word(),
            w: why(brief),
            l: format!("{up}/{}", brief.lines.len()),
            t: brief.since.as_second(),
        }
    }
}

/// Why a node is not up, in words; with more where its cause has more to say.
fn why(brief: &NodeBrief) -> String {
    let Some(cause) = brief.state.cause() else {
        return String::new();
    };
    let told: Option<&LineBrief> = brief.lines.iter().find(|line| line.cause == Some(cause));
    words::because(Some(cause), told.and_then(|line| line.detail.clone()), None)
}

/// How urgent a state is, the most first.
pub(crate) fn rank(state: &str, cause: Option<Cause>) -> u8 {
    match (state, cause) {
        ("down", _) => 0,
        ("unknown", cause) if cause != Some(Cause::Starting) => 1,
        ("degraded", _) => 2,
        ("suspect", _) => 3,
        ("unknown", _) => 4,
        ("paused", _) => 5,
        _ => 6,
    }
}

/// Of the fastest line at each time: where a node has several, another may be it each time.
fn trips(known: &Known, brief: &NodeBrief, most: usize) -> Vec<Option<Duration>> {
    let mut fastest: Vec<Option<Duration>> = Vec::new();
    for line in &brief.lines {
        let Some(trail) = known.trail(&brief.node, &line.line) else {
            continue;
        };
        let last = trail.iter().rev().take(most);
        for (at, trip) in last.enumerate() {
            match fastest.get_mut(at) {
                Some(before) => *before = least(*before, *trip),
                None => fastest.push(*trip),
            }
        }
    }
    fastest.reverse();
    fastest
}

fn least(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Round trips that are drawn in a row.
pub(crate) const SPARK: usize = 30;
/// The states, in the order in which they are shown.
pub(crate) const STATES: [&str; 6] = ["down", "unknown", "degraded", "suspect", "paused", "up"];
