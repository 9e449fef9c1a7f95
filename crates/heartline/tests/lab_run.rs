//! `run` in health: what passes through, how it ends, and what it leaves, which is nothing.

mod running;
mod shells;
mod watching;

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Lab, Node, NodeSpec, Signal, Stream};
use running::{begin, outcome, run};
use shells::is_clear;
use watching::{CEILING, until};

/// `--fuse 2s`.
const FUSE: Duration = Duration::from_secs(2);
const TIMING: &str = "--interval 500ms --count 3 --connect-timeout 5s --fuse 2s";

fn place(name: &str, spec: &NodeSpec) -> Result<Option<(Lab, Node)>> {
    let Some(lab) = Lab::or_skip(name) else {
        return Ok(None);
    };
    let node = lab.node_with(spec)?;
    lab.cable(&node)?;
    Ok(Some((lab, node)))
}

fn db1(name: &str) -> Result<Option<(Lab, Node)>> {
    place(name, &NodeSpec::new("db1"))
}

fn leaves_nothing(node: &Node) -> Result<()> {
    until("nothing is left", || Ok(is_clear(node)))
}

/// Megabytes that hold every byte, and no two lines alike.
fn bytes(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..))
        .take(length)
        .collect()
}

#[test]
fn bytes_pass_both_ways_as_they_are() -> Result<()> {
    let Some((lab, node)) = db1("bytes_pass_both_ways")? else {
        return Ok(());
    };
    let sent = bytes(20_000_000);
    let mut command = run(&lab, "db1", TIMING, "tee /dev/stderr");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().context("stdin")?;
    let mut stderr = child.stderr.take().context("stderr")?;
    let feed = thread::spawn({
        let sent = sent.clone();
        move || stdin.write_all(&sent)
    });
    let errors = thread::spawn(move || {
        let mut got = Vec::new();
        stderr.read_to_end(&mut got).map(|_| got)
    });
    let mut got = Vec::new();
    child
        .stdout
        .take()
        .context("stdout")?
        .read_to_end(&mut got)?;
    ensure!(got == sent, "{} of {} bytes", got.len(), sent.len());
    feed.join().ok().context("feed")??;
    let got = errors.join().ok().context("errors")??;
    ensure!(
        got == sent,
        "{} of {} bytes on standard error",
        got.len(),
        sent.len()
    );
    assert_eq!(child.wait()?.code(), Some(0));
    leaves_nothing(&node)
}

#[test]
fn the_commands_end_is_ours() -> Result<()> {
    let Some((lab, node)) = db1("the_commands_end")? else {
        return Ok(());
    };
    for (command, code) in [
        ("true", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -KILL $$", 137),
        ("kill -TERM $$", 143),
        ("kill -USR2 $$", 140),
        ("no-such-program", 127),
    ] {
        let ended = outcome(&lab, "db1", TIMING, command)?;
        assert_eq!(ended.code(), Some(code), "{command}: {ended:?}");
    }
    let ended = outcome(&lab, "db1", TIMING, "echo a; echo b >&2")?;
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        ("a\n", "b\n")
    );
    leaves_nothing(&node)
}

#[test]
fn signals_pass_through() -> Result<()> {
    let Some((lab, node)) = db1("signals_pass_through")? else {
        return Ok(());
    };
    for (name, signal) in [
        ("INT", Signal::SIGINT),
        ("TERM", Signal::SIGTERM),
        ("HUP", Signal::SIGHUP),
        ("QUIT", Signal::SIGQUIT),
        ("USR1", Signal::SIGUSR1),
        ("USR2", Signal::SIGUSR2),
    ] {
        let command = format!(
            "trap 'echo got {name}; exit 3' {name}; echo ready; while :; do sleep .05; done"
        );
        let mut running = begin(&lab, "db1", TIMING, &command)?;
        running.wait_for("ready", CEILING, |line| line.text == "ready")?;
        running.signal(signal)?;
        let said = format!("got {name}");
        running.wait_for(&said, CEILING, |line| line.text == said)?;
        assert_eq!(running.wait(CEILING)?.status.code(), Some(3), "{name}");
    }
    leaves_nothing(&node)
}

