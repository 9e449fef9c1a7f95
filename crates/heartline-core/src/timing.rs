//! How often to beat and how long to wait: the numbers a person sets, checked once.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::fuse::Fuse;

/// Time between beats, as `ServerAliveInterval`; a fraction of a second is allowed.
///
/// From 10 ms to 2 147 483 647 s. Rule of thumb: the round-trip time must stay well under it, and a firewall's idle
/// timeout above it; 5 s suits most networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(Duration);

impl Interval {
    /// Checks the range.
    pub const fn new(interval: Duration) -> Result<Self, TimingError> {
        if interval.is_zero() {
            return Err(TimingError::IntervalZero);
        }
        let nanos = interval.as_nanos();
        if nanos < Self::MIN.as_nanos() || nanos > Self::MAX.as_nanos() {
            return Err(TimingError::IntervalRange { came: interval });
        }
        Ok(Self(interval))
    }

    /// As a duration.
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    /// How much earlier than due a beat may leave, and how much later its answer may be taken, so that what many lines
    /// have to do is done together: a twentieth of the interval, 50 ms at most.
    pub fn slack(self) -> Duration {
        (self.0 / 20).min(Duration::from_millis(50))
    }

    /// After this long a beat is sent by whoever sends one at the first tick after that.
    pub fn less_slack(self) -> Duration {
        self.0.saturating_sub(self.slack())
    }

    /// 5 s.
    pub const DEFAULT: Self = Self(Duration::from_secs(5));
    /// A month: for a session that is to say nothing.
    pub const FOR_EVER: Self = Self(Duration::from_hours(720));
    /// 10 ms.
    pub const MIN: Duration = Duration::from_millis(10);
    /// `INT_MAX` seconds, the largest value ssh takes.
    pub const MAX: Duration = Duration::from_secs(i32::MAX as u64);
}

/// How many beats may go unanswered, as `ServerAliveCountMax`: 1 to 2 147 483 647.
///
/// Zero is refused: with it OpenSSH's client kills a healthy idle session at the first interval (facts/keepalive.md,
/// section 1), which nobody wants of a watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Count(u32);

impl Count {
    /// Checks the range.
    pub const fn new(count: u32) -> Result<Self, TimingError> {
        match count {
            0 => Err(TimingError::CountZero),
            1..=Self::MAX => Ok(Self(count)),
            came => Err(TimingError::CountRange { came }),
        }
    }

    /// As a number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// 1: an end two intervals after the last sign of life.
    pub const DEFAULT: Self = Self(1);
    /// `INT_MAX`, the largest value ssh takes.
    pub const MAX: u32 = i32::MAX as u32;
}

/// The stated maximum from the peer's last sign of life to the end: `interval · (count + 1)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bound(Duration);

impl Bound {
    /// The rule of OpenSSH's client (clientloop.c, `server_alive_check`): probes at 1, 2 … count intervals, the end
    /// at the tick after the last of them.
    pub fn of(interval: Interval, count: Count) -> Self {
        Self(
            interval
                .as_duration()
                .saturating_mul(count.get().saturating_add(1)),
        )
    }

    /// As a duration.
    pub const fn as_duration(self) -> Duration {
        self.0
    }
}

/// How long an answer is waited for once a beat has gone without one, where interval and count do not say. Then beats that keep a
/// connection from being forgotten by what it passes may be seldom, and its end is known soon after one of them all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Patience {
    /// So long after a beat was due: the bound is the interval and this.
    For(Duration),
    /// For ever: the session stays until its peer or the network ends it.
    Endless,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Duration::MAX {
            return f.write_str("never");
        }
        write!(f, "{:?}", self.0)
    }
}

/// From when on a silent line is called down. At the bound it is in any case, and its session ends there and not before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Detection {
    /// At the bound, as OpenSSH's client does it.
    #[default]
    OpenSsh,
    /// As soon as TCP would have repaired a loss: see [`Adaptive`](crate::detect::Adaptive).
    Adaptive,
}

/// All the timing of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// Time between beats.
    pub interval: Interval,
    /// Beats that may go unanswered.
    pub count: Count,
    /// Good beats in a row before a line that was down is up again; 1 or more.
    pub rise: u32,
    /// The most that one stage of a dial (TCP connect, banner, key exchange, authentication) may take.
    pub stage_timeout: Duration,
    /// How long its far end may outlive its last beat; none: for as long as the node's own sshd lets it.
    pub fuse: Option<Fuse>,
    /// From when on its silence is called down.
    pub detection: Detection,
    /// What stands in for the count, if anything does.
    pub patience: Option<Patience>,
    /// To be back soon goes before sparing a network that is down: it is tried every half second.
    pub eager: bool,
}

