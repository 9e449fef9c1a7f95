//! What is printed.

use std::time::Duration;

use lab::qos::{Climate, Point, Quality};

use crate::field::{Field, RATES};

/// Prints a climate's table; whether its targets are met.
pub(crate) fn print(field: &Field) -> bool {
    println!("\n{}", field.climate);
    println!(
        "{:<24}{:>9}{:>10}{:>9}{:>9}{:>9}{:>9}{:>12}{:>8}",
        "detector", "mist./day", "knob", "T_D mean", "median", "p99", "T_M", "P_A", "extra"
    );
    for rate in RATES {
        for (published, curve) in &field.published {
            row(published.name(), rate, curve.at(rate));
        }
        row("fixed, linear timeouts", rate, field.fixed_thin.at(rate));
        row("adaptive, plain socket", rate, field.plain.at(rate));
        row("adaptive", rate, field.ours.at(rate));
        println!();
    }
    let learnt = field.learnt;
    println!(
        "{}",
        line("adaptive, learnt", learnt.per_day(), "-", &learnt)
    );
    compare_learnt(field);
    let judged: Vec<_> = RATES.iter().map(|rate| compare(field, *rate)).collect();
    judged.into_iter().all(|is_met| is_met)
}

fn row(name: &str, rate: f64, at: Option<Point>) {
    match at {
        Some(point) => println!(
            "{}",
            line(name, rate, &format!("{:.3}", point.knob), &point.quality)
        ),
        None => println!("{name:<24}{rate:>9.2}         -  never so few"),
    }
}

fn line(name: &str, rate: f64, knob: &str, quality: &Quality) -> String {
    let detection = quality.detection;
    format!(
        "{name:<24}{rate:>9.2}{knob:>10}{:>9.0}{:>9.0}{:>9.0}{:>9.0}{:>12.8}{:>7.2}%",
        millis(detection.mean),
        millis(detection.median),
        millis(detection.p99),
        millis(quality.mistake_duration),
        quality.right,
        quality.extra * 100.0,
    )
}

/// Says how the margin that was learnt compares, at as many mistakes as it made.
fn compare_learnt(field: &Field) {
    let learnt = field.learnt;
    let rate = learnt.per_day();
    print!(
        "as it learns: {rate:.2} mistakes a day, {:.0} ms",
        millis(learnt.detection.mean)
    );
    match field.best(rate) {
        Some((best, theirs)) => println!(
            "; best published at as many {:.0} ms ({}): {:.3}",
            millis(theirs),
            best.name(),
            learnt.detection.mean.as_secs_f64() / theirs.as_secs_f64()
        ),
        None => println!("; none published makes so few"),
    }
}

/// Says how ours compares with the best published one; false, where a target is missed.
fn compare(field: &Field, rate: f64) -> bool {
    let (Some(ours), Some((best, theirs))) = (field.ours.at(rate), field.best(rate)) else {
        println!("at {rate:.2} mistakes a day: nothing to compare");
        return target(field.climate, rate).is_none();
    };
    let ratio = ours.mean().as_secs_f64() / theirs.as_secs_f64();
    let extra = ours.quality.extra;
    print!(
        "at {rate:.2} mistakes a day: adaptive {:.0} ms, best published {:.0} ms ({}): {ratio:.3}, {:.2} % more beats",
        millis(ours.mean()),
        millis(theirs),
        best.name(),
        extra * 100.0
    );
    let Some(target) = target(field.climate, rate) else {
        println!();
        return true;
    };
    let is_met = ratio <= target && extra <= MORE_BEATS;
    let word = if is_met { "met" } else { "MISSED" };
    println!(
        "; target {target:.2} and {:.0} %: {word}",
        MORE_BEATS * 100.0
    );
    is_met
}

/// Ours may take this share of the best published one's time.
fn target(climate: Climate, rate: f64) -> Option<f64> {
    let is_daily = (rate - 1.0).abs() < f64::EPSILON;
    match climate {
        Climate::Lan | Climate::Wan if is_daily => Some(0.72),
        Climate::Lte if is_daily => Some(0.70),
        _ => None,
    }
}

/// Milliseconds.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Beats out of turn, as a share of the others.
const MORE_BEATS: f64 = 0.08;
