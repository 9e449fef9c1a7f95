//! The lab itself: it makes machines and cables, and when it is dropped nothing of it remains.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use nix::unistd::Uid;

use crate::available::{Why, available};
use crate::cable::{Cable, End, MAX_CABLES};
use crate::claim::{self, Claim};
use crate::host::Host;
use crate::keys::{self, KeyKind};
use crate::node::{Node, NodeSpec};
use crate::router::Router;
use crate::{skip, user};

/// A test bed of its own, apart from every other on the machine.
#[derive(Debug)]
pub struct Lab {
    // The order of fields is the order of dropping: what runs is ended before its namespace.
    made: Mutex<Made>,
    watcher: Host,
    shelf: Host,
    user: Uid,
    ipv6: bool,
    claim: Claim,
}

#[derive(Debug, Default)]
struct Made {
    nodes: Vec<Node>,
    cables: Vec<Cable>,
}

impl Lab {
    /// Whether a lab can be built here, and if not, why. Tried once per process.
    pub fn available() -> Result<(), Why> {
        available()
    }

    /// A lab with a watcher and nothing else, for the test `name`.
    pub fn new(name: &str) -> Result<Self> {
        available()?;
        let claim = Claim::new(name)?;
        let turn = claim::turn()?;
        let user = user::ensure()?;
        let ipv6 = Path::new("/proc/sys/net/ipv6").exists();
        let watcher = Host::create("watcher", claim.id(), ipv6)?;
        let shelf = Host::create("shelf", claim.id(), ipv6)?;
        drop(turn);
        let lab = Self {
            made: Mutex::default(),
            watcher,
            shelf,
            user,
            ipv6,
            claim,
        };
        keys::generate(KeyKind::Ed25519, &lab.client_key())?;
        lab.write_client_files()?;
        Ok(lab)
    }

