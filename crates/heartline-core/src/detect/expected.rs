//! Detectors that foresee the next arrival from the numbers of the beats.

use std::time::Duration;

use super::window::Window;
use super::{Beat, Detector, WINDOW};
use crate::time::Moment;

/// The next arrival by the mean delay of the last: EA = mean(aᵢ − Δ·i) + Δ·(k + 1).
#[derive(Clone, Debug)]
struct Expectation {
    interval: i64,
    /// Arrivals, each less what its number comes to.
    delays: Window,
}

impl Expectation {
    fn new(interval: Duration, window: usize) -> Self {
        Self {
            interval: whole(interval),
            delays: Window::new(window),
        }
    }

    fn arrived(&mut self, beat: Beat) {
        self.delays
            .push(whole(beat.at.since_start()) - self.due(beat.number));
    }

    /// When a beat of this number is expected, in nanoseconds; none, before the first came.
    fn of(&self, number: u64) -> Option<f64> {
        let delay = self.delays.mean()?;
        Some(delay + float(self.due(number)))
    }

    fn due(&self, number: u64) -> i64 {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.interval.saturating_mul(number)
    }
}

/// A margin after the expected arrival.
#[derive(Clone, Debug)]
pub struct Chen {
    margin: Duration,
    expected: Expectation,
    deadline: Option<Moment>,
}

impl Chen {
    /// For beats that are sent at this interval.
    pub fn new(interval: Duration, margin: Duration) -> Self {
        Self {
            margin,
            expected: Expectation::new(interval, WINDOW),
            deadline: None,
        }
    }
}

impl Detector for Chen {
    fn arrived(&mut self, beat: Beat) {
        self.expected.arrived(beat);
        let next = self.expected.of(beat.number + 1).map(moment);
        self.deadline = next.map(|next| next + self.margin);
    }

    fn deadline(&self) -> Option<Moment> {
        self.deadline
    }
}

/// A margin after the later of two expected arrivals: by many beats, and by the last alone.
#[derive(Clone, Debug)]
pub struct TwoWindow {
    long: Chen,
    short: Chen,
}

impl TwoWindow {
    /// For beats that are sent at this interval.
    pub fn new(interval: Duration, margin: Duration) -> Self {
        let mut short = Chen::new(interval, margin);
        short.expected = Expectation::new(interval, 1);
        Self {
            long: Chen::new(interval, margin),
            short,
        }
    }
}

impl Detector for TwoWindow {
    fn arrived(&mut self, beat: Beat) {
        self.long.arrived(beat);
        self.short.arrived(beat);
    }

    fn deadline(&self) -> Option<Moment> {
        self.long.deadline().max(self.short.deadline())
    }
}

/// The expected arrival, and a margin that follows its error.
#[derive(Clone, Debug)]
pub struct Bertier {
    weight: f64,
    expected: Expectation,
    /// Of the error, smoothed, in nanoseconds.
    delay: f64,
    variation: f64,
    deadline: Option<Moment>,
}

impl Bertier {
    /// For beats that are sent at this interval; the paper's weight of the variation is 4.
    pub fn new(interval: Duration, weight: f64) -> Self {
        Self {
            weight,
            expected: Expectation::new(interval, WINDOW),
            delay: 0.0,
            variation: 0.0,
            deadline: None,
        }
    }
}

impl Detector for Bertier {
    fn arrived(&mut self, beat: Beat) {
        if let Some(expected) = self.expected.of(beat.number) {
            let error = float(whole(beat.at.since_start())) - expected - self.delay;
            self.delay += GAIN * error;
            self.variation += GAIN * (error.abs() - self.variation);
        }
        self.expected.arrived(beat);
        let margin = self.delay + self.weight * self.variation;
        let next = self.expected.of(beat.number + 1);
        self.deadline = next.map(|next| moment(next + margin));
    }

    fn deadline(&self) -> Option<Moment> {
        self.deadline
    }
}

fn whole(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact below 104 days, and to 0.1 us for centuries"
)]
fn float(nanos: i64) -> f64 {
    nanos as f64
}

fn moment(nanos: f64) -> Moment {
    let since_start = Duration::try_from_secs_f64(nanos / 1e9);
    Moment::at(since_start.unwrap_or_default())
}

/// Of a new error in what is known of the old ones.
const GAIN: f64 = 0.1;
