//! Hooks of a real watcher over a real cable, also one that is killed again and again.

mod watching;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{End, Fault, Lab, Signal};
use serde_json::Value;
use watching::{Watch, config_file, until};

/// A program that writes down what it is told: a line of words from its environment, and the JSON it reads.
fn scribe(lab: &Lab) -> Result<(PathBuf, PathBuf)> {
    let (program, told) = (lab.dir().join("scribe"), lab.dir().join("told"));
    let text = format!(
        "#!/bin/sh\nread -r json\necho \"$HEARTLINE_KEY $HEARTLINE_NODE $HEARTLINE_TO $HEARTLINE_CAUSE $HEARTLINE_TOKEN $json\" >> {}\n",
        told.display()
    );
    fs::write(&program, text)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    fs::write(&told, "")?;
    Ok((program, told))
}

/// What it was told, each key once, in order: key, state.
fn heard(told: &PathBuf) -> Result<Vec<(String, String)>> {
    let mut all: Vec<(String, String)> = Vec::new();
    for line in fs::read_to_string(told)?.lines() {
        let mut words = line.split(' ');
        let key = words.next().context("key")?.to_owned();
        let to = words.nth(1).context("to")?.to_owned();
        if !all.iter().any(|(had, _)| *had == key) {
            all.push((key, to));
        }
    }
    Ok(all)
}

#[test]
fn a_hook_is_told_with_a_token_and_only_of_what_it_asked_for() -> Result<()> {
    let Some(lab) = Lab::or_skip("hooks_told") else {
        return Ok(());
    };
    let (db1, db2) = (lab.node("db1")?, lab.node("db2")?);
    let (one, two) = (lab.cable(&db1)?, lab.cable(&db2)?);
    let (program, told) = scribe(&lab)?;
    let text = format!(
        "[defaults]\ninterval = \"1s\"\n[[hook]]\nname = \"prod\"\ntag = [\"prod\"]\nrun = [{program:?}]\n\
         [[hook]]\nname = \"late\"\nafter = \"1h\"\nrun = [{program:?}]\n\
         [[node]]\nname = \"db1\"\ntag = [\"prod\"]\n[[node]]\nname = \"db2\"\n"
    );
    fs::write(config_file(&lab), text)?;
    let mut watch = Watch::start(&lab, "")?;
    watch.node("db1", "up")?;
    watch.node("db2", "up")?;
    watch.forget()?;
    one.inject(Fault::LinkDown(End::Watcher))?;
    let down = watch.node("db1", "down")?;
    until("the hook is told", || Ok(!heard(&told)?.is_empty()))?;
    one.heal()?;
    watch.node("db1", "up")?;
    two.inject(Fault::LinkDown(End::Watcher))?;
    watch.node("db2", "down")?;
    two.heal()?;
    watch.forget()?;
    watch.node("db2", "up")?;
    until("the hook is told of the return", || {
        Ok(heard(&told)?.len() == 2)
    })?;
    let text = fs::read_to_string(&told)?;
    let first = text.lines().next().context("a line")?;
    let (words, json) = first.split_once('{').context("json")?;
    let token = down.json["token"].as_u64().context("token")?;
    ensure!(
        words.ends_with(&format!(" db1 down link_down {token} ")),
        "{words}"
    );
    let json: Value = serde_json::from_str(&format!("{{{json}"))?;
    ensure!(
        json["token"] == token && json["hook"] == "prod" && json["tags"][0] == "prod",
        "{json:#}"
    );
    ensure!(json["event"]["lines"][0]["state"] == "down", "{json:#}");
    watch.running().terminate()?;
    assert_eq!(watch.ended()?.status.code(), Some(0));
    // The node without the tag was told of to nobody, and what is to wait an hour has been taken back.
    let states: Vec<_> = heard(&told)?.into_iter().map(|(_, to)| to).collect();
    assert_eq!(states, ["down", "up"]);
    ensure!(!fs::read_to_string(&told)?.contains(" db2 "));
    Ok(())
}

/// Whatever moment it is killed at: the hook sees each fall and each return once, and in the end what is so.
#[test]
fn a_watcher_that_is_killed_again_and_again_tells_each_transition_once() -> Result<()> {
    let Some(lab) = Lab::or_skip("hooks_killed") else {
        return Ok(());
    };
    let db1 = lab.node("db1")?;
    let cable = lab.cable(&db1)?;
    let (program, told) = scribe(&lab)?;
    let text = format!(
        "[defaults]\ninterval = \"500ms\"\nrise = 1\n[[hook]]\nname = \"all\"\nsettle = 0\nrun = [{program:?}]\n[[node]]\nname = \"db1\"\n"
    );
    fs::write(config_file(&lab), text)?;
    let mut is_cut = false;
    for round in 0..30 {
        let mut watch = Watch::start(&lab, "")?;
        watch.node("db1", if is_cut { "down" } else { "up" })?;
        if is_cut {
            cable.heal()?;
        } else {
            cable.inject(Fault::LinkDown(End::Watcher))?;
        }
        is_cut = !is_cut;
        sleep(Duration::from_millis(fastrand::u64(0..40) * (round % 4)));
        watch.running().signal(Signal::SIGKILL)?;
        watch.ended()?;
    }
    cable.heal()?;
    let mut watch = Watch::start(&lab, "")?;
    watch.node("db1", "up")?;
    until("it ends with what is so", || {
        let all = heard(&told)?;
        Ok(all.last().is_some_and(|(_, to)| to == "up"))
    })?;
    watch.running().terminate()?;
    watch.ended()?;
    let all = heard(&told)?;
    for (at, (key, to)) in all.iter().enumerate() {
        let wanted = if at % 2 == 0 { "down" } else { "up" };
        ensure!(to == wanted, "{key} {to}, at {at}: {all:?}");
    }
    ensure!(all.len() >= 10, "{all:?}");
    Ok(())
}