impl Timing {
    /// The bound of these.
    pub fn bound(&self) -> Bound {
        match self.patience {
            None => Bound::of(self.interval, self.count),
            Some(Patience::For(time)) => Bound(self.interval.as_duration().saturating_add(time)),
            Some(Patience::Endless) => Bound(Duration::MAX),
        }
    }

    /// The most that a whole dial may take, whatever its stages do. The stages' own deadlines come first; this one
    /// stands behind them.
    pub fn dial_timeout(&self) -> Duration {
        self.stage_timeout.saturating_mul(Self::DIAL_STAGES + 1)
    }

    /// 10 s.
    pub const DEFAULT_STAGE_TIMEOUT: Duration = Duration::from_secs(10);
    /// 2 beats.
    pub const DEFAULT_RISE: u32 = 2;
    const DIAL_STAGES: u32 = 4;
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            interval: Interval::DEFAULT,
            count: Count::DEFAULT,
            rise: Self::DEFAULT_RISE,
            stage_timeout: Self::DEFAULT_STAGE_TIMEOUT,
            fuse: None,
            detection: Detection::default(),
            patience: None,
            eager: false,
        }
    }
}

/// Why a number a person set is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TimingError {
    /// 0 means "off" to ssh; a watcher that never asks would never know.
    #[error("interval 0 would never beat; give 10ms or more")]
    IntervalZero,
    /// Outside 10 ms … `INT_MAX` s.
    #[error("interval {came:?} is out of range; give 10ms to 2147483647 seconds")]
    IntervalRange {
        /// What was given.
        came: Duration,
    },
    /// 0 kills healthy sessions.
    #[error("count 0 would end a healthy session at its first interval; give 1 or more")]
    CountZero,
    /// Over `INT_MAX`.
    #[error("count {came} is out of range; give 1 to 2147483647")]
    CountRange {
        /// What was given.
        came: u32,
    },
    /// It would burn between two beats.
    #[error(
        "fuse {came:?} is shorter than two beats: 2 · {interval:?} = {:?}; give {least} or more, or 0 for none",
        *interval * 2
    )]
    FuseShort {
        /// What was given.
        came: Duration,
        /// The interval.
        interval: Duration,
        /// What would do.
        least: Fuse,
    },
    /// A part of a second.
    #[error(
        "fuse {came:?} is no whole number of seconds, and a shell counts no finer; give {rather}"
    )]
    FuseFraction {
        /// What was given.
        came: Duration,
        /// The next that is one.
        rather: Fuse,
    },
    /// Outside 2 s … `INT_MAX` s.
    #[error("fuse {came:?} is out of range; give 2 to 2147483647 seconds")]
    FuseRange {
        /// What was given.
        came: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_is_interval_times_count_plus_one() {
        let interval = Interval::new(Duration::from_secs(15)).unwrap();
        let count = Count::new(3).unwrap();
        assert_eq!(
            Bound::of(interval, count).as_duration(),
            Duration::from_mins(1)
        );
    }

    #[test]
    fn a_patience_begins_where_a_beat_is_due() {
        let of = |patience| {
            let interval = Interval::new(Duration::from_mins(1)).unwrap();
            let patience = Some(patience);
            Timing {
                interval,
                patience,
                ..Timing::default()
            }
            .bound()
        };
        let bound = of(Patience::For(Duration::from_secs(10)));
        assert_eq!(bound.as_duration(), Duration::from_secs(70));
        assert_eq!(of(Patience::Endless).to_string(), "never");
    }

    #[test]
    fn out_of_range_is_refused() {
        assert_eq!(
            Interval::new(Duration::ZERO),
            Err(TimingError::IntervalZero)
        );
        assert!(Interval::new(Duration::from_millis(9)).is_err());
        assert!(Interval::new(Duration::from_secs(2_147_483_647)).is_ok());
        assert!(Interval::new(Duration::from_secs(2_147_483_648)).is_err());
        assert_eq!(Count::new(0), Err(TimingError::CountZero));
        assert!(Count::new(2_147_483_647).is_ok());
        assert!(Count::new(2_147_483_648).is_err());
    }

    #[test]
    fn slack_is_a_twentieth_and_fifty_milliseconds_at_most() {
        let slack = |ms| Interval::new(Duration::from_millis(ms)).unwrap().slack();
        assert_eq!(slack(100), Duration::from_millis(5));
        assert_eq!(slack(1_000), Duration::from_millis(50));
        assert_eq!(slack(60_000), Duration::from_millis(50));
    }
}
