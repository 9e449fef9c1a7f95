//! From arguments and heartline.toml to a plan.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use heartline_core::Patience;
use heartline_ssh::Preparer;
use heartline_ssh::identity::{Asker, Keyring};
use heartline_ssh::settings::Resolver;
use heartline_watch::config::{
    ConfigFile, LineEntry, NodeEntry, TimingEntry, find, parse_reference,
};
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
        let file = self.file()?;
        let (references, requests) = self.wanted(&file)?;
        let plan = make_plan(&self.preparer(), &requests).await?;
        Ok(Plan { references, ..plan })
    }

    /// The same of what stands there for whoever watches on and on: no name is looked up here, since one that does not resolve may do so later.
    pub(crate) async fn lasting_plan(&self, file: &ConfigFile) -> anyhow::Result<Plan> {
        let (references, requests) = self.wanted(file)?;
        let plan = make_lasting_plan(&self.preparer(), &requests).await?;
        Ok(Plan { references, ..plan })
    }

    fn wanted(&self, file: &ConfigFile) -> anyhow::Result<(Vec<SocketAddr>, Vec<NodeRequest>)> {
        let references = self.references.iter().chain(&file.references);
        let references = references
            .map(|text| parse_reference(text))
            .collect::<Result<_, _>>()?;
        Ok((references, self.requests(file)?))
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
    pub(crate) fn file(&self) -> anyhow::Result<ConfigFile> {
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
            tags: Vec::new(),
        })
    }

    /// A node of the configuration, as it was asked for.
    pub(crate) fn listed(
        &self,
        file: &ConfigFile,
        node: &NodeEntry,
    ) -> anyhow::Result<NodeRequest> {
        let of = || format!("node {:?} of heartline.toml", node.name);
        let destination = node.host.as_deref().unwrap_or(&node.name);
        let mut invocation = self.flags.invocation(destination).with_context(of)?;
        invocation.user = invocation.user.or_else(|| node.user.clone());
        invocation.port = invocation.port.or(node.port);
        invocation.identity_files.extend(node.identity_file.clone());
        let lines = if self.flags.lines.is_empty() {
            let parsed: Result<_, _> = node.lines.iter().map(LineEntry::to_line).collect();
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
            tags: node.tags.clone(),
        })
    }

    fn timing(&self) -> TimingEntry {
        self.flags.timing.entry().or(self.own_timing)
    }
}
