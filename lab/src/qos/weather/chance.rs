//! Seeded chance.

use std::f64::consts::TAU;
use std::time::Duration;

use fastrand::Rng;
use heartline_core::Moment;

/// A source of chance of its own for one purpose.
#[derive(Clone, Debug)]
pub(super) struct Chance(Rng);

/// Lognormal times: half of them are longer than the median; its logarithm has this deviation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    pub(super) median: Duration,
    pub(super) deviation: f64,
}

impl Spread {
    /// In milliseconds.
    pub(super) fn millis(median: f64, deviation: f64) -> Self {
        Self {
            median: Duration::from_secs_f64(median / 1e3),
            deviation,
        }
    }
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(Rng::with_seed(mixed(seed)))
    }

    /// The same whenever the same moment is asked for.
    pub(super) fn at(seed: u64, moment: Moment) -> Self {
        let nanos = u64::try_from(moment.since_start().as_nanos()).unwrap_or(u64::MAX);
        Self(Rng::with_seed(mixed(mixed(seed) ^ nanos)))
    }

    pub(super) fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && self.0.f64() < share
    }

    pub(super) fn draw(&mut self, spread: Spread) -> Duration {
        if spread.median.is_zero() {
            return Duration::ZERO;
        }
        // Box and Muller; 1 − f64 is never 0.
        let radius = (-2.0 * (1.0 - self.0.f64()).ln()).sqrt();
        let normal = radius * (TAU * self.0.f64()).cos();
        spread
            .median
            .mul_f64((spread.deviation * normal).exp().min(1e6))
    }

    /// Exponential: until something happens that happens on average this often.
    pub(super) fn until(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.0.f64()).ln())
    }
}

/// Of splitmix64: seeds that differ by one bit give sequences that have nothing in common.
fn mixed(seed: u64) -> u64 {
    let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}
