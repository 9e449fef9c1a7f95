//! Keys, and the client's files made from them: `known_hosts` and `ssh_config`.
//!
//! Keys are made by `ssh-keygen`, without passphrase, and die with the lab.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process::Running;
use crate::tool;
use crate::user::TEST_USER;

/// Kinds of host keys a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// ssh-ed25519.
    Ed25519,
    /// ecdsa-sha2-nistp256.
    Ecdsa,
    /// RSA, 2048 bits: the smallest that everybody accepts, and quick to make.
    Rsa,
}

impl KeyKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Ed25519, Self::Ecdsa, Self::Rsa];

    /// As in `ssh-keygen -t`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Ecdsa => "ecdsa",
            Self::Rsa => "rsa",
        }
    }

    /// Where the host key of this kind is, in a node's folder.
    pub(crate) fn host_key(self, dir: &Path) -> PathBuf {
        dir.join(format!("ssh_host_{}_key", self.name()))
    }
}

/// Makes one key pair at `path` and `path.pub`, in the place of what was there.
pub(crate) fn generate(kind: KeyKind, path: &Path) -> Result<()> {
    clear(path)?;
    tool::run(keygen(kind, path)).map(drop)
}

/// Makes a node's host keys, in the place of older ones, side by side.
pub(crate) fn generate_host_keys(dir: &Path) -> Result<()> {
    let mut at_work = Vec::new();
    for kind in KeyKind::ALL {
        let path = kind.host_key(dir);
        clear(&path)?;
        at_work.push(Running::spawn(keygen(kind, &path))?);
    }
    for running in at_work {
        running.finish(tool::CEILING)?.success()?;
    }
    Ok(())
}

fn clear(path: &Path) -> Result<()> {
    for path in [path.to_owned(), path.with_extension("pub")] {
        match fs::remove_file(&path) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
                return Err(why).with_context(|| path.display().to_string());
            }
            _ => {}
        }
    }
    Ok(())
}

fn keygen(kind: KeyKind, path: &Path) -> Command {
    let mut command = Command::new("ssh-keygen");
    command
        .args([
            "-q",
            "-N",
            "",
            "-C",
            "heartline-lab",
            "-t",
            kind.name(),
            "-f",
        ])
        .arg(path);
    if kind == KeyKind::Rsa {
        command.args(["-b", "2048"]);
    }
    command.stdin(Stdio::null());
    command
}

/// What a client must know of one node.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) keys: PathBuf,
}

/// The text of a `known_hosts` with every key of every peer, by name and by address.
pub(crate) fn known_hosts(peers: &[Peer]) -> Result<String> {
    let mut text = String::new();
    for peer in peers {
        let hosts = peer.addresses.iter().map(ToString::to_string);
        let hosts = std::iter::once(peer.name.clone()).chain(hosts);
        let hosts: Vec<_> = hosts.map(|host| with_port(&host, peer.port)).collect();
        for kind in KeyKind::ALL {
            let path = kind.host_key(&peer.keys).with_extension("pub");
            let key = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            writeln!(text, "{} {}", hosts.join(","), key.trim_end())?;
        }
    }
    Ok(text)
}

/// The text of an `ssh_config` with which plain `ssh NAME` reaches each peer over its first cable.
pub(crate) fn ssh_config(peers: &[Peer], client_key: &Path, known_hosts: &Path) -> String {
    let mut text = String::new();
    for peer in peers {
        let Some(address) = peer.addresses.first() else {
            continue;
        };
        let Peer { name, port, .. } = peer;
        let _ = write!(text, "Host {name}\n  HostName {address}\n  Port {port}\n");
    }
    // BatchMode is left alone on purpose: on Debian it sets ServerAliveInterval to 300.
    let _ = write!(
        text,
        "Host *\n  User {TEST_USER}\n  IdentityFile {}\n  IdentitiesOnly yes\n\
         \x20 IdentityAgent none\n  PreferredAuthentications publickey\n\
         \x20 UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n\
         \x20 StrictHostKeyChecking yes\n  UpdateHostKeys no\n",
        client_key.display(),
        known_hosts.display(),
    );
    text
}

/// sshd(8), "ssh known hosts file format": another port than 22 is written `[host]:port`.
fn with_port(host: &str, port: u16) -> String {
    if port == 22 {
        host.to_owned()
    } else {
        format!("[{host}]:{port}")
    }
}
