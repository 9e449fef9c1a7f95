//! The published detectors agree with an independent implementation on its traces.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use heartline_core::detect::{
    Akka, Bertier, Chen, Detector, Exponential, Fixed, Lifeguard, Phi, TwoWindow,
};
use lab::qos::{Quality, Seen, Trace, replay};
use serde_json::Value;

#[test]
fn the_published_detectors_are_as_another_has_them() -> Result<()> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/qos");
    let Ok(conformance) = fs::read(folder.join("conformance.json")) else {
        lab::skipped("the_published_detectors", "../shared/qos/conformance.json");
        return Ok(());
    };
    let conformance: Value = serde_json::from_slice(&conformance)?;
    let mut wrong = Vec::new();
    for (name, told) in conformance.as_object().context("no object")? {
        let trace = Trace::read(&folder.join(format!("{name}.hbt")))?;
        let results = told.get("results").and_then(Value::as_object);
        for row in results
            .context("no results")?
            .values()
            .filter_map(Value::as_array)
            .flatten()
        {
            let (what, quality) = measured(&trace, row)?;
            if let Err(error) = agrees(row, &quality) {
                wrong.push(format!("{name} {what}: {error:#}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn measured(trace: &Trace, row: &Value) -> Result<(String, Quality)> {
    let text = |name: &str| row.get(name).and_then(Value::as_str).context("a word");
    let (kind, mode, parameter) = (text("det")?, text("mode")?, number(row, "param")?);
    let seen = match mode {
        "raw" => Seen::Raw,
        "gated" => Seen::Gated,
        other => anyhow::bail!("{other}?"),
    };
    let mut detector = detector(kind, trace.interval, parameter)?;
    let quality = replay(trace, detector.as_mut(), seen);
    Ok((format!("{kind} {parameter} {mode}"), quality))
}

fn detector(kind: &str, interval: Duration, parameter: f64) -> Result<Box<dyn Detector>> {
    let micros = || Duration::from_secs_f64(parameter / 1e6);
    Ok(match kind {
        "fixed" => Box::new(Fixed::new(micros())),
        "chen" => Box::new(Chen::new(interval, micros())),
        "2wfd" => Box::new(TwoWindow::new(interval, micros())),
        "bertier" => Box::new(Bertier::new(interval, parameter)),
        "phi" => Box::new(Phi::new(interval, parameter)),
        "ed" => Box::new(Exponential::new(interval, parameter)),
        "cassandra" => Box::new(Exponential::cassandra(interval, parameter)),
        "akka" => Box::new(Akka::new(interval, micros())),
        "lifeguard" => Box::new(Lifeguard::new(interval, micros())),
        other => anyhow::bail!("{other}?"),
    })
}

/// To 0.2 % of the mistakes, 1 % for those that assume a normal distribution; to 0.1 % of the detection time.
fn agrees(row: &Value, quality: &Quality) -> Result<()> {
    let is_normal = matches!(row.get("det").and_then(Value::as_str), Some("phi" | "akka"));
    let mistakes = number(row, "n_mistakes")?;
    let slack = mistakes * if is_normal { 0.01 } else { 0.002 };
    let ours = f64::from(u32::try_from(quality.mistakes)?);
    ensure!(
        (ours - mistakes).abs() <= slack,
        "{ours} mistakes, not {mistakes}"
    );
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let detection = quality.detection;
    for (name, ours, slack) in [
        ("t_d_mean_ms", millis(detection.mean), 0.001),
        ("t_d_p50_ms", millis(detection.median), 0.001),
        ("t_d_p99_ms", millis(detection.p99), 0.001),
        ("t_d_max_ms", millis(detection.longest), 0.001),
        ("t_m_ms", millis(quality.mistake_duration), 0.01),
        ("p_a", quality.right, 0.000_001),
    ] {
        let theirs = number(row, name)?;
        ensure!(
            (ours - theirs).abs() <= theirs * slack,
            "{name}: {ours}, not {theirs}"
        );
    }
    Ok(())
}

fn number(row: &Value, name: &str) -> Result<f64> {
    row.get(name)
        .and_then(Value::as_f64)
        .with_context(|| name.to_owned())
}
