//! The system's own tools (`ip`, `nft`, `ssh-keygen`, …), run to their end with a deadline.
//!
//! [`run_together`] starts several at once, each fed with a script on its standard input, and says
//! between which two instants they took effect: that is how one fault hits several namespaces.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::process::{Finished, Running};

/// Runs a tool; fails unless its exit code is 0.
pub(crate) fn run(mut command: Command) -> Result<Finished> {
    command.stdin(Stdio::null());
    Running::spawn(command)?.finish(CEILING)?.success()
}

/// Runs a tool given as words; fails unless its exit code is 0.
pub(crate) fn run_words(words: &[&str]) -> Result<Finished> {
    let (program, args) = words.split_first().context("a tool needs a name")?;
    let mut command = Command::new(program);
    command.args(args);
    run(command)
}

/// Tools to start together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Each waits for its script before it does anything.
    scripted: Vec<(Command, String)>,
    /// Each acts at once.
    alone: Vec<Command>,
}

impl Batch {
    /// Adds a script for `nft` in the namespace `ns`: one transaction, all of it or nothing.
    pub(crate) fn nft(&mut self, ns: &str, script: String) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", ns, "nft", "-f", "-"]);
        self.add(command, script);
    }

    /// Adds a script for `ip` in the namespace `ns`, one command a line, stopping at an error.
    pub(crate) fn ip(&mut self, ns: &str, script: String) {
        let mut command = Command::new("ip");
        command.args(["-n", ns, "-batch", "-"]);
        self.add(command, script);
    }

    /// Adds a tool that reads nothing.
    pub(crate) fn alone(&mut self, command: Command) {
        self.alone.push(command);
    }

    fn add(&mut self, command: Command, script: String) {
        if !script.is_empty() {
            self.scripted.push((command, script));
        }
    }
}

/// Runs the whole batch; fails if any of it failed. Every tool is started before the first gets
/// its script, so that they act within a few milliseconds of each other.
pub(crate) fn run_together(batch: Batch) -> Result<Span> {
    let mut started = Vec::new();
    for (mut command, script) in batch.scripted {
        command.stdin(Stdio::piped());
        started.push((Running::spawn(command)?, script));
    }
    let begun = Instant::now();
    let mut alone = Vec::new();
    for mut command in batch.alone {
        command.stdin(Stdio::null());
        alone.push(Running::spawn(command)?);
    }
    for (tool, script) in &mut started {
        // A tool that died early breaks the pipe; its exit code and words say more.
        let _ = tool.write_stdin(script);
        tool.close_stdin();
    }
    let mut complete = begun;
    for (tool, script) in started {
        let done = tool
            .finish(CEILING)?
            .success()
            .with_context(|| format!("script:\n{script}"))?;
        complete = complete.max(done.ended.at);
    }
    for tool in alone {
        complete = complete.max(tool.finish(CEILING)?.success()?.ended.at);
    }
    Ok(Span { begun, complete })
}

/// Between which instants a change took effect: not before `begun`, and wholly by `complete`.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Just before the first tool got its orders.
    pub begun: Instant,
    /// When the last tool had ended.
    pub complete: Instant,
}

/// No tool here does more than a few milliseconds of work; RSA keys take longest.
pub(crate) const CEILING: Duration = Duration::from_mins(1);
