//! Real OpenSSH for tests of this crate: keys by `ssh-keygen`, a `sshd` on loopback that ends with its guard.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{User, getuid};
use tempfile::TempDir;

/// A folder with keys, and what to run on them.
pub(crate) struct Testbed {
    folder: TempDir,
}

/// A `sshd`, killed when dropped.
pub(crate) struct Sshd {
    child: Child,
    pub(crate) port: u16,
}

impl Testbed {
    /// `None`, said aloud, where OpenSSH is not installed.
    pub(crate) fn new() -> Option<Self> {
        let tools = [
            SSHD,
            "/usr/bin/ssh",
            "/usr/bin/ssh-keygen",
            "/usr/bin/ssh-agent",
        ];
        if let Some(missing) = tools.iter().find(|tool| !Path::new(tool).exists()) {
            eprintln!("SKIPPED: {missing} is not installed");
            return None;
        }
        if getuid().is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        Some(Self { folder })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// `type base64` of a public key, without its comment.
    pub(crate) fn public(&self, name: &str) -> String {
        let line = self.read(&format!("{name}.pub"));
        let words: Vec<_> = line.split(' ').take(2).collect();
        words.join(" ").trim_end().to_owned()
    }

    /// Runs `ssh-keygen` in the folder and insists that it succeeds.
    pub(crate) fn keygen(&self, arguments: &[&str]) -> String {
        let output = self.try_keygen(arguments);
        assert!(
            output.status.success(),
            "ssh-keygen {arguments:?}: {output:?}"
        );
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn try_keygen(&self, arguments: &[&str]) -> Output {
        Command::new("/usr/bin/ssh-keygen")
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// A new key pair, unencrypted; `kind` as for `ssh-keygen -t`, with its bits after a dash.
    pub(crate) fn key(&self, name: &str, kind: &str) -> PathBuf {
        let (kind, bits) = kind.split_once('-').unwrap_or((kind, "256"));
        self.keygen(&[
            "-q", "-t", kind, "-b", bits, "-N", "", "-C", name, "-f", name,
        ]);
        self.path(name)
    }

    /// A `sshd` with these lines in its configuration, that takes the keys in `authorized`.
    pub(crate) fn sshd(&self, name: &str, authorized: &str, lines: &str) -> Sshd {
        // Another process may take the port between our look and sshd's bind.
        (0..5)
            .find_map(|_| self.try_sshd(name, authorized, lines))
            .unwrap_or_else(|| panic!("sshd does not start: {}", self.read(&format!("{name}.log"))))
    }

    fn try_sshd(&self, name: &str, authorized: &str, lines: &str) -> Option<Sshd> {
        let port = {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.local_addr().unwrap().port()
        };
        let keys = self.path(authorized);
        let config = format!(
            "{lines}\nPort {port}\nListenAddress 127.0.0.1\nPidFile none\nStrictModes no\nUsePAM no\n\
             PermitRootLogin yes\nMaxStartups 100\nAuthorizedKeysFile {}\n",
            keys.display()
        );
        let config = self.write(&format!("{name}.config"), config);
        let log = fs::File::create(self.path(&format!("{name}.log"))).unwrap();
        let child = Command::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut sshd = Sshd { child, port };
        let since = Instant::now();
        while since.elapsed() < CEILING && sshd.child.try_wait().unwrap().is_none() {
            if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                stream.set_read_timeout(Some(CEILING)).unwrap();
                let mut banner = [0; 4];
                if stream.read_exact(&mut banner).is_ok() && banner == *b"SSH-" {
                    return Some(sshd);
                }
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who runs the tests, and so whom sshd lets in.
pub(crate) fn user() -> String {
    User::from_uid(getuid()).unwrap().unwrap().name
}

/// sshd insists on its absolute path.
const SSHD: &str = "/usr/sbin/sshd";

/// How long a shared machine may take for anything.
pub(crate) const CEILING: Duration = Duration::from_secs(30);
