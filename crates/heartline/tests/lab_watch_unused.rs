//! An sshd that ends connections without a channel (`UnusedConnectionTimeout`, `ChannelTimeout`; OpenSSH 9.2 and later):
//! the line finds out, and from then on holds a session that survives.

mod watching;

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Lab, Node, NodeSpec, sshd_version};
use watching::{Watch, until};

const UNUSED: &str = "UnusedConnectionTimeout 3";
const IDLE: &str = "UnusedConnectionTimeout 3\nChannelTimeout session:*=2";

#[test]
fn a_line_settles_into_a_session_that_survives() -> Result<()> {
    settles("unused_connection_timeout", UNUSED)
}

#[test]
fn a_line_settles_also_where_idle_channels_are_closed() -> Result<()> {
    settles("channel_timeout", IDLE)
}

#[test]
fn a_guard_is_channel_enough() -> Result<()> {
    guarded("unused_connection_timeout_guarded", UNUSED)
}

/// Its channel is closed as often as it idles for 2 s; it then beats more often.
#[test]
fn a_guard_is_channel_enough_also_where_idle_channels_are_closed() -> Result<()> {
    guarded("channel_timeout_guarded", IDLE)
}

fn guarded(name: &str, config: &str) -> Result<()> {
    let Some((lab, node)) = place(name, config)? else {
        return Ok(());
    };
    let mut watch = Watch::start(&lab, "db1 --interval 1s --count 1")?;
    watch.node("db1", "up")?;
    watch.forget()?;
    let told = watch.told_within(QUIET)?;
    // A busy machine makes a line suspect now and then.
    let fell = told
        .iter()
        .any(|told| told.text("to") == "down" || told.text("event") == "fuse");
    ensure!(!fell, "{told:#?}");
    assert_eq!(node.logins()?, 1, "the first session survives");
    let channels = node.log()?.matches("Starting session: ").count();
    ensure!(channels <= MOST, "{channels} guards");
    ensure!(!node.user_processes().is_empty(), "no guard");
    Ok(())
}

/// Each time it is read again a guard is tried, and there is none. The channel that is held stays the only one.
#[test]
fn a_configuration_that_is_read_again_opens_no_second_channel() -> Result<()> {
    let only_cat = "ForceCommand case $SSH_ORIGINAL_COMMAND in *cat*) exec cat;; esac; exit 1";
    let config = format!("{UNUSED}\n{only_cat}");
    let Some((lab, node)) = place("unused_connection_timeout_read_again", &config)? else {
        return Ok(());
    };
    let mut watch = Watch::start(&lab, "db1 --interval 1s --count 1")?;
    // The first has a guard that ends at once, the second nothing.
    until("a third session, with something in it", || {
        Ok(node.logins()? >= 3 && !node.user_processes().is_empty())
    })?;
    for _ in 0..3 {
        watch.forget()?;
        watch.hang_up()?;
        watch.until("why there is no fuse", |told| told.text("event") == "fuse")?;
        watch.told_within(Duration::from_secs(1))?;
        let held = node.user_processes().len();
        assert_eq!(held, 1, "channels that are held");
    }
    Ok(())
}

/// A node with this configuration; none, where its sshd does not know it.
fn place(name: &str, config: &str) -> Result<Option<(Lab, Node)>> {
    let Some(lab) = Lab::or_skip(name) else {
        return Ok(None);
    };
    let version = sshd_version()?;
    if !knows_it(&version) {
        lab::skipped(name, &format!("{version} has no UnusedConnectionTimeout"));
        return Ok(None);
    }
    let node = lab.node_with(&NodeSpec::new("db1").config(config))?;
    lab.cable(&node)?;
    Ok(Some((lab, node)))
}

/// Without a guard a line finds out that it needs a channel.
fn settles(name: &str, config: &str) -> Result<()> {
    let Some((lab, node)) = place(name, config)? else {
        return Ok(());
    };
    let mut watch = Watch::start(&lab, "db1 --interval 1s --count 1 --fuse 0")?;
    watch.node("db1", "up")?;
    until("a session with something in it", || {
        Ok(!node.user_processes().is_empty())
    })?;
    let logins = node.logins()?;
    ensure!((2..=MOST).contains(&logins), "{logins} logins until then");
    // A node's word comes after its lines'.
    until("the node is up", || {
        let last = watch.told()?.last();
        Ok(last.is_some_and(|told| told.is("node", "db1", "up")))
    })?;
    watch.forget()?;
    let told = watch.told_within(QUIET)?;
    ensure!(told.is_empty(), "{told:#?}");
    assert_eq!(node.logins()?, logins, "no further login");
    let down = |told: &watching::Told| told.text("to") == "down";
    ensure!(!watch.told()?.iter().any(down));
    watch.running().terminate()?;
    assert_eq!(watch.ended()?.status.code(), Some(0));
    until("nothing is left", || {
        Ok(node.sessions().is_empty() && node.user_processes().is_empty())
    })
}

/// Whether it is OpenSSH 9.2 or later, by `OpenSSH_9.2p1 …`.
fn knows_it(version: &str) -> bool {
    let number = version.split("OpenSSH_").nth(1).unwrap_or_default();
    let mut parts = number.split(|c: char| !c.is_ascii_digit());
    let mut next = || parts.next().and_then(|part| part.parse::<u32>().ok());
    let (major, minor) = (next(), next());
    (major, minor) >= (Some(9), Some(2))
}

/// Logins until a line has found out.
const MOST: usize = 4;
/// Many times the timeouts.
const QUIET: Duration = Duration::from_secs(15);