    /// A lab for the test `name`, or `None` with a `SKIPPED` line where none can be built
    /// (see [`skipped`](crate::skipped)).
    ///
    /// # Panics
    /// Where a lab is possible and yet fails to be built.
    pub fn or_skip(name: &str) -> Option<Self> {
        if let Err(why) = available() {
            skip::skipped(name, &why.to_string());
            return None;
        }
        match Self::new(name) {
            Ok(lab) => Some(lab),
            #[expect(
                clippy::panic,
                reason = "only called by tests, which fail by panicking"
            )]
            Err(why) => panic!("{name}: no lab: {why:#}"),
        }
    }

    /// `hl-PID-N`: all its namespaces are called so, with a dash and a name added.
    pub fn id(&self) -> &str {
        self.claim.id()
    }

    /// A folder of root's that everybody may read; gone with the lab.
    pub fn dir(&self) -> &Path {
        self.claim.dir()
    }

    /// Whether machines here have IPv6.
    pub fn has_ipv6(&self) -> bool {
        self.ipv6
    }

    /// The machine that watches.
    pub fn watcher(&self) -> &Host {
        &self.watcher
    }

    /// Makes a further machine without sshd, e.g. a second watcher.
    pub fn host(&self, name: &str) -> Result<Host> {
        self.check_name(name)?;
        Host::create(name, self.id(), self.ipv6)
    }

    /// Makes a node with sshd on port 22.
    pub fn node(&self, name: &str) -> Result<Node> {
        self.node_with(&NodeSpec::new(name))
    }

    /// Makes a node as specified.
    pub fn node_with(&self, spec: &NodeSpec) -> Result<Node> {
        let name = spec.name();
        let host = self.host(name)?;
        let (dir, key) = (self.dir().join(format!("node-{name}")), self.client_key());
        let node = Node::create(spec, host, self.shelf.clone(), dir, &key, self.user)?;
        self.lock().nodes.push(node.clone());
        self.write_client_files()?;
        Ok(node)
    }

    /// Makes a router, to be put into cables.
    pub fn router(&self, name: &str) -> Result<Router> {
        self.check_name(name)?;
        Router::create(name, self.id(), self.ipv6)
    }

    /// Lays a cable from the watcher to a node.
    pub fn cable(&self, node: &Node) -> Result<Cable> {
        self.cable_from(&self.watcher, node)
    }

    /// Lays a cable to a node from any machine, e.g. from a jump host's.
    pub fn cable_from(&self, from: &Host, to: &Node) -> Result<Cable> {
        self.lay(|number, _| Cable::direct(number, from, to.host()))
    }

    /// Lays a cable from the watcher through a router to a node.
    pub fn cable_through(&self, router: &Router, to: &Node) -> Result<Cable> {
        self.lay(|number, _| Cable::routed(number, &self.watcher, router, to.host()))
    }

    /// Lays a cable from the watcher to a router and no further: all nodes that
    /// [`Lab::cable_behind`] puts there are reached over this one. A lab has one of it. Its end
    /// [`End::Node`] is the router's.
    pub fn uplink(&self, router: &Router) -> Result<Cable> {
        self.lay(|number, cables| {
            let has_one = cables.iter().any(is_uplink);
            ensure!(!has_one, "a lab has one uplink");
            Cable::uplink(number, &self.watcher, router)
        })
    }

    /// Lays a cable to a node from the router at the end of an uplink. Its end [`End::Watcher`] is
    /// the router's.
    pub fn cable_behind(&self, uplink: &Cable, to: &Node) -> Result<Cable> {
        ensure!(is_uplink(uplink), "cable {} is no uplink", uplink.number());
        self.lay(|number, _| Cable::behind(number, uplink, to.host()))
    }

    /// The private key that the nodes let in as [`TEST_USER`](crate::TEST_USER); ed25519.
    pub fn client_key(&self) -> PathBuf {
        self.dir().join("client_key")
    }

    /// A `known_hosts` with all keys of all nodes, by name and by every address.
    pub fn known_hosts(&self) -> PathBuf {
        self.dir().join("known_hosts")
    }

    /// An `ssh_config` with which `ssh -F … NODE` logs in over the node's first cable. By address
    /// it works too, on port 22.
    pub fn ssh_config(&self) -> PathBuf {
        self.dir().join("ssh_config")
    }

    /// Plain `ssh` on the watcher with [`Lab::ssh_config`]; `target` is a node's name or address.
    pub fn ssh(&self, target: &str) -> Command {
        let mut command = self.watcher.command("ssh");
        command.arg("-F").arg(self.ssh_config()).arg(target);
        command
    }

    /// Writes `known_hosts` and `ssh_config` anew from the nodes' present keys. Making nodes and
    /// cables does this by itself.
    pub fn write_client_files(&self) -> Result<()> {
        let peers: Vec<_> = self.lock().nodes.iter().map(Node::peer).collect();
        let config = keys::ssh_config(&peers, &self.client_key(), &self.known_hosts());
        fs::write(self.known_hosts(), keys::known_hosts(&peers)?).context("known_hosts")?;
        fs::write(self.ssh_config(), config).context("ssh_config")
    }

    fn lay(&self, make: impl FnOnce(u8, &[Cable]) -> Result<Cable>) -> Result<Cable> {
        let mut made = self.lock();
        let number = u8::try_from(made.cables.len() + 1)?;
        ensure!(
            number <= MAX_CABLES,
            "a lab has at most {MAX_CABLES} cables"
        );
        let cable = make(number, &made.cables)?;
        made.cables.push(cable.clone());
        // The dialling side may be a node too; each must find its interface after a reboot.
        for node in made.nodes.iter().filter(|node| is_at(&cable, node)) {
            node.attach(&cable);
        }
        drop(made);
        self.write_client_files()?;
        Ok(cable)
    }

    fn check_name(&self, name: &str) -> Result<()> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = (1..=MAX_NAME).contains(&name.len()) && name.chars().all(good);
        ensure!(fits, "{name:?} is not 1 to {MAX_NAME} of a-z, 0-9 and -");
        let full = format!("{}-{name}", self.id());
        ensure!(
            !crate::namespace::named(&full).contains(&full),
            "{name} exists already"
        );
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether one end of the cable is at this node.
fn is_at(cable: &Cable, node: &Node) -> bool {
    let namespace = node.host().namespace();
    let ends = [End::Watcher, End::Node];
    ends.iter()
        .any(|end| cable.end(*end).host.namespace() == namespace)
}

/// Whether the cable ends at a router.
fn is_uplink(cable: &Cable) -> bool {
    let end = cable.end(End::Node).host.namespace();
    cable
        .router()
        .is_some_and(|router| router.host().namespace() == end)
}

/// Longest name of a machine; the namespace's name is a file name.
const MAX_NAME: usize = 32;
