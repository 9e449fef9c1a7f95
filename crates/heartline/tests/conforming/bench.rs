//! The lab that all rows share: one cable each, and by its address the sshd of the node knows whose settings count.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use heartline_core::explain::Side;
use lab::{Cable, Capture, Dropbear, End, Host, Lab, Node, NodeSpec, Running, sshd_version};

use super::row::{Client, Row, Server};
use super::{CEILING, Watchman};

/// Everything but the rows.
pub(crate) struct Bench {
    // Dropped in this order: what runs on a machine before the machine.
    _dropbears: Vec<Dropbear>,
    capture: Capture,
    capture_short_tcp: Capture,
    pub(crate) watchman: Watchman,
    node: Node,
    sshd: String,
    dropbear: Option<String>,
    login: Mutex<()>,
    fault: Mutex<()>,
    lab: Lab,
}

/// Where a row takes place.
pub(crate) struct Place {
    pub(crate) cable: Cable,
    pub(crate) port: u16,
    short_tcp: bool,
}

impl Place {
    /// The client's machine.
    pub(crate) fn client_host(&self) -> Host {
        self.cable.end(End::Watcher).host.clone()
    }
}

impl Bench {
    /// Builds it, with a place for every row.
    pub(crate) fn new(lab: Lab, rows: &[Row]) -> Result<(Self, Vec<Place>)> {
        let node = lab.node("far")?;
        let (near, far) = (lab.host("near-short-tcp")?, lab.node("far-short-tcp")?);
        for host in [&near, far.host()] {
            for (key, value) in SHORT_TCP {
                host.sysctl(key, value)?;
            }
        }
        let (mut places, mut dropbears) = (Vec::new(), Vec::new());
        let mut config = String::from("MaxStartups 1000\n");
        for (number, row) in (1..).zip(rows) {
            let cable = match &row.server {
                Server::Sshd(lines) if row.own_node => {
                    let spec = NodeSpec::new(&format!("far-{number}")).config(lines);
                    lab.cable(&lab.node_with(&spec)?)?
                }
                _ if row.short_tcp => lab.cable_from(&near, &far)?,
                _ => lab.cable(&node)?,
            };
            let mut port = node.port();
            match &row.server {
                Server::Sshd(lines) if !lines.is_empty() && !row.own_node => {
                    write!(config, "Match LocalAddress {}\n{lines}", cable.v4())?;
                }
                Server::Sshd(_) => {}
                Server::Dropbear(words) => {
                    port = DROPBEAR_PORT + u16::from(cable.number());
                    dropbears.push(Dropbear::start(&node, port, words)?);
                }
            }
            let short_tcp = row.short_tcp;
            places.push(Place {
                cable,
                port,
                short_tcp,
            });
        }
        node.set_config(&format!("{config}Match all"))?;
        node.restart()?;
        if Dropbear::is_installed() {
            Dropbear::convert_key(&lab.client_key(), &dropbear_key(&lab))?;
        }
        let bench = Self {
            _dropbears: dropbears,
            capture: Capture::start(lab.watcher())?,
            capture_short_tcp: Capture::start(&near)?,
            watchman: Watchman::start()?,
            node,
            sshd: first_word(&sshd_version()?),
            dropbear: dropbear_version(&lab)?,
            login: Mutex::default(),
            fault: Mutex::default(),
            lab,
        };
        Ok((bench, places))
    }

    /// The banner of the program at an end, as `heartline explain` wants it.
    pub(crate) fn peer(&self, row: &Row, side: Side) -> Result<String> {
        let is_dropbear = match side {
            Side::Client => matches!(row.client, Client::Dbclient(_)),
            Side::Server => matches!(row.server, Server::Dropbear(_)),
        };
        if is_dropbear {
            return self.dropbear.clone().context("no dropbear");
        }
        // The rule of the client is the same in every release.
        Ok(match side {
            Side::Client => "OpenSSH".to_owned(),
            Side::Server => self.sshd.clone(),
        })
    }

