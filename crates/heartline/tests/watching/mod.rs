//! A heartline under test: the binary on a machine of the lab, and what it tells.
//!
//! [`Watch`] is a running `watch --json`. Its events are kept in the order in which they came, each with the instant at
//! which its line was read; a test says by [`Watch::forget`] from where on it looks, so that it may ask for events in
//! any order. [`outcome`] runs the commands that end by themselves.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::{Ended, Finished, Host, Lab, Node, Running, Signal, Span, Stream};
use serde_json::Value;

/// Longer than anything here takes on a busy machine.
pub(crate) const CEILING: Duration = Duration::from_secs(40);
/// What the issue allows beyond a bound.
pub(crate) const GRACE: Duration = Duration::from_millis(100);

/// `watch --json` at work.
pub(crate) struct Watch {
    running: Running,
    told: Vec<Told>,
    /// How many of them a test has forgotten.
    forgotten: usize,
}

/// One event, and when it was read.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// On `CLOCK_MONOTONIC`.
    pub(crate) at: Instant,
    /// The object.
    pub(crate) json: Value,
}

impl Watch {
    /// Starts `heartline watch --json` with the lab's `ssh_config` and these words, split at spaces.
    pub(crate) fn start(lab: &Lab, words: &str) -> Result<Self> {
        let mut command = heartline(lab, lab.watcher());
        command.args(["watch", "--json", "-F"]);
        command.arg(lab.ssh_config()).args(words.split_whitespace());
        Self::of(command)
    }

    /// Takes over a command that was made otherwise.
    pub(crate) fn of(command: Command) -> Result<Self> {
        Ok(Self {
            running: Running::spawn(command)?,
            told: Vec::new(),
            forgotten: 0,
        })
    }

    /// The program itself.
    pub(crate) fn running(&self) -> &Running {
        &self.running
    }

    /// From now on only what is told after this is looked at.
    pub(crate) fn forget(&mut self) -> Result<()> {
        self.read_for(Duration::ZERO)?;
        self.forgotten = self.told.len();
        Ok(())
    }

    /// What was told since [`forget`](Self::forget).
    pub(crate) fn told(&mut self) -> Result<&[Told]> {
        self.read_for(Duration::ZERO)?;
        Ok(self.since_forgotten())
    }

    /// Reads for so long, and gives what was told since [`forget`](Self::forget).
    pub(crate) fn told_within(&mut self, time: Duration) -> Result<&[Told]> {
        self.read_for(time)?;
        Ok(self.since_forgotten())
    }

    /// The first event since [`forget`](Self::forget) that is as wanted; waits for it.
    pub(crate) fn until(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&Told) -> bool,
    ) -> Result<Told> {
        let deadline = Instant::now() + CEILING;
        let mut at = self.forgotten;
        loop {
            while let Some(told) = self.told.get(at) {
                if wanted(told) {
                    return Ok(told.clone());
                }
                at += 1;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            self.read_one(left)
                .with_context(|| format!("waiting for {what}"))?;
        }
    }

    /// The first event by which a line came into this state.
    pub(crate) fn line(&mut self, node: &str, line: &str, to: &str) -> Result<Told> {
        let what = format!("line {line} of {node} {to}");
        self.until(&what, |told| {
            told.is("line", node, to) && told.text("line") == line
        })
    }

    /// The first event by which a node came into this state.
    pub(crate) fn node(&mut self, node: &str, to: &str) -> Result<Told> {
        self.until(&format!("node {node} {to}"), |told| {
            told.is("node", node, to)
        })
    }

    /// The first event by which a node came into this state for this cause.
    pub(crate) fn node_for(&mut self, node: &str, to: &str, cause: &str) -> Result<Told> {
        self.until(&format!("node {node} {to} for {cause}"), |told| {
            told.is("node", node, to) && told.text("cause") == cause
        })
    }

    /// The first event by which a line of a node came into this state for this cause, whichever line it is.
    pub(crate) fn line_for(&mut self, node: &str, to: &str, cause: &str) -> Result<Told> {
        self.until(&format!("a line of {node} {to} for {cause}"), |told| {
            told.is("line", node, to) && told.text("cause") == cause
        })
    }

    /// Makes it read its configuration again, and dial what it had given up or waits to dial.
    pub(crate) fn hang_up(&self) -> Result<()> {
        self.running.signal(Signal::SIGHUP)
    }

    /// What it has said on standard error.
    pub(crate) fn complaints(&self) -> String {
        let lines = self.running.lines();
        let errors = lines.iter().filter(|line| line.stream == Stream::Stderr);
        errors.fold(String::new(), |mut all, line| {
            let _ = writeln!(all, "{}", line.text);
            all
        })
    }

    /// Waits until it has said so on standard error.
    pub(crate) fn complains(&self, words: &str) -> Result<()> {
        let said = until(&format!("{words:?} on standard error"), || {
            Ok(self.complaints().contains(words))
        });
        said.with_context(|| self.complaints())
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> Result<Ended> {
        self.running.wait(CEILING)
    }

    fn since_forgotten(&self) -> &[Told] {
        self.told.get(self.forgotten..).unwrap_or_default()
    }

    fn read_for(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if self.read_one(left).is_err() {
                ensure!(self.running.is_alive(), "heartline ended");
                return Ok(());
            }
        }
    }

    fn read_one(&mut self, patience: Duration) -> Result<()> {
        let on_stdout = |line: &lab::Line| line.stream == Stream::Stdout;
        let line = self.running.wait_for("event", patience, on_stdout)?;
        let json = serde_json::from_str(&line.text)
            .with_context(|| format!("not JSON: {:?}", line.text))?;
        self.told.push(Told { at: line.at, json });
        Ok(())
    }
}

