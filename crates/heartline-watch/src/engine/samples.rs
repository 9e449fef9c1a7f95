//! Numbers, for those who draw and count: taken when somebody asks, never told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use heartline_core::{Cause, LineState};
use heartline_ssh::{Heard, RoundTripCounts};

use super::{Engine, LineSlot};

/// What can be counted of a running watcher.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Every line, nodes in the order of the plan.
    pub lines: Vec<LineSample>,
    /// How dials ended.
    pub dials: Dials,
    /// By how much the thread that comes latest is late, lately.
    pub lag: Duration,
}

/// What can be counted of a line.
#[derive(Clone, Debug)]
pub struct LineSample {
    /// The node.
    pub node: Arc<str>,
    /// The line.
    pub line: Arc<str>,
    /// How many answers came, by how long they took, since the line began.
    pub round_trips: RoundTripCounts,
    /// The last of them, if it is up.
    pub last: Option<Duration>,
    /// The shortest and the longest since the samples before; none if there was none.
    pub extremes: Option<(Duration, Duration)>,
}

/// How dials ended.
#[derive(Clone, Debug, Default)]
pub struct Dials {
    /// A session stood.
    pub stood: u64,
    /// None did, for this.
    pub in_vain: BTreeMap<Cause, u64>,
}

impl Engine {
    /// Takes them. What is told of as since the last time is for one who asks alone.
    pub fn samples(&self) -> Samples {
        let keys = self.nodes.iter().flat_map(|slot| &slot.lines);
        let lag = self.beating.iter().map(|lane| lane.lookout().lag());
        Samples {
            lines: keys
                .filter_map(|key| self.lines.get(key))
                .map(LineSlot::sample)
                .collect(),
            dials: self.dials.clone(),
            lag: lag.max().unwrap_or_default(),
        }
    }
}

impl LineSlot {
    /// Another session stands. What came in the one before still counts.
    pub(super) fn hear(&mut self, heard: Arc<Heard>) {
        if let Some(before) = self.heard.replace(heard) {
            self.before = self.before.and(&before.round_trips());
        }
    }

    /// Of its last answered beat.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        let heard = self.heard.as_ref().filter(|_| self.state == LineState::Up);
        let last = heard.map(|heard| heard.round_trip());
        last.filter(|last| !last.is_zero())
    }

    fn sample(&self) -> LineSample {
        let heard = self.heard.as_ref();
        let of_session = heard.map(|heard| heard.round_trips()).unwrap_or_default();
        LineSample {
            node: Arc::clone(&self.node),
            line: Arc::clone(&self.plan.name),
            round_trips: self.before.and(&of_session),
            last: self.round_trip(),
            extremes: heard.and_then(|heard| heard.take_extremes()),
        }
    }
}
