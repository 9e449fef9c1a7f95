//! The qos program, from its arguments to its pictures.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};

#[test]
fn it_prints_a_table_and_draws_its_curves() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_qos"));
    command.args(["--quick", "--climate", "lan", "--out"]);
    let output = command.arg(folder.path()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}");
    for word in [
        "fixed timeout",
        "phi accrual",
        "adaptive, learnt",
        "at 1.00 mistakes a day: adaptive",
    ] {
        ensure!(said.contains(word), "no {word:?} in {said}");
    }
    let svg = fs::read_to_string(folder.path().join("lan.svg"))?;
    ensure!(svg.contains("<svg") && svg.contains("mistakes a day"));
    let png = fs::read(folder.path().join("lan.png"))?;
    ensure!(png.starts_with(b"\x89PNG"));
    Ok(())
}

#[test]
fn a_climate_that_is_none_is_refused_by_name() -> Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qos"));
    let output = command.args(["--climate", "moon"]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success());
    ensure!(said.contains("no climate \"moon\""), "{said}");
    Ok(())
}
