//! A watcher that did not run has seen nothing, and calls nobody down for it.

mod watching;

use std::process::Command;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Direction, Fault, Lab, Node, Running};
use watching::{Watch, go_first, nice_heartline, seed};

const TIMING: &str = "--interval 1s --count 1";
const BOUND: Duration = Duration::from_secs(2);

#[test]
fn stopped_for_twenty_seconds_it_calls_nobody_down() -> Result<()> {
    let Some(lab) = Lab::or_skip("stopped_for_twenty_seconds") else {
        return Ok(());
    };
    let (db1, db2) = (lab.node("db1")?, lab.node("db2")?);
    lab.cable(&db1)?;
    let cable = lab.cable(&db2)?;
    let mut watch = Watch::start(&lab, &format!("db1 db2 {TIMING}"))?;
    watch.node("db1", "up")?;
    watch.node("db2", "up")?;
    watch.told_within(BOUND)?;
    watch.forget()?;

    watch.running().stop()?;
    ensure!(watch.told_within(STOPPED)?.is_empty());
    watch.running().cont()?;
    let stalled = watch.until("the watcher's own word on it", |told| {
        told.text("event") == "watcher"
    })?;
    assert_eq!(stalled.text("cause"), "watcher_stalled");
    let lost = stalled.json["lost_ms"].as_u64().context("lost_ms")?;
    ensure!(lost > 18_000 && lost < 25_000, "{lost} ms");
    nobody_down(&mut watch, BOUND * 3)?;
    lived_on(&mut watch, &[&db1, &db2])?;

    // What is silent afterwards is seen as ever.
    watch.forget()?;
    cable.inject(Fault::Silent(Direction::Both))?;
    let down = watch.node("db2", "down")?;
    assert_eq!(down.text("cause"), "silent");
    Ok(())
}

/// A stall that is over puts off nothing that comes later.
#[test]
fn once_beats_are_answered_again_a_stall_delays_no_end() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_stall_delays_no_end") else {
        return Ok(());
    };
    go_first()?;
    let db1 = lab.node("db1")?;
    let cable = lab.cable(&db1)?;
    for detector in ["openssh", "adaptive"] {
        let mut watch = Watch::start(&lab, &format!("db1 {TIMING} --detector {detector}"))?;
        watch.node("db1", "up")?;
        watch.told_within(BOUND)?;
        watch.forget()?;
        watch.running().stop()?;
        watch.told_within(BOUND * 5)?;
        watch.running().cont()?;
        nobody_down(&mut watch, BOUND * 3)?;
        lived_on(&mut watch, &[])?;

        watch.forget()?;
        let fault = cable.inject(Fault::Silent(Direction::Both))?;
        let suspect = watch.line("db1", "10.77.1.2", "suspect")?;
        let doubted = suspect.after()?;
        ensure!(doubted < BOUND, "{}", suspect.json);
        let down = watch.node("db1", "down")?;
        if detector == "openssh" {
            down.is_at_bound(BOUND, fault)?;
        } else {
            ensure!(down.after()? < BOUND, "{}", down.json);
        }
        cable.heal()?;
    }
    Ok(())
}

/// Stops of every length, from what counts as ordinary lateness to several bounds, at every phase of the beat.
/// `HEARTLINE_SEED` repeats a run.
#[test]
fn stopped_briefly_and_often_it_calls_nobody_down() -> Result<()> {
    let Some(lab) = Lab::or_skip("stopped_briefly_and_often") else {
        return Ok(());
    };
    go_first()?;
    let seed = seed()?;
    println!("HEARTLINE_SEED={seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let (db1, db2) = (lab.node("db1")?, lab.node("db2")?);
    lab.cable(&db1)?;
    lab.cable(&db2)?;
    let mut watch = Watch::start(&lab, "db1 db2 --interval 200ms --count 1")?;
    watch.node("db1", "up")?;
    watch.node("db2", "up")?;
    watch.told_within(BOUND)?;
    watch.forget()?;
    for round in 0..STOPS {
        nobody_down(&mut watch, PHASE.mul_f64(dice.f64()))
            .with_context(|| format!("before stop {round}"))?;
        watch.running().stop()?;
        watch.told_within(LONGEST_STOP.mul_f64(dice.f64()))?;
        watch.running().cont()?;
    }
    nobody_down(&mut watch, BOUND)?;
    lived_on(&mut watch, &[&db1, &db2])
}

#[test]
fn starved_by_other_work_it_calls_nobody_down() -> Result<()> {
    let Some(lab) = Lab::or_skip("starved_by_other_work") else {
        return Ok(());
    };
    let (db1, db2) = (lab.node("db1")?, lab.node("db2")?);
    lab.cable(&db1)?;
    lab.cable(&db2)?;
    let mut command = nice_heartline(&lab, 19);
    command
        .args(["watch", "--json", "-F"])
        .arg(lab.ssh_config());
    command.args(format!("db1 db2 {TIMING}").split_whitespace());
    let mut watch = Watch::of(command)?;
    watch.node("db1", "up")?;
    watch.node("db2", "up")?;
    watch.told_within(BOUND)?;
    watch.forget()?;

    let cores = available_parallelism()?.get();
    let busy = || {
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do :; done"]);
        Running::spawn(command)
    };
    let work = (0..cores * 2).map(|_| busy()).collect::<Result<Vec<_>>>()?;
    nobody_down(&mut watch, STARVED)?;
    drop(work);
    nobody_down(&mut watch, BOUND * 2)?;
    lived_on(&mut watch, &[&db1, &db2])
}

/// Fails if for so long, or since the test last forgot, any line or node is called down.
fn nobody_down(watch: &mut Watch, time: Duration) -> Result<()> {
    let told = watch.told_within(time)?;
    let down = told.iter().find(|told| told.text("to") == "down");
    ensure!(down.is_none(), "{told:#?}");
    Ok(())
}

/// The sessions are those of the beginning, and nobody is left in doubt.
fn lived_on(watch: &mut Watch, nodes: &[&Node]) -> Result<()> {
    for node in nodes {
        assert_eq!(node.logins()?, 1, "{}", node.name());
        let of_node = |told: &&watching::Told| {
            told.text("event") == "node" && told.text("node") == node.name()
        };
        let last = watch.told()?.iter().rev().find(of_node);
        ensure!(last.is_none_or(|last| last.text("to") == "up"), "{last:?}");
    }
    Ok(())
}

const STOPPED: Duration = Duration::from_secs(20);
const STARVED: Duration = Duration::from_secs(10);
const STOPS: u32 = 45;
/// Some beats of 200 ms.
const PHASE: Duration = Duration::from_millis(600);
/// More than three bounds of 400 ms.
const LONGEST_STOP: Duration = Duration::from_millis(1_300);
