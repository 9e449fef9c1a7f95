//! `prove` against real sshd: what it measures, what it says where it cannot, and what it leaves, which is nothing.

mod running;
mod shells;
mod watching;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Direction, Fault, Finished, Lab, Node, NodeSpec, Pid, Running, Signal};
use nix::sys::signal::kill;
use serde_json::Value;
use shells::{OTHERS, POSIX, Shell, is_clear, is_guarded, node_with};
use watching::{CEILING, go_first, heartline, until};

const TIMING: &str = "--interval 500ms --count 1";
const FUSE: &str = "--fuse 2s";
const BOUND: u64 = 1_000;
/// What is allowed beyond a bound.
const GRACE: u64 = 100;
const ROWS: [(&str, &str); 5] = [
    ("both", "nothing"),
    ("both", "quiet"),
    ("both", "writing"),
    ("to_node", "writing"),
    ("to_us", "writing"),
];

fn prove(lab: &Lab, words: &str) -> Result<Running> {
    let mut command = heartline(lab, lab.watcher());
    command.args(["prove", "-F"]).arg(lab.ssh_config());
    command.args(TIMING.split(' ')).args(words.split(' '));
    Running::spawn(command)
}

fn proven(lab: &Lab, words: &str) -> Result<Finished> {
    prove(lab, &format!("{words} {FUSE}"))?.finish(CEILING)
}

fn told(ended: &Finished) -> Result<Value> {
    serde_json::from_str(ended.stdout.trim()).with_context(|| format!("{ended:?}"))
}

fn leaves_nothing(node: &Node) -> Result<()> {
    until("nothing is left", || Ok(is_clear(node)))
}

fn shell(name: &str) -> &'static Shell {
    let mut all = POSIX.iter();
    all.find(|shell| shell.name == name).unwrap_or(&POSIX[0])
}

/// The row of this cut with this remote.
fn row<'a>(told: &'a Value, cut: &str, remote: &str) -> Result<&'a Value> {
    let rows = told["rows"].as_array().context("rows")?;
    let row = rows
        .iter()
        .find(|row| row["cut"] == cut && row["remote"] == remote);
    row.with_context(|| format!("{cut}, {remote}: {told}"))
}

fn ms(of: &Value) -> Result<u64> {
    of.as_u64().with_context(|| format!("{of} is no time"))
}

/// Every row within the bounds, which are right, and plain sessions that stay.
fn all_is_well(told: &Value, burns_within: u64) -> Result<()> {
    assert_eq!(told["verdict"], "ok", "{told:#}");
    assert_eq!(told["bound_ms"], BOUND);
    assert_eq!(told["burns_within_ms"], burns_within);
    assert_eq!(told["rows"].as_array().map(Vec::len), Some(ROWS.len()));
    for (cut, remote) in ROWS {
        let row = row(told, cut, remote)?;
        assert_eq!(row["verdict"], "ok", "{row}");
        let (ours, far, plain) = (&row["ours"], &row["far"], &row["plain"]);
        let heard = ms(&ours["after_life_ms"])?;
        ensure!(heard <= BOUND + GRACE, "{row}");
        let (gone, bound) = (ms(&far["after_cut_ms"])?, ms(&far["bound_ms"])?);
        let until_ours = if cut == "to_us" { BOUND } else { 0 };
        assert_eq!(bound, until_ours + burns_within + 1_000, "{row}");
        ensure!(gone <= bound, "{row}");
        // It was the fuse: two seconds after a beat that was no more than a period and a round trip before the cut.
        ensure!(gone >= 2_000 - 667 - GRACE, "{row}");
        if cut != "to_node" {
            ensure!(ms(&ours["after_cut_ms"])? <= BOUND + GRACE, "{row}");
            assert_eq!(ours["cause"], "silent", "{row}");
        }
        assert_eq!(plain["verdict"], "stays", "{row}");
        ensure!(ms(&plain["left"])? > 0, "{row}");
    }
    Ok(())
}

#[test]
fn both_ends_are_gone_in_time_and_a_plain_session_stays() -> Result<()> {
    let Some(lab) = Lab::or_skip("both_ends_are_gone") else {
        return Ok(());
    };
    let Some(node) = node_with(&lab, shell("bash"), "")? else {
        return Ok(());
    };
    lab.cable(&node)?;
    go_first()?;
    let ended = proven(&lab, "bash --patience 4s --json")?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let told = told(&ended)?;
    all_is_well(&told, 2_000)?;
    for field in ["node", "line", "peer"] {
        ensure!(told[field].is_string(), "{field}: {told}");
    }
    assert_eq!(told["method"], "timed");
    assert_eq!(
        (ms(&told["interval_ms"])?, ms(&told["fuse_ms"])?),
        (500, 2_000)
    );
    assert_eq!((ms(&told["count"])?, ms(&told["patience_ms"])?), (1, 4_000));
    leaves_nothing(&node)
}

