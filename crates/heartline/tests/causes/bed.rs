//! The machines of one row.

use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::{Cable, End, Fault, Lab, Node, NodeSpec};

use super::row::Row;
use crate::shells::is_guarded;
use crate::watching::{Watch, until};

/// Machines with a watch of them; all that is watched is up.
pub(crate) struct Bed {
    pub(crate) watch: Watch,
    /// Those that are watched.
    pub(crate) nodes: Vec<Node>,
    /// Our own cable.
    pub(crate) cable: Cable,
    /// Connections of others, which stay open.
    pub(crate) strangers: Vec<TcpStream>,
    // Last: what runs ends before its machines go.
    pub(crate) lab: Lab,
}

/// How the machines are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One node at the end of our cable.
    Straight,
    /// One node behind a router, which keeps our carrier whatever becomes of the node.
    Routed,
    /// One node behind a jump host, which is at the end of our cable.
    Jump,
    /// So many nodes behind a router, which is at the end of our cable.
    Uplink(usize),
}

impl Bed {
    /// Builds it, and waits until all that is watched is up and has been well for a while.
    pub(crate) fn new(row: &Row) -> Result<Self> {
        let lab = Lab::new(row.what)?;
        let names = NAMES.get(..row.layout.nodes());
        let names = names.context("more nodes than names")?;
        let specs = names
            .iter()
            .map(|name| NodeSpec::new(name).config(row.sshd).shell("/bin/sh"));
        let nodes = specs.map(|spec| lab.node_with(&spec));
        let nodes = nodes.collect::<Result<Vec<_>>>()?;
        let cable = row.layout.join(&lab, &nodes)?;
        let mut words = names.join(" ");
        if row.layout == Layout::Jump {
            words += " --line 10.77.2.2,jump=gate";
        }
        let mut watch = Watch::start(&lab, &format!("{words} {}", row.words))?;
        for node in &nodes {
            watch.node(node.name(), "up")?;
            if row.is_guarded() {
                until("a guard", || Ok(is_guarded(node)))?;
            }
        }
        watch.told_within(WELL)?;
        watch.forget()?;
        Ok(Self {
            watch,
            nodes,
            cable,
            strangers: Vec::new(),
            lab,
        })
    }

    /// The node, of one that has one.
    pub(crate) fn node(&self) -> Result<&Node> {
        self.nodes.first().context("no node")
    }

    /// Puts a fault on our own cable.
    pub(crate) fn fault(&self, fault: Fault) -> Result<()> {
        self.cable.inject(fault).map(drop)
    }

    /// Mends our own cable.
    pub(crate) fn heal(&self) -> Result<()> {
        self.cable.heal().map(drop)
    }

    /// A connection of somebody else on our machine.
    pub(crate) fn stranger(&self) -> Result<TcpStream> {
        let place = (self.cable.v4(), 22);
        let watcher = &self.cable.end(End::Watcher).host;
        watcher
            .enter(|| TcpStream::connect(place))?
            .context("a stranger")
    }
}

impl Layout {
    fn nodes(self) -> usize {
        match self {
            Self::Straight | Self::Routed | Self::Jump => 1,
            Self::Uplink(nodes) => nodes,
        }
    }

    /// Lays the cables; gives our own.
    fn join(self, lab: &Lab, nodes: &[Node]) -> Result<Cable> {
        let first = nodes.first().context("no node")?;
        match self {
            Self::Straight => lab.cable(first),
            Self::Routed => lab.cable_through(&lab.router("router")?, first),
            Self::Jump => {
                let gate = lab.node("gate")?;
                let cable = lab.cable(&gate)?;
                lab.cable_from(gate.host(), first)?;
                Ok(cable)
            }
            Self::Uplink(_) => {
                let uplink = lab.uplink(&lab.router("router")?)?;
                for node in nodes {
                    lab.cable_behind(&uplink, node)?;
                }
                Ok(uplink)
            }
        }
    }
}

/// What nodes are called.
const NAMES: [&str; 3] = ["db1", "db2", "db3"];
/// Some beats in health, so that no login is judged.
const WELL: Duration = Duration::from_millis(1_500);
