//! The dead-man's switch at the far end of a line.

use std::fmt;
use std::time::Duration;

use crate::timing::{Bound, Interval, TimingError};

/// How long the far end of a line waits for a beat before it ends its session itself.
///
/// Whole seconds, since a POSIX shell counts no finer; two intervals and 2 s at least, 2 147 483 647 s at most. Rule of thumb: half as much
/// again as the bound at least, so that an outage the line itself survives does not burn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fuse(u32);

impl Fuse {
    /// Checks what was asked for, for a line that beats at this interval.
    pub fn new(fuse: Duration, interval: Interval) -> Result<Self, TimingError> {
        let interval = interval.as_duration();
        let least = interval.saturating_mul(2);
        if fuse < least {
            return Err(TimingError::FuseShort {
                came: fuse,
                interval,
                least: Self(rounded_up(least)),
            });
        }
        if fuse.subsec_nanos() > 0 {
            return Err(TimingError::FuseFraction {
                came: fuse,
                rather: Self(rounded_up(fuse)),
            });
        }
        match u32::try_from(fuse.as_secs()) {
            Ok(seconds @ Self::MIN..=Self::MAX) => Ok(Self(seconds)),
            _ => Err(TimingError::FuseRange { came: fuse }),
        }
    }

    /// What a line has unless somebody says otherwise: three bounds, 30 s at least.
    ///
    /// An outage that a session survives ends within the bound. The guard's beats come every third of the fuse, so the
    /// longest time without one is then the bound and a third of the fuse: two thirds of the fuse.
    pub fn default_for(bound: Bound) -> Self {
        let wanted = bound
            .as_duration()
            .saturating_mul(3)
            .max(Self::LEAST_DEFAULT);
        Self(rounded_up(wanted))
    }

    /// In seconds.
    pub const fn as_secs(self) -> u32 {
        self.0
    }

    /// As a duration.
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }

    /// Between two of the guard's beats: a third of the fuse. So two of them may be lost, and one beat in ten is a guard's
    /// at an interval of 1 s and the shortest default.
    pub const fn period(self) -> Duration {
        Duration::from_millis(self.0 as u64 * 1_000 / 3)
    }

    /// The last second is told apart from those before it.
    const MIN: u32 = 2;
    /// `INT_MAX` seconds.
    const MAX: u32 = i32::MAX as u32;
    const LEAST_DEFAULT: Duration = Duration::from_secs(30);
}

impl fmt::Display for Fuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

fn rounded_up(time: Duration) -> u32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    u32::try_from(seconds)
        .unwrap_or(Fuse::MAX)
        .clamp(Fuse::MIN, Fuse::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timing::Count;

    fn interval(ms: u64) -> Interval {
        Interval::new(Duration::from_millis(ms)).unwrap()
    }

    #[test]
    fn one_that_is_shorter_than_two_beats_is_refused_with_the_arithmetic() {
        let refused = |ms, every| {
            let fuse = Fuse::new(Duration::from_millis(ms), interval(every));
            fuse.unwrap_err().to_string()
        };
        assert_eq!(
            refused(9_000, 5_000),
            "fuse 9s is shorter than two beats: 2 · 5s = 10s; give 10s or more, or 0 for none"
        );
        assert_eq!(
            refused(1_000, 700),
            "fuse 1s is shorter than two beats: 2 · 700ms = 1.4s; give 2s or more, or 0 for none"
        );
        assert_eq!(
            refused(2_500, 1_000),
            "fuse 2.5s is no whole number of seconds, and a shell counts no finer; give 3s"
        );
        assert_eq!(
            refused(2_147_483_648_000, 1_000),
            "fuse 2147483648s is out of range; give 2 to 2147483647 seconds"
        );
        assert!(refused(1_000, 10).ends_with("give 2 to 2147483647 seconds"));
    }

    #[test]
    fn one_that_is_in_range_is_taken() {
        for (s, every) in [(2, 10), (2, 1_000), (10, 5_000), (2_147_483_647, 5_000)] {
            let fuse = Fuse::new(Duration::from_secs(s), interval(every)).unwrap();
            assert_eq!(fuse.as_duration(), Duration::from_secs(s));
        }
    }

    /// Whatever outage a line survives, its session does too.
    #[test]
    fn the_default_outlasts_a_bound_and_a_period() {
        let longest = Interval::new(Interval::MAX).unwrap();
        for interval in [interval(10), interval(5_000), interval(7_001), longest] {
            for count in [1, 3, 1_000] {
                let bound = Bound::of(interval, Count::new(count).unwrap());
                let fuse = Fuse::default_for(bound);
                assert!(fuse.as_secs() >= 30);
                let outlasts = bound.as_duration() + fuse.period() < fuse.as_duration();
                assert!(
                    outlasts || fuse.as_secs() == Fuse::MAX,
                    "{interval:?} {fuse}"
                );
            }
        }
    }
}
