//! The least and the most that something takes.

use std::time::Duration;

/// A stretch of time that is known by its least and its most.
///
/// `min` never exceeds `max`. Where a rule says "more than a, at most b", `min` is a: the limit, not a value that occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    min: Duration,
    max: Duration,
}

impl Span {
    /// From the least to the most; the other way round they change places.
    pub fn new(a: Duration, b: Duration) -> Self {
        Self {
            min: a.min(b),
            max: a.max(b),
        }
    }

    /// Exactly so long.
    pub const fn exact(time: Duration) -> Self {
        Self {
            min: time,
            max: time,
        }
    }

    /// The least.
    pub const fn min(self) -> Duration {
        self.min
    }

    /// The most.
    pub const fn max(self) -> Duration {
        self.max
    }

    /// The middle, which is the mean where every moment of a cut is as likely as another.
    pub fn mean(self) -> Duration {
        self.min
            .saturating_add(self.max.saturating_sub(self.min) / 2)
    }

    /// Whether a time lies in it, or beside it by `slack` at most.
    pub fn holds(self, time: Duration, slack: Duration) -> bool {
        time.saturating_add(slack) >= self.min && time <= self.max.saturating_add(slack)
    }

    /// When the first of two things happens.
    pub(super) fn or_earlier(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.min(other.max),
        }
    }

    /// One that covers both.
    pub(super) fn hull(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }
}
