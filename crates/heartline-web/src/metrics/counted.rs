//! Answers and how long they took, by line; or by node, or all together, where there are too many.

use std::collections::HashMap;
use std::fmt;
use std::iter::once;
use std::sync::Arc;

use heartline_ssh::{ROUND_TRIP_CLASSES_US, RoundTripCounts};
use heartline_watch::LineSample;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::{MOST, counter, family, seconds};

/// Of whom, and how many.
#[derive(Debug)]
pub(super) enum Counted {
    ByLine(Vec<(Arc<str>, Arc<str>, RoundTripCounts)>),
    ByNode(Vec<(Arc<str>, RoundTripCounts)>),
    Together(RoundTripCounts),
}

impl Default for Counted {
    fn default() -> Self {
        Self::ByLine(Vec::new())
    }
}

impl Counted {
    pub(super) fn of(lines: &[LineSample], nodes: usize) -> Self {
        if nodes > MOST {
            let all = lines.iter().map(|line| &line.round_trips);
            return Self::Together(all.fold(RoundTripCounts::default(), |sum, one| sum.and(one)));
        }
        if lines.len() <= MOST {
            let each = lines.iter();
            let line = |line: &LineSample| {
                (
                    Arc::clone(&line.node),
                    Arc::clone(&line.line),
                    line.round_trips,
                )
            };
            return Self::ByLine(each.map(line).collect());
        }
        let mut nodes: Vec<(Arc<str>, RoundTripCounts)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for line in lines {
            let place = *places.entry(&line.node).or_insert(nodes.len());
            match nodes.get_mut(place) {
                Some((_, sum)) => *sum = sum.and(&line.round_trips),
                None => nodes.push((Arc::clone(&line.node), line.round_trips)),
            }
        }
        Self::ByNode(nodes)
    }

    pub(super) fn is_by_line(&self) -> bool {
        matches!(self, Self::ByLine(_))
    }

    pub(super) fn detail(&self) -> &'static str {
        match self {
            Self::ByLine(_) => "line",
            Self::ByNode(_) => "node",
            Self::Together(_) => "watcher",
        }
    }

    /// Each with the labels that it has.
    fn each(&self) -> Vec<(Vec<(&'static str, &str)>, &RoundTripCounts)> {
        match self {
            Self::ByLine(all) => all
                .iter()
                .map(|(node, line, counts)| (vec![("node", &**node), ("line", &**line)], counts))
                .collect(),
            Self::ByNode(all) => all
                .iter()
                .map(|(node, counts)| (vec![("node", &**node)], counts))
                .collect(),
            Self::Together(counts) => vec![(Vec::new(), counts)],
        }
    }

    pub(super) fn encode(&self, to: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let each = self.each();
        let mut answered = family(
            to,
            "heartline_beats_answered",
            "Beats that were answered",
            MetricType::Counter,
        )?;
        for (labels, counts) in &each {
            counter(&mut answered, labels, counts.total())?;
        }
        let mut took = seconds(
            to,
            "heartline_round_trip",
            "How long answers to beats took",
            MetricType::Histogram,
        )?;
        for (labels, counts) in &each {
            let sum = micros(counts.sum_us);
            let classes = classes(counts);
            took.encode_family(labels)?.encode_histogram::<NoLabelSet>(
                sum,
                counts.total(),
                &classes,
                None,
            )?;
        }
        Ok(())
    }
}

/// Upper ends in seconds, and how many there were in each class.
fn classes(counts: &RoundTripCounts) -> Vec<(f64, u64)> {
    let ends = ROUND_TRIP_CLASSES_US.iter().map(|us| micros((*us).into()));
    ends.chain(once(f64::INFINITY))
        .zip(counts.classes)
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "2^53 us are 285 years")]
fn micros(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(node: usize, line: usize) -> LineSample {
        let mut round_trips = RoundTripCounts::default();
        round_trips.classes[3] = 1;
        round_trips.sum_us = 700;
        LineSample {
            node: format!("n{node}").into(),
            line: format!("l{line}").into(),
            round_trips,
            last: None,
            extremes: None,
        }
    }

    #[test]
    fn too_many_lines_are_told_by_node_and_too_many_nodes_together() {
        let few = [line(1, 1), line(1, 2)];
        assert_eq!(Counted::of(&few, 1).detail(), "line");
        let many: Vec<_> = (0..MOST + 2).map(|at| line(at / 2, at % 2)).collect();
        let by_node = Counted::of(&many, MOST / 2 + 1);
        let Counted::ByNode(nodes) = &by_node else {
            panic!("{by_node:?}");
        };
        assert_eq!(nodes.len(), MOST / 2 + 1);
        assert!(nodes.iter().all(|(_, counts)| counts.total() == 2));
        let together = Counted::of(&many, MOST + 1);
        assert_eq!(together.each()[0].1.total(), MOST as u64 + 2);
    }

    #[test]
    fn the_ends_of_classes_are_in_seconds() {
        let classes = classes(&line(1, 1).round_trips);
        assert_eq!(classes[0].0.to_string(), "0.0001");
        assert_eq!(classes[3], (0.001, 1));
        assert!(classes[15].0.is_infinite());
    }
}