    /// What this machine has: `OpenSSH_9.2p1, dropbear_2022.83`.
    pub(crate) fn programs(&self) -> String {
        let dropbear = self.dropbear.as_deref().unwrap_or("no dropbear");
        format!("{}, {dropbear}", self.sshd)
    }

    /// The node, where remote commands run.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// What passes at a place, seen from the client's machine.
    pub(crate) fn capture(&self, place: &Place) -> &Capture {
        if place.short_tcp {
            &self.capture_short_tcp
        } else {
            &self.capture
        }
    }

    /// The client's command, up to and with the address; with another address and port where a relay stands between.
    pub(crate) fn client(&self, row: &Row, place: &Place, relay: Option<u16>) -> Command {
        let host = place.client_host();
        let own = place.cable.v4().to_string();
        let (address, port) = match relay {
            Some(port) => ("127.0.0.1", port),
            None => (own.as_str(), place.port),
        };
        let mut command = match &row.client {
            Client::Ssh(options) => {
                let mut command = host.command("ssh");
                command
                    .arg("-F")
                    .arg(self.lab.ssh_config())
                    .args(["-v", "-p"]);
                command.arg(port.to_string());
                command.args(["-o", "StrictHostKeyChecking=no"]);
                command.args(["-o", "UserKnownHostsFile=/dev/null"]);
                for option in options {
                    command.args(["-o", option]);
                }
                command.arg(address);
                command
            }
            Client::Dbclient(words) => {
                let mut command = host.command("dbclient");
                command.args(["-y", "-y", "-p", &port.to_string(), "-i"]);
                command.arg(dropbear_key(&self.lab));
                command.args(words.split_whitespace());
                command.arg(format!("{}@{address}", lab::TEST_USER));
                command
            }
        };
        command.stdin(Stdio::piped());
        command
    }

    /// Where the master of a place has its socket.
    pub(crate) fn control_path(&self, place: &Place) -> String {
        let name = format!("mux-{}", place.cable.number());
        self.lab.dir().join(name).display().to_string()
    }

    /// Logins come one after another, so that none is slow because of others.
    pub(crate) fn login_turn(&self) -> MutexGuard<'_, ()> {
        self.login.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So do faults, so that each is quick.
    pub(crate) fn fault_turn(&self) -> MutexGuard<'_, ()> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn dropbear_key(lab: &Lab) -> std::path::PathBuf {
    lab.dir().join("dropbear_client_key")
}

fn first_word(text: &str) -> String {
    let word = text.split([' ', ',']).next();
    word.unwrap_or_default().to_owned()
}

/// `Dropbear v2022.83` as its banner has it; `None` where there is none.
fn dropbear_version(lab: &Lab) -> Result<Option<String>> {
    if !Dropbear::is_installed() {
        return Ok(None);
    }
    let mut command = lab.watcher().command("dropbear");
    command.arg("-V");
    let said = Running::spawn(command)?.finish(CEILING)?;
    let text = said.stdout + &said.stderr;
    let version = text
        .split_once("Dropbear v")
        .map(|(_, rest)| first_word(rest.trim()));
    version
        .map(|version| Some(format!("dropbear_{version}")))
        .with_context(|| format!("no version in {text:?}"))
}

/// Every dropbear has a port of its own: this and the number of its cable.
const DROPBEAR_PORT: u16 = 2200;
/// Both kernels of the rows on TCP: keepalive 3/1/2, and the end after two retransmissions.
const SHORT_TCP: [(&str, &str); 4] = [
    ("net.ipv4.tcp_keepalive_time", "3"),
    ("net.ipv4.tcp_keepalive_intvl", "1"),
    ("net.ipv4.tcp_keepalive_probes", "2"),
    ("net.ipv4.tcp_retries2", "2"),
];
/// Between two logins.
pub(crate) const BETWEEN_LOGINS: Duration = Duration::from_millis(60);
