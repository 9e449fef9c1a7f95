//! How long a session's answers took, counted by class: what a histogram needs, in a hundred bytes a session.

use std::array;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The upper ends of the classes but the last, which has none, in microseconds.
pub const ROUND_TRIP_CLASSES_US: [u32; 15] = [
    100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000, 2_000_000, 5_000_000,
];

/// Counts as they grow. One task counts, anybody reads.
#[derive(Debug)]
pub(crate) struct RoundTrips {
    classes: [AtomicU32; ROUND_TRIP_CLASSES_US.len() + 1],
    sum_us: AtomicU64,
    /// Since somebody looked.
    longest_us: AtomicU32,
    shortest_us: AtomicU32,
}

/// Round trips of a line, by class, since it began; a session's, since that did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTripCounts {
    /// How many there were in each class of [`ROUND_TRIP_CLASSES_US`], and above the last.
    pub classes: [u64; ROUND_TRIP_CLASSES_US.len() + 1],
    /// All of them together, in microseconds.
    pub sum_us: u64,
}

impl Default for RoundTrips {
    fn default() -> Self {
        Self {
            classes: array::from_fn(|_| AtomicU32::new(0)),
            sum_us: AtomicU64::new(0),
            longest_us: AtomicU32::new(0),
            shortest_us: AtomicU32::new(u32::MAX),
        }
    }
}

impl RoundTrips {
    pub(crate) fn count(&self, time: Duration) {
        let us = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let class = ROUND_TRIP_CLASSES_US.partition_point(|end| *end < us);
        if let Some(class) = self.classes.get(class) {
            class.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(us.into(), Ordering::Relaxed);
        self.longest_us.fetch_max(us, Ordering::Relaxed);
        self.shortest_us.fetch_min(us, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> RoundTripCounts {
        let of = |at: usize| self.classes.get(at).map(|one| one.load(Ordering::Relaxed));
        RoundTripCounts {
            classes: array::from_fn(|at| of(at).unwrap_or_default().into()),
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }

    /// The shortest and the longest since this was last asked; none, if there was none.
    pub(crate) fn take_extremes(&self) -> Option<(Duration, Duration)> {
        let shortest = self.shortest_us.swap(u32::MAX, Ordering::Relaxed);
        let longest = self.longest_us.swap(0, Ordering::Relaxed);
        let us = |us: u32| Duration::from_micros(us.into());
        (shortest <= longest).then(|| (us(shortest), us(longest)))
    }
}

impl RoundTripCounts {
    /// How many there were.
    pub fn total(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// These and those.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        let mut sum = *self;
        for (mine, theirs) in sum.classes.iter_mut().zip(others.classes) {
            *mine += theirs;
        }
        sum.sum_us += others.sum_us;
        sum
    }

    /// What came since those.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut rest = *self;
        for (mine, theirs) in rest.classes.iter_mut().zip(before.classes) {
            *mine = mine.saturating_sub(theirs);
        }
        rest.sum_us = rest.sum_us.saturating_sub(before.sum_us);
        rest
    }

    /// The mean; none, of none.
    pub fn mean(&self) -> Option<Duration> {
        let mean = self.sum_us.checked_div(self.total())?;
        Some(Duration::from_micros(mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_in_the_first_class_that_it_does_not_exceed() {
        let trips = RoundTrips::default();
        assert_eq!(trips.take_extremes(), None);
        for us in [0, 100, 101, 5_000_000, 5_000_001, 10_000_000_000] {
            trips.count(Duration::from_micros(us));
        }
        let counts = trips.counts();
        assert_eq!(counts.classes[..2], [2, 1]);
        assert_eq!(counts.classes[14..], [1, 2]);
        assert_eq!(counts.total(), 6);
        let (shortest, longest) = trips.take_extremes().unwrap();
        assert_eq!(shortest, Duration::ZERO);
        assert!(longest > Duration::from_secs(4_000));
        assert_eq!(trips.take_extremes(), None);
    }

    #[test]
    fn what_came_since_and_what_was_before_are_all() {
        let trips = RoundTrips::default();
        trips.count(Duration::from_millis(3));
        let before = trips.counts();
        trips.count(Duration::from_millis(5));
        let since = trips.counts().since(&before);
        assert_eq!(since.mean(), Some(Duration::from_millis(5)));
        assert_eq!(before.and(&since), trips.counts());
        assert_eq!(RoundTripCounts::default().mean(), None);
    }
}
