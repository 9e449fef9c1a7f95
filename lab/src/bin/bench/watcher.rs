//! One `heartline watch` that holds all lines, and what it says of them.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::{Line, Pid, Running, Stream};
use serde::Deserialize;

use crate::interrupt;
use crate::site::Place;

/// A running watcher. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Watcher {
    running: Running,
    seen: Seen,
}

/// What it has said.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Every change so far.
    pub(crate) changes: Vec<Change>,
    /// How many lines are up now.
    pub(crate) up: usize,
    /// How often it said that it did not run itself.
    pub(crate) stalls: usize,
    is_up: HashMap<usize, bool>,
}

/// A line changed.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// The node's number; it has one line.
    pub(crate) node: usize,
    /// When we read of it.
    pub(crate) at: Instant,
    /// Its state now.
    pub(crate) to: String,
    /// Why.
    pub(crate) cause: Option<String>,
    /// From the last sign of life, by the watcher's own word.
    pub(crate) after: Option<Duration>,
}

/// One line of its output, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Told {
    event: String,
    node: Option<String>,
    to: Option<String>,
    cause: Option<String>,
    after_ms: Option<u64>,
}

impl Watcher {
    /// Starts watching the nodes of `config`; ssh's own configuration is `ssh_config`. The fuse is in seconds, 0 for none.
    pub(crate) fn start(
        heartline: &Path,
        ssh_config: &Path,
        config: &Path,
        interval: u32,
        count: u32,
        fuse: u32,
    ) -> Result<Self> {
        Self::start_with(heartline, ssh_config, config, interval, count, fuse, &[])
    }

    /// The same, and more words on its command line.
    pub(crate) fn start_with(
        heartline: &Path,
        ssh_config: &Path,
        config: &Path,
        interval: u32,
        count: u32,
        fuse: u32,
        more: &[&str],
    ) -> Result<Self> {
        let mut command = Command::new(heartline);
        command.args(["watch", "--json", "-F"]).arg(ssh_config);
        command.arg("-c").arg(config);
        command.args(["--interval", &format!("{interval}s")]);
        command.args(["--count", &count.to_string()]);
        command.args(["--fuse", &fuse.to_string()]);
        command.args(more).stdin(Stdio::null());
        Ok(Self {
            running: Running::spawn(command)?,
            seen: Seen::default(),
        })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        self.running.pid()
    }

    /// What it has said so far, by the last look.
    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Reads what it says until `enough`, which is asked after every line.
    pub(crate) fn wait_until(
        &mut self,
        what: &str,
        ceiling: Duration,
        mut enough: impl FnMut(&Seen) -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + ceiling;
        while !self.read(interrupt::SLICE, &mut enough)? {
            if Instant::now() > deadline {
                let Seen { up, changes, .. } = &self.seen;
                let last = changes.iter().rfind(|change| change.to != "up");
                bail!(
                    "no {what} within {ceiling:?}; {up} lines are up; the last that was not: {last:?}"
                );
            }
        }
        Ok(())
    }

    /// Reads what it says for so long.
    pub(crate) fn listen(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.read(left.min(interrupt::SLICE), &mut |_| false)?;
        }
    }

    /// Reads for so long, or until it is enough, and tells which.
    fn read(&mut self, time: Duration, enough: &mut dyn FnMut(&Seen) -> bool) -> Result<bool> {
        interrupt::check()?;
        let Self { running, seen } = self;
        let mut broken = None;
        let found = running.wait_for("end", time, |line| {
            broken = seen.take_in(line).err();
            broken.is_some() || enough(seen)
        });
        if let Some(why) = broken {
            return Err(why);
        }
        if found.is_err() && !running.is_alive() {
            bail!("heartline ended by itself");
        }
        Ok(found.is_ok())
    }

    /// Ends it as a person would, so that every session is ended cleanly.
    pub(crate) fn end(mut self) -> Result<()> {
        self.running.terminate()?;
        let ended = self.running.wait(END)?;
        if !ended.status.success() {
            bail!("heartline ended with {}", ended.status);
        }
        Ok(())
    }
}

impl Seen {
    fn take_in(&mut self, line: &Line) -> Result<()> {
        if line.stream == Stream::Stderr {
            eprintln!("  heartline: {}", line.text.escape_debug());
            return Ok(());
        }
        let told: Told = serde_json::from_str(&line.text)
            .with_context(|| format!("what heartline said: {:?}", line.text))?;
        match (told.event.as_str(), told.node, told.to) {
            ("line", Some(node), Some(to)) => {
                let node = Place::number(&node)?;
                let is_up = to == "up";
                let was_up = self.is_up.insert(node, is_up).unwrap_or_default();
                self.up = self.up + usize::from(is_up) - usize::from(was_up);
                self.changes.push(Change {
                    node,
                    at: line.at,
                    to,
                    cause: told.cause,
                    after: told.after_ms.map(Duration::from_millis),
                });
            }
            ("watcher", ..) => self.stalls += 1,
            _ => {}
        }
        Ok(())
    }
}

/// heartline gives its sessions 2 s; the machine may be busy.
const END: Duration = Duration::from_secs(30);
