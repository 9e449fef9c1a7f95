//! Round trips by the minute, from numbers that are taken every few seconds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use heartline_journal::RoundTripRow;
use heartline_ssh::RoundTripCounts;
use heartline_watch::LineSample;
use jiff::Timestamp;

/// What has come since the minute began.
#[derive(Debug, Default)]
pub(super) struct Minute {
    begun: Option<i64>,
    lines: HashMap<(Arc<str>, Arc<str>), OfLine>,
}

#[derive(Clone, Copy, Debug, Default)]
struct OfLine {
    /// When it began.
    before: RoundTripCounts,
    now: RoundTripCounts,
    extremes: Option<(Duration, Duration)>,
    /// It was there the last time.
    is_seen: bool,
}

impl Minute {
    /// Takes these in; what came in the minute before, if that is over, and when it was over.
    pub(super) fn take_in(
        &mut self,
        lines: &[LineSample],
    ) -> Option<(Timestamp, Vec<RoundTripRow>)> {
        let minute = Timestamp::now().as_second().div_euclid(60);
        let is_over = self
            .begun
            .replace(minute)
            .is_some_and(|begun| begun != minute);
        let rows = is_over.then(|| self.turn());
        for line in lines {
            let key = (Arc::clone(&line.node), Arc::clone(&line.line));
            let of = self.lines.entry(key).or_default();
            if line.round_trips.total() < of.now.total() {
                // A line of the same name, begun anew.
                *of = OfLine::default();
            }
            of.now = line.round_trips;
            of.is_seen = true;
            of.extremes = match (of.extremes, line.extremes) {
                (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
                (one, other) => one.or(other),
            };
        }
        let t = Timestamp::from_second(minute * 60).ok()?;
        rows.map(|rows| (t, rows))
    }

    /// What came, line by line; the next begins. Lines that are no more are forgotten.
    fn turn(&mut self) -> Vec<RoundTripRow> {
        let mut rows = Vec::new();
        self.lines.retain(|(node, line), of| {
            let is_seen = std::mem::take(&mut of.is_seen);
            let counts = of.now.since(&of.before);
            let Some((shortest, longest)) = of.extremes.take() else {
                // It may only have been silent.
                return is_seen;
            };
            of.before = of.now;
            rows.push(RoundTripRow {
                node: Arc::clone(node),
                line: Arc::clone(line),
                counts,
                shortest,
                longest,
            });
            is_seen
        });
        rows
    }
}
