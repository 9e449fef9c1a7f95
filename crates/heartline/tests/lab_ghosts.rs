//! `ghosts` on real sshd: clients that were killed behind a cut, that closed nothing, and what becomes of their sessions,
//! and of nobody else's.

mod shells;
mod watching;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Cable, Direction, Fault, Finished, Host, Lab, Node, NodeSpec, Pid, Running, Signal};
use serde_json::Value;
use shells::{OTHERS, POSIX, Shell, node_with};
use watching::{CEILING, heartline, until};

/// On the watcher, so that its kernel forgets soon what nobody has any more, as it does in an hour's cut; and whether it
/// forwards is a matter of the machine that the tests run on.
fn settings(host: &Host) -> Result<()> {
    host.sysctl("net.ipv4.tcp_orphan_retries", "1")?;
    host.sysctl("net.ipv4.ip_forward", "0")
}

fn place(lab: &Lab, spec: &NodeSpec) -> Result<(Node, Cable)> {
    settings(lab.watcher())?;
    let node = lab.node_with(spec)?;
    let cable = lab.cable(&node)?;
    Ok((node, cable))
}

fn ghosts(lab: &Lab, node: &str, words: &str) -> Result<Finished> {
    watching::outcome(lab, &format!("ghosts {node} {words}"))
}

/// What is listed, by process id.
fn listed(lab: &Lab, node: &str) -> Result<BTreeMap<i32, Value>> {
    let done = ghosts(lab, node, "--json")?;
    assert_eq!(done.code(), Some(0), "{done:?}");
    by_pid(&done)
}

fn by_pid(done: &Finished) -> Result<BTreeMap<i32, Value>> {
    let object: Value = serde_json::from_str(&done.stdout)?;
    let sessions = object.get("sessions").and_then(Value::as_array);
    let sessions = sessions.context("no sessions")?.iter();
    sessions
        .map(|session| {
            let pid = session.get("pid").and_then(Value::as_i64);
            Ok((i32::try_from(pid.context("no pid")?)?, session.clone()))
        })
        .collect()
}

fn word<'a>(session: &'a Value, field: &str) -> &'a str {
    session.get(field).and_then(Value::as_str).unwrap_or("-")
}

fn evidence(all: &BTreeMap<i32, Value>, pid: Pid) -> Result<(&str, &str)> {
    let session = all.get(&pid.as_raw());
    let session = session.with_context(|| format!("{pid} is not in {all:#?}"))?;
    Ok((word(session, "verdict"), word(session, "evidence")))
}

/// A client begun, and the session that came of it.
fn begin(node: &Node, mut client: Command) -> Result<(Running, Pid)> {
    let before: Vec<_> = node.sessions();
    client.stdin(Stdio::piped());
    let client = Running::spawn(client)?;
    let mut new = None;
    until("a session", || {
        let all = node.sessions();
        let found = all.iter().find(|session| !before.contains(session));
        new = found.map(|session| session.user);
        Ok(found.is_some_and(|session| session.monitor.is_some()))
    })?;
    Ok((client, new.context("no session")?))
}

fn ssh(lab: &Lab, words: &[&str]) -> Command {
    let mut ssh = lab.watcher().command("ssh");
    ssh.arg("-F").arg(lab.ssh_config()).args(words);
    ssh
}

/// Kills clients behind a cut until the kernel here has forgotten them, and mends the cable.
fn forget(host: &Host, cable: &Cable, clients: Vec<Running>) -> Result<()> {
    let ports = |host: &Host| -> Result<String> {
        let mut ss = host.command("ss");
        ss.args(["-tnH", "state", "fin-wait-1"]);
        Ok(Running::spawn(ss)?.finish(CEILING)?.stdout)
    };
    // What is on its way arrives, and is acknowledged: what is not would find out after the cut that nobody is there.
    std::thread::sleep(Duration::from_millis(500));
    cable.inject(Fault::Silent(Direction::Both))?;
    for client in clients {
        client.signal(Signal::SIGKILL)?;
        client.finish(CEILING)?;
    }
    until("our kernel forgets", || Ok(ports(host)?.is_empty()))?;
    cable.heal().map(drop)
}

/// Whether somebody listens at this port of the node.
fn listens(node: &Node, port: u16) -> Result<bool> {
    let mut ss = node.command("ss");
    ss.args(["-tlnH", "sport", "=", &format!(":{port}")]);
    Ok(!Running::spawn(ss)?.finish(CEILING)?.stdout.is_empty())
}

fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
}

fn run_without_a_fuse(lab: &Lab, node: &str, command: &str) -> Command {
    let mut run = heartline(lab, lab.watcher());
    run.args(["run", node, "-F"]).arg(lab.ssh_config());
    run.args(["--fuse", "0", "--interval", "5s", "--", command]);
    run
}

#[test]
fn ghosts_are_listed_and_ended_and_nobody_else_is() -> Result<()> {
    let Some(lab) = Lab::or_skip("ghosts_are_listed") else {
        return Ok(());
    };
    let (node, cable) = place(&lab, &NodeSpec::new("db1"))?;
    let stubborn = "trap '' HUP TERM; (setsid sleep 1000 &); while :; do sleep 1; done";
    let forward = ["-R", "4000:127.0.0.1:1"];
    let (first, dead_forward) = begin(
        &node,
        ssh(&lab, &[&forward[..], &["db1", "exec sleep 1001"]].concat()),
    )?;
    let (second, dead_run) = begin(&node, run_without_a_fuse(&lab, "db1", stubborn))?;
    until("the port is held", || listens(&node, 4000))?;
    until("the commands run", || Ok(node.user_processes().len() >= 4))?;
    forget(lab.watcher(), &cable, vec![first, second])?;
    let (_living, held) = begin(&node, ssh(&lab, &["db1", "exec sleep 1002"]))?;
    let (_shell, typing) = begin(&node, ssh(&lab, &["-tt", "db1"]))?;
    let mut of_root = ssh(&lab, &["root@db1", "echo ready; sleep 1003"]);
    of_root.stdin(Stdio::piped());
    let mut of_root = Running::spawn(of_root)?;
    of_root.wait_for("root's", CEILING, |line| line.text == "ready")?;

    let all = listed(&lab, "db1")?;
    for ghost in [dead_forward, dead_run] {
        assert_eq!(evidence(&all, ghost)?, ("ghost", "not_here"), "{all:#?}");
    }
    for living in [held, typing] {
        assert_eq!(evidence(&all, living)?, ("held", "client_here"), "{all:#?}");
    }
    let own: Vec<_> = all
        .values()
        .filter(|one| word(one, "evidence") == "own")
        .collect();
    assert_eq!((own.len(), all.len()), (1, 5), "{all:#?}");
    let of_run = all.get(&dead_run.as_raw()).context("the run")?;
    ensure!(
        of_run.get("processes").and_then(Value::as_u64) >= Some(3),
        "{of_run}"
    );
    ensure!(word(of_run, "source").starts_with("10.77.1.1:"), "{of_run}");
    let of_shell = all.get(&typing.as_raw()).context("the shell")?;
    ensure!(word(of_shell, "terminal").starts_with("pts/"), "{of_shell}");

    let refused = ghosts(&lab, "db1", &format!("--end {held} --end 1"))?;
    assert_eq!(refused.code(), Some(1), "{refused:?}");
    let wanted = format!(
        "{held}  refused: held: its client is on this machine\n1  refused: no session of yours on the node\n"
    );
    assert_eq!(refused.stdout, wanted);
    let young = ghosts(&lab, "db1", "--older 1h --end all")?;
    assert_eq!(
        (young.code(), is_alive(dead_run)),
        (Some(0), true),
        "{young:?}"
    );

    let of_roots: Vec<_> = listed(&lab, "root@db1")?.into_values().collect();
    let mut words: Vec<_> = of_roots.iter().map(|one| word(one, "evidence")).collect();
    words.sort_unstable(); // By pid they were, and pids begin anew.
    assert_eq!(words, ["client_here", "own"], "{of_roots:#?}");

    // Its sshd hears nothing but KILL.
    nix::sys::signal::kill(dead_run, Signal::SIGSTOP)?;
    let done = ghosts(&lab, "db1", "--end all --json")?;
    assert_eq!(done.code(), Some(0), "{done:?}");
    let left = by_pid(&done)?;
    let told: Value = serde_json::from_str(&done.stdout)?;
    let ended = told
        .get("ended")
        .and_then(Value::as_array)
        .context("ended")?;
    assert_eq!(ended.len(), 2, "{told:#}");
    ensure!(
        ended.iter().all(|one| word(one, "result") == "gone"),
        "{told:#}"
    );
    ensure!(!is_alive(dead_forward) && !is_alive(dead_run));
    ensure!(!listens(&node, 4000)?, "the port is free");
    for living in [held, typing] {
        assert_eq!(evidence(&left, living)?.0, "held");
        ensure!(is_alive(living));
    }
    ensure!(of_root.is_alive(), "another user's");
    let left: Vec<_> = node.user_processes();
    assert_eq!(left.len(), 2, "a sleep and a shell");
    Ok(())
}

