//! What a watcher writes down: read by `log` and `report`, after a kill, and over a disk that is full.

mod watching;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lab::{Direction, End, Fault, Lab, Running, Signal};
use serde_json::Value;
use watching::{CEILING, Watch, config_file, heartline, until};

const CONFIG: &str = "[defaults]\ninterval = \"1s\"\n[[node]]\nname = \"db1\"\ntag = [\"prod\"]\n[[node]]\nname = \"db2\"\n";

fn said(lab: &Lab, words: &str) -> Result<String> {
    let mut command = heartline(lab, lab.watcher());
    command.args(words.split(' '));
    let done = Running::spawn(command)?.finish(CEILING)?;
    ensure!(done.code() == Some(0), "{words}: {done:?}");
    Ok(done.stdout)
}

fn logged(lab: &Lab, words: &str) -> Result<Vec<Value>> {
    let text = said(lab, &format!("log --json {words}"))?;
    let lines = text.lines().map(serde_json::from_str);
    Ok(lines.collect::<Result<_, _>>()?)
}

fn states(events: &[Value], node: &str) -> Vec<String> {
    let of = events
        .iter()
        .filter(|event| event["event"] == "node" && event["node"] == node);
    of.map(|event| event["to"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn what_was_told_is_read_again_also_after_a_kill() -> Result<()> {
    let Some(lab) = Lab::or_skip("journal_kill") else {
        return Ok(());
    };
    let (db1, db2) = (lab.node("db1")?, lab.node("db2")?);
    let cable = lab.cable(&db1)?;
    lab.cable(&db2)?;
    fs::write(config_file(&lab), CONFIG)?;
    let mut watch = Watch::start(&lab, "")?;
    watch.node("db1", "up")?;
    watch.node("db2", "up")?;
    watch.forget()?;
    cable.inject(Fault::LinkDown(End::Watcher))?;
    let down = watch.node("db1", "down")?;
    let token = down.json["token"].as_u64().context("token")?;
    // What the terminal was shown a moment ago is in the file.
    until("the event is in the journal", || {
        Ok(states(&logged(&lab, "db1")?, "db1")
            .last()
            .map(String::as_str)
            == Some("down"))
    })?;
    watch.running().signal(Signal::SIGKILL)?;
    watch.ended()?;
    cable.heal()?;

    let mut watch = Watch::start(&lab, "")?;
    let up = watch.node("db1", "up")?;
    ensure!(up.json["token"].as_u64() > Some(token), "{up:?}");
    watch.node("db2", "up")?;
    until("the event is in the journal", || {
        Ok(states(&logged(&lab, "db1")?, "db1")
            .last()
            .map(String::as_str)
            == Some("up"))
    })?;
    watch.running().terminate()?;
    watch.ended()?;

    let all = logged(&lab, "-n 1000")?;
    ensure!(
        states(&all, "db1")
            .iter()
            .filter(|to| *to == "down")
            .count()
            == 1,
        "{all:#?}"
    );
    let down = all
        .iter()
        .find(|event| event["to"] == "down" && event["event"] == "line");
    ensure!(
        down.context("line")?.get("evidence").is_some(),
        "its evidence"
    );
    let only = logged(&lab, "db2 --nodes-only")?;
    ensure!(
        !only.is_empty() && only.iter().all(|event| event["node"] == "db2"),
        "{only:#?}"
    );
    let text = said(&lab, "log db1 --since 1h")?;
    ensure!(text.contains("db1  down  link_down: "), "{text}");
    ensure!(logged(&lab, "--since 2100-01-01")?.is_empty());

    let report: Value = serde_json::from_str(&said(&lab, "report --json")?)?;
    let of = report["nodes"].as_array().context("nodes")?;
    let db1 = of.iter().find(|of| of["node"] == "db1").context("db1")?;
    ensure!(
        db1["incidents"].as_array().map(Vec::len) == Some(1),
        "{report:#}"
    );
    ensure!(
        db1["causes"]["link_down"] == 1 && db1["mttr_ms"].as_u64() > Some(0),
        "{report:#}"
    );
    let db2 = of.iter().find(|of| of["node"] == "db2").context("db2")?;
    ensure!(
        db2["availability"] == 1.0 && db2["incidents"] == Value::Array(Vec::new()),
        "{report:#}"
    );
    let text = said(&lab, "report")?;
    ensure!(text.contains("link_down 1"), "{text}");
    Ok(())
}

/// A small file system of its own for as long as it is kept.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(at: &'a Path) -> Result<Self> {
        fs::create_dir_all(at)?;
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512k", "heartline-test"])
            .arg(at)
            .status()?;
        ensure!(done.success(), "mount");
        Ok(Self(at))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_stops_nothing_and_what_was_told_meanwhile_is_written_when_there_is_room()
-> Result<()> {
    let Some(lab) = Lab::or_skip("journal_full") else {
        return Ok(());
    };
    let db1 = lab.node("db1")?;
    let cable = lab.cable(&db1)?;
    let folder = lab.dir().join("disk");
    let disk = Disk::mount(&folder)?;
    let path = folder.join("journal.db");
    let words = format!("db1 --interval 300ms --journal {}", path.display());
    let mut watch = Watch::start(&lab, &words)?;
    watch.node("db1", "up")?;
    let log = format!("--journal {}", path.display());
    until("the journal is written", || {
        Ok(!logged(&lab, &log)?.is_empty())
    })?;
    // SQLite's own files keep what they have.
    let mut filler = fs::File::create(folder.join("filler"))?;
    while std::io::Write::write_all(&mut filler, &[0; 4096]).is_ok() {}
    drop(filler);
    let mut rounds = 0;
    while !watch
        .running()
        .lines()
        .iter()
        .any(|line| line.text.contains("journal cannot be written"))
    {
        ensure!(rounds < 60, "it never says that the disk is full");
        rounds += 1;
        watch.forget()?;
        cable.inject(Fault::LinkDown(End::Watcher))?;
        watch.node("db1", "down")?;
        cable.heal()?;
        watch.node("db1", "up")?;
    }
    watch.forget()?;
    cable.inject(Fault::Silent(Direction::Both))?;
    watch.node("db1", "down")?;
    cable.heal()?;
    watch.node("db1", "up")?;
    fs::remove_file(folder.join("filler"))?;
    let events = watch.told()?.len();
    until("all is written", || {
        let all = states(&logged(&lab, &format!("-n 10000 {log}"))?, "db1");
        Ok(all.iter().filter(|to| *to == "down").count() == rounds + 1 && events > 0)
    })?;

    watch.running().terminate()?;
    assert_eq!(watch.ended()?.status.code(), Some(0));

    drop(disk);
    Ok(())
}

#[test]
fn a_folder_that_comes_later_has_what_was_told_before() -> Result<()> {
    let Some(lab) = Lab::or_skip("journal_later") else {
        return Ok(());
    };
    let db1 = lab.node("db1")?;
    let cable = lab.cable(&db1)?;
    // Something else is where its folder is to be: a disk that is not mounted yet.
    let folder = lab.dir().join("disk");
    fs::write(&folder, "")?;
    let log = format!("--journal {}", folder.join("journal.db").display());
    let mut watch = Watch::start(&lab, &format!("db1 --interval 300ms {log}"))?;
    watch.node("db1", "up")?;
    cable.inject(Fault::LinkDown(End::Watcher))?;
    watch.node("db1", "down")?;
    watch.complains("journal cannot be written")?;
    fs::remove_file(&folder)?;
    until("all is written", || {
        // While it is not there, or is being begun, there is none to read.
        let read = logged(&lab, &log);
        Ok(read.is_ok_and(|read| states(&read, "db1").contains(&"down".to_owned())))
    })?;
    watch.running().terminate()?;
    assert_eq!(watch.ended()?.status.code(), Some(0));
    Ok(())
}
