//! The bench runs, prints every row, and leaves nothing behind. How fast anything is, no test says.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use lab::{Running, Signal};
use serde_json::Value;
use tempfile::TempDir;

const CEILING: Duration = Duration::from_mins(2);

/// The bench, whose files are all in `dir`; `None` where it cannot run, which has been said.
fn bench(name: &str, dir: &TempDir, arguments: &[&str]) -> Option<Command> {
    let program = Path::new(env!("CARGO_BIN_EXE_bench"));
    if !program.with_file_name("heartline").is_file() {
        lab::skipped(name, "heartline is not built (cargo build -p heartline)");
        return None;
    }
    if let Err(why) = lab::sshd_version() {
        lab::skipped(name, &format!("{why:#}"));
        return None;
    }
    let mut command = Command::new(program);
    command.args(arguments).env("TMPDIR", dir.path());
    command.stdin(Stdio::null());
    Some(command)
}

/// Waits until no process is left that was started with a file in `dir`.
fn nothing_is_left(dir: &TempDir) -> Result<()> {
    let path = dir.path().to_string_lossy().into_owned();
    let left = || -> Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            // Not every entry is a process, and processes go.
            let words = fs::read(entry?.path().join("cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            if words.contains(&path) {
                found.push(words);
            }
        }
        Ok(found)
    };
    let deadline = Instant::now() + CEILING;
    while !left()?.is_empty() {
        assert!(Instant::now() < deadline, "{:?}", left()?);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(fs::read_dir(dir.path())?.count(), 0, "files are left");
    Ok(())
}

#[test]
fn lines_prints_every_row_and_the_same_as_json() -> Result<()> {
    let (dir, out) = (TempDir::new()?, TempDir::new()?);
    let json = out.path().join("figures.json");
    let file = json.to_string_lossy();
    let arguments = ["lines", "--n", "5", "--seconds", "3", "--json", &*file];
    let Some(command) = bench("lines_prints_every_row", &dir, &arguments) else {
        return Ok(());
    };
    let said = Running::spawn(command)?.finish(CEILING)?.success()?;
    let words = |line: &str| -> Vec<String> { line.split_whitespace().map(Into::into).collect() };
    let table: Vec<_> = said.stdout.lines().map(words).collect();
    for server in ["sshd", "serve"] {
        for client in ["heartline", "floor", "ssh"] {
            let is_row = |line: &&Vec<String>| line.starts_with(&[server.into(), client.into()]);
            assert_eq!(table.iter().filter(is_row).count(), 1, "{}", said.stdout);
        }
        let is_ratio = |line: &&Vec<String>| {
            let verdict = line
                .last()
                .is_some_and(|last| last == "ok" || last == "MISSED");
            line.first().is_some_and(|first| first == server) && verdict
        };
        assert_eq!(table.iter().filter(is_ratio).count(), 5, "{}", said.stdout);
    }
    let figures: Value = serde_json::from_str(&fs::read_to_string(&json)?)?;
    assert_eq!(figures["lines"], 5);
    assert_eq!(figures["ratios"].as_array().map(Vec::len), Some(10));
    let rows = figures["rows"].as_array().cloned().unwrap_or_default();
    assert_eq!(rows.len(), 6);
    for row in &rows {
        for figure in [
            "pss_kib_per_line",
            "rss_kib_per_line",
            "cpu_us_per_beat",
            "beats",
        ] {
            assert!(row[figure].as_f64() > Some(0.0), "{figure} of {row}");
        }
        let connects = row["cpu_ms_per_connection"].as_f64() > Some(0.0);
        assert_eq!(connects, row["client"] != "floor", "{row}");
        let processes = if row["client"] == "ssh" { 5 } else { 1 };
        assert_eq!(row["processes"], processes, "{row}");
    }
    let printed: Option<Value> = said
        .stdout
        .lines()
        .last()
        .map(serde_json::from_str)
        .transpose()?;
    assert_eq!(printed, Some(figures));
    nothing_is_left(&dir)
}

#[test]
fn stop_prints_how_late_the_slowest_was() -> Result<()> {
    let dir = TempDir::new()?;
    let arguments = ["stop", "--n", "8", "--servers", "2"];
    let Some(command) = bench("stop_prints_how_late", &dir, &arguments) else {
        return Ok(());
    };
    let said = Running::spawn(command)?.finish(CEILING)?.success()?;
    let last = said.stdout.lines().last().unwrap_or_default();
    let figures: Value = serde_json::from_str(last)?;
    assert_eq!(figures["called_down"], 7, "{}", said.stdout);
    assert_eq!(figures["bound_ms"].as_f64(), Some(2_000.0));
    // Never before the bound: a watcher that calls nodes down early would look fast.
    assert!(
        figures["soonest_after_ms"].as_f64() >= Some(1_999.0),
        "{figures}"
    );
    nothing_is_left(&dir)
}

#[test]
fn ctrl_c_ends_all_that_was_started() -> Result<()> {
    let dir = TempDir::new()?;
    let arguments = ["lines", "--n", "3", "--seconds", "3600"];
    let Some(command) = bench("ctrl_c_ends_all", &dir, &arguments) else {
        return Ok(());
    };
    let mut running = Running::spawn(command)?;
    running.wait_for("a watcher", CEILING, |line| {
        line.text.contains("heartline dials")
    })?;
    running.signal(Signal::SIGINT)?;
    assert_eq!(running.wait(CEILING)?.status.code(), Some(1));
    nothing_is_left(&dir)
}

#[test]
fn a_heartline_that_is_not_there_is_one_clear_line() -> Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(["lines", "--heartline", "/nonexistent/heartline"]);
    let said = Running::spawn(command)?.finish(CEILING)?;
    assert_eq!(said.code(), Some(1));
    assert_eq!(said.stderr.lines().count(), 1, "{:?}", said.stderr);
    assert!(
        said.stderr.contains("cargo build -p heartline"),
        "{:?}",
        said.stderr
    );
    Ok(())
}
