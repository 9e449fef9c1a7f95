//! A real sshd with keys of its own, a plan that watches it, and how late the machine is.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use heartline_core::Timing;
use heartline_ssh::Preparer;
use heartline_ssh::identity::{Asker, Keyring, Require};
use heartline_ssh::settings::{Invocation, Resolver};
use heartline_watch::config::TimingEntry;
use heartline_watch::{NodeRequest, Plan, make_plan};
use lab::Running;
use nix::unistd::{User, getuid};
use tempfile::TempDir;

/// Far beyond what anything takes on a busy machine.
pub(crate) const CEILING: Duration = Duration::from_secs(30);

/// A real sshd and what is needed to log in there.
pub(crate) struct Place {
    folder: TempDir,
    addr: SocketAddr,
    _sshd: Running,
}

impl Place {
    /// With these lines in sshd's configuration. `None`, said aloud, where OpenSSH is not installed.
    pub(crate) fn or_skip(test: &str, lines: &str) -> Option<Self> {
        let missing = [SSHD, KEYGEN]
            .into_iter()
            .find(|tool| !Path::new(tool).exists());
        if let Some(tool) = missing {
            lab::skipped(test, &format!("no {tool}"));
            return None;
        }
        if getuid().is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        go_first();
        let folder = tempfile::tempdir().unwrap();
        for name in ["host", "id"] {
            let made = Command::new(KEYGEN)
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", name])
                .current_dir(folder.path())
                .status();
            assert!(made.unwrap().success());
        }
        // Another process may take the port between our look and sshd's bind.
        let (addr, sshd) = (0..5)
            .find_map(|_| start(folder.path(), lines))
            .expect("sshd does not start");
        let place = Self {
            folder,
            addr,
            _sshd: sshd,
        };
        place.write_config();
        Some(place)
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// One node of one line, reached at this address.
    pub(crate) async fn plan(&self, addr: SocketAddr, timing: Timing) -> Plan {
        let mut invocation = Invocation::new(addr.ip().to_string().parse().unwrap());
        invocation.port = Some(addr.port());
        invocation.config_file = Some(self.path("config"));
        let request = NodeRequest {
            name: "node".to_owned(),
            invocation,
            lines: Vec::new(),
            timing: TimingEntry {
                interval: Some(timing.interval.as_duration()),
                count: Some(timing.count.get()),
                rise: Some(timing.rise),
                connect_timeout: Some(timing.stage_timeout),
                fuse: Some(Duration::ZERO),
                detector: Some(timing.detection),
                ..TimingEntry::default()
            },
            paused: false,
            tags: Vec::new(),
        };
        let asker = Asker::new(None, Require::Never, false);
        let keyring = Arc::new(Keyring::default());
        let preparer = Preparer::new(Resolver::with_parser(), keyring, Arc::new(asker));
        make_plan(&preparer, &[request]).await.unwrap()
    }

    /// The host key stands under `node`, whatever port a relay has.
    fn write_config(&self) {
        let host_key = fs::read_to_string(self.path("host.pub")).unwrap();
        fs::write(self.path("known"), format!("node {host_key}")).unwrap();
        let user = User::from_uid(getuid()).unwrap().unwrap().name;
        let config = format!(
            "User {user}\nIdentityFile {}\nIdentityAgent none\nHostKeyAlias node\n\
             UserKnownHostsFile {}\nGlobalKnownHostsFile none\n",
            self.path("id").display(),
            self.path("known").display()
        );
        fs::write(self.path("config"), config).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn start(folder: &Path, lines: &str) -> Option<(SocketAddr, Running)> {
    let addr = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap()
    };
    let config = format!(
        "{lines}\nListenAddress {addr}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
         StrictModes no\nUsePAM no\nPermitRootLogin yes\n",
        folder.join("host").display(),
        folder.join("id.pub").display()
    );
    let path = folder.join("sshd_config");
    fs::write(&path, config).unwrap();
    let mut command = Command::new(SSHD);
    command.args(["-D", "-e", "-f"]).arg(path);
    command.stdin(Stdio::null());
    let mut running = Running::spawn(command).unwrap();
    let listens = running.wait_for("listening sshd", CEILING, |line| {
        line.text.contains("Server listening")
    });
    listens.ok().map(|_| (addr, running))
}

/// Waits for something that must happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(CEILING, future)
        .await
        .unwrap_or_else(|_| panic!("not within {CEILING:?}: {what}"))
}

/// Lets this thread, and what it starts from now on, go before everything else on the machine, so that a measurement is
/// not one of the machine's other work. Where that is not allowed it goes on as it is.
pub(crate) fn go_first() {
    let me = fs::read_link("/proc/thread-self").unwrap();
    let _ = Command::new("renice")
        .args(["-n", "-15", "-p"])
        .arg(me.file_name().unwrap())
        .output();
}

/// How late the machine itself is, so that what other programs do to it is not held against ours: a thread that does
/// nothing but wake up and look.
pub(crate) struct Lateness {
    shared: Arc<(AtomicBool, AtomicU64)>,
    thread: Option<JoinHandle<()>>,
}

impl Lateness {
    /// Looks from now on.
    pub(crate) fn measure() -> Self {
        let shared = Arc::new((AtomicBool::new(false), AtomicU64::new(0)));
        let seen = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            while !seen.0.load(Ordering::Relaxed) {
                let begun = Instant::now();
                thread::sleep(NAP);
                let late = begun.elapsed().saturating_sub(NAP);
                let micros = u64::try_from(late.as_micros()).unwrap();
                seen.1.fetch_max(micros, Ordering::Relaxed);
            }
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// The latest that the thread was woken since.
    pub(crate) fn worst(&self) -> Duration {
        Duration::from_micros(self.shared.1.load(Ordering::Relaxed))
    }
}

impl Drop for Lateness {
    fn drop(&mut self) {
        self.shared.0.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

const NAP: Duration = Duration::from_millis(2);
/// sshd insists on its absolute path.
const SSHD: &str = "/usr/sbin/sshd";
const KEYGEN: &str = "/usr/bin/ssh-keygen";
