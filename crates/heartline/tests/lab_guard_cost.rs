//! What a beat costs on the node, by shell, and when the fuse burns: no fork, how much CPU, how soon. Read it by
//! `cargo test --release -p heartline --test lab_guard_cost -- --nocapture`.

mod shells;
mod watching;

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use heartline_core::{Fuse, Interval};
use heartline_ssh::{Duty, guard_request};
use lab::{Lab, Node, Pid, Running};
use shells::{POSIX, Shell, is_clear, node_with};
use watching::{CEILING, heartline, until};

const BEATS: u32 = 2_000;
/// Of the guard whose beats are counted.
const LONG: Duration = Duration::from_mins(1);
/// Of the one that burns.
const FUSE: Duration = Duration::from_secs(2);
const HEALTHY: Duration = Duration::from_secs(8);
/// What the far end may take beyond its fuse.
const SLACK: Duration = Duration::from_secs(1);
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

/// One row of the table: facts/keepalive.md, section 7, as our guard makes it.
struct Row {
    name: &'static str,
    duty: &'static str,
    method: String,
    beat: Duration,
    /// From the last beat until nothing of the session was left.
    gone: Duration,
}

#[test]
fn a_beat_costs_no_fork_and_the_fuse_burns_in_time() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_beat_costs_no_fork") else {
        return Ok(());
    };
    let mut command = heartline(&lab, lab.watcher());
    command
        .arg("guard-command")
        .arg(lab.client_key().with_extension("pub"));
    let line = Running::spawn(command)?.finish(CEILING)?.success()?.stdout;
    let mut nodes = Vec::new();
    for shell in &POSIX {
        match node_with(&lab, shell, "")? {
            Some(node) => {
                lab.cable(&node)?;
                nodes.push((shell, node));
            }
            None => lab::skipped("a_beat_costs_no_fork", shell.program),
        }
    }
    let rows: Vec<Result<[Row; 2]>> = thread::scope(|scope| {
        let rows = nodes.iter().map(|(shell, node)| {
            let (lab, line) = (&lab, &line);
            scope.spawn(move || rows(lab, shell, node, line))
        });
        let threads: Vec<_> = rows.collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join();
        let panic = |_| Err(anyhow::anyhow!("a panic"));
        threads
            .into_iter()
            .map(|thread| join(thread).unwrap_or_else(panic))
            .collect()
    });
    println!("shell  duty     method  us a beat  healthy  gone after, fuse 2 s");
    for row in rows {
        for Row {
            name,
            duty,
            method,
            beat,
            gone,
        } in row?
        {
            println!(
                "{name:5}  {duty:7}  {method:6}  {:9.1}  {:?}       {:.2} s",
                beat.as_secs_f64() * 1e6,
                HEALTHY,
                gone.as_secs_f64()
            );
        }
    }
    Ok(())
}

fn rows(lab: &Lab, shell: &Shell, node: &Node, line: &str) -> Result<[Row; 2]> {
    let interval = Interval::new(Duration::from_secs(1))?;
    let all =
        |fuse| Ok::<_, anyhow::Error>(guard_request(TOKEN, Fuse::new(fuse, interval)?, Duty::All));
    let with_all = row(lab, shell, node, "all", &all(LONG)?, &all(FUSE)?)?;
    fs::write(node.authorized_keys(), line)?;
    let session = |fuse: Duration| format!("x {TOKEN} {}", fuse.as_secs());
    let with_session = row(lab, shell, node, "session", &session(LONG), &session(FUSE))?;
    Ok([with_session, with_all])
}

fn row(
    lab: &Lab,
    shell: &Shell,
    node: &Node,
    duty: &'static str,
    long: &str,
    short: &str,
) -> Result<Row> {
    let (method, beat) = measure(lab, node, shell.name, long)?;
    until("nobody is left", || Ok(is_clear(node)))?;
    let gone = burn(lab, node, shell.name, short)?;
    let latest = FUSE * shell.fuses + SLACK;
    ensure!(
        gone >= FUSE && gone <= latest,
        "{} {duty}: {gone:?} of {latest:?}",
        shell.name
    );
    Ok(Row {
        name: shell.name,
        duty,
        method,
        beat,
        gone,
    })
}

/// In health for a while; then no beat comes any more.
fn burn(lab: &Lab, node: &Node, name: &str, request: &str) -> Result<Duration> {
    let mut command = lab.ssh(name);
    command.arg(request).stdin(Stdio::piped());
    let mut ssh = Running::spawn(command)?;
    ssh.wait_for("hello", CEILING, |line| line.text.starts_with(TOKEN))?;
    let begun = Instant::now();
    let mut number = 0;
    while begun.elapsed() < HEALTHY {
        number += 1;
        beat(&mut ssh, number)?;
        thread::sleep(Duration::from_millis(300));
    }
    ensure!(
        !node.sessions().is_empty(),
        "{name}: a healthy session was ended"
    );
    beat(&mut ssh, number + 1)?;
    let last = Instant::now();
    until("the fuse burns", || Ok(is_clear(node)))?;
    Ok(last.elapsed())
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
    let answers = |line: &lab::Line| line.text.split(' ').next() == Some(&wanted);
    ssh.wait_for("an echo", CEILING, answers).map(drop)
}
