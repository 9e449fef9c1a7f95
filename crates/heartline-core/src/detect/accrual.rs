//! Detectors that take the times between two arrivals for a distribution, and suspect when a longer one is unlikely.

use std::time::Duration;

use super::window::Window;
use super::{Beat, Detector, WINDOW};
use crate::time::Moment;

/// Taken for normal.
#[derive(Clone, Debug)]
pub struct Phi {
    interval: Duration,
    /// So many standard deviations after the mean.
    deviations: f64,
    arrivals: Arrivals,
}

impl Phi {
    /// Suspects when the chance of a later arrival is so many standard deviations out; z of φ is Φ⁻¹(1 − 10^−φ). Before two
    /// beats came, `interval` stands for their distance.
    pub const fn new(interval: Duration, deviations: f64) -> Self {
        Self {
            interval,
            deviations,
            arrivals: Arrivals::new(),
        }
    }
}

impl Detector for Phi {
    fn arrived(&mut self, beat: Beat) {
        if let Some(apart) = self.arrivals.came(beat) {
            self.arrivals.times.push(apart);
        }
    }

    fn deadline(&self) -> Option<Moment> {
        let first = nanos(self.interval);
        let times = &self.arrivals.times;
        let mean = times.mean().unwrap_or(first);
        let deviation = times.deviation().unwrap_or(first / 4.0);
        self.arrivals.after(mean + self.deviations * deviation)
    }
}

/// Taken for exponential.
#[derive(Clone, Debug)]
pub struct Exponential {
    interval: Duration,
    factor: f64,
    /// Longer ones are not counted.
    longest: Option<i64>,
    arrivals: Arrivals,
}

impl Exponential {
    /// Suspects so many mean intervals after the last beat: −ln(1 − E) for a chance E that it is right.
    pub const fn new(interval: Duration, factor: f64) -> Self {
        Self {
            interval,
            factor,
            longest: None,
            arrivals: Arrivals::new(),
        }
    }

    /// As Cassandra does it: an interval over two is not counted, and the first is taken for two. Its factor is 8 · ln 10.
    pub fn cassandra(interval: Duration, factor: f64) -> Self {
        let longest = i64::try_from(interval.as_nanos() * 2).unwrap_or(i64::MAX);
        let mut new = Self::new(interval, factor);
        new.longest = Some(longest);
        new.arrivals.times.push(longest);
        new
    }
}

impl Detector for Exponential {
    fn arrived(&mut self, beat: Beat) {
        let apart = self.arrivals.came(beat);
        let counted = apart.filter(|apart| self.longest.is_none_or(|longest| *apart <= longest));
        if let Some(apart) = counted {
            self.arrivals.times.push(apart);
        }
    }

    fn deadline(&self) -> Option<Moment> {
        let mean = self.arrivals.times.mean();
        self.arrivals
            .after(self.factor * mean.unwrap_or(nanos(self.interval)))
    }
}

/// Akka's φ: whole milliseconds, a deviation of a tenth of a second at least, a pause that is always allowed, and an interval that was
/// suspected is not counted.
#[derive(Clone, Debug)]
pub struct Akka {
    pause: Duration,
    arrivals: Arrivals,
}

impl Akka {
    /// At φ = 8; the pause is `acceptable-heartbeat-pause`.
    pub fn new(interval: Duration, pause: Duration) -> Self {
        let mut arrivals = Arrivals::new();
        let millis = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        // As if two had come, a quarter of it to either side.
        for first in [millis - millis / 4, millis + millis / 4] {
            arrivals.times.push(first);
        }
        Self { pause, arrivals }
    }
}

impl Detector for Akka {
    fn arrived(&mut self, beat: Beat) {
        let was_suspected = self.deadline().is_some_and(|deadline| beat.at > deadline);
        let before = self.arrivals.last;
        let _ = self.arrivals.came(beat);
        if let Some(before) = before.filter(|_| !was_suspected) {
            let millis =
                |at: Moment| i64::try_from(at.since_start().as_millis()).unwrap_or(i64::MAX);
            self.arrivals.times.push(millis(beat.at) - millis(before));
        }
    }

    fn deadline(&self) -> Option<Moment> {
        let mean = self.arrivals.times.mean()?;
        let deviation = self.arrivals.times.deviation()?.max(AKKA_DEVIATION);
        let after = (mean + AKKA_Y * deviation) * 1e6 + nanos(self.pause);
        self.arrivals.after(after)
    }
}

/// The last arrival, and how far those before were apart.
#[derive(Clone, Debug)]
struct Arrivals {
    last: Option<Moment>,
    times: Window,
}

impl Arrivals {
    const fn new() -> Self {
        Self {
            last: None,
            times: Window::new(WINDOW),
        }
    }

    /// How long after the one before, in nanoseconds.
    fn came(&mut self, beat: Beat) -> Option<i64> {
        let before = self.last.replace(beat.at)?;
        let apart = beat.at.saturating_since(before);
        Some(i64::try_from(apart.as_nanos()).unwrap_or(i64::MAX))
    }

    fn after(&self, nanos: f64) -> Option<Moment> {
        let after = Duration::try_from_secs_f64(nanos.max(0.0) / 1e9);
        Some(self.last? + after.unwrap_or(Duration::MAX))
    }
}

fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

/// Milliseconds.
const AKKA_DEVIATION: f64 = 100.0;
/// Where its approximation of φ, −log₁₀ of the logistic function of y · (1.5976 + 0.070566 · y²), is 8.
const AKKA_Y: f64 = 5.225_986_644_093_56;
