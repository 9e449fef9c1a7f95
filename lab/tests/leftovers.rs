//! Nothing remains: neither of a lab that was dropped, nor of one whose test was killed.

mod reach;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use lab::{Lab, Pid, Running};
use reach::{CEILING, Echo, shell, until};

fn namespaces_of(id: &str) -> Result<Vec<String>> {
    let mut command = Command::new("ip");
    command.args(["netns", "list"]);
    let all = Running::spawn(command)?.finish(CEILING)?.success()?.stdout;
    let names = all
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    Ok(names
        .filter(|name| name.starts_with(&format!("{id}-")))
        .map(str::to_owned)
        .collect())
}

/// A zombie does not count: whoever inherited it may bury it when they like.
fn exists(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.trim().chars().next());
    !matches!(state, None | Some('Z'))
}

#[test]
fn a_dropped_lab_leaves_nothing() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_dropped_lab") else {
        return Ok(());
    };
    let (id, dir) = (lab.id().to_owned(), lab.dir().to_owned());
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    lab.watcher().set_names(&[("db1", &cable.addresses())])?;
    let echo = Echo::over(&lab, "db1", &[])?;
    // One that no process group and no parent leads to.
    let orphan = "setsid -f sh -c 'trap \"\" HUP TERM; while :; do sleep 60; done' >&- 2>&-";
    let mut command = lab.ssh("db1");
    command.arg(orphan);
    Running::spawn(command)?.finish(CEILING)?.success()?;
    until("the orphan runs", || Ok(node.user_processes().len() >= 2))?;
    node.host().freeze()?;
    let pids = [node.host().processes(), lab.watcher().processes()].concat();
    assert!(pids.len() >= 6, "{pids:?}");
    assert!(!namespaces_of(&id)?.is_empty());
    drop(lab);
    assert_eq!(namespaces_of(&id)?, Vec::<String>::new());
    // The node's handle still holds the listener's exit status; its end lets go of that.
    drop((node, echo));
    until("processes gone", || {
        Ok(!pids.iter().any(|pid| exists(*pid)))
    })?;
    assert!(!dir.exists());
    assert!(
        !Path::new("/etc/netns")
            .join(format!("{id}-watcher"))
            .exists()
    );
    Ok(())
}

/// Plays two parts: the killed test is this same test, started again with `VICTIM` set.
#[test]
fn a_killed_test_is_cleared_by_the_next_lab() -> Result<()> {
    if std::env::var_os(VICTIM).is_some() {
        return make_a_lab_and_wait();
    }
    let Some(lab) = Lab::or_skip("a_killed_test") else {
        return Ok(());
    };
    let mut command = Command::new(std::env::current_exe()?);
    command.args([
        "--exact",
        "--nocapture",
        "a_killed_test_is_cleared_by_the_next_lab",
    ]);
    command.env(VICTIM, "1");
    let mut victim = Running::spawn(command)?;
    let made = victim
        .wait_for("lab", CEILING, |line| line.text.starts_with("made "))?
        .text;
    let words: Vec<_> = made.split_whitespace().collect();
    let id = words.get(1).context("an id")?;
    let sshd = Pid::from_raw(words.get(2).context("a pid")?.parse()?);
    victim.signal(lab::Signal::SIGKILL)?;
    victim.wait(CEILING)?;
    assert!(exists(sshd), "nobody ended it");
    assert!(!namespaces_of(id)?.is_empty());

    let next = Lab::new("the next lab")?;
    assert_eq!(namespaces_of(id)?, Vec::<String>::new());
    until("its sshd gone", || Ok(!exists(sshd)))?;
    assert!(!next.dir().with_file_name(id).exists());
    // One at work is not touched.
    assert_eq!(shell(lab.watcher(), "echo here")?, "here\n");
    Ok(())
}

fn make_a_lab_and_wait() -> Result<()> {
    let lab = Lab::new("the victim")?;
    let node = lab.node("db1")?;
    let sshd = *node.pids(lab::Part::Listener).first().context("no sshd")?;
    println!("\nmade {} {sshd}", lab.id());
    std::thread::sleep(CEILING * 2);
    Ok(())
}

const VICTIM: &str = "LAB_TEST_VICTIM";
