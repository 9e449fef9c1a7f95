//! Asks the installed `ssh -G`, which knows every keyword its own release knows.
//!
//! `-G` prints lists of algorithms and default files also where nobody set them. What it prints with no
//! file at all (`-F none`) is the baseline: a value equal to it counts as not set.
//!
//! `ssh` runs without a shell, with nothing on its stdin, for 10 s at most; what it writes is bounded.
//! Not here: what the values mean once they are read (`found`).

mod dump;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, copy, sink};
use tokio::process::Command;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;
use tracing::debug;

use self::dump::{Baseline, Dump};
use super::Family;
use super::error::SettingsError;
use super::found::Found;
use super::invocation::Invocation;
use crate::escape;

/// One installed `ssh`.
#[derive(Debug)]
pub(super) struct SshG {
    program: PathBuf,
    permits: Semaphore,
    /// `None` inside: this program is no OpenSSH.
    baseline: OnceCell<Option<Baseline>>,
    deadline: Duration,
}

impl SshG {
    pub(super) fn new(program: PathBuf) -> Self {
        Self {
            program,
            permits: Semaphore::new(AT_ONCE),
            baseline: OnceCell::new(),
            deadline: DEADLINE,
        }
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// What `ssh -G` says to `inv` (its line and its identity files are not its business); `None` where
    /// the program is no OpenSSH.
    pub(super) async fn find(&self, inv: &Invocation) -> Result<Option<Found>, SettingsError> {
        let baseline = self.baseline.get_or_try_init(|| self.learn()).await?;
        let Some(baseline) = baseline else {
            return Ok(None);
        };
        let dump = self.run(arguments(inv, &[])).await;
        let dump = dump.map_err(|error| naming_options(error, &inv.options))?;
        let mut found = dump.found(baseline)?;
        if found.batch_mode && found.alive_interval == Some(DEBIAN_BATCH_INTERVAL) {
            // Debian's ssh turns an unset interval into 300 where BatchMode is on. Without BatchMode
            // only what somebody asked for is left.
            let plain = arguments(inv, &["BatchMode=no"]);
            found.alive_interval = self.run(plain).await?.found(baseline)?.alive_interval;
        }
        Ok(Some(found))
    }

    async fn learn(&self) -> Result<Option<Baseline>, SettingsError> {
        let args = [
            "-G",
            "-T",
            "-F",
            "none",
            "-o",
            dump::PROBE,
            "--",
            "baseline",
        ];
        match self.run(args.iter().map(OsString::from).collect()).await {
            Ok(dump) => Ok(Baseline::new(&dump)),
            Err(SettingsError::Refused { code, said }) => {
                debug!(program = %self.program.display(), ?code, %said, "No -G here.");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn run(&self, args: Vec<OsString>) -> Result<Dump, SettingsError> {
        // Never closed, so this cannot fail but by the end of the program.
        let _permit = self.permits.acquire().await.ok();
        timeout(self.deadline, self.run_unbounded(args))
            .await
            .unwrap_or(Err(SettingsError::Deadline {
                after: self.deadline,
            }))
    }

    async fn run_unbounded(&self, args: Vec<OsString>) -> Result<Dump, SettingsError> {
        let spawn = |source| SettingsError::Spawn {
            program: self.program.clone(),
            source,
        };
        let mut child = Command::new(&self.program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(spawn)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr, status) = tokio::join!(
            read_bounded(stdout, MAX_STDOUT),
            read_bounded(stderr, MAX_STDERR),
            child.wait(),
        );
        let (stdout, stderr) = (stdout.map_err(spawn)?, stderr.map_err(spawn)?);
        let status = status.map_err(spawn)?;
        if !status.success() {
            let mut said = escaped_lines(&stderr.bytes);
            if said.is_empty() {
                said = format!("ssh -G failed without a word ({status})");
            }
            return Err(SettingsError::Refused {
                code: status.code(),
                said,
            });
        }
        if stdout.more {
            return Err(SettingsError::TooMuchOutput { limit: MAX_STDOUT });
        }
        Dump::parse(&stdout.bytes)
    }
}

/// Of a mistake in a file ssh tells the line; of one in a `-o` only that it was in one of them.
fn naming_options(error: SettingsError, options: &[String]) -> SettingsError {
    match error {
        SettingsError::Refused { code, said }
            if said.starts_with("command-line") && !options.is_empty() =>
        {
            let options = escape(options.join(" -o ").as_bytes(), MAX_STDERR);
            let said = format!("{said} (given: -o {options})");
            SettingsError::Refused { code, said }
        }
        error => error,
    }
}

/// The argument vector, in ssh's own order of precedence: flags, `-o`, then what the destination names.
fn arguments(inv: &Invocation, first_options: &[&str]) -> Vec<OsString> {
    fn flag(args: &mut Vec<OsString>, name: &str, value: impl AsRef<OsStr>) {
        args.push(name.into());
        args.push(value.as_ref().to_owned());
    }
    // -T: no word about a terminal that is not there.
    let mut args: Vec<OsString> = vec!["-G".into(), "-T".into()];
    for option in first_options {
        flag(&mut args, "-o", option);
    }
    if let Some(file) = &inv.config_file {
        flag(&mut args, "-F", file);
    }
    match inv.family {
        Family::Any => {}
        Family::V4 => args.push("-4".into()),
        Family::V6 => args.push("-6".into()),
    }
    if let Some(port) = inv.port {
        flag(&mut args, "-p", port.to_string());
    }
    if let Some(user) = &inv.user {
        flag(&mut args, "-l", user);
    }
    if let Some(jump) = &inv.jump {
        flag(&mut args, "-J", jump.to_string());
    }
    if let Some(address) = &inv.bind_address {
        flag(&mut args, "-b", address);
    }
    if let Some(interface) = &inv.bind_interface {
        flag(&mut args, "-B", interface);
    }
    for option in &inv.options {
        flag(&mut args, "-o", option);
    }
    if let Some(port) = inv.destination.port() {
        flag(&mut args, "-p", port.to_string());
    }
    if let Some(user) = inv.destination.user() {
        flag(&mut args, "-l", user);
    }
    args.push("--".into());
    args.push(inv.destination.host().into());
    args
}

struct Read {
    bytes: Vec<u8>,
    /// There was more than the bound.
    more: bool,
}

/// Keeps `limit` bytes and lets the rest go by, so that the writer is never stuck on a full pipe.
async fn read_bounded(pipe: Option<impl AsyncRead + Unpin>, limit: usize) -> std::io::Result<Read> {
    let mut bytes = Vec::new();
    let Some(mut pipe) = pipe else {
        return Ok(Read { bytes, more: false });
    };
    let take = u64::try_from(limit).unwrap_or(u64::MAX);
    (&mut pipe).take(take).read_to_end(&mut bytes).await?;
    let more = copy(&mut pipe, &mut sink()).await? > 0;
    Ok(Read { bytes, more })
}

/// What a program wrote for people, as one line that nothing in it can break out of.
fn escaped_lines(bytes: &[u8]) -> String {
    let lines: Vec<String> = bytes
        .split(|b| *b == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .map(|line| escape(line, MAX_STDERR))
        .collect();
    lines.join("; ")
}

/// `ssh -G` processes at once: enough for a long list of nodes, few enough for a small machine.
const AT_ONCE: usize = 8;

/// `ssh -G` answers in milliseconds; only a `Match exec`, a canonical name's DNS or a dead file server
/// takes longer.
const DEADLINE: Duration = Duration::from_secs(10);

/// A full answer has about 5 KB.
const MAX_STDOUT: usize = 1024 * 1024;

/// Enough for the lines that say what is wrong.
const MAX_STDERR: usize = 4 * 1024;

/// Seconds; Debian's `readconf.c`, and measured: `ssh -G` says 300 where `BatchMode` is on.
const DEBIAN_BATCH_INTERVAL: u32 = 300;

#[cfg(test)]
mod tests;
