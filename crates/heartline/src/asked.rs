//! From arguments and heartline.toml to a plan.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use heartline_core::Patience;
use heartline_ssh::Preparer;
use heartline_ssh::identity::{Asker, Keyring};
use heartline_ssh::settings::{LineOverride, Resolver};
use heartline_watch::config::{ConfigFile, LineEntry, NodeEntry, TimingEntry, find};
use heartline_watch::{NodeRequest, Plan, make_lasting_plan, make_plan};

use crate::flags::NodeFlags;

/// What is to be watched, as it was asked for; can be read again.
pub(crate) struct Asked {
    nodes: Vec<String>,
    flags: NodeFlags,
    /// Beside those of the configuration.
    references: Vec<String>,
    /// What the command has where no flag says otherwise, whatever the configuration says.
    own_timing: TimingEntry,
    /// Kept over a second reading, so that no passphrase is asked for twice.
    keyring: Arc<Keyring>,
}

impl Asked {
    /// These nodes; with none, the configuration's.
    pub(crate) fn new(nodes: Vec<String>, flags: NodeFlags) -> Self {
        Self {
            nodes,
            flags,
            references: Vec::new(),
            own_timing: TimingEntry::default(),
            keyring: Arc::default(),
        }
    }

    /// Without a fuse unless a flag asks for one: for a command that is soon over, and would run something on the node each
    /// time.
    pub(crate) fn without_fuse(mut self) -> Self {
        self.own_timing.fuse = Some(Duration::ZERO);
        self
    }

    /// For sessions that are to stay: eager, and with an interval and a patience that go before all others.
    pub(crate) fn patient(
        mut self,
        interval: Option<Duration>,
        patience: Option<Patience>,
    ) -> Self {
        self.own_timing.interval = interval.or(self.own_timing.interval);
        self.own_timing.patience = patience.or(self.own_timing.patience);
        self.own_timing.eager = true;
        self
    }

    /// With these references too.
    pub(crate) fn beside(self, references: Vec<String>) -> Self {
        Self { references, ..self }
    }

    /// Reads everything and makes it ready. Nothing is dialed. A name that does not resolve is an error.
    pub(crate) async fn plan(&self) -> anyhow::Result<Plan> {
        let (references, requests) = self.wanted()?;
        let plan = make_plan(&self.preparer(), &requests).await?;
        Ok(Plan { references, ..plan })
    }

    /// The same for whoever watches on and on: no name is looked up here, since one that does not resolve may do so later.
    pub(crate) async fn lasting_plan(&self) -> anyhow::Result<Plan> {
        let (references, requests) = self.wanted()?;
        let plan = make_lasting_plan(&self.preparer(), &requests).await?;
        Ok(Plan { references, ..plan })
    }

    fn wanted(&self) -> anyhow::Result<(Vec<SocketAddr>, Vec<NodeRequest>)> {
        let file = self.config()?;
        let references = self.references.iter().chain(&file.references);
        let references = references
            .map(|text| reference(text))
            .collect::<Result<_, _>>()?;
        Ok((references, self.requests(&file)?))
    }

    fn preparer(&self) -> Preparer {
        let passphrases = Arc::new(Asker::from_env());
        let keyring = Arc::clone(&self.keyring);
        Preparer::new(Resolver::detect(), keyring, passphrases)
    }

    fn requests(&self, file: &ConfigFile) -> anyhow::Result<Vec<NodeRequest>> {
        if self.nodes.is_empty() {
            if !self.flags.lines.is_empty() {
                bail!("--line needs one NODE that it leads to; name it");
            }
            let nodes = file.nodes.iter();
            return nodes.map(|node| self.listed(file, node)).collect();
        }
        if self.nodes.len() > 1 && !self.flags.lines.is_empty() {
            bail!(
                "--line leads to one node, and {} are named; use heartline.toml",
                self.nodes.len()
            );
        }
        let named =
            self.nodes.iter().map(
                |name| match file.nodes.iter().find(|node| node.name == *name) {
                    Some(node) => self.listed(file, node),
                    None => self.flagged(file, name),
                },
            );
        named.collect()
    }

    /// The configuration file: the one named, else one that is found, else none.
    fn config(&self) -> anyhow::Result<ConfigFile> {
        let path: Option<PathBuf> = self.flags.config.clone().or_else(find);
        match path {
            Some(path) => Ok(ConfigFile::read(&path)?),
            None if self.nodes.is_empty() => {
                bail!("no node named and no heartline.toml found; name a node, or a file with -c")
            }
            None => Ok(ConfigFile::default()),
        }
    }

    fn flagged(&self, file: &ConfigFile, name: &str) -> anyhow::Result<NodeRequest> {
        Ok(NodeRequest {
            name: name.to_owned(),
            invocation: self.flags.invocation(name)?,
            lines: self.flags.lines.clone(),
            timing: self.timing().or(file.defaults),
            paused: false,
        })
    }

    fn listed(&self, file: &ConfigFile, node: &NodeEntry) -> anyhow::Result<NodeRequest> {
        let of = || format!("node {:?} of heartline.toml", node.name);
        let destination = node.host.as_deref().unwrap_or(&node.name);
        let mut invocation = self.flags.invocation(destination).with_context(of)?;
        invocation.user = invocation.user.or_else(|| node.user.clone());
        invocation.port = invocation.port.or(node.port);
        invocation.identity_files.extend(node.identity_file.clone());
        let lines = if self.flags.lines.is_empty() {
            let parse = |line: &LineEntry| line.to_flag().parse::<LineOverride>();
            let parsed: Result<_, _> = node.lines.iter().map(parse).collect();
            parsed.with_context(of)?
        } else {
            self.flags.lines.clone()
        };
        let timing = self.timing();
        Ok(NodeRequest {
            name: node.name.clone(),
            invocation,
            lines,
            timing: timing.or(node.timing()).or(file.defaults),
            paused: node.paused,
        })
    }

    fn timing(&self) -> TimingEntry {
        self.flags.timing.entry().or(self.own_timing)
    }
}

/// `ADDRESS` or `ADDRESS:PORT`; no name, since whoever is cut off resolves none.
fn reference(text: &str) -> anyhow::Result<SocketAddr> {
    let bare = text.trim_matches(['[', ']']).parse::<IpAddr>();
    let address = bare.map(|address| SocketAddr::new(address, SSH));
    address.or_else(|_| text.parse()).with_context(|| {
        format!(
            "reference {text:?} is no address; give one like 10.0.0.1, 10.0.0.1:80 or [fe80::1]:22"
        )
    })
}

const SSH: u16 = 22;
