//! The files that servers and clients are started with: keys, `known_hosts`, `ssh_config`,
//! heartline.toml. They die with the bench.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lab::Running;
use nix::unistd::{User, geteuid};
use tempfile::TempDir;

/// One folder of files, and the user who logs in: the one who runs the bench.
#[derive(Debug)]
pub(crate) struct Site {
    dir: TempDir,
    user: String,
}

/// A node to be watched. No two have one name, so that whoever looks names up does so for each.
#[derive(Debug)]
pub(crate) struct Place {
    number: usize,
    port: u16,
    address: usize,
}

impl Place {
    /// Its name, which `ssh_config` knows: its number, its port, the number of its address.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}-{}", self.number, self.port, self.address)
    }

    /// The number in such a name.
    pub(crate) fn number(name: &str) -> Result<usize> {
        let number = name
            .split('-')
            .next()
            .and_then(|number| number.parse().ok());
        number.with_context(|| format!("node {name:?}"))
    }
}

impl Site {
    /// Makes the keys.
    pub(crate) fn create() -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("heartline-bench-")
            .tempdir()?;
        let user = User::from_uid(geteuid())?.context("the user running this has no name")?;
        let site = Self {
            dir,
            user: user.name,
        };
        for key in [site.host_key(), site.client_key()] {
            let mut command = Command::new("ssh-keygen");
            command
                .args([
                    "-q",
                    "-t",
                    "ed25519",
                    "-N",
                    "",
                    "-C",
                    "heartline-bench",
                    "-f",
                ])
                .arg(key);
            Running::spawn(command)?.finish(KEYGEN)?.success()?;
        }
        Ok(site)
    }

    /// A file of this name in the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The key of every server.
    pub(crate) fn host_key(&self) -> PathBuf {
        self.file("host_key")
    }

    /// Who may log in.
    pub(crate) fn authorized_keys(&self) -> PathBuf {
        self.client_key().with_extension("pub")
    }

    /// Writes the `ssh_config` that ssh and heartline both read, with the host keys of these ports.
    pub(crate) fn write_ssh_config(&self, ports: &[u16]) -> Result<PathBuf> {
        let key = fs::read_to_string(self.host_key().with_extension("pub"))?;
        let (known_hosts, config) = (self.file("known_hosts"), self.file("ssh_config"));
        let (mut known, mut text) = (String::new(), String::new());
        for port in ports {
            for (number, address) in ADDRESSES.iter().enumerate() {
                writeln!(known, "[{address}]:{port} {}", key.trim_end())?;
                writeln!(
                    text,
                    "Host *-{port}-{number}\n  HostName {address}\n  Port {port}"
                )?;
            }
        }
        write!(
            text,
            "Host *\n  User {}\n  IdentityFile {}\n  UserKnownHostsFile {}\n{COMMON}",
            self.user,
            self.client_key().display(),
            known_hosts.display(),
        )?;
        fs::write(&known_hosts, known)?;
        fs::write(&config, text)?;
        Ok(config)
    }

    /// Writes a heartline.toml with one node of one line at each place.
    pub(crate) fn write_nodes(&self, name: &str, places: &[Place]) -> Result<PathBuf> {
        let mut text = String::new();
        for place in places {
            writeln!(text, "[[node]]\nname = \"{}\"", place.name())?;
        }
        let path = self.file(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    fn client_key(&self) -> PathBuf {
        self.file("client_key")
    }
}

/// `n` places, numbered from `first`, dealt out over the addresses at `ports`.
pub(crate) fn places(first: usize, n: usize, ports: &[u16]) -> Vec<Place> {
    let addresses = || 0..ADDRESSES.len();
    let of_one = |port: u16| addresses().map(move |address| (port, address));
    let all: Vec<_> = ports.iter().copied().flat_map(of_one).collect();
    let numbers = first..first + n;
    let dealt = all.iter().cycle().zip(numbers);
    let place = |(&(port, address), number)| Place {
        number,
        port,
        address,
    };
    dealt.map(place).collect()
}

/// A port free on every address, below those that connections take by themselves, where a client of
/// ours could sit on it by the time the server starts.
pub(crate) fn free_port() -> Result<u16> {
    let first = u16::try_from(std::process::id() % 10_000).unwrap_or_default();
    let is_free = |port: &u16| {
        let free = |address| TcpListener::bind((address, *port)).is_ok();
        ADDRESSES.into_iter().all(free)
    };
    let mut ports = (0..10_000).map(|step| 20_000 + (first + step) % 10_000);
    match ports.find(is_free) {
        Some(port) => Ok(port),
        None => bail!("no port between 20000 and 29999 is free on all of 127.0.0.1 to 127.0.0.8"),
    }
}

/// Several, since a watcher does not dial one address as often as it likes at a time; on Linux all
/// of 127/8 is this machine. sshd listens on 16 at most.
pub(crate) const ADDRESSES: [Ipv4Addr; 8] = {
    let mut all = [Ipv4Addr::LOCALHOST; 8];
    all[1] = Ipv4Addr::new(127, 0, 0, 2);
    all[2] = Ipv4Addr::new(127, 0, 0, 3);
    all[3] = Ipv4Addr::new(127, 0, 0, 4);
    all[4] = Ipv4Addr::new(127, 0, 0, 5);
    all[5] = Ipv4Addr::new(127, 0, 0, 6);
    all[6] = Ipv4Addr::new(127, 0, 0, 7);
    all[7] = Ipv4Addr::new(127, 0, 0, 8);
    all
};
/// ssh reads nothing but this. The key exchange is one that all clients and servers of these ten
/// years know: by its own defaults ssh would spend 50 ms more, on sntrup761, wherever sshd offers
/// that. group16 is for a server that knows nothing else. Ciphers are at each client's own defaults.
const COMMON: &str = "  KexAlgorithms curve25519-sha256,diffie-hellman-group16-sha512
  IdentitiesOnly yes
  IdentityAgent none
  PreferredAuthentications publickey
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
";
const KEYGEN: Duration = Duration::from_secs(30);
