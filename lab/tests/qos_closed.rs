//! Our detector, in its loop over simulated TCP, against the published ones on the same weather.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use heartline_core::Moment;
use heartline_core::detect::Adaptive;
use lab::qos::{Acks, Climate, Curve, Published, Quality, Seen, Setup, closed, replay};

const INTERVAL: Duration = Duration::from_secs(1);
/// A day of beats.
const BEATS: u32 = 86_400;

fn setup(climate: Climate, thin: bool) -> Setup {
    Setup {
        climate,
        seed: 7,
        interval: INTERVAL,
        acks: Acks::Delayed,
        thin,
    }
}

fn ours(climate: Climate, adapt: impl Fn(Adaptive) -> Adaptive) -> Quality {
    let bound = Duration::from_secs(12);
    let detector = Adaptive::new(bound, Moment::START, Moment::START + INTERVAL);
    closed(setup(climate, true), adapt(detector), BEATS, 20)
}

/// At a margin of so many milliseconds, and at as many mistakes, ours takes at most this share of the best published one's time.
fn beats_the_published(climate: Climate, margin: u64, share: f64) -> Result<()> {
    let ours = ours(climate, |new| {
        new.with_margin(Duration::from_millis(margin))
    });
    let trace = setup(climate, false).trace(usize::try_from(BEATS)?);
    let at_as_many = |published: Published| {
        let curve = Curve::sweep(published.knobs(), 6, &[ours.per_day()], |knob| {
            replay(
                &trace,
                published.detector(INTERVAL, knob).as_mut(),
                Seen::Gated,
            )
        });
        curve.at(ours.per_day()).map(|point| point.mean())
    };
    let best = Published::ALL.into_iter().filter_map(at_as_many).min();
    let best = best.context("none makes so few mistakes")?;
    let took = ours.detection.mean;
    println!(
        "{climate}: {took:?} against {best:?} at {} mistakes a day",
        ours.per_day()
    );
    ensure!(
        took <= best.mul_f64(share),
        "{took:?} against {best:?}: {ours:?}"
    );
    ensure!(ours.extra <= 0.08, "{} more beats", ours.extra);
    Ok(())
}

#[test]
fn on_a_lan() -> Result<()> {
    beats_the_published(Climate::Lan, 10, 0.72)
}

#[test]
fn on_a_wan() -> Result<()> {
    beats_the_published(Climate::Wan, 100, 0.75)
}

#[test]
fn by_radio() -> Result<()> {
    beats_the_published(Climate::Lte, 1_400, 0.85)
}

#[test]
fn with_a_watcher_that_stalls() -> Result<()> {
    beats_the_published(Climate::Stall, 100, 0.75)
}

#[test]
fn while_routes_change() -> Result<()> {
    beats_the_published(Climate::Route, 100, 0.95)
}

#[test]
fn the_margin_that_is_learnt_makes_few_mistakes() {
    for climate in [Climate::Lan, Climate::Wan, Climate::Stall] {
        let learnt = ours(climate, |new| new);
        assert!(learnt.mistakes <= 3, "{climate}: {learnt:?}");
        assert!(
            learnt.detection.mean < Duration::from_millis(1_200),
            "{climate}: {learnt:?}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let setup = setup(Climate::Lte, true);
    let trace = || {
        setup
            .trace(5_000)
            .beats
            .iter()
            .map(|beat| beat.came)
            .collect::<Vec<_>>()
    };
    assert_eq!(trace(), trace());
}

/// The weather is that of the recorded traces, as far as these tell: the quantiles of reply times.
#[test]
fn replies_take_as_long_as_recorded() -> Result<()> {
    let recorded = [
        (
            Climate::Lan,
            [(0.5, 0.43), (0.9, 0.48), (0.99, 0.54), (0.999, 1.39)],
        ),
        (
            Climate::Wan,
            [(0.5, 120.7), (0.9, 127.5), (0.99, 163.1), (0.999, 475.7)],
        ),
    ];
    for (climate, quantiles) in recorded {
        let trace = setup(climate, false).trace(200_000);
        let mut took: Vec<_> = trace
            .beats
            .iter()
            .filter_map(|beat| Some(beat.came?.saturating_sub(beat.sent)))
            .collect();
        took.sort_unstable();
        for (share, millis) in quantiles {
            let count = f64::from(u32::try_from(took.len())?);
            let place = took
                .iter()
                .zip(0..)
                .find(|(_, place)| f64::from(*place) >= count * share);
            let simulated = place.context("a quantile")?.0.as_secs_f64() * 1e3;
            let ratio = simulated / millis;
            ensure!(
                (0.75..1.33).contains(&ratio),
                "{climate} {share}: {simulated} ms, not {millis}"
            );
        }
    }
    Ok(())
}