#[test]
fn who_asks_twice_does_not_wait_for_a_command_that_will_not_hear() -> Result<()> {
    let Some((lab, node)) = db1("who_asks_twice")? else {
        return Ok(());
    };
    let command = "trap '' INT TERM HUP; echo ready; while :; do sleep 1; done";
    let mut running = begin(&lab, "db1", TIMING, command)?;
    running.wait_for("ready", CEILING, |line| line.text == "ready")?;
    // A service manager may send one of each at once.
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        running.signal(signal)?;
    }
    thread::sleep(FUSE / 2);
    ensure!(running.is_alive(), "it had one of each");
    running.signal(Signal::SIGTERM)?;
    assert_eq!(running.wait(CEILING)?.status.code(), Some(143));
    ensure!(shells::running(&node, "while").is_empty(), "it lives on");
    leaves_nothing(&node)
}

/// Neither output that nobody takes nor input that nobody reads is a reason for a fuse to burn.
#[test]
fn a_full_pipe_stops_no_beat() -> Result<()> {
    let Some((lab, node)) = db1("a_full_pipe")? else {
        return Ok(());
    };
    let command = "dd if=/dev/zero bs=100000 count=300 2>/dev/null";
    full_pipe(&lab, run(&lab, "db1", TIMING, command), &node)?;
    let mut unread = run(&lab, "db1", TIMING, "sleep 9; wc -c");
    unread.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = unread.spawn()?;
    child
        .stdin
        .take()
        .context("stdin")?
        .write_all(&bytes(30_000_000))?;
    let ended = child.wait_with_output()?;
    assert_eq!(String::from_utf8_lossy(&ended.stdout).trim(), "30000000");
    assert_eq!(ended.status.code(), Some(0));
    leaves_nothing(&node)
}

#[test]
fn a_full_pipe_stops_no_beat_through_a_jump_host() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_full_pipe_through_a_jump_host") else {
        return Ok(());
    };
    let (gate, db1) = (lab.node("gate")?, lab.node("db1")?);
    lab.cable(&gate)?;
    lab.cable_from(gate.host(), &db1)?;
    let flags = format!("--line 10.77.2.2,jump=gate {TIMING}");
    let command = "dd if=/dev/zero bs=100000 count=300 2>/dev/null";
    full_pipe(&lab, run(&lab, "db1", &flags, command), &db1)?;
    leaves_nothing(&gate)
}

/// 30 MB, of which nobody takes any for some fuses.
fn full_pipe(_: &Lab, mut command: std::process::Command, node: &Node) -> Result<()> {
    command.stdout(Stdio::piped());
    let mut child = command.spawn()?;
    until("the command runs", || Ok(node.user_processes().len() > 1))?;
    thread::sleep(FUSE * 4);
    ensure!(
        !node.user_processes().is_empty(),
        "it was ended; {}",
        node.log()?
    );
    let mut got = Vec::new();
    child
        .stdout
        .take()
        .context("stdout")?
        .read_to_end(&mut got)?;
    assert_eq!(got.len(), 30_000_000);
    assert_eq!(child.wait()?.code(), Some(0));
    leaves_nothing(node)
}

#[test]
fn what_it_leaves_in_the_background_ends_with_it() -> Result<()> {
    let Some((lab, node)) = db1("what_it_leaves")? else {
        return Ok(());
    };
    let command =
        "setsid sleep 1000 >/dev/null 2>&1 & nohup sleep 1001 >/dev/null 2>&1 & echo started";
    let ended = outcome(&lab, "db1", TIMING, command)?;
    assert_eq!(
        (ended.code(), ended.stdout.as_str()),
        (Some(0), "started\n")
    );
    let left = shells::running(&node, "sleep 100");
    ensure!(left.is_empty(), "{left:?} live on");
    leaves_nothing(&node)
}

#[test]
fn a_reader_that_goes_takes_the_command_with_it() -> Result<()> {
    let Some((lab, node)) = db1("a_reader_that_goes")? else {
        return Ok(());
    };
    let mut command = run(&lab, "db1", TIMING, "yes");
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut first = [0; 4];
    child
        .stdout
        .take()
        .context("stdout")?
        .read_exact(&mut first)?;
    let begun = Instant::now();
    assert_eq!(child.wait()?.code(), Some(141));
    ensure!(begun.elapsed() < CEILING);
    leaves_nothing(&node)
}

