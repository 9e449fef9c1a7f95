//! Where dialing again is senseless, or an attack in sshd's eyes, the line stops, until SIGHUP.

mod watching;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Lab, Node, Part};
use watching::{Watch, connections, until};

const TIMING: &str = "--interval 400ms --count 1";
/// For so long no further connection may come.
const QUIET: Duration = Duration::from_secs(10);

#[test]
fn refused_logins_stop_the_line_until_sighup() -> Result<()> {
    let Some((lab, node, mut watch)) = bed("refused_logins")? else {
        return Ok(());
    };
    let allowed = fs::read(node.authorized_keys())?;
    gives_up(&node, &mut watch, "auth_refused", || {
        fs::write(node.authorized_keys(), "").context("authorized_keys")
    })?;
    fs::write(node.authorized_keys(), allowed)?;
    watch.hang_up()?;
    watch.node("db1", "up")?;
    drop(lab);
    Ok(())
}

#[test]
fn a_changed_host_key_stops_the_line_until_sighup() -> Result<()> {
    let Some((lab, node, mut watch)) = bed("a_changed_host_key")? else {
        return Ok(());
    };
    gives_up(&node, &mut watch, "host_key_changed", || {
        node.change_host_keys()?;
        node.restart()
    })?;
    // Somebody looked into it and wrote the new keys down.
    lab.write_client_files()?;
    watch.hang_up()?;
    watch.node("db1", "up")?;
    Ok(())
}

#[test]
fn an_unknown_host_key_stops_the_line_until_sighup() -> Result<()> {
    let Some((lab, node, mut watch)) = bed("an_unknown_host_key")? else {
        return Ok(());
    };
    gives_up(&node, &mut watch, "host_key_unknown", || {
        fs::write(lab.known_hosts(), "").context("known_hosts")
    })?;
    lab.write_client_files()?;
    watch.hang_up()?;
    watch.node("db1", "up")?;
    Ok(())
}

fn bed(name: &str) -> Result<Option<(Lab, Node, Watch)>> {
    let Some(lab) = Lab::or_skip(name) else {
        return Ok(None);
    };
    let node = lab.node("db1")?;
    lab.cable(&node)?;
    let mut watch = Watch::start(&lab, &format!("db1 {TIMING}"))?;
    watch.node("db1", "up")?;
    watch.forget()?;
    Ok(Some((lab, node, watch)))
}

/// Spoils something, ends the session, and sees the line give up: one attempt and no more, and by SIGHUP another one.
fn gives_up(
    node: &Node,
    watch: &mut Watch,
    cause: &str,
    spoil: impl FnOnce() -> Result<()>,
) -> Result<()> {
    spoil()?;
    let before = connections(node)?;
    node.kill(Part::User)?;
    let unknown = watch.node_for("db1", "unknown", cause)?;
    assert_eq!(unknown.at_place("/lines/0/state"), "down");
    assert_eq!(unknown.at_place("/lines/0/cause"), cause);
    watch.forget()?;
    let told = watch.told_within(QUIET)?;
    ensure!(told.is_empty(), "{told:#?}");
    assert_eq!(connections(node)?, before + 1, "attempts within {QUIET:?}");

    watch.hang_up()?;
    until("another attempt", || Ok(connections(node)? == before + 2))?;
    watch.told_within(Duration::from_secs(2))?;
    assert_eq!(connections(node)?, before + 2, "attempts after SIGHUP");
    watch.forget()
}
