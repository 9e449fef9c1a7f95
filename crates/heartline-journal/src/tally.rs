//! How long each node and line was in which state, by the day (UTC). Counted by a clock that nobody sets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use heartline_watch::Told;
use jiff::Timestamp;

use crate::read::{TIMES, Times};

/// A node, or a line of it.
pub(crate) type Subject = (Arc<str>, Option<Arc<str>>);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// In which state each is, and up to when that was counted.
    now: HashMap<Subject, (usize, Instant)>,
    /// What has not been written: by day and subject.
    unwritten: HashMap<(i64, Subject), Times>,
}

impl Tally {
    /// Somebody is in another state from `now` on.
    pub(crate) fn see(&mut self, now: Instant, wall: Timestamp, told: &Told) {
        let (Some(node), Some(to)) = (told.node(), told.to()) else {
            return;
        };
        // A line that dials is what it was; before that it is nothing.
        let Some(state) = TIMES.iter().position(|word| *word == to) else {
            return;
        };
        let subject = (Arc::clone(node), told.line().cloned());
        self.count_one(&subject, now, wall);
        self.now.insert(subject, (state, now));
    }

    /// No others are watched.
    pub(crate) fn keep(&mut self, now: Instant, wall: Timestamp, nodes: &[Arc<str>]) {
        self.count(now, wall);
        let nodes: HashSet<_> = nodes.iter().collect();
        self.now.retain(|(node, _), _| nodes.contains(node));
    }

    /// What has been counted up to `now` and nobody has taken.
    pub(crate) fn take(&mut self, now: Instant, wall: Timestamp) -> HashMap<(i64, Subject), Times> {
        self.count(now, wall);
        std::mem::take(&mut self.unwritten)
    }

    /// It could not be written: it counts still.
    pub(crate) fn put_back(&mut self, times: HashMap<(i64, Subject), Times>) {
        for (of, times) in times {
            self.unwritten.entry(of).or_default().add(&times);
        }
    }

    fn count(&mut self, now: Instant, wall: Timestamp) {
        let subjects: Vec<_> = self.now.keys().cloned().collect();
        for subject in subjects {
            self.count_one(&subject, now, wall);
        }
    }

    /// The day is the wall clock's.
    fn count_one(&mut self, subject: &Subject, now: Instant, wall: Timestamp) {
        let Some((state, counted)) = self.now.get_mut(subject) else {
            return;
        };
        let passed = now.saturating_duration_since(*counted);
        let ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        if ms == 0 {
            return;
        }
        // What is less than a millisecond is counted next time.
        *counted += Duration::from_millis(ms);
        let day = wall.as_second().div_euclid(DAY);
        let times = self.unwritten.entry((day, subject.clone())).or_default();
        if let Some(time) = times.0.get_mut(*state) {
            *time += ms;
        }
    }
}

/// Seconds.
pub(crate) const DAY: i64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_is_counted_for_as_long_as_it_lasted_and_by_its_day() {
        let begun = Instant::now();
        let at = |s| begun + Duration::from_secs(s);
        let day = |n: i64| Timestamp::from_second(n * DAY).unwrap();
        let mut tally = Tally::default();
        let subject: Subject = ("db1".into(), None);
        tally.now.insert(subject.clone(), (0, begun));
        tally.count_one(&subject, at(10), day(3));
        tally.now.insert(subject.clone(), (3, at(10)));
        let taken = tally.take(at(15), day(3));
        assert_eq!(taken[&(3, subject.clone())].0, [10_000, 0, 0, 5_000, 0, 0]);
        tally.put_back(taken);
        let taken = tally.take(at(16), day(4));
        assert_eq!(taken[&(3, subject.clone())].0[3], 5_000);
        assert_eq!(taken[&(4, subject)].0[3], 1_000);
        tally.keep(at(16), day(4), &[]);
        assert!(tally.take(at(99), day(4)).is_empty());
    }
}
