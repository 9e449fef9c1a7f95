//! What can happen to a node and its sshd.

mod reach;

use std::path::Path;
use std::process::Stdio;

use anyhow::Result;
use lab::{Fault, KeyKind, Lab, NodeSpec, Part, Running};
use reach::{CEILING, Echo, SOON, banner, shell, until, works};

#[test]
fn parts_of_sshd_are_told_apart() -> Result<()> {
    let Some(lab) = Lab::or_skip("parts_of_sshd") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    let mut first = Echo::over(&lab, "db1", &[])?;
    let mut second = Echo::over(&lab, "db1", &[])?;
    let waiting = lab
        .watcher()
        .enter(|| std::net::TcpStream::connect((cable.v4(), 22)))??;
    until("a connection before login", || {
        Ok(node.pids(Part::Unauthenticated).len() == 1)
    })?;
    assert_eq!(node.pids(Part::Listener).len(), 1);
    assert_eq!(node.pids(Part::Monitor).len(), 2);
    assert_eq!(node.pids(Part::User).len(), 2);
    assert_eq!(node.user_processes().len(), 2, "one cat each");
    drop(waiting);
    until("it left", || {
        Ok(node.pids(Part::Unauthenticated).is_empty())
    })?;

    // Without its listener a node refuses, and its sessions go on.
    node.kill(Part::Listener)?;
    let refused = banner(lab.watcher(), cable.v4().into(), 22, CEILING)?.map_err(|e| e.kind());
    assert_eq!(refused, Err(std::io::ErrorKind::ConnectionRefused));
    assert!(first.answers(CEILING));
    node.start()?;
    works(&lab, &cable)?;
    node.restart()?;
    assert_eq!(node.sessions().len(), 2);

    // A session without its monitor is still found; killing the user's process ends it.
    node.kill(Part::Monitor)?;
    until("monitors gone", || Ok(node.pids(Part::Monitor).is_empty()))?;
    assert_eq!(node.sessions().len(), 2);
    assert!(first.answers(CEILING));
    node.kill(Part::User)?;
    assert_eq!(first.ssh().wait(CEILING)?.status.code(), Some(255));
    assert_eq!(second.ssh().wait(CEILING)?.status.code(), Some(255));
    until("no session left", || Ok(node.sessions().is_empty()))?;
    assert_eq!(node.logins()?, 2);
    Ok(())
}

/// Nor one that ends. Its process is root's first, then the user's, and looked at several times meanwhile.
#[test]
fn a_session_that_begins_is_no_command() -> Result<()> {
    let Some(lab) = Lab::or_skip("session_begins") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    lab.cable(&node)?;
    for logins in 1..=20 {
        let mut command = lab.ssh("db1");
        command.arg("-N").stdin(Stdio::null());
        let ssh = Running::spawn(command)?;
        until("logged in", || {
            assert!(node.user_processes().is_empty(), "login {logins}");
            Ok(node.logins()? == logins && node.sessions().len() == 1)
        })?;
        drop(ssh);
        until("gone", || {
            assert!(node.user_processes().is_empty(), "end {logins}");
            Ok(node.sessions().is_empty())
        })?;
    }
    Ok(())
}

#[test]
fn stopped_parts_are_silent_until_continued() -> Result<()> {
    let Some(lab) = Lab::or_skip("stopped_parts") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    let mut echo = Echo::over(&lab, "db1", &[])?;
    assert_eq!(node.stop(Part::User)?, 1);
    assert!(!echo.answers(SOON));
    works(&lab, &cable)?;
    node.cont(Part::User)?;
    assert!(echo.answers(CEILING));

    assert_eq!(node.stop(Part::Listener)?, 1);
    let address = cable.v4().into();
    assert!(
        banner(lab.watcher(), address, 22, SOON)?.is_err(),
        "accepted by the kernel alone"
    );
    assert!(echo.answers(CEILING));
    node.cont(Part::Listener)?;
    works(&lab, &cable)?;

    node.host().freeze()?;
    assert!(!echo.answers(SOON));
    node.host().thaw()?;
    assert!(echo.answers(CEILING));
    Ok(())
}

