//! A server under the lines: OpenSSH's sshd, or `heartline serve`.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;
use lab::{Pid, Running, Signal};
use nix::sys::signal::kill;
use serde::Serialize;

use crate::interrupt;
use crate::measure::descendants;
use crate::site::{ADDRESSES, Site};

/// Which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// OpenSSH's.
    Sshd,
    /// heartline's.
    Serve,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sshd => "sshd",
            Self::Serve => "serve",
        })
    }
}

/// A running server. Dropping it kills it, and every session process it has.
#[derive(Debug)]
pub(crate) struct Server {
    running: Running,
    port: u16,
    logins: usize,
    /// What its log says once for every login.
    login: &'static str,
}

impl Server {
    /// Starts a sshd that turns nobody away. `extra` is read before the rest of its configuration.
    pub(crate) fn sshd(site: &Site, port: u16, extra: &str) -> Result<Self> {
        let Some(program) = SSHD.into_iter().find(|path| Path::new(path).is_file()) else {
            bail!("sshd is needed (Debian package openssh-server)");
        };
        // The folder sshd locks its unprivileged part into; system packages make it at boot.
        let _ = fs::create_dir_all("/run/sshd");
        let mut text = format!("{extra}\nPort {port}\n");
        for address in ADDRESSES {
            writeln!(text, "ListenAddress {address}")?;
        }
        let (key, authorized) = (site.host_key(), site.authorized_keys());
        writeln!(text, "HostKey {}", key.display())?;
        writeln!(text, "AuthorizedKeysFile {}", authorized.display())?;
        text.push_str(CONFIG);
        let config = site.file(&format!("sshd_config_{port}"));
        fs::write(&config, &text)?;
        let check = |config: &Path| -> Result<bool> {
            let mut command = Command::new(program);
            command.args(["-t", "-f"]).arg(config);
            Ok(Running::spawn(command)?.finish(CEILING)?.code() == Some(0))
        };
        // From 9.8 on sshd punishes sources that connect and leave; before, it does not know the word.
        fs::write(&config, format!("{NO_PENALTIES}{text}"))?;
        if !check(&config)? {
            fs::write(&config, &text)?;
        }
        let mut command = Command::new(program);
        command.args(["-D", "-e", "-f"]).arg(&config);
        // "Server listening on …", once an address.
        Self::start(command, port, "Accepted publickey", "Server listening on ")
    }

    /// Starts a `heartline serve` that takes `n` lines and more.
    pub(crate) fn serve(heartline: &Path, site: &Site, port: u16, n: usize) -> Result<Self> {
        let mut command = Command::new(heartline);
        command.arg("serve");
        for address in ADDRESSES {
            command.args(["--listen", &format!("{address}:{port}")]);
        }
        command.arg("--host-key").arg(site.host_key());
        command.arg("--authorized-keys").arg(site.authorized_keys());
        let most = (2 * n + 100).to_string();
        for limit in [
            "--max-connections",
            "--max-unauthenticated",
            "--max-per-source",
        ] {
            command.args([limit, &most]);
        }
        // A line of known_hosts, once an address.
        Self::start(command, port, "Session began.", "[127.")
    }

    fn start(
        mut command: Command,
        port: u16,
        login: &'static str,
        listens: &'static str,
    ) -> Result<Self> {
        command.stdin(Stdio::null());
        let mut running = Running::spawn(command)?;
        for _ in ADDRESSES {
            running.wait_for("address listened on", CEILING, |line| {
                line.text.starts_with(listens)
            })?;
        }
        Ok(Self {
            running,
            port,
            logins: 0,
            login,
        })
    }

    /// Its port, on every address.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Logins so far.
    pub(crate) fn logins(&mut self) -> Result<usize> {
        let (logins, login) = (&mut self.logins, self.login);
        let end = self.running.wait_for("end", Duration::ZERO, |line| {
            *logins += usize::from(line.text.contains(login));
            false
        });
        match end {
            Err(why) if !self.running.is_alive() => Err(why),
            _ => Ok(*logins),
        }
    }

    /// Freezes it, and all its sessions.
    pub(crate) fn stop(&self) -> Result<()> {
        self.running.stop()
    }

    /// Kills every session process, so that its clients see their connections closed.
    pub(crate) fn kill_sessions(&self) -> Result<usize> {
        let sessions = descendants(self.running.pid())?;
        for session in &sessions {
            kill_one(*session);
        }
        Ok(sessions.len())
    }

    /// Waits until the sessions of clients that are gone are gone too.
    pub(crate) fn wait_until_idle(&self) -> Result<()> {
        let deadline = Instant::now() + CEILING;
        while !descendants(self.running.pid())?.is_empty() {
            if Instant::now() > deadline {
                bail!("sessions on port {} outlive their clients", self.port);
            }
            interrupt::sleep(Duration::from_millis(50))?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Session processes of sshd are in groups of their own, which killing the listener's misses.
        if self.running.is_alive() {
            let _ = self.kill_sessions();
        }
    }
}

fn kill_one(pid: Pid) {
    // It may have ended by itself meanwhile.
    let _ = kill(pid, Signal::SIGKILL);
}

/// Must be started by its whole path, and is not in everybody's `PATH`.
const SSHD: [&str; 3] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];
const NO_PENALTIES: &str = "PerSourcePenalties no\n";
/// Everything that makes a session dearer for the server alone, or depends on the machine, is off.
const CONFIG: &str = "\
PidFile none
LogLevel INFO
MaxStartups 20000
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
SetEnv HOME=/nonexistent
";
/// Everything here takes milliseconds; the machine may be busy.
const CEILING: Duration = Duration::from_mins(1);
