//! Recorded traces.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lab::qos::{Curve, Published, Seen, Trace, replay};

use crate::field::RATES;
use crate::table::millis;

/// Replays every `.hbt` file of a folder through the published detectors, and prints their detection times.
pub(crate) fn replay_all(folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension() == Some(OsStr::new("hbt")));
    paths.sort();
    ensure!(!paths.is_empty(), "no .hbt file in {}", folder.display());
    for path in paths {
        print(&Trace::read(&path)?);
    }
    Ok(())
}

fn print(trace: &Trace) {
    println!(
        "\n{}: {} beats, {} ms apart",
        trace.name,
        trace.beats.len(),
        trace.interval.as_millis()
    );
    println!(
        "{:<16}{:>24}{:>24}{:>24}",
        "mean T_D in ms at", "24 mistakes/day", "1 mistake/day", "1 mistake/week"
    );
    for published in Published::ALL {
        let curve = Curve::sweep(published.knobs(), SETTINGS, &RATES, |knob| {
            let mut detector = published.detector(trace.interval, knob);
            replay(trace, detector.as_mut(), Seen::Gated)
        });
        print!("{:<16}", published.name());
        for rate in RATES {
            match curve.at(rate) {
                Some(point) => print!("{:>24.1}", millis(point.mean())),
                None => print!("{:>24}", "never so few"),
            }
        }
        println!();
    }
}

const SETTINGS: u32 = 12;