#[test]
fn a_person_reads_a_table_and_what_a_login_says_is_passed_over() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_person_reads_a_table") else {
        return Ok(());
    };
    let spec = NodeSpec::new("db1").shell("/usr/bin/bash");
    let (node, cable) = place(&lab, &spec)?;
    let greeting = "printf '\\033[2Js 1 1 1 1 sshd: x\\033]0;owned\\007\\nESTAB 0 0 1.1.1.1:22 2.2.2.2:2\\n'; \
                    (sleep .2; printf 's 4 3 2 1 sshd: \\033[2J\\n') &\n";
    fs::write(node.home().join(".bashrc"), greeting)?;
    let (client, ghost) = begin(&node, ssh(&lab, &["db1", "exec -a $'\\e[2J' sleep 1000"]))?;
    forget(lab.watcher(), &cable, vec![client])?;
    let done = ghosts(&lab, "db1", "")?;
    assert_eq!(done.code(), Some(0), "{done:?}");
    ensure!(
        !done.stdout.contains(|c: char| c.is_control() && c != '\n'),
        "{done:?}"
    );
    let mut lines = done.stdout.lines();
    let head: Vec<_> = lines
        .next()
        .context("no head")?
        .split_whitespace()
        .collect();
    assert_eq!(
        head,
        [
            "PID",
            "BEGAN",
            "SOURCE",
            "LAST",
            "SIGN",
            "PROCESSES",
            "VERDICT"
        ]
    );
    let line = lines.find(|line| line.starts_with(&ghost.to_string()));
    let line = line.with_context(|| done.stdout.clone())?;
    ensure!(
        line.contains("  ghost    it came from this machine, and nobody here"),
        "{line}"
    );
    let done = ghosts(&lab, "db1", &format!("--end {ghost}"))?;
    assert_eq!(
        (done.code(), done.stdout),
        (Some(0), format!("{ghost}  ended\n"))
    );
    ensure!(!is_alive(ghost));
    Ok(())
}

/// Of a client on another machine only its machine's silence tells.
#[test]
fn a_machine_that_does_not_answer_is_a_ghosts() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_machine_that_does_not_answer") else {
        return Ok(());
    };
    let (node, _cable) = place(&lab, &NodeSpec::new("db1"))?;
    let laptop = lab.host("laptop")?;
    let cable = lab.cable_from(&laptop, &node)?;
    let from_laptop = |command: &str| {
        let mut ssh = laptop.command("ssh");
        let config = lab.ssh_config();
        ssh.arg("-F")
            .arg(config)
            .args(["-o", &format!("HostName={}", cable.v4())]);
        ssh.args(["db1", command]);
        ssh
    };
    let (_writer, writes) = begin(&node, from_laptop("while :; do echo on; sleep 1; done"))?;
    let (_idle, idles) = begin(&node, from_laptop("exec sleep 1000"))?;
    let all = listed(&lab, "db1")?;
    for held in [writes, idles] {
        assert_eq!(evidence(&all, held)?, ("held", "answered"), "{all:#?}");
    }
    cable.inject(Fault::Silent(Direction::Both))?;
    let mut all = BTreeMap::new();
    until("a ghost", || {
        all = listed(&lab, "db1")?;
        Ok(evidence(&all, writes)?.0 == "ghost")
    })?;
    assert_eq!(evidence(&all, writes)?.1, "unanswered", "{all:#?}");
    let silent = all
        .get(&writes.as_raw())
        .and_then(|one| one.get("last_sign_ms"));
    ensure!(silent.and_then(Value::as_u64) >= Some(30_000), "{all:#?}");
    assert_eq!(evidence(&all, idles)?.0, "held", "nothing was sent to it");
    let done = ghosts(&lab, "db1", &format!("--end all --end {idles}"))?;
    assert_eq!(done.code(), Some(1), "{done:?}");
    ensure!(!is_alive(writes) && is_alive(idles), "{done:?}");
    Ok(())
}