/// A full disk is no reader that has gone, nor is a read that fails an end of the input.
#[test]
fn what_cannot_be_read_or_written_here_ends_the_command_and_is_said() -> Result<()> {
    let Some((lab, node)) = db1("cannot_be_read_or_written")? else {
        return Ok(());
    };
    let command = "echo x; sleep 1000";
    let mut full = run(&lab, "db1", TIMING, command);
    full.stdin(Stdio::null())
        .stdout(File::options().write(true).open("/dev/full")?);
    let mut unread = run(&lab, "db1", TIMING, command);
    unread.stdin(File::open("/")?);
    for (mut command, said) in [
        (full, "cannot be written here: "),
        (unread, "standard input cannot be read: "),
    ] {
        let ended = command.output()?;
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(255), "{stderr}");
        ensure!(stderr.contains(said), "{stderr}");
        ensure!(stderr.contains("; the command is ended"), "{stderr}");
        ensure!(shells::running(&node, "sleep").is_empty(), "it lives on");
    }
    leaves_nothing(&node)
}

/// What a guard cannot find it cannot end, so it is not trusted with a command.
#[test]
fn where_no_process_can_be_found_nothing_is_run() -> Result<()> {
    let Some(lab) = Lab::or_skip("no_process_can_be_found") else {
        return Ok(());
    };
    for missing in ["grep", "tr"] {
        let name = format!("without-{missing}");
        let tools = ["sh", "sleep", "ps", "grep", "tr", "readlink", "touch"];
        let there = tools.into_iter().filter(|tool| *tool != missing);
        let programs = there.map(|tool| (tool, PathBuf::from("/usr/bin").join(tool)));
        let folder = shells::folder_of(&lab, &name, programs)?;
        let config = format!("SetEnv PATH={}", folder.display());
        let node = lab.node_with(&NodeSpec::new(&name).config(&config))?;
        lab.cable(&node)?;
        let mark = lab.dir().join(missing);
        let ended = outcome(&lab, &name, TIMING, &format!("touch {}", mark.display()))?;
        assert_eq!(ended.code(), Some(255), "{ended:?}");
        for said in ["nothing was run", "needs grep and tr"] {
            ensure!(ended.stderr.contains(said), "{}", ended.stderr);
        }
        ensure!(!mark.exists(), "it was run without {missing}");
        leaves_nothing(&node)?;
    }
    Ok(())
}

/// So does nohup open it for who has a terminal.
#[test]
fn an_input_that_cannot_be_read_at_all_is_an_empty_one() -> Result<()> {
    let Some((lab, node)) = db1("an_input_that_cannot_be_read")? else {
        return Ok(());
    };
    let mut run = run(&lab, "db1", TIMING, "cat; echo over");
    run.stdin(File::options().write(true).open("/dev/null")?);
    let ended = run.output()?;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "over\n");
    leaves_nothing(&node)
}

/// Its grep knows less than others.
#[test]
fn busybox_is_all_a_node_needs() -> Result<()> {
    let Some(lab) = Lab::or_skip("busybox_is_all") else {
        return Ok(());
    };
    let tools = ["sh", "sleep", "ps", "grep", "tr", "setsid"];
    let folder = shells::folder_of(
        &lab,
        "busybox",
        tools.map(|tool| (tool, "/usr/bin/busybox")),
    )?;
    let config = format!("SetEnv AAA=first PATH={}", folder.display());
    let shell = folder.join("sh").display().to_string();
    let node = lab.node_with(&NodeSpec::new("busybox").config(&config).shell(&shell))?;
    lab.cable(&node)?;
    let command =
        "(setsid sleep 1000 >/dev/null 2>&1 &); (sleep 1001 >/dev/null 2>&1 &); echo over";
    let ended = outcome(&lab, "busybox", TIMING, command)?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    leaves_nothing(&node)
}

#[test]
fn a_terminal_is_as_large_as_ours_and_hears_its_keys() -> Result<()> {
    let Some((lab, node)) = db1("a_terminal")? else {
        return Ok(());
    };
    let size = |rows, columns| nix::pty::Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let ours = nix::pty::openpty(&size(33, 77), None)?;
    let command = "trap 'stty size' WINCH; trap 'echo interrupted; exit 5' INT; tty; stty size; while :; do sleep .05; done";
    let mut run = run(&lab, "db1", &format!("-t {TIMING}"), command);
    let end = || ours.slave.try_clone().map(Stdio::from);
    run.stdin(end()?)
        .stdout(end()?)
        .stderr(end()?)
        .env("TERM", "vt100");
    let mut child = run.spawn()?;
    drop(run);
    let mut screen = File::from(ours.master);
    let mut seen = String::new();
    let mut read_until = |screen: &mut File, wanted: &str| -> Result<()> {
        let begun = Instant::now();
        while !seen.contains(wanted) {
            ensure!(begun.elapsed() < CEILING, "no {wanted:?} in {seen:?}");
            let mut piece = [0; 1000];
            let length = screen.read(&mut piece)?;
            seen.push_str(&String::from_utf8_lossy(
                piece.get(..length).unwrap_or_default(),
            ));
        }
        Ok(())
    };
    read_until(&mut screen, "/dev/pts/")?;
    read_until(&mut screen, "33 77\r\n")?;
    rustix::termios::tcsetwinsize(
        &screen,
        rustix::termios::Winsize {
            ws_row: 20,
            ws_col: 40,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )?;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id())?);
    nix::sys::signal::kill(pid, Signal::SIGWINCH)?;
    read_until(&mut screen, "20 40\r\n")?;
    screen.write_all(b"\x03")?;
    read_until(&mut screen, "interrupted")?;
    assert_eq!(child.wait()?.code(), Some(5));
    let after = nix::sys::termios::tcgetattr(&ours.slave)?;
    let echo = nix::sys::termios::LocalFlags::ECHO | nix::sys::termios::LocalFlags::ICANON;
    ensure!(after.local_flags.contains(echo), "our terminal stays raw");
    leaves_nothing(&node)
}

