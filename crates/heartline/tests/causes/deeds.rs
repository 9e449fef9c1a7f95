//! Deeds that are more than a fault on a cable.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Part, Running, Signal, sshd_version};
use nix::sys::signal::kill;

use super::bed::Bed;
use crate::shells::is_guarded;
use crate::watching::{CEILING, Watch, until};

/// Every process of sshd's stands still, and the kernel goes on acknowledging.
pub(crate) fn stop_sshd(bed: &mut Bed) -> Result<()> {
    for part in [Part::Listener, Part::Monitor, Part::User] {
        let stopped = bed.node()?.stop(part)?;
        ensure!(stopped > 0, "no {part:?}");
    }
    Ok(())
}

/// Only the process that holds our session stands still.
pub(crate) fn stop_session(bed: &mut Bed) -> Result<()> {
    let stopped = bed.node()?.stop(Part::User)?;
    ensure!(stopped == 1, "{stopped} sessions");
    Ok(())
}

/// No process of sshd's is left.
pub(crate) fn kill_sshd(bed: &mut Bed) -> Result<()> {
    let node = bed.node()?;
    // Nobody is let in between.
    node.kill(Part::Listener)?;
    node.kill(Part::User)?;
    node.kill(Part::Monitor)?;
    Ok(())
}

/// Every process of the guard's stands still; sshd goes on.
pub(crate) fn stop_shell(bed: &mut Bed) -> Result<()> {
    let processes = bed.node()?.user_processes();
    ensure!(!processes.is_empty(), "no shell");
    for pid in processes {
        kill(pid, Signal::SIGSTOP).with_context(|| format!("stop {pid}"))?;
    }
    Ok(())
}

/// The home of the node's user and `/tmp` take nothing any more; the guard holds its fuse meanwhile, several times over.
pub(crate) fn fill_disk(bed: &mut Bed) -> Result<()> {
    let node = bed.node()?;
    node.fill_disk(&node.home())?;
    node.fill_disk(Path::new("/tmp"))?;
    bed.watch.told_within(FUSE * 3)?;
    Ok(())
}

/// The session and its fuse are those of the beginning, and another one gets a fuse as well.
pub(crate) fn needs_no_disk(bed: &mut Bed) -> Result<()> {
    let node = bed.node()?.clone();
    ensure!(is_guarded(&node), "the guard is gone");
    ensure!(node.logins()? == 1, "{} logins", node.logins()?);
    let mut second = Watch::start(&bed.lab, &format!("db1 {FUSED}"))?;
    second.node("db1", "up")?;
    let guards = || -> Result<usize> {
        let log = node.log()?;
        Ok(log.matches("Starting session: ").count())
    };
    until("a second guard", || Ok(guards()? == 2))?;
    let told = second.told_within(FUSE * 3)?;
    let is_wrong = |told: &&crate::watching::Told| {
        told.text("event") == "fuse" || (told.text("event") == "node" && told.text("to") != "up")
    };
    let wrong = told.iter().find(is_wrong);
    ensure!(wrong.is_none(), "{wrong:?}");
    ensure!(guards()? == 2, "{} guards", guards()?);
    Ok(())
}

/// Our key is not let in any more, and the session ends.
pub(crate) fn remove_key(bed: &mut Bed) -> Result<()> {
    let node = bed.node()?;
    fs::write(node.authorized_keys(), "").context("authorized_keys")?;
    end_session(bed)
}

/// The node has other host keys, and the session ends.
pub(crate) fn change_host_keys(bed: &mut Bed) -> Result<()> {
    let node = bed.node()?;
    node.change_host_keys()?;
    node.restart()?;
    end_session(bed)
}

/// All of [`FEW_PLACES`] are taken by others, and the session ends.
pub(crate) fn take_all_places(bed: &mut Bed) -> Result<()> {
    for _ in 0..2 {
        let stranger = bed.stranger()?;
        bed.strangers.push(stranger);
    }
    let node = bed.node()?;
    until("others take the only places", || {
        Ok(node.pids(Part::Unauthenticated).len() == 2)
    })?;
    end_session(bed)
}

/// Somebody at our address fails to log in, by [`PENALTIES`] for the last time in a while, and the session ends.
pub(crate) fn earn_penalty(bed: &mut Bed) -> Result<()> {
    let mut command = bed.lab.ssh("db1");
    command.args(["-o", "PreferredAuthentications=none", "true"]);
    let refused = Running::spawn(command)?.finish(CEILING)?;
    ensure!(refused.code() == Some(255), "let in");
    until("we are turned away", || {
        let mut said = Vec::new();
        let mut stranger = bed.stranger()?.take(TURNED_AWAY.len() as u64);
        stranger.read_to_end(&mut said)?;
        Ok(said == TURNED_AWAY)
    })?;
    end_session(bed)
}

/// The watcher does not run for a while.
pub(crate) fn stop_watcher(bed: &mut Bed) -> Result<()> {
    bed.watch.running().stop()?;
    bed.watch.told_within(STOPPED)?;
    bed.watch.running().cont()
}

/// Why there are no penalties; none, where sshd knows them (9.8 and later, by `OpenSSH_9.8p1 …`).
///
/// What this machine's sshd is too old for is no test that did not run for want of something: it is a row that says so.
pub(crate) fn no_penalties() -> Result<Option<String>> {
    let version = sshd_version()?;
    let number = version.split("OpenSSH_").nth(1).unwrap_or_default();
    let mut parts = number.split(|c: char| !c.is_ascii_digit());
    let mut next = || parts.next().and_then(|part| part.parse::<u32>().ok());
    let (major, minor) = (next(), next());
    let knows_them = (major, minor) >= (Some(9), Some(8));
    let release = version.split(',').next().unwrap_or_default();
    Ok((!knows_them).then(|| format!("{release} has none, 9.8 and later have")))
}

/// Ends our session by killing the process that holds it.
fn end_session(bed: &Bed) -> Result<()> {
    let killed = bed.node()?.kill(Part::User)?;
    ensure!(killed == 1, "{killed} sessions");
    Ok(())
}

/// For [`take_all_places`].
pub(crate) const FEW_PLACES: &str = "MaxStartups 2";
/// For [`earn_penalty`].
pub(crate) const PENALTIES: &str = "PerSourcePenalties noauth:60 authfail:60 min:1";
/// Timing with a fuse.
pub(crate) const FUSED: &str = "--interval 400ms --count 1 --connect-timeout 1s --fuse 2s";
/// Theirs.
const FUSE: Duration = Duration::from_secs(2);
/// Many bounds.
const STOPPED: Duration = Duration::from_secs(5);
/// sshd's own words (sshd.c, `drop_connection`).
const TURNED_AWAY: &[u8] = b"Not allowed";