/// Nothing runs in it, so no environment names its connection; it is what the only one that is left is.
#[test]
fn a_session_in_which_nothing_runs_is_found_by_what_is_left() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_session_in_which_nothing_runs") else {
        return Ok(());
    };
    let (node, cable) = place(&lab, &NodeSpec::new("db1"))?;
    let silent = ["-N", "-R", "4000:127.0.0.1:1", "db1"];
    let (client, ghost) = begin(&node, ssh(&lab, &silent))?;
    until("the port is held", || listens(&node, 4000))?;
    let all = listed(&lab, "db1")?;
    assert_eq!(evidence(&all, ghost)?, ("held", "client_here"), "{all:#?}");
    forget(lab.watcher(), &cable, vec![client])?;
    let all = listed(&lab, "db1")?;
    assert_eq!(evidence(&all, ghost)?, ("ghost", "not_here"), "{all:#?}");
    // A second one, that is held: which of the two is whose, nobody can tell.
    let (living, held) = begin(&node, ssh(&lab, &["-N", "db1"]))?;
    let all = listed(&lab, "db1")?;
    for either in [ghost, held] {
        assert_eq!(
            evidence(&all, either)?,
            ("unknown", "unmatched"),
            "{all:#?}"
        );
    }
    let done = ghosts(&lab, "db1", &format!("--end all --end {ghost}"))?;
    assert_eq!(done.code(), Some(1), "{done:?}");
    ensure!(is_alive(ghost) && is_alive(held), "neither is touched");
    drop(living);
    until("it is gone", || Ok(!is_alive(held)))?;
    let done = ghosts(&lab, "db1", "--end all")?;
    assert_eq!((done.code(), is_alive(ghost)), (Some(0), false), "{done:?}");
    ensure!(!listens(&node, 4000)?, "the port is free");
    Ok(())
}

/// An sshd that hangs holds on to what is over: its client has gone in order, or its connection was reset.
#[test]
fn an_sshd_that_hangs_is_ended_when_its_client_is_gone() -> Result<()> {
    let Some(lab) = Lab::or_skip("an_sshd_that_hangs") else {
        return Ok(());
    };
    let (node, _cable) = place(&lab, &NodeSpec::new("db1"))?;
    let (_reset, gone) = begin(&node, ssh(&lab, &["db1", "exec sleep 1000"]))?;
    until("it runs", || Ok(node.user_processes().len() == 1))?;
    nix::sys::signal::kill(gone, Signal::SIGSTOP)?;
    node.reset_sessions()?;
    let (client, closed) = begin(&node, ssh(&lab, &["db1", "exec sleep 1001"]))?;
    until("it runs", || Ok(node.user_processes().len() == 2))?;
    nix::sys::signal::kill(closed, Signal::SIGSTOP)?;
    client.signal(Signal::SIGKILL)?;
    client.finish(CEILING)?;
    let all = listed(&lab, "db1")?;
    assert_eq!(evidence(&all, gone)?, ("ghost", "gone"), "{all:#?}");
    assert_eq!(evidence(&all, closed)?, ("ghost", "closed"), "{all:#?}");
    let done = ghosts(&lab, "db1", "--end all")?;
    assert_eq!(done.code(), Some(0), "{done:?}");
    ensure!(!is_alive(gone) && !is_alive(closed), "{done:?}");
    ensure!(node.user_processes().is_empty(), "what they had started");
    Ok(())
}