impl Told {
    /// Whether it is an event of this kind, of this node, into this state.
    pub(crate) fn is(&self, event: &str, node: &str, to: &str) -> bool {
        self.text("event") == event && self.text("node") == node && self.text("to") == to
    }

    /// A field that is a string; empty if it is none.
    pub(crate) fn text(&self, field: &str) -> &str {
        let value = self.json.get(field);
        value.and_then(Value::as_str).unwrap_or_default()
    }

    /// What stands at a place in it, e.g. `/lines/0/state`; null if there is nothing.
    pub(crate) fn at_place(&self, place: &str) -> &Value {
        self.json.pointer(place).unwrap_or(&Value::Null)
    }

    /// `after_ms`, which must be there.
    pub(crate) fn after(&self) -> Result<Duration> {
        let ms = self.json.get("after_ms").and_then(Value::as_u64);
        let ms = ms.with_context(|| format!("no after_ms in {}", self.json))?;
        Ok(Duration::from_millis(ms))
    }

    /// Fails unless it came at the bound: not before it, at most [`GRACE`] after it by its own count from the last sign
    /// of life, and in time by the clock on the wall too, counted from the fault, which came after that.
    pub(crate) fn is_at_bound(&self, bound: Duration, fault: Span) -> Result<()> {
        let after = self.after()?;
        let waited = self.at.saturating_duration_since(fault.begun);
        let injection = fault.complete - fault.begun;
        ensure!(
            after >= bound && after <= bound + GRACE && waited <= bound + GRACE + injection,
            "after_ms {after:?}, {waited:?} after the fault, which took {injection:?}, for a bound of {bound:?}: {}",
            self.json
        );
        Ok(())
    }
}

/// heartline on a machine of the lab, where no configuration of this machine is found.
pub(crate) fn heartline(lab: &Lab, host: &Host) -> Command {
    let mut command = host.command(env!("CARGO_BIN_EXE_heartline"));
    prepare(lab, &mut command);
    command
}

/// The same with a niceness of its own.
pub(crate) fn nice_heartline(lab: &Lab, niceness: i8) -> Command {
    let mut command = lab.watcher().command("nice");
    command.args(["-n", &niceness.to_string()]);
    command.arg(env!("CARGO_BIN_EXE_heartline"));
    prepare(lab, &mut command);
    command
}

fn prepare(lab: &Lab, command: &mut Command) {
    // The first file that is looked for; without it a file of this machine would be found.
    let own = config_file(lab);
    if !own.exists() {
        let _ = fs::write(own, "");
    }
    command.current_dir(lab.dir());
    command.env("XDG_RUNTIME_DIR", lab.dir());
    command.env("XDG_STATE_HOME", lab.dir().join("state"));
    command.env_remove("STATE_DIRECTORY");
    command.env_remove("HEARTLINE_LOG").env("SHELL", "/bin/sh");
}

/// The `heartline.toml` that is found without being named.
pub(crate) fn config_file(lab: &Lab) -> std::path::PathBuf {
    lab.dir().join("heartline.toml")
}

/// Runs a command of heartline's with the lab's `ssh_config` to its end; the words are split at spaces.
pub(crate) fn outcome(lab: &Lab, words: &str) -> Result<Finished> {
    let (name, words) = words.split_once(' ').context("a command and its words")?;
    let mut command = heartline(lab, lab.watcher());
    command.args([name, "-F"]).arg(lab.ssh_config());
    command.args(words.split_whitespace());
    Running::spawn(command)?.finish(CEILING)
}

/// Polls until it holds, by a ceiling.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + CEILING;
    while !holds()? {
        if Instant::now() > deadline {
            bail!("{what} did not happen within {CEILING:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Connections that a node's sshd has noted since the node was made.
pub(crate) fn connections(node: &Node) -> Result<usize> {
    let log = node.log()?;
    Ok(log
        .lines()
        .filter(|line| line.contains("Connection from "))
        .count())
}

/// What a test draws its chances from: `HEARTLINE_SEED`, else another one every time. The test prints it.
pub(crate) fn seed() -> Result<u64> {
    match std::env::var("HEARTLINE_SEED") {
        Ok(text) => text.parse().context("HEARTLINE_SEED"),
        Err(_) => Ok(fastrand::u64(..)),
    }
}

/// Lets this thread, and what it starts from now on, go before everything else on the machine, so that a measurement
/// is not one of the machine's other work. Where that is not allowed it goes on as it is.
pub(crate) fn go_first() -> Result<()> {
    let me = fs::read_link("/proc/thread-self")?;
    let thread = me.file_name().context("no thread id")?;
    let mut command = Command::new("renice");
    command.args(["-n", "-15", "-p"]).arg(thread);
    if let Ok(running) = Running::spawn(command) {
        running.finish(CEILING)?;
    }
    Ok(())
}