#[test]
fn variables_are_set_as_far_as_the_node_takes_them() -> Result<()> {
    let Some((lab, _node)) = place("variables", &NodeSpec::new("db1").config("AcceptEnv ONE"))?
    else {
        return Ok(());
    };
    let flags = format!("{TIMING} --env ONE=1 --env TWO=2");
    let ended = outcome(&lab, "db1", &flags, "echo $ONE$TWO")?;
    assert_eq!(ended.stdout, "1\n");
    ensure!(
        ended.stderr.contains("does not take TWO (AcceptEnv"),
        "{}",
        ended.stderr
    );
    Ok(())
}

#[test]
fn without_a_fuse_nothing_is_run_unless_it_was_asked_for() -> Result<()> {
    let Some((lab, node)) = place("without_a_shell", &NodeSpec::new("db1").shell("/bin/false"))?
    else {
        return Ok(());
    };
    let ended = outcome(&lab, "db1", TIMING, "echo here")?;
    assert_eq!(ended.code(), Some(255));
    assert_eq!(ended.stdout, "");
    let wanted =
        "heartline: db1: no fuse, so nothing was run: what the login runs ended (status 1)";
    ensure!(ended.stderr.starts_with(wanted), "{}", ended.stderr);
    ensure!(
        ended.stderr.contains("--fuse 0 runs it without"),
        "{}",
        ended.stderr
    );
    let ended = outcome(&lab, "db1", &TIMING.replace("2s", "0"), "echo here")?;
    assert_eq!(ended.code(), Some(1), "what false says");
    leaves_nothing(&node)
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() -> Result<()> {
    let Some((lab, _node)) = db1("what_cannot_be")? else {
        return Ok(());
    };
    let flags = "--interval 5s --fuse 9s";
    let ended = outcome(&lab, "db1", flags, "true")?;
    assert_eq!(ended.code(), Some(255));
    ensure!(
        ended
            .stderr
            .contains("shorter than two beats: 2 · 5s = 10s"),
        "{}",
        ended.stderr
    );
    let ended = outcome(&lab, "no-such-host.invalid", TIMING, "true")?;
    assert_eq!(ended.code(), Some(255));
    ensure!(
        ended.stderr.contains("no-such-host.invalid"),
        "{}",
        ended.stderr
    );
    let mut command = watching::heartline(&lab, lab.watcher());
    command.args(["run", "db1"]);
    let ended = lab::Running::spawn(command)?.finish(CEILING)?;
    assert_eq!(ended.code(), Some(255), "no command");
    Ok(())
}

/// Stops shorter than the fuse, many of them, say nothing of the line.
#[test]
fn ten_seconds_of_stalls_end_nothing() -> Result<()> {
    let Some((lab, node)) = db1("ten_seconds_of_stalls")? else {
        return Ok(());
    };
    let command = "i=0; while [ $i -lt 24 ]; do i=$((i+1)); sleep .5; echo $i; done; exit 9";
    let mut running = begin(&lab, "db1", TIMING, command)?;
    running.wait_for("1", CEILING, |line| line.text == "1")?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        running.stop()?;
        thread::sleep(FUSE / 2);
        running.cont()?;
        thread::sleep(Duration::from_millis(300));
    }
    let all = running.wait_for("24", CEILING, |line| line.text == "24")?;
    assert_eq!(all.stream, Stream::Stdout);
    assert_eq!(running.wait(CEILING)?.status.code(), Some(9));
    leaves_nothing(&node)
}
