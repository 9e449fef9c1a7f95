//! One node's sshd: its folder, its configuration, its listener.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::host::Host;
use crate::keys::{self, KeyKind};
use crate::process::Running;

/// The files of a node's sshd.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) dir: PathBuf,
    pub(crate) port: u16,
}

impl Files {
    /// Makes the folder, the host keys, and an `authorized_keys` with `client_key`.
    pub(crate) fn create(dir: PathBuf, port: u16, client_key: &Path) -> Result<Self> {
        fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
        keys::generate_host_keys(&dir)?;
        let public = client_key.with_extension("pub");
        fs::copy(&public, dir.join("authorized_keys")).context("authorized_keys")?;
        // The user the session runs as cannot write root's log, but an empty one is there to read.
        fs::write(dir.join("log"), "")?;
        Ok(Self { dir, port })
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    pub(crate) fn authorized_keys(&self) -> PathBuf {
        self.dir.join("authorized_keys")
    }

    /// Writes `sshd_config`. sshd takes the first value it reads, so `extra` wins over ours; a
    /// `Match` block in it must end with `Match all`.
    pub(crate) fn write_config(&self, extra: &str) -> Result<()> {
        let dir = self.dir.display();
        let mut text = format!("PidFile {dir}/pid\n{extra}\nPort {}\n", self.port);
        for kind in KeyKind::ALL {
            writeln!(text, "HostKey {}", kind.host_key(&self.dir).display())?;
        }
        write!(text, "AuthorizedKeysFile {dir}/authorized_keys\n{DEFAULTS}")?;
        // In a user namespace the real root, who owns `/`, is nobody, and sshd trusts no file there.
        if fs::metadata("/").context("/")?.uid() != 0 {
            text.push_str("StrictModes no\n");
        }
        fs::write(self.config(), text).context("sshd_config")
    }

    fn pid_file(&self) -> PathBuf {
        self.dir.join("pid")
    }

    fn config(&self) -> PathBuf {
        self.dir.join("sshd_config")
    }

    /// Starts the listener on `host` and waits until it listens.
    pub(crate) fn start(&self, host: &Host) -> Result<Running> {
        // The folder sshd locks its unprivileged part into; system packages make it at boot.
        fs::create_dir_all("/run/sshd").context("/run/sshd")?;
        let mut command = host.command(program().context("no sshd")?);
        command
            .args(["-D", "-E"])
            .arg(self.log())
            .arg("-f")
            .arg(self.config());
        let _ = fs::remove_file(self.pid_file());
        let mut listener = Running::spawn(command)?;
        let deadline = Instant::now() + START_CEILING;
        // sshd writes this once it listens on every address (sshd.c, after server_listen).
        let pid = listener.pid().to_string();
        while fs::read_to_string(self.pid_file()).map_or(true, |text| text.trim() != pid) {
            if !listener.is_alive() || Instant::now() > deadline {
                let _ = listener.signal(Signal::SIGKILL);
                let _ = listener.wait(START_CEILING);
                let log = fs::read_to_string(self.log()).unwrap_or_default();
                let said: Vec<_> = listener.lines().into_iter().map(|line| line.text).collect();
                bail!(
                    "sshd on {} does not listen; it said {said:?}, log {log:?}",
                    host.name()
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(listener)
    }
}

/// Where sshd is: `HEARTLINE_SSHD`, to try another release, else the machine's. It must be started by its whole path,
/// and is not in everybody's `PATH`.
pub(crate) fn program() -> Option<PathBuf> {
    if let Some(other) = std::env::var_os("HEARTLINE_SSHD") {
        return Some(PathBuf::from(other)).filter(|path| path.is_file());
    }
    let known = [
        "/usr/sbin/sshd",
        "/usr/local/sbin/sshd",
        "/sbin/sshd",
        "/usr/bin/sshd",
    ];
    known.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// What `sshd -V` says, e.g. `OpenSSH_9.2, OpenSSL 3.0.19`; before 9.2 a complaint that names the
/// version.
pub fn sshd_version() -> Result<String> {
    let mut command = Command::new(program().context("no sshd")?);
    command.arg("-V");
    let said = Running::spawn(command)?.finish(START_CEILING)?;
    let line = said
        .stderr
        .lines()
        .chain(said.stdout.lines())
        .find(|l| l.contains("OpenSSH"));
    line.map(str::to_owned).context("sshd -V names no version")
}

/// sshd starts in milliseconds; the machine may be busy.
const START_CEILING: Duration = Duration::from_secs(30);
/// After the extra lines. PAM and name look-ups belong to the machine, not to the test.
const DEFAULTS: &str = "\
LogLevel DEBUG1
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
PrintLastLog no
Subsystem sftp internal-sftp
";
