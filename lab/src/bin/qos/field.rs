//! All detectors in one climate.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use heartline_core::Moment;
use heartline_core::detect::Adaptive;
use lab::qos::{Climate, Curve, Published, Quality, Seen, Setup, Trace, closed, replay};

use crate::arguments::Arguments;

/// What was measured.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) climate: Climate,
    /// The published ones, on a socket as it comes.
    pub(crate) published: Vec<(Published, Curve)>,
    /// Ours at given margins, on a socket whose timeouts stay linear.
    pub(crate) ours: Curve,
    /// Ours on a socket as it comes.
    pub(crate) plain: Curve,
    /// Ours with the margin that it learns.
    pub(crate) learnt: Quality,
    /// The fixed timeout on a socket whose timeouts stay linear: what the socket alone is worth.
    pub(crate) fixed_thin: Curve,
}

impl Field {
    /// Measures, on every processor.
    pub(crate) fn measure(climate: Climate, arguments: &Arguments) -> Self {
        let plain = Setup {
            climate,
            seed: arguments.seed,
            interval: INTERVAL,
            acks: arguments.acks(),
            thin: false,
        };
        let thin = Setup {
            thin: true,
            ..plain
        };
        let (beats, settings) = (arguments.beats(), arguments.settings());
        let crashes = (CRASHES / (beats / 1_000)).clamp(1, 500);
        let beats_in_memory = usize::try_from(beats).unwrap_or(usize::MAX);
        let published = |published: Published, trace: &Trace| {
            Curve::sweep(published.knobs(), settings, &RATES, |knob| {
                let mut detector = published.detector(INTERVAL, knob);
                replay(trace, detector.as_mut(), Seen::Gated)
            })
        };
        let ours = |setup: Setup, rates: &[f64]| {
            Curve::sweep(MARGINS, settings, rates, |millis| {
                let margin = Duration::from_secs_f64(millis / 1e3);
                closed(setup, adaptive().with_margin(margin), beats, crashes)
            })
        };
        let trace = plain.trace(beats_in_memory);
        let mut jobs: Vec<Job<'_>> = vec![
            Box::new(|| Curve::sweep(ONCE, 1, &[], |_| closed(thin, adaptive(), beats, crashes))),
            Box::new(|| ours(thin, &RATES)),
            Box::new(|| ours(plain, &[1.0])),
            Box::new(|| published(Published::Fixed, &thin.trace(beats_in_memory))),
        ];
        for which in Published::ALL {
            let (trace, published) = (&trace, &published);
            jobs.push(Box::new(move || published(which, trace)));
        }
        let mut curves = done(jobs).into_iter();
        let mut next = || curves.next().unwrap_or_default();
        let learnt = next();
        let (ours, plain, fixed_thin) = (next(), next(), next());
        Self {
            climate,
            learnt: learnt
                .points()
                .first()
                .map_or_else(Quality::default, |point| point.quality),
            ours,
            plain,
            fixed_thin,
            published: Published::ALL
                .into_iter()
                .map(|which| (which, next()))
                .collect(),
        }
    }

    /// The published one that detects soonest at so many mistakes a day.
    pub(crate) fn best(&self, rate: f64) -> Option<(Published, Duration)> {
        let all = self.published.iter();
        let at = all.filter_map(|(published, curve)| Some((*published, curve.at(rate)?.mean())));
        at.min_by_key(|(_, mean)| *mean)
    }
}

type Job<'a> = Box<dyn FnOnce() -> Curve + Send + 'a>;

/// Does them on every processor; their results are in their order.
fn done(jobs: Vec<Job<'_>>) -> Vec<Curve> {
    let mut results: Vec<Mutex<Curve>> = Vec::new();
    results.resize_with(jobs.len(), Mutex::default);
    let queue = Mutex::new(jobs.into_iter().zip(&results).collect::<VecDeque<_>>());
    let take = || {
        queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((job, result)) = take() {
                    *result.lock().unwrap_or_else(PoisonError::into_inner) = job();
                }
            });
        }
    });
    drop(queue);
    let inner = |result: Mutex<Curve>| result.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.into_iter().map(inner).collect()
}

/// A new session's; so patient that its margin alone decides.
fn adaptive() -> Adaptive {
    Adaptive::new(BOUND, Moment::START, Moment::START + INTERVAL)
}

/// Mistakes a day at which detectors are compared.
pub(crate) const RATES: [f64; 3] = [24.0, 1.0, 1.0 / 7.0];
/// Between two beats.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);
const BOUND: Duration = Duration::from_secs(12);
/// Margins of ours, in milliseconds.
const MARGINS: std::ops::RangeInclusive<f64> = 1.0..=10_000.0;
const ONCE: std::ops::RangeInclusive<f64> = 1.0..=1.0;
/// How often the peer crashes.
const CRASHES: u32 = 20_000;
