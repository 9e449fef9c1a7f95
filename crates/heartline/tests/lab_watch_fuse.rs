//! The fuse: a watched session's far end is gone in bounded time, whatever became of the watcher and of the network, with the
//! shells that are met in the field; and it stays for as long as beats come.

mod shells;
mod watching;

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Direction, Fault, Lab, Node, NodeSpec, Signal, inject_all};
use shells::{OTHERS, POSIX, Shell, clear_after, is_guarded, node_with};
use watching::{CEILING, Watch, config_file, go_first, until};

/// `--fuse 2s`.
const FUSE: Duration = Duration::from_secs(2);
const TIMING: &str = "--interval 500ms --count 1 --connect-timeout 3s --fuse 2s";
/// What the far end may take beyond its fuse.
const SLACK: Duration = Duration::from_secs(1);
/// Between two beats of the guard, and a busy machine.
const PERIOD: Duration = Duration::from_secs(1);

/// A node for each shell that is installed, each with a cable.
struct Field {
    lab: Lab,
    nodes: Vec<(&'static Shell, Node, lab::Cable)>,
}

impl Field {
    fn or_skip(name: &str) -> Result<Option<Self>> {
        let Some(lab) = Lab::or_skip(name) else {
            return Ok(None);
        };
        let mut nodes = Vec::new();
        let mut config = String::new();
        for shell in POSIX.iter().chain(&OTHERS) {
            let Some(node) = node_with(&lab, shell, "")? else {
                lab::skipped(name, &format!("{} is not installed", shell.program));
                continue;
            };
            config.extend(["[[node]]\nname = \"", shell.name, "\"\n"]);
            let cable = lab.cable(&node)?;
            nodes.push((shell, node, cable));
        }
        fs::write(config_file(&lab), config)?;
        Ok(Some(Self { lab, nodes }))
    }

