//! How good failure detectors are on SSH's beats: how soon they see a crash, at how many mistakes, ours and the published ones.
//!
//! * [`field`] measures all of them in one climate: the published ones on a trace, ours in its loop, since it sends beats of its own.
//! * [`table`] prints what that comes to at 24, 1 and 1/7 mistakes a day, and whether the targets are met.
//! * [`chart`] draws it.
//! * [`recorded`] replays recorded traces.
//!
//! All is simulated in virtual time from a seed: the same command prints the same figures on every machine.

mod arguments;
mod chart;
mod field;
mod recorded;
mod table;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::arguments::Arguments;
use crate::field::Field;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("qos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every target is met.
fn run(arguments: &Arguments) -> Result<bool> {
    if let Some(traces) = &arguments.traces {
        recorded::replay_all(traces)?;
        return Ok(true);
    }
    std::fs::create_dir_all(&arguments.out).with_context(|| arguments.out.display().to_string())?;
    let mut is_met = true;
    for climate in &arguments.climate {
        let field = Field::measure(*climate, arguments);
        is_met &= table::print(&field);
        chart::draw(&field, &arguments.out)?;
    }
    println!("Curves: {}/*.svg and *.png", arguments.out.display());
    if arguments.quick {
        println!("Too short to judge by.");
    }
    Ok(is_met || arguments.quick)
}