#[test]
fn a_shell_without_a_timed_read_takes_two_fuses_at_most() -> Result<()> {
    let Some(lab) = Lab::or_skip("two_fuses_at_most") else {
        return Ok(());
    };
    let Some(node) = node_with(&lab, shell("dash"), "")? else {
        return Ok(());
    };
    lab.cable(&node)?;
    go_first()?;
    let ended = proven(&lab, "dash --patience 4s --json")?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let told = told(&ended)?;
    all_is_well(&told, 4_000)?;
    assert_eq!(told["method"], "signals");
    leaves_nothing(&node)
}

#[test]
fn any_login_shell_will_do() -> Result<()> {
    let Some(lab) = Lab::or_skip("any_login_shell") else {
        return Ok(());
    };
    for shell in &OTHERS {
        let Some(node) = node_with(&lab, shell, "")? else {
            lab::skipped(
                "any_login_shell",
                &format!("{} is not installed", shell.program),
            );
            continue;
        };
        lab.cable(&node)?;
        go_first()?;
        let ended = proven(&lab, &format!("{} --patience 2s --json", shell.name))?;
        assert_eq!(ended.code(), Some(0), "{ended:?}");
        for (cut, remote) in ROWS {
            let told = told(&ended)?;
            assert_eq!(row(&told, cut, remote)?["plain"]["verdict"], "stays");
        }
        leaves_nothing(&node)?;
    }
    Ok(())
}

/// From OpenSSH 9.2 on output starves its probes: quiet sessions end, one that writes stays.
#[test]
fn what_the_nodes_own_probes_do_is_seen_beside_it() -> Result<()> {
    let Some(lab) = Lab::or_skip("the_nodes_own_probes") else {
        return Ok(());
    };
    let lines = "ClientAliveInterval 1\nClientAliveCountMax 1";
    let Some(node) = node_with(&lab, shell("bash"), lines)? else {
        return Ok(());
    };
    lab.cable(&node)?;
    go_first()?;
    let ended = proven(&lab, "bash --patience 8s --json")?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let told = told(&ended)?;
    let plain = |remote| row(&told, "both", remote).map(|row| &row["plain"]);
    let nothing = plain("nothing")?;
    assert_eq!(nothing["verdict"], "gone", "{nothing}");
    ensure!(ms(&nothing["sshd_gone_ms"])? <= 6_000, "{nothing}");
    // A command that reads and writes nothing outlives its sshd.
    let quiet = plain("quiet")?;
    assert_eq!(quiet["verdict"], "sshd_gone", "{quiet}");
    ensure!(ms(&quiet["sshd_gone_ms"])? <= 6_000, "{quiet}");
    assert_eq!(quiet["left"], 1, "{quiet}");
    let writing = plain("writing")?;
    assert_eq!(writing["verdict"], "stays", "{writing}");
    leaves_nothing(&node)
}

#[test]
fn where_no_guard_can_work_that_is_said_and_the_rest_is_measured() -> Result<()> {
    let Some(lab) = Lab::or_skip("no_guard_can_work") else {
        return Ok(());
    };
    let node = lab.node_with(&NodeSpec::new("db1").shell("/bin/false"))?;
    lab.cable(&node)?;
    go_first()?;
    let ended = proven(&lab, "db1 --patience 2s --json")?;
    assert_eq!(ended.code(), Some(3), "{ended:?}");
    let told = told(&ended)?;
    assert_eq!(told["verdict"], "not_told", "{told:#}");
    for (cut, remote) in ROWS {
        let row = row(&told, cut, remote)?;
        assert_eq!(row["verdict"], "not_told", "{row}");
        ensure!(row["far"]["after_cut_ms"].is_null(), "{row}");
        let why = row["far"]["why"].as_str().unwrap_or_default();
        ensure!(why.contains("no POSIX shell"), "{row}");
        ensure!(ms(&row["ours"]["after_cut_ms"])? <= BOUND + GRACE, "{row}");
    }
    assert_eq!(row(&told, "both", "nothing")?["plain"]["verdict"], "stays");
    leaves_nothing(&node)?;
    let ended = proven(&lab, "db1 --patience 1s")?;
    assert_eq!(ended.code(), Some(3), "{ended:?}");
    ensure!(ended.stdout.contains("no POSIX shell"), "{ended:?}");
    leaves_nothing(&node)
}

/// Its guards are stopped, so nothing burns.
#[test]
fn a_far_end_that_outlives_its_bound_is_late() -> Result<()> {
    let Some(lab) = Lab::or_skip("outlives_its_bound") else {
        return Ok(());
    };
    let Some(node) = node_with(&lab, shell("bash"), "")? else {
        return Ok(());
    };
    lab.cable(&node)?;
    go_first()?;
    let mut running = prove(&lab, &format!("bash --patience 1s --json {FUSE}"))?;
    until("every guard", || Ok(guards(&node).len() >= ROWS.len()))?;
    // They have said hello, and the cut comes a second after the last of them at the earliest.
    std::thread::sleep(Duration::from_millis(600));
    for pid in guards(&node) {
        kill(pid, Signal::SIGSTOP)?;
    }
    let status = running.wait(CEILING)?.status;
    let said: String = running.lines().into_iter().map(|line| line.text).collect();
    assert_eq!(status.code(), Some(1), "{said}");
    let told: Value = serde_json::from_str(&said)?;
    assert_eq!(told["verdict"], "late");
    for (cut, remote) in ROWS {
        let far = &row(&told, cut, remote)?["far"];
        assert_eq!(far["verdict"], "late", "{far}");
        ensure!(ms(&far["alive_ms"])? > ms(&far["bound_ms"])?, "{far}");
    }
    leaves_nothing(&node)
}

