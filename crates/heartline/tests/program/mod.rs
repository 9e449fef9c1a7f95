//! heartline as a program on this machine: in a home of its own, where no configuration, key or agent of whoever runs the
//! tests is found.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use heartline_serve::host_key;
use tempfile::TempDir;

/// Far beyond what anything takes on a busy machine.
pub(crate) const CEILING: Duration = Duration::from_secs(30);

/// A folder that is home, working folder and run-time folder.
pub(crate) struct Home {
    folder: TempDir,
    has_ssh: bool,
}

/// How a program ended, and all that it said.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) took: Duration,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            has_ssh: true,
        }
    }

    /// One on a machine where no `ssh` is installed.
    pub(crate) fn without_ssh() -> Self {
        Self {
            has_ssh: false,
            ..Self::new()
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let path = self.folder.path();
        if name.is_empty() {
            path.to_owned()
        } else {
            path.join(name)
        }
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// What stands in a file that is being written.
    pub(crate) fn read_lossy(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap()).into_owned()
    }

    /// A new key pair: `name` and `name.pub`.
    pub(crate) fn key(&self, name: &str) {
        let key = host_key::generate().unwrap();
        host_key::save(&self.path(name), &key).unwrap();
        let public = key.public_key().to_openssh().unwrap();
        self.write(&format!("{name}.pub"), format!("{public}\n"));
    }

    /// heartline, here.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heartline"));
        command
            .current_dir(self.path(""))
            .env("HOME", self.path(""))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_RUNTIME_DIR", self.path(""))
            .env("SHELL", "/bin/sh")
            // A name server that cannot be reached is not to take longer than one that says no.
            .env("RES_OPTIONS", "timeout:1 attempts:1")
            .stdin(Stdio::null());
        for name in [
            "SSH_AUTH_SOCK",
            "SSH_ASKPASS",
            "DISPLAY",
            "WAYLAND_DISPLAY",
            "HEARTLINE_LOG",
            "NO_COLOR",
        ] {
            command.env_remove(name);
        }
        if !self.has_ssh {
            command.env("PATH", self.path("nowhere"));
        }
        command
    }

    /// Runs it to its end, which must come.
    pub(crate) fn run(&self, words: &[impl AsRef<OsStr> + fmt::Debug]) -> Ended {
        let begun = Instant::now();
        let (mut out, mut err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let mut child = self
            .command()
            .args(words)
            .stdout(out.try_clone().unwrap())
            .stderr(err.try_clone().unwrap())
            .spawn()
            .unwrap();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > CEILING {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{words:?} still runs after {CEILING:?}");
            }
            thread::sleep(Duration::from_millis(2));
        };
        Ended {
            code: status.code(),
            took: begun.elapsed(),
            stdout: all_of(&mut out),
            stderr: all_of(&mut err),
        }
    }
}

fn all_of(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
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

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        f.debug_struct("Ended")
            .field("code", &self.code)
            .field("stdout", &text(&self.stdout))
            .field("stderr", &text(&self.stderr))
            .finish_non_exhaustive()
    }
}
