//! The published detectors, each with the knob that its paper gives it.

use std::ops::RangeInclusive;
use std::time::Duration;

use heartline_core::detect::{
    Akka, Bertier, Chen, Detector, Exponential, Fixed, Lifeguard, Phi, TwoWindow,
};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// A timeout, in intervals.
    Fixed,
    /// NFD-E: its margin, in intervals.
    Chen,
    /// 2W-FD: its margin, in intervals.
    TwoWindow,
    /// The weight of the variation.
    Bertier,
    /// Standard deviations.
    Phi,
    /// −ln(1 − E).
    Exponential,
    /// The same of Cassandra's.
    Cassandra,
    /// The pause that is acceptable, in intervals.
    Akka,
    /// The suspicion, in intervals.
    Lifeguard,
}

impl Published {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Fixed,
        Self::Chen,
        Self::TwoWindow,
        Self::Bertier,
        Self::Phi,
        Self::Exponential,
        Self::Cassandra,
        Self::Akka,
        Self::Lifeguard,
    ];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed timeout",
            Self::Chen => "Chen NFD-E",
            Self::TwoWindow => "2W-FD",
            Self::Bertier => "Bertier",
            Self::Phi => "phi accrual",
            Self::Exponential => "exponential",
            Self::Cassandra => "Cassandra",
            Self::Akka => "Akka",
            Self::Lifeguard => "Lifeguard",
        }
    }

    /// The detector, for beats at this interval.
    pub fn detector(self, interval: Duration, knob: f64) -> Box<dyn Detector> {
        let of_interval = || interval.mul_f64(knob);
        match self {
            Self::Fixed => Box::new(Fixed::new(of_interval())),
            Self::Chen => Box::new(Chen::new(interval, of_interval())),
            Self::TwoWindow => Box::new(TwoWindow::new(interval, of_interval())),
            Self::Bertier => Box::new(Bertier::new(interval, knob)),
            Self::Phi => Box::new(Phi::new(interval, knob)),
            Self::Exponential => Box::new(Exponential::new(interval, knob)),
            Self::Cassandra => Box::new(Exponential::cassandra(interval, knob)),
            Self::Akka => Box::new(Akka::new(interval, of_interval())),
            Self::Lifeguard => Box::new(Lifeguard::new(interval, of_interval())),
        }
    }

    /// From too many mistakes to hardly any.
    pub const fn knobs(self) -> RangeInclusive<f64> {
        match self {
            Self::Fixed | Self::Exponential | Self::Cassandra => 1.001..=12.0,
            Self::Chen | Self::TwoWindow => 0.005..=12.0,
            Self::Bertier => 1.0..=20_000.0,
            Self::Phi => 1.0..=5_000.0,
            Self::Akka | Self::Lifeguard => 0.001..=12.0,
        }
    }
}