/// Every process that has given itself the guard's name.
fn guards(node: &Node) -> Vec<Pid> {
    let is_guard = |pid: &Pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0)
            .any(|word| word == b"heartline-guard")
    };
    node.user_processes().into_iter().filter(is_guard).collect()
}

#[test]
fn a_person_reads_a_table() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_person_reads_a_table") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    lab.cable(&node)?;
    go_first()?;
    // Fewer sessions at a time say the same.
    let ended = proven(&lab, "db1 --patience 2s --sessions 4")?;
    println!("{}", ended.stdout);
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let rows = ended.stdout.lines().filter(|line| line.ends_with("  ok"));
    assert_eq!(rows.count(), ROWS.len(), "{}", ended.stdout);
    ensure!(
        ended.stdout.contains("5 of 5 within the bounds"),
        "{}",
        ended.stdout
    );
    leaves_nothing(&node)
}

#[test]
fn one_that_is_told_to_end_ends_what_it_has_started() -> Result<()> {
    let Some(lab) = Lab::or_skip("one_that_is_told_to_end") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    lab.cable(&node)?;
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let mut running = prove(&lab, "db1 --patience 1h --fuse 1h --json")?;
        until("sessions stand", || {
            Ok(is_guarded(&node) && node.sessions().len() > ROWS.len() * 2)
        })?;
        std::thread::sleep(Duration::from_secs(3));
        ensure!(!is_clear(&node), "it had ended");
        running.signal(signal)?;
        let begun = Instant::now();
        assert_eq!(running.wait(CEILING)?.status.code(), Some(code));
        ensure!(is_clear_soon(&node, begun), "something is left");
    }
    Ok(())
}

/// Long before any fuse or the end that a command finds by itself.
fn is_clear_soon(node: &Node, begun: Instant) -> bool {
    let limit = begun + Duration::from_secs(10);
    while Instant::now() < limit {
        if is_clear(node) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn a_node_that_cannot_be_reached_is_not_judged() -> Result<()> {
    let Some(lab) = Lab::or_skip("cannot_be_reached") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    lab.cable(&node)?;
    node.kill(lab::Part::Listener)?;
    let ended = proven(&lab, "db1 --json")?;
    assert_eq!(ended.code(), Some(3), "{ended:?}");
    ensure!(ended.stderr.contains("refused"), "{ended:?}");
    assert_eq!(told(&ended)?["verdict"], "not_told");
    let ended = prove(&lab, "db1 --fuse 0")?.finish(CEILING)?;
    assert_eq!(ended.code(), Some(2), "{ended:?}");
    ensure!(ended.stderr.contains("without a fuse"), "{ended:?}");
    Ok(())
}

/// The real cable goes too, for good.
#[test]
fn a_node_that_is_lost_meanwhile_is_not_judged() -> Result<()> {
    let Some(lab) = Lab::or_skip("lost_meanwhile") else {
        return Ok(());
    };
    let Some(node) = node_with(&lab, shell("bash"), "")? else {
        return Ok(());
    };
    let cable = lab.cable(&node)?;
    go_first()?;
    let words = format!("bash --patience 3s --connect-timeout 2s {FUSE}");
    let mut running = prove(&lab, &words)?;
    until("every guard", || Ok(guards(&node).len() >= ROWS.len()))?;
    std::thread::sleep(Duration::from_millis(600));
    cable.inject(Fault::Silent(Direction::Both))?;
    let begun = Instant::now();
    let status = running.wait(CEILING)?.status;
    assert_eq!(status.code(), Some(3), "{:?}", running.lines());
    let took = begun.elapsed();
    ensure!(took < Duration::from_secs(20), "{took:?}");
    let lines = running.lines().into_iter();
    let said: Vec<_> = lines.map(|line| line.text).collect();
    let said = said.join("\n");
    ensure!(said.contains("could not be ended"), "{said}");
    ensure!(
        said.contains("0 of 5 within the bounds, 5 not told"),
        "{said}"
    );
    Ok(())
}

#[test]
fn it_works_through_a_jump_host() -> Result<()> {
    let Some(lab) = Lab::or_skip("prove_through_a_jump_host") else {
        return Ok(());
    };
    let (gate, db1) = (lab.node("gate")?, lab.node("db1")?);
    lab.cable(&gate)?;
    lab.cable_from(gate.host(), &db1)?;
    go_first()?;
    let ended = proven(&lab, "db1 --line 10.77.2.2,jump=gate --patience 2s --json")?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    leaves_nothing(&db1)?;
    leaves_nothing(&gate)
}
