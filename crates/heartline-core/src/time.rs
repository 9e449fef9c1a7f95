//! A point in monotonic time. Core never asks what time it is; it is told.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in monotonic time, counted from an arbitrary start that the caller chooses (its own start, say).
///
/// Not wall time: it never jumps, and it means nothing to another process.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The caller's start.
    pub const START: Self = Self(Duration::ZERO);

    /// The moment `since_start` after the caller's start.
    pub const fn at(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// Time since the caller's start.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// Time from `earlier` to here; zero when `earlier` is later.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The last point at or before this one on a grid of `step`; this one when `step` is zero.
    ///
    /// Lines that round their probes down to a shared grid wake the process together.
    #[must_use]
    pub fn floor_to(self, step: Duration) -> Self {
        let step = u64::try_from(step.as_nanos()).unwrap_or(u64::MAX);
        let nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        match nanos.checked_rem(step) {
            Some(over) => Self(Duration::from_nanos(nanos - over)),
            None => self,
        }
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by))
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_to_a_grid_and_leaves_a_zero_grid_alone() {
        let at = Moment::at(Duration::from_millis(1_234));
        assert_eq!(
            at.floor_to(Duration::from_millis(50)),
            Moment::at(Duration::from_millis(1_200))
        );
        assert_eq!(at.floor_to(Duration::ZERO), at);
    }
}