    /// A watcher of all of them, whose guards all hold.
    fn watch(&self) -> Result<Watch> {
        let mut watch = Watch::start(&self.lab, TIMING)?;
        for (shell, node, _) in &self.nodes {
            watch.node(shell.name, "up")?;
            until(&format!("a guard on {}", shell.name), || {
                Ok(is_guarded(node))
            })?;
        }
        // Some beats more.
        watch.told_within(FUSE)?;
        Ok(watch)
    }
}

#[test]
fn a_watcher_that_is_killed_behind_a_cut_leaves_nothing_after_the_fuse() -> Result<()> {
    let Some(field) = Field::or_skip("killed_behind_a_cut")? else {
        return Ok(());
    };
    go_first()?;
    let mut watch = field.watch()?;
    let cut = Fault::Silent(Direction::Both);
    let faults: Vec<_> = field.nodes.iter().map(|(.., cable)| (cable, cut)).collect();
    let fault = inject_all(&faults)?;
    watch.running().signal(Signal::SIGKILL)?;
    watch.ended()?;
    let after = clear_after(field.nodes.iter().map(|(_, node, _)| node), fault.complete)?;
    for ((shell, node, _), after) in field.nodes.iter().zip(after) {
        println!(
            "{:5} gone {after:?} after the cut, fuse {FUSE:?}",
            shell.name
        );
        let latest = FUSE * shell.fuses + SLACK;
        ensure!(after <= latest, "{}: {after:?} > {latest:?}", shell.name);
        ensure!(
            after + PERIOD >= FUSE,
            "{}: {after:?}: it was not the fuse; {}",
            shell.name,
            node.log()?
        );
    }
    Ok(())
}

#[test]
fn while_beats_come_a_session_outlives_its_fuse_many_times() -> Result<()> {
    let Some(field) = Field::or_skip("while_beats_come")? else {
        return Ok(());
    };
    let mut watch = field.watch()?;
    watch.forget()?;
    let told = watch.told_within(FUSE * 8)?;
    // A busy machine makes a line suspect now and then.
    let fell = told
        .iter()
        .any(|told| told.text("to") == "down" || told.text("event") == "fuse");
    ensure!(!fell, "{told:#?}");
    for (shell, node, _) in &field.nodes {
        ensure!(is_guarded(node), "no guard on {} any more", shell.name);
        assert_eq!(node.logins()?, 1, "{}", shell.name);
    }

    // And a watcher that ends leaves nothing at all, at once.
    watch.running().terminate()?;
    assert_eq!(watch.ended()?.status.code(), Some(0));
    let ended = Instant::now();
    let after = clear_after(field.nodes.iter().map(|(_, node, _)| node), ended)?;
    for ((shell, ..), after) in field.nodes.iter().zip(after) {
        ensure!(after < FUSE / 2, "{}: {after:?} after the end", shell.name);
    }
    Ok(())
}

#[test]
fn the_far_end_of_a_line_that_is_cut_one_way_goes_too() -> Result<()> {
    let Some(field) = Field::or_skip("cut_one_way")? else {
        return Ok(());
    };
    for way in [Direction::ToNode, Direction::ToWatcher] {
        let mut watch = field.watch()?;
        let before: Vec<_> = field
            .nodes
            .iter()
            .map(|(_, node, _)| node.sessions())
            .collect();
        let cut = Fault::Silent(way);
        let faults: Vec<_> = field.nodes.iter().map(|(.., cable)| (cable, cut)).collect();
        let fault = inject_all(&faults)?;
        // Replies do not come, or requests do not arrive: no new session can stand.
        for (shell, ..) in &field.nodes {
            watch.line_for(shell.name, "down", "silent")?;
        }
        let nodes = field.nodes.iter().map(|(_, node, _)| node);
        let after = clear_after(nodes, fault.complete)?;
        for (((shell, ..), after), before) in field.nodes.iter().zip(after).zip(before) {
            println!(
                "{:5} cut {way:?}: gone {after:?} after, fuse {FUSE:?}",
                shell.name
            );
            let latest = FUSE * shell.fuses + SLACK;
            ensure!(after <= latest, "{}: {after:?} > {latest:?}", shell.name);
            assert_eq!(before.len(), 1, "{}", shell.name);
        }
        watch.running().signal(Signal::SIGKILL)?;
        watch.ended()?;
        for (.., cable) in &field.nodes {
            cable.heal()?;
        }
    }
    Ok(())
}

#[test]
fn the_guards_answer_is_evidence() -> Result<()> {
    let Some(lab) = Lab::or_skip("the_guards_answer") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    let mut watch = Watch::start(&lab, &format!("db1 {TIMING} --detector openssh"))?;
    watch.node("db1", "up")?;
    until("a guard", || Ok(is_guarded(&node)))?;
    watch.told_within(PERIOD * 2)?;
    watch.forget()?;
    cable.inject(Fault::Silent(Direction::Both))?;
    let down = watch.line("db1", "10.77.1.2", "down")?;
    let number = |place| {
        down.at_place(place)
            .as_f64()
            .with_context(|| down.json.to_string())
    };
    let (rtt, age) = (
        number("/evidence/shell/rtt_ms")?,
        number("/evidence/shell/age_ms")?,
    );
    ensure!(rtt > 0.0 && rtt < 500.0, "{}", down.json);
    // Its bound of a second, and a period at most before the last sign of life.
    ensure!((950.0..2_500.0).contains(&age), "{}", down.json);
    Ok(())
}

/// A guard that is stopped beats no more, and nothing else cares: what it does not read never stops the session's beats.
#[test]
fn a_shell_that_hangs_stops_no_beat() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_shell_that_hangs") else {
        return Ok(());
    };
    let folder = lab.dir().join("bin");
    fs::create_dir(&folder)?;
    symlink("/usr/bin/bash", folder.join("sh"))?;
    let path = format!("SetEnv PATH={}:/usr/bin:/bin", folder.display());
    let node = lab.node_with(&NodeSpec::new("db1").config(&path))?;
    lab.cable(&node)?;
    let mut watch = Watch::start(&lab, &format!("db1 {TIMING}"))?;
    watch.node("db1", "up")?;
    until("a guard", || Ok(is_guarded(&node)))?;
    watch.forget()?;
    for pid in node.user_processes() {
        let mut command = node.command("kill");
        command.args(["-STOP", &pid.to_string()]);
        lab::Running::spawn(command)?.finish(CEILING)?.success()?;
    }
    // Of that the shell hangs no more than that it does comes: beats go on, in the same session.
    let down = watch.node("db1", "down")?;
    assert_eq!(down.text("cause"), "shell_hung");
    let told = watch.told_within(FUSE * 3)?;
    let other = |told: &watching::Told| told.text("cause") != "shell_hung";
    ensure!(!told.iter().any(other), "{told:#?}");
    for pid in node.user_processes() {
        let mut command = node.command("kill");
        command.args(["-CONT", &pid.to_string()]);
        lab::Running::spawn(command)?.finish(CEILING)?.success()?;
    }
    watch.node("db1", "up")?;
    assert_eq!(node.logins()?, 1);
    Ok(())
}

#[test]
fn a_jump_host_is_left_clear_too() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_jump_host_is_left_clear") else {
        return Ok(());
    };
    let (gate, db1) = (lab.node("gate")?, lab.node("db1")?);
    let to_gate = lab.cable(&gate)?;
    lab.cable_from(gate.host(), &db1)?;
    let words = format!("db1 --line 10.77.2.2,jump=gate {TIMING}");
    let mut watch = Watch::start(&lab, &words)?;
    watch.node("db1", "up")?;
    for node in [&gate, &db1] {
        until("a guard", || Ok(is_guarded(node)))?;
    }
    let told = watch.told_within(FUSE * 4)?;
    let down = |told: &watching::Told| told.text("to") == "down";
    ensure!(!told.iter().any(down), "{told:#?}");
    let fault = to_gate.inject(Fault::Silent(Direction::Both))?;
    watch.running().signal(Signal::SIGKILL)?;
    watch.ended()?;
    let after = clear_after([&gate, &db1].into_iter(), fault.complete)?;
    println!("gate and db1 gone {after:?} after the cut, fuse {FUSE:?}");
    let latest = FUSE * 2 + SLACK;
    ensure!(after.iter().all(|after| *after <= latest), "{after:?}");
    Ok(())
}
