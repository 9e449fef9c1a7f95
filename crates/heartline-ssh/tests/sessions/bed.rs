//! The far end: real sshd and heartline-serve on loopback, with keys of their own, and the files a client needs for them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use heartline_serve::{AuthorizedKeys, PublicKey, ServeConfig, Server, host_key};
use lab::Running;
use nix::unistd::{User, getuid};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::lateness::go_first;

/// Far beyond what anything takes on a busy machine.
pub(crate) const CEILING: Duration = Duration::from_secs(30);

/// A folder with a host key `host`, a user's key `id` that may log in, and a `config` of ssh that knows both.
pub(crate) struct Bed {
    folder: TempDir,
}

/// A real sshd; what it serves ends when it is dropped.
pub(crate) struct Sshd {
    pub(crate) addr: SocketAddr,
    _running: Running,
}

/// heartline's own endpoint in this runtime.
pub(crate) struct Serve {
    pub(crate) addr: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Bed {
    /// `None`, said aloud, where OpenSSH is not installed.
    pub(crate) fn or_skip(test: &str) -> Option<Self> {
        let missing = TOOLS.iter().find(|tool| !Path::new(tool).exists());
        if let Some(tool) = missing {
            lab::skipped(test, &format!("no {tool}"));
            return None;
        }
        if getuid().is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        go_first();
        let folder = tempfile::tempdir().unwrap();
        let bed = Self { folder };
        bed.keygen(&["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", "host"]);
        bed.keygen(&["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", "id"]);
        bed.write("authorized", bed.read("id.pub"));
        bed.write("known", format!("node {}", bed.read("host.pub")));
        bed.configure(&format!("IdentityFile {}", bed.path("id").display()));
        Some(bed)
    }

    /// Makes `config` anew: these lines, and what every dial here needs. The host key stands under `node`, whatever
    /// port a relay has.
    pub(crate) fn configure(&self, lines: &str) {
        let known = self.path("known");
        let text = format!(
            "{lines}\nUser {}\nHostKeyAlias node\nUserKnownHostsFile {}\nGlobalKnownHostsFile none\n\
             IdentityAgent none\n",
            user(),
            known.display()
        );
        self.write("config", text);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs `ssh-keygen` in the folder and insists that it succeeds.
    pub(crate) fn keygen(&self, arguments: &[&str]) {
        let output = Command::new("/usr/bin/ssh-keygen")
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "ssh-keygen {arguments:?}: {output:?}"
        );
    }

    /// A sshd with these lines in its configuration.
    pub(crate) fn sshd(&self, lines: &str) -> Sshd {
        // Another process may take the port between our look and sshd's bind.
        (0..5)
            .find_map(|_| self.try_sshd(lines))
            .expect("sshd does not start")
    }

    fn try_sshd(&self, lines: &str) -> Option<Sshd> {
        let addr = {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.local_addr().unwrap()
        };
        let config = format!(
            "{lines}\nListenAddress {addr}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPermitRootLogin yes\nMaxStartups 100\n",
            self.path("host").display(),
            self.path("authorized").display()
        );
        let name = format!("sshd-{}", addr.port());
        self.write(&name, config);
        let mut command = Command::new(SSHD);
        command
            .args(["-D", "-e", "-f"])
            .arg(self.path(&name))
            .stdin(Stdio::null());
        let mut running = Running::spawn(command).unwrap();
        let listens = running.wait_for("listening sshd", CEILING, |line| {
            line.text.contains("Server listening")
        });
        listens.ok().map(|_| Sshd {
            addr,
            _running: running,
        })
    }

    /// heartline's own endpoint, with the same keys.
    pub(crate) async fn serve(&self) -> Serve {
        let user_key = PublicKey::from_openssh(&self.read("id.pub")).unwrap();
        let host_key = host_key::load(&self.path("host")).unwrap();
        let authorized = AuthorizedKeys::from_keys([user_key]);
        let listen = vec![(Ipv4Addr::LOCALHOST, 0).into()];
        let config = ServeConfig::new(listen, vec![host_key], authorized);
        let server = Server::bind(config).await.unwrap();
        let addr = server.local_addrs()[0];
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Serve { addr, stop, task }
    }
}

impl Serve {
    /// Tells it to stop, and waits until it has said goodbye to everybody.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        within("the endpoint stops", self.task).await.unwrap();
    }
}

/// Who runs the tests, and so whom sshd lets in.
pub(crate) fn user() -> String {
    User::from_uid(getuid()).unwrap().unwrap().name
}

/// Waits for something that must happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(CEILING, future)
        .await
        .unwrap_or_else(|_| panic!("not within {CEILING:?}: {what}"))
}

/// Waits until it holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    within(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

const TOOLS: [&str; 5] = [
    SSHD,
    "/usr/bin/ssh",
    "/usr/bin/ssh-keygen",
    "/usr/bin/ssh-add",
    "/usr/bin/ssh-agent",
];
/// sshd insists on its absolute path.
const SSHD: &str = "/usr/sbin/sshd";
