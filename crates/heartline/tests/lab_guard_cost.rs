//! What a beat costs on the node, by shell: no fork, and how much CPU. Read it by
//! `cargo test --release -p heartline --test lab_guard_cost -- --nocapture`.

mod watching;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use heartline_core::{Fuse, Interval};
use heartline_ssh::{Duty, guard_request};
use lab::{Lab, Node, NodeSpec, Pid, Running};
use watching::{CEILING, heartline, until};

const BEATS: u32 = 2_000;
const TOKEN: &str = "00112233445566778899aabbccddeeff";

/// What the kernel has counted of a process.
#[derive(Clone, Copy, Debug)]
struct Counted {
    /// CPU time.
    cpu: Duration,
    /// Page faults of children that have ended: none, unless there were children.
    of_children: u64,
}

fn counted(pid: Pid) -> Result<Counted> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
    // proc_pid_stat(5), field 11 (cminflt); the third is the first after the name.
    let faults = fields.split_whitespace().nth(8).context("no cminflt")?;
    let sched = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let nanos = sched.split_whitespace().next().context("no schedstat")?;
    Ok(Counted {
        cpu: Duration::from_nanos(nanos.parse()?),
        of_children: faults.parse()?,
    })
}

fn guard_pid(node: &Node) -> Result<Pid> {
    let mut found = None;
    until("a guard", || {
        // The oldest of its processes; a second shell, where there is one, is its child.
        found = node.user_processes().into_iter().min();
        Ok(found.is_some())
    })?;
    found.context("no guard")
}

#[test]
fn a_beat_costs_no_fork() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_beat_costs_no_fork") else {
        return Ok(());
    };
    let mut command = heartline(&lab, lab.watcher());
    command
        .arg("guard-command")
        .arg(lab.client_key().with_extension("pub"));
    let interval = Interval::new(Duration::from_secs(1))?;
    let fuse = Fuse::new(Duration::from_mins(1), interval)?;
    let line = Running::spawn(command)?.finish(CEILING)?.success()?.stdout;
    println!("shell  method  duty     us a beat, of {BEATS}");
    for (name, program) in [
        ("dash", "/usr/bin/dash"),
        ("bash", "/usr/bin/bash"),
        ("ash", "/usr/bin/busybox"),
        ("mksh", "/usr/bin/mksh"),
    ] {
        if !Path::new(program).is_file() {
            lab::skipped(
                "a_beat_costs_no_fork",
                &format!("{program} is not installed"),
            );
            continue;
        }
        let folder = lab.dir().join(format!("bin-{name}"));
        fs::create_dir(&folder)?;
        symlink(program, folder.join("sh"))?;
        let path = format!("SetEnv PATH={}:/usr/bin:/bin", folder.display());
        let node = lab.node_with(&NodeSpec::new(name).config(&path))?;
        lab.cable(&node)?;
        let all = measure(&lab, &node, name, &guard_request(TOKEN, fuse, Duty::All))?;
        until("nobody is left", || Ok(node.user_processes().is_empty()))?;
        fs::write(node.authorized_keys(), &line)?;
        let session = measure(&lab, &node, name, &format!("x {TOKEN} 60"))?;
        for (duty, (method, each)) in [("session", session), ("all", all)] {
            println!(
                "{name:5}  {method:6}  {duty:7}  {:.1}",
                each.as_secs_f64() * 1e6
            );
        }
    }
    Ok(())
}

fn measure(lab: &Lab, node: &Node, name: &str, request: &str) -> Result<(String, Duration)> {
    let mut command = lab.ssh(name);
    command.arg(request).stdin(Stdio::piped());
    let mut ssh = Running::spawn(command)?;
    let hello = ssh.wait_for("hello", CEILING, |line| line.text.starts_with(TOKEN))?;
    let pid = guard_pid(node)?;
    beat(&mut ssh, 1)?;
    let before = counted(pid)?;
    for number in 2..=BEATS + 1 {
        beat(&mut ssh, number)?;
    }
    let after = counted(pid)?;
    ensure!(
        after.of_children == before.of_children,
        "{name}: forks: {before:?} {after:?}"
    );
    let method = hello.text.split(' ').nth(1).context("no method")?;
    Ok((
        method.to_owned(),
        after.cpu.saturating_sub(before.cpu) / BEATS,
    ))
}

fn beat(ssh: &mut Running, number: u32) -> Result<()> {
    ssh.write_stdin(&format!("{number}\n"))?;
    let wanted = number.to_string();
    ssh.wait_for("an echo", CEILING, |line| line.text == wanted)
        .map(drop)
}
