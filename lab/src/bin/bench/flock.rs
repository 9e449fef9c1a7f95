//! One `ssh` process a line, as one would hold lines without heartline.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::Pid;

use crate::interrupt;
use crate::server::Server;
use crate::site::Place;
use crate::uptime::Uptime;

/// The processes. Dropping it kills them. They have no threads of ours beside them: thousands of
/// those would be measured along.
#[derive(Debug, Default)]
pub(crate) struct Flock {
    children: Vec<Child>,
    uptime: Uptime,
}

impl Flock {
    /// Starts one `ssh -N` to each place, a few at a time, and waits until the server has let all in.
    pub(crate) fn start(
        ssh_config: &Path,
        log_file: &Path,
        places: &[Place],
        server: &mut Server,
    ) -> Result<Self> {
        let before = server.logins()?;
        let log = File::create(log_file)?;
        let deadline = Instant::now() + EACH * u32::try_from(places.len())? + CEILING;
        let mut flock = Self::default();
        while flock.uptime.lines() < places.len() {
            interrupt::check()?;
            let waiting = flock.children.len() - flock.uptime.lines();
            match places.get(flock.children.len()) {
                Some(place) if waiting < AT_ONCE => flock.add(ssh_config, &log, place)?,
                _ => thread::sleep(Duration::from_millis(2)),
            }
            let (now, logins) = (Instant::now(), server.logins()? - before);
            while flock.uptime.lines() < logins {
                flock.uptime.came_up(now);
            }
            if now > deadline {
                bail!(
                    "{logins} of {} ssh are in; they said {:?}",
                    places.len(),
                    said(log_file)
                );
            }
        }
        // The server's word comes before the client has read it.
        interrupt::sleep(LAST_WORDS)?;
        Ok(flock)
    }

    fn add(&mut self, ssh_config: &Path, log: &File, place: &Place) -> Result<()> {
        let mut command = Command::new("ssh");
        command.args(["-N", "-o", "ServerAliveInterval=1", "-F"]);
        command.arg(ssh_config).arg(place.name());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(log.try_clone()?);
        let child = command.spawn();
        self.children
            .push(child.context("ssh is needed (Debian package openssh-client)")?);
        Ok(())
    }

    /// Its processes.
    pub(crate) fn pids(&self) -> Result<Vec<Pid>> {
        let pid = |child: &Child| Ok(Pid::from_raw(i32::try_from(child.id())?));
        self.children.iter().map(pid).collect()
    }

    /// When each came up.
    pub(crate) fn uptime(&self) -> &Uptime {
        &self.uptime
    }
}

impl Drop for Flock {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
        }
        for child in &mut self.children {
            let _ = child.wait();
        }
    }
}

/// The beginning of what they said on standard error, which is kept in this file.
pub(crate) fn said(log_file: &Path) -> String {
    let said = std::fs::read_to_string(log_file).unwrap_or_default();
    said.chars().take(2_000).collect()
}

/// Processes that are starting at the same time: enough for every core, too few for any queue.
const AT_ONCE: usize = 16;
const EACH: Duration = Duration::from_millis(100);
const CEILING: Duration = Duration::from_mins(1);
const LAST_WORDS: Duration = Duration::from_millis(500);
