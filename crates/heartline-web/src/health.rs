//! Whether this watcher can be believed.

use std::time::{Duration, Instant};

use heartline_watch::Board;
use jiff::Timestamp;
use serde::Serialize;

/// How it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Health {
    /// What it says of nodes can be believed.
    pub(crate) ok: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<&'static str>,
    /// The watcher itself is cut off.
    pub(crate) isolated: bool,
    /// Milliseconds since it last took its numbers; none, if it has not yet.
    pub(crate) sampled_ms_ago: Option<u64>,
    /// How many nodes it watches.
    pub(crate) nodes: usize,
    /// When it began.
    pub(crate) begun: Timestamp,
}

impl Health {
    pub(crate) fn of(board: &Board) -> Self {
        let now = Instant::now();
        let (isolated, sampled, nodes) =
            board.read(|known| (known.is_isolated, known.sampled, known.nodes.len()));
        let age = sampled.map(|sampled| now.saturating_duration_since(sampled));
        let running = Timestamp::now().duration_since(board.begun());
        let is_late = match age {
            Some(age) => age > LATE,
            None => running > jiff::SignedDuration::try_from(LATE).unwrap_or_default(),
        };
        let why = if is_late {
            Some("the watcher has not taken its numbers for more than 30 s")
        } else if isolated {
            Some("the watcher is cut off: nothing is heard, of nobody")
        } else {
            None
        };
        Self {
            ok: why.is_none(),
            why,
            isolated,
            sampled_ms_ago: age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            nodes,
            begun: board.begun(),
        }
    }
}

/// A watcher that judges takes its numbers more often than this.
const LATE: Duration = Duration::from_secs(30);
