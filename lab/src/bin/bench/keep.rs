//! `bench keep`: how fast `heartline keep` carries bytes, and how soon it is back after a cut, beside
//! ssh and autossh.
//!
//! * [`speed`]: the same bytes through `-L`, `-R` and `-D`, by ssh and by heartline in turn, over the
//!   same loopback, against the same sshd, with the same cipher.
//! * [`recovery`]: all of them hold a tunnel over one real cable, which is cut for a while and healed;
//!   what counts is when the first byte comes through each after that.

mod recovery;
mod speed;

use anyhow::Result;
use serde::Serialize;

use crate::arguments::KeepArguments;

/// Measures and prints.
pub(crate) fn run(arguments: &KeepArguments) -> Result<()> {
    let heartline = arguments.common.heartline()?;
    let report = Report {
        speed: speed::measure(&heartline, arguments)?,
        recovery: recovery::measure(&heartline, arguments)?,
    };
    println!("{}\n{}", report.speed, report.recovery);
    arguments.common.put_out(&report)
}

#[derive(Debug, Serialize)]
struct Report {
    speed: speed::Report,
    recovery: recovery::Report,
}

/// The middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
