//! A detector at many settings of its knob, and what it comes to at a given number of mistakes.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Quality;

/// What was measured, from the smallest knob to the largest.
#[derive(Clone, Debug, Default)]
pub struct Curve(Vec<Point>);

/// At one setting.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// The setting.
    pub knob: f64,
    /// What came of it.
    pub quality: Quality,
}

impl Curve {
    /// Measures at `settings` of the range, evenly spread over its logarithm, and then closer to each of `rates`, in mistakes a day.
    pub fn sweep(
        knobs: RangeInclusive<f64>,
        settings: u32,
        rates: &[f64],
        measure: impl Fn(f64) -> Quality,
    ) -> Self {
        let mut curve = Self::default();
        let measured = |knob| Point {
            knob,
            quality: measure(knob),
        };
        let ratio = knobs.end() / knobs.start();
        let last = f64::from(settings.max(2) - 1);
        for setting in (0..settings.max(2)).map(f64::from) {
            curve
                .0
                .push(measured(knobs.start() * ratio.powf(setting / last)));
            // Without a mistake, there is nothing to be gained by more patience.
            if curve
                .0
                .last()
                .is_some_and(|point| point.quality.mistakes == 0)
            {
                break;
            }
        }
        for rate in rates {
            curve.refine(*rate, measured);
        }
        curve
    }

    /// Halves what lies about a rate until its ends detect almost equally fast.
    fn refine(&mut self, rate: f64, measured: impl Fn(f64) -> Point) {
        for _ in 0..REFINED {
            let Some((after, below, above)) = self.about(rate) else {
                return;
            };
            let apart = above.mean().abs_diff(below.mean());
            if apart < below.mean() / CLOSE {
                return;
            }
            self.0
                .insert(after, measured((below.knob * above.knob).sqrt()));
        }
    }

    /// The place where mistakes become fewer than this, and the points on both sides.
    fn about(&self, rate: f64) -> Option<(usize, Point, Point)> {
        let mut pairs = (1..).zip(self.0.iter().zip(self.0.iter().skip(1)));
        let found =
            pairs.find(|(_, (below, above))| below.per_day() > rate && above.per_day() <= rate);
        found.map(|(after, (below, above))| (after, *below, *above))
    }

    /// What it comes to at so many mistakes a day, on a line between two settings; none, if no setting makes so few.
    pub fn at(&self, rate: f64) -> Option<Point> {
        let first = self.0.first().filter(|first| first.per_day() <= rate);
        if let Some(first) = first {
            return Some(*first);
        }
        let (_, below, above) = self.about(rate)?;
        // By the logarithm of the rate; a point without mistakes stands for half of one.
        let least = 0.5 * 86_400.0 / above.quality.period.as_secs_f64();
        let (from, to) = (below.per_day().ln(), above.per_day().max(least).ln());
        let share = if from > to {
            ((from - rate.max(least).ln()) / (from - to)).clamp(0.0, 1.0)
        } else {
            1.0
        };
        Some(below.towards(&above, share))
    }

    /// Every setting that was measured.
    pub fn points(&self) -> &[Point] {
        &self.0
    }
}

impl Point {
    /// Mistakes in a day.
    pub fn per_day(&self) -> f64 {
        self.quality.per_day()
    }

    /// The mean detection time.
    pub fn mean(&self) -> Duration {
        self.quality.detection.mean
    }

    fn towards(&self, other: &Self, share: f64) -> Self {
        let float = |from: f64, to: f64| from + (to - from) * share;
        let time = |from: Duration, to: Duration| {
            let seconds = float(from.as_secs_f64(), to.as_secs_f64());
            Duration::try_from_secs_f64(seconds).unwrap_or_default()
        };
        let mut new = *self;
        new.knob = float(self.knob, other.knob);
        let (from, to) = (&self.quality, &other.quality);
        new.quality.mistake_duration = time(from.mistake_duration, to.mistake_duration);
        new.quality.right = float(from.right, to.right);
        new.quality.extra = float(from.extra, to.extra);
        let (from, to) = (&from.detection, &to.detection);
        new.quality.detection.mean = time(from.mean, to.mean);
        new.quality.detection.median = time(from.median, to.median);
        new.quality.detection.p99 = time(from.p99, to.p99);
        new.quality.detection.longest = time(from.longest, to.longest);
        new
    }
}

/// Halvings at most.
const REFINED: u32 = 7;
/// Detection times that differ by one in so many are close.
const CLOSE: u32 = 150;