#[test]
fn a_reboot_is_silent_and_forgets_every_connection() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_reboot") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let (cable, other) = (lab.cable(&node)?, lab.cable(&node)?);
    let mut echo = Echo::over(&lab, "db1", &[])?;
    other.inject(Fault::Reset)?;
    node.power_off()?;
    assert!(node.host().processes().is_empty());
    assert!(banner(lab.watcher(), cable.v4().into(), 22, SOON)?.is_err());
    let carrier = format!("cat /sys/class/net/{}/carrier", cable.watcher_interface());
    assert_eq!(shell(lab.watcher(), &carrier)?, "0\n");
    assert!(echo.ssh().is_alive(), "nobody told it");
    node.power_on()?;
    works(&lab, &cable)?;
    assert!(
        reach::failures(&lab, &other).is_ok(),
        "its fault outlives the reboot"
    );
    other.heal()?;
    works(&lab, &other)?;
    assert!(!echo.answers(CEILING), "the new kernel knows nothing of it");
    assert_eq!(echo.ssh().wait(CEILING)?.status.code(), Some(255));
    // Same keys: plain ssh still trusts it.
    Echo::over(&lab, "db1", &[])?;
    Ok(())
}

#[test]
fn healing_while_the_node_is_off_holds_after_its_start() -> Result<()> {
    let Some(lab) = Lab::or_skip("healing_while_off") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    cable.inject(Fault::Silent(lab::Direction::Both))?;
    node.power_off()?;
    cable.heal()?;
    node.power_on()?;
    works(&lab, &cable)
}

#[test]
fn a_full_disk_takes_nothing_and_is_this_nodes_alone() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_full_disk") else {
        return Ok(());
    };
    let full = lab.node_with(&NodeSpec::new("db1").shell("/bin/sh"))?;
    let other = lab.node("db2")?;
    lab.cable(&full)?;
    lab.cable(&other)?;
    let mut echo = Echo::over(&lab, "db1", &[])?;
    full.fill_disk(&full.home())?;
    full.fill_disk(Path::new("/tmp"))?;
    assert!(echo.answers(CEILING), "nothing is ended by it");
    let said = |name, words: &str| -> Result<_> {
        let mut command = lab.ssh(name);
        command.arg(words);
        Running::spawn(command)?.finish(CEILING)
    };
    for place in ["$HOME", "/tmp"] {
        for write in ["echo x >$P/new", "mkdir $P/new"] {
            let tried = said("db1", &format!("P={place}; {write}"))?;
            let all = tried.stderr;
            assert!(all.contains("No space left on device"), "{write}: {all:?}");
        }
    }
    said("db2", "P=$(mktemp) && echo x >$P && rm $P")?.success()?;

    full.restart()?;
    said("db1", "P=$(mktemp) && echo x >$P && rm $P")?.success()?;
    Ok(())
}

#[test]
fn sessions_can_be_reset() -> Result<()> {
    let Some(lab) = Lab::or_skip("sessions_reset") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    let mut echo = Echo::over(&lab, "db1", &[])?;
    node.reset_sessions()?;
    assert_eq!(echo.ssh().wait(CEILING)?.status.code(), Some(255));
    works(&lab, &cable)
}

#[test]
fn changed_host_keys_are_refused_until_written_down() -> Result<()> {
    let Some(lab) = Lab::or_skip("changed_host_keys") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    lab.cable(&node)?;
    let before = std::fs::read(node.host_key(KeyKind::Ed25519))?;
    node.change_host_keys()?;
    assert_ne!(before, std::fs::read(node.host_key(KeyKind::Ed25519))?);
    node.restart()?;
    let login = || -> Result<_> {
        let mut command = lab.ssh("db1");
        command.arg("true");
        Running::spawn(command)?.finish(CEILING)
    };
    let refused = login()?;
    assert_eq!(refused.code(), Some(255));
    assert!(
        refused
            .stderr
            .contains("REMOTE HOST IDENTIFICATION HAS CHANGED")
    );
    lab.write_client_files()?;
    login()?.success()?;
    Ok(())
}

#[test]
fn extra_lines_win_and_take_effect_at_restart() -> Result<()> {
    let Some(lab) = Lab::or_skip("extra_lines") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    lab.cable(&node)?;
    node.set_config("ForceCommand echo forced\n")?;
    node.restart()?;
    let mut command = lab.ssh("db1");
    command.arg("true").stdin(Stdio::null());
    let said = Running::spawn(command)?.finish(CEILING)?.success()?;
    assert_eq!(said.stdout, "forced\n");
    node.set_config("NoSuchOption yes\n")?;
    let why = format!("{:#}", node.restart().unwrap_err());
    assert!(why.contains("NoSuchOption"), "{why}");
    Ok(())
}
