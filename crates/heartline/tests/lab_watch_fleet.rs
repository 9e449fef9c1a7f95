//! A fleet: so many lines on one thread that they are served in one round a tick.

mod watching;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Direction, Fault, Lab};
use watching::{GRACE, Watch, go_first};

/// At an interval of a second 81 lines or more share ticks of 50 ms.
const NODES: usize = 120;
/// `interval = "1s"`, `count = 1`.
const BOUND: Duration = Duration::from_secs(2);
/// Too few for ticks.
const SLOW_NODES: usize = 24;
/// `interval = "4s"`, `count = 1`.
const SLOW_BOUND: Duration = Duration::from_secs(8);

/// The promise for a fleet is 1.05 of the bound.
#[test]
fn every_line_of_a_fleet_is_down_at_its_bound_and_up_again() -> Result<()> {
    let Some(lab) = Lab::or_skip("every_line_of_a_fleet") else {
        return Ok(());
    };
    go_first()?;
    let db1 = lab.node("db1")?;
    let cable = lab.cable(&db1)?;
    let mut config = counting(&lab, "1s")?;
    for number in 0..NODES {
        let host = format!("line = [{{ host = \"{}\" }}]", cable.v4());
        write!(config, "[[node]]\nname = \"n{number}\"\n{host}\n")?;
    }
    std::fs::write(watching::config_file(&lab), config)?;
    let mut watch = Watch::start(&lab, "")?;
    each_node(&mut watch, "up")?;
    watch.forget()?;
    // Healthy, they are left alone.
    let told = watch.told_within(BOUND * 2)?;
    ensure!(told.is_empty(), "{told:#?}");

    let cut = cable.inject(Fault::Silent(Direction::Both))?;
    let down = each_node(&mut watch, "down")?;
    let took = cut.complete - cut.begun;
    for (node, after) in &down {
        let is_in = *after >= BOUND && *after <= BOUND.mul_f64(1.05) + GRACE + took;
        ensure!(is_in, "{node} after {after:?}");
    }
    watch.forget()?;
    cable.heal()?;
    each_node(&mut watch, "up")?;
    watch.running().terminate()?;
    assert_eq!(watch.ended()?.status.code(), Some(0));
    Ok(())
}

/// What a driver that sleeps is late by may not grow with the interval: for a stall the end would be put off.
#[test]
fn every_slow_line_is_down_at_its_bound_too() -> Result<()> {
    let Some(lab) = Lab::or_skip("every_slow_line") else {
        return Ok(());
    };
    go_first()?;
    let db1 = lab.node("db1")?;
    let cable = lab.cable(&db1)?;
    let mut config = counting(&lab, "4s")?;
    for number in 0..SLOW_NODES {
        let host = format!("line = [{{ host = \"{}\" }}]", cable.v4());
        write!(config, "[[node]]\nname = \"n{number}\"\n{host}\n")?;
    }
    std::fs::write(watching::config_file(&lab), config)?;
    let mut watch = Watch::start(&lab, "")?;
    for number in 0..SLOW_NODES {
        watch.node(&format!("n{number}"), "up")?;
    }
    watch.told_within(SLOW_BOUND)?;
    watch.forget()?;
    let cut = cable.inject(Fault::Silent(Direction::Both))?;
    for number in 0..SLOW_NODES {
        let down = watch.node(&format!("n{number}"), "down")?;
        down.is_at_bound(SLOW_BOUND, cut)?;
    }
    Ok(())
}

/// A configuration by which lines end at their bound. All of them fall together: what answers meanwhile on another cable says that it is
/// they, and not the watcher.
fn counting(lab: &Lab, interval: &str) -> Result<String> {
    let gateway = lab.cable(&lab.node("gateway")?)?.v4();
    Ok(format!(
        "reference = [\"{gateway}\"]\n[defaults]\ninterval = \"{interval}\"\ncount = 1\ndetector = \"openssh\"\n"
    ))
}

/// Waits until every node has come into this state; after how long from its last sign of life.
fn each_node(watch: &mut Watch, to: &str) -> Result<BTreeMap<String, Duration>> {
    let mut seen = BTreeMap::new();
    watch.until(&format!("the last node {to}"), |told| {
        if told.text("event") == "node" && told.text("to") == to {
            let after = told.after().unwrap_or_default();
            seen.entry(told.text("node").to_owned()).or_insert(after);
        }
        seen.len() == NODES
    })?;
    Ok(seen)
}