/// Without `ss` the tables of `/proc` tell less, and enough.
#[test]
fn a_node_without_ss_tells_what_it_can() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_node_without_ss") else {
        return Ok(());
    };
    let folder = lab.dir().join("few-programs");
    fs::create_dir(&folder)?;
    for program in ["sh", "grep", "tr", "id", "getconf", "cat", "sleep"] {
        let found = ["/usr/bin", "/bin"].map(|folder| format!("{folder}/{program}"));
        let found = found.iter().find(|path| fs::exists(path).unwrap_or(false));
        symlink(found.context(program)?, folder.join(program))?;
    }
    // What is to be found by no other path.
    symlink("/bin/false", folder.join("ss"))?;
    let spec = NodeSpec::new("db1").config(&format!("SetEnv PATH={}", folder.display()));
    let (node, cable) = place(&lab, &spec)?;
    let (client, ghost) = begin(&node, ssh(&lab, &["db1", "exec sleep 1000"]))?;
    forget(lab.watcher(), &cable, vec![client])?;
    let (_living, held) = begin(&node, ssh(&lab, &["db1", "exec sleep 1001"]))?;
    let all = listed(&lab, "db1")?;
    assert_eq!(evidence(&all, ghost)?, ("ghost", "not_here"), "{all:#?}");
    assert_eq!(evidence(&all, held)?, ("held", "client_here"), "{all:#?}");
    ensure!(
        all.values()
            .all(|one| one.get("last_sign_ms") == Some(&Value::Null)),
        "{all:#?}"
    );
    lab.watcher().sysctl("net.ipv4.ip_forward", "1")?;
    let all = listed(&lab, "db1")?;
    assert_eq!(
        evidence(&all, ghost)?,
        ("unknown", "maybe_behind"),
        "{all:#?}"
    );
    let done = ghosts(&lab, "db1", "--end all")?;
    assert_eq!((done.code(), is_alive(ghost)), (Some(0), true), "{done:?}");
    let done = ghosts(&lab, "db1", &format!("--end {ghost}"))?;
    assert_eq!((done.code(), is_alive(ghost)), (Some(0), false), "{done:?}");
    ensure!(is_alive(held));
    Ok(())
}

/// Every shell, as `sh` and as login shell; and a machine that forwards for others takes nothing for certain.
#[test]
fn every_shell_tells_the_same() -> Result<()> {
    let Some(lab) = Lab::or_skip("every_shell_tells") else {
        return Ok(());
    };
    settings(lab.watcher())?;
    for shell in POSIX.iter().chain(&OTHERS) {
        let Some(node) = node_with(&lab, shell, "")? else {
            lab::skipped("every_shell_tells", &format!("no {}", shell.program));
            continue;
        };
        every_shell(&lab, shell, &node).with_context(|| shell.name)?;
    }
    Ok(())
}

fn every_shell(lab: &Lab, shell: &Shell, node: &Node) -> Result<()> {
    let cable = lab.cable(node)?;
    let (client, ghost) = begin(node, ssh(lab, &[shell.name, "exec sleep 1000"]))?;
    until("it runs", || Ok(!node.user_processes().is_empty()))?;
    forget(lab.watcher(), &cable, vec![client])?;
    lab.watcher().sysctl("net.ipv4.ip_forward", "1")?;
    let all = listed(lab, shell.name)?;
    assert_eq!(evidence(&all, ghost)?, ("held", "answered"), "{all:#?}");
    lab.watcher().sysctl("net.ipv4.ip_forward", "0")?;
    let (_living, held) = begin(node, ssh(lab, &[shell.name, "exec sleep 1001"]))?;
    let all = listed(lab, shell.name)?;
    assert_eq!(evidence(&all, ghost)?, ("ghost", "not_here"), "{all:#?}");
    assert_eq!(evidence(&all, held)?, ("held", "client_here"), "{all:#?}");
    let done = ghosts(lab, shell.name, "--end all")?;
    assert_eq!(
        (done.code(), done.stdout),
        (Some(0), format!("{ghost}  ended\n"))
    );
    ensure!(!is_alive(ghost) && is_alive(held));
    until("a sleep is left", || Ok(node.user_processes().len() == 1))
}

#[test]
fn what_cannot_be_told_is_said_with_the_reason() -> Result<()> {
    let Some(lab) = Lab::or_skip("what_cannot_be_told") else {
        return Ok(());
    };
    let (_node, cable) = place(&lab, &NodeSpec::new("db1").shell("/bin/false"))?;
    let done = ghosts(&lab, "db1", "")?;
    assert_eq!(
        (done.code(), done.stdout.as_str()),
        (Some(3), ""),
        "{done:?}"
    );
    ensure!(
        done.stderr.starts_with("heartline: db1: nobody can look"),
        "{done:?}"
    );
    let done = ghosts(&lab, "db1", "--end none")?;
    assert_eq!(done.code(), Some(2), "{done:?}");
    cable.inject(Fault::Silent(Direction::Both))?;
    let done = ghosts(&lab, "db1", "--connect-timeout 1s")?;
    assert_eq!(done.code(), Some(3), "{done:?}");
    ensure!(done.stderr.contains("not reached"), "{done:?}");
    Ok(())
}
