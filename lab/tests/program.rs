//! Programs under test: lines, times, signals, ends. Needs no lab.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use lab::{Running, Stream};

const CEILING: Duration = Duration::from_secs(30);

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null());
    command
}

#[test]
fn lines_are_waited_for_in_their_order() -> Result<()> {
    let mut running = Running::spawn(sh("echo one; echo two; echo one; echo three >&2; exit 7"))?;
    let first = running.wait_for("one", CEILING, |line| line.text == "one")?;
    let second = running.wait_for("one again", CEILING, |line| line.text == "one")?;
    assert!(second.at >= first.at && first.at >= running.started());
    let done = running.finish(CEILING)?;
    assert_eq!(
        (done.code(), done.stdout.as_str()),
        (Some(7), "one\ntwo\none\n")
    );
    assert_eq!(done.stderr, "three\n");
    assert!(done.success().is_err());
    Ok(())
}

#[test]
fn a_wait_ends_with_the_output_or_the_ceiling() -> Result<()> {
    let mut short = Running::spawn(sh("printf 'bad\\033[31mline'"))?;
    let why = short
        .wait_for("nothing", CEILING, |_| false)
        .unwrap_err()
        .to_string();
    assert!(
        why.contains("its output ended") && !why.contains('\u{1b}'),
        "{why:?}"
    );
    let mut long = Running::spawn(sh("exec sleep 60"))?;
    let begun = Instant::now();
    assert!(
        long.wait_for("nothing", Duration::from_millis(100), |_| false)
            .is_err()
    );
    assert!(begun.elapsed() >= Duration::from_millis(100) && long.is_alive());
    Ok(())
}

#[test]
fn an_end_is_timed_when_it_happens_not_when_it_is_asked_for() -> Result<()> {
    let mut running = Running::spawn(sh("sleep 0.2; echo done"))?;
    let line = running.wait_for("done", CEILING, |line| line.stream == Stream::Stdout)?;
    std::thread::sleep(Duration::from_secs(1));
    let ended = running.wait(CEILING)?;
    assert!(ended.at.saturating_duration_since(line.at) < Duration::from_millis(900));
    assert!(ended.took >= Duration::from_millis(200));
    Ok(())
}

#[test]
fn signals_reach_the_whole_group() -> Result<()> {
    let script = "sh -c 'trap \"echo got; exit 3\" TERM; echo ready; while :; do sleep 0.05; done'
                  exit 4";
    let mut running = Running::spawn(sh(&format!("trap : TERM; {script}")))?;
    running.wait_for("ready", CEILING, |line| line.text == "ready")?;
    running.stop()?;
    running.terminate()?;
    assert!(
        running.wait(Duration::from_millis(200)).is_err(),
        "stopped: it cannot end"
    );
    running.cont()?;
    running.wait_for("the trap", CEILING, |line| line.text == "got")?;
    assert_eq!(running.wait(CEILING)?.status.code(), Some(4));
    running.terminate()?;
    Ok(())
}

#[test]
fn dropping_kills_the_group() -> Result<()> {
    let mut running = Running::spawn(sh("trap '' TERM HUP; sleep 60 & echo $!; wait"))?;
    let child = running.wait_for("a pid", CEILING, |_| true)?.text;
    let leader = running.pid();
    drop(running);
    let state = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .and_then(|rest| rest.trim().chars().next())
    };
    let deadline = Instant::now() + CEILING;
    // The orphan may stay a zombie for as long as its new parent likes.
    while !matches!(state(&child), None | Some('Z')) {
        assert!(Instant::now() < deadline, "the grandchild lives");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(state(&leader.to_string()), None);
    Ok(())
}

#[test]
fn what_is_written_is_read() -> Result<()> {
    let mut command = sh("cat");
    command.stdin(Stdio::piped());
    let mut running = Running::spawn(command)?;
    running.write_stdin("hello\n")?;
    running.wait_for("hello", CEILING, |line| line.text == "hello")?;
    running.close_stdin();
    assert!(running.wait(CEILING)?.status.success());
    Ok(())
}
