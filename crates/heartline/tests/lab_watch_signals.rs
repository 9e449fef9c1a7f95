//! What signals do: SIGTERM and SIGINT end every session cleanly, SIGHUP reads the configuration again and leaves in
//! peace what did not change.

mod watching;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use lab::{Lab, Node, Part, Pid, Signal};
use watching::{Watch, config_file, until};

/// How soon after its end no session of a watcher's may be left on any node.
const SOON: Duration = Duration::from_secs(1);

#[test]
fn sigterm_leaves_no_session_on_any_node() -> Result<()> {
    ends_cleanly("sigterm_leaves_no_session", Signal::SIGTERM)
}

#[test]
fn sigint_leaves_no_session_on_any_node() -> Result<()> {
    ends_cleanly("sigint_leaves_no_session", Signal::SIGINT)
}

fn ends_cleanly(name: &str, signal: Signal) -> Result<()> {
    let Some(lab) = Lab::or_skip(name) else {
        return Ok(());
    };
    let nodes = ["db1", "db2", "db3"].map(|name| lab.node(name));
    let nodes: Vec<Node> = nodes.into_iter().collect::<Result<_>>()?;
    for node in &nodes {
        lab.cable(node)?;
    }
    let mut watch = Watch::start(&lab, "db1 db2 db3 --interval 1s")?;
    for node in &nodes {
        watch.node(node.name(), "up")?;
        assert_eq!(node.sessions().len(), 1);
    }
    watch.running().signal(signal)?;
    let ended = watch.ended()?;
    assert_eq!(ended.status.code(), Some(0));
    for node in &nodes {
        until("no session is left", || Ok(node.sessions().is_empty()))?;
        ensure!(ended.at.elapsed() < SOON, "{:?}", ended.at.elapsed());
        let log = node.log()?;
        let goodbye = "Received disconnect from 10.77.";
        let said = log.lines().find(|line| line.contains(goodbye));
        ensure!(
            said.is_some_and(|line| line.contains(":11: disconnected by user")),
            "{said:?} in {log}"
        );
        ensure!(log.contains("Disconnected from user hltest"), "{log}");
    }
    Ok(())
}

#[test]
fn it_ends_in_time_when_nobody_hears_the_goodbye() -> Result<()> {
    let Some(lab) = Lab::or_skip("it_ends_in_time") else {
        return Ok(());
    };
    let (well, cut) = (lab.node("db1")?, lab.node("db2")?);
    lab.cable(&well)?;
    let cable = lab.cable(&cut)?;
    let mut watch = Watch::start(&lab, "db1 db2 --interval 5s")?;
    watch.node("db1", "up")?;
    watch.node("db2", "up")?;
    cable.inject(lab::Fault::Silent(lab::Direction::Both))?;
    let begun = Instant::now();
    watch.running().terminate()?;
    let ended = watch.ended()?;
    assert_eq!(ended.status.code(), Some(0));
    ensure!(
        ended.at - begun < Duration::from_secs(4),
        "{:?}",
        ended.at - begun
    );
    until("no session is left", || Ok(well.sessions().is_empty()))
}

#[test]
fn sighup_leaves_in_peace_what_did_not_change() -> Result<()> {
    let Some(lab) = Lab::or_skip("sighup_leaves_in_peace") else {
        return Ok(());
    };
    let [db1, db2, db3] = ["db1", "db2", "db3"].map(|name| lab.node(name));
    let (db1, db2, db3) = (db1?, db2?, db3?);
    for node in [&db1, &db2, &db3] {
        lab.cable(node)?;
    }
    let write = |text: &str| fs::write(config_file(&lab), text);
    let node = |name: &str, more: &str| format!("[[node]]\nname = \"{name}\"\n{more}\n");
    let defaults = "[defaults]\ninterval = \"500ms\"\n";
    write(&format!("{defaults}{}{}", node("db1", ""), node("db2", "")))?;
    let mut watch = Watch::start(&lab, "-v")?;
    watch.node("db1", "up")?;
    watch.node("db2", "up")?;
    let first = session(&db1)?;
    let second = session(&db2)?;

    // A broken file changes nothing, and says where it is broken.
    watch.forget()?;
    write(&format!(
        "{defaults}{}intervall = \"5s\"\n",
        node("db1", "")
    ))?;
    watch.hang_up()?;
    watch.complains("heartline.toml:6:1: unknown field `intervall`")?;
    write("[[node]]\nname = \"db1\"\nidentity_file = \"/nowhere/key\"\n")?;
    watch.hang_up()?;
    watch.complains("/nowhere/key")?;
    ensure!(watch.told_within(Duration::from_secs(2))?.is_empty());
    assert_eq!((session(&db1)?, session(&db2)?), (first, second));

    // Another interval for db2: its line begins anew. Nothing new for db1.
    write(&format!(
        "{defaults}{}{}",
        node("db1", ""),
        node("db2", "interval = \"300ms\"")
    ))?;
    watch.hang_up()?;
    until("db2 has a new session, and one only", || {
        Ok(session(&db2).is_ok_and(|pid| pid != second))
    })?;
    watch.line("db2", "10.77.2.2", "up")?;
    watch.node("db2", "up")?;

    // db3 in the place of db2.
    watch.forget()?;
    write(&format!("{defaults}{}{}", node("db3", ""), node("db1", "")))?;
    watch.hang_up()?;
    watch.node("db3", "up")?;
    until("db2 is left", || Ok(db2.sessions().is_empty()))?;
    ensure!(db2.log()?.contains("Disconnected from user hltest"));
    watch.told_within(Duration::from_secs(2))?;
    let strangers: Vec<_> = watch
        .told()?
        .iter()
        .filter(|told| told.text("node") != "db3")
        .collect();
    ensure!(strangers.is_empty(), "{strangers:#?}");
    assert_eq!(session(&db1)?, first);
    assert_eq!((db1.logins()?, db2.logins()?, db3.logins()?), (1, 2, 1));
    assert_eq!(db2.pids(Part::Unauthenticated), []);

    watch.running().terminate()?;
    assert_eq!(watch.ended()?.status.code(), Some(0));
    Ok(())
}

/// The process of the only session on a node.
fn session(node: &Node) -> Result<Pid> {
    let sessions = node.sessions();
    let [only] = sessions.as_slice() else {
        bail!("{sessions:?} on {}", node.name());
    };
    Ok(only.user)
}
