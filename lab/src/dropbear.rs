//! A dropbear beside a node's sshd: the other SSH server that is met in the field.
//!
//! It finds keys in the user's home only, so the node gets a list of users in which the test user's home is a folder of
//! the lab. dropbear reads and writes keys in a format of its own.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::available::in_path;
use crate::node::Node;
use crate::passwd::Field;
use crate::process::Running;
use crate::{passwd, tool};

/// A dropbear on a node, until it is dropped.
#[derive(Debug)]
pub struct Dropbear {
    // Held for its end.
    _listener: Running,
}

impl Dropbear {
    /// Whether dropbear and its tools are installed.
    pub fn is_installed() -> bool {
        TOOLS.iter().all(|tool| in_path(tool))
    }

    /// Starts it on a node and waits until it listens. It lets in who may log in by the node's `authorized_keys`, as
    /// [`TEST_USER`](crate::TEST_USER); `words` are further options, e.g. `-K 1`.
    pub fn start(node: &Node, port: u16, words: &str) -> Result<Self> {
        let dir = node.dir().join("dropbear");
        prepare(node, &dir)?;
        let mut command = node.command("dropbear");
        command.args(["-F", "-E", "-s", "-p", &port.to_string(), "-r"]);
        command.arg(dir.join("host_key")).arg("-P");
        command.arg(dir.join(format!("pid-{port}")));
        let listener = Running::spawn({
            command.args(words.split_whitespace());
            command
        })?;
        let deadline = Instant::now() + START_CEILING;
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        while node.host().enter(connect)?.is_err() {
            if !listener.is_alive() || Instant::now() > deadline {
                bail!("dropbear does not listen: {:?}", listener.lines());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Self {
            _listener: listener,
        })
    }

    /// Writes a private key of OpenSSH's as dbclient wants it, at `to`.
    pub fn convert_key(openssh: &Path, to: &Path) -> Result<()> {
        let mut command = Command::new("dropbearconvert");
        command.args(["openssh", "dropbear"]).arg(openssh).arg(to);
        tool::run(command).map(drop)
    }
}

/// Makes what all dropbears of one node share, once.
fn prepare(node: &Node, dir: &Path) -> Result<()> {
    let ssh = home(dir).join(".ssh");
    if ssh.exists() {
        return Ok(());
    }
    fs::create_dir_all(&ssh).with_context(|| ssh.display().to_string())?;
    fs::copy(node.authorized_keys(), ssh.join("authorized_keys")).context("authorized_keys")?;
    let mut command = Command::new("dropbearkey");
    command
        .args(["-t", "ed25519", "-f"])
        .arg(dir.join("host_key"));
    tool::run(command)?;
    let home = home(dir).display().to_string();
    passwd::set(node.host().namespace(), Field::Home, &home)
}

fn home(dir: &Path) -> PathBuf {
    dir.join("home")
}

/// Debian's package dropbear-bin has them all.
const TOOLS: [&str; 4] = ["dropbear", "dbclient", "dropbearkey", "dropbearconvert"];
/// It starts in milliseconds; the machine may be busy.
const START_CEILING: Duration = Duration::from_secs(30);
