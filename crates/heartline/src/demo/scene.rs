//! The nodes, the cables, and the watcher of the demonstration.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use heartline_core::Cause;
use heartline_ssh::Preparer;
use heartline_ssh::identity::Asker;
use heartline_ssh::settings::{Invocation, LineOverride, Resolver};
use heartline_watch::config::TimingEntry;
use heartline_watch::{Engine, NodeRequest, make_plan};
use tempfile::TempDir;
use tokio::time::timeout_at;

use super::embedded::Embedded;
use super::of;
use super::relay::Relay;

/// Everything that is on stage.
pub(super) struct Scene {
    /// The cables of alpha: east, west.
    pub(super) alpha: [Relay; 2],
    /// The cables of beta: east, west.
    pub(super) beta: [Relay; 2],
    /// beta itself.
    pub(super) beta_node: Embedded,
    alpha_node: Embedded,
    engine: Engine,
    /// The last of each that was seen.
    seen: HashMap<String, (&'static str, Option<Cause>, Seen)>,
    _files: TempDir,
}

/// Something that was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// When.
    pub(super) at: Instant,
    /// From the last sign of life.
    pub(super) after_ms: Option<u64>,
}

impl Scene {
    /// Starts it all.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let files = tempfile::tempdir().context("cannot make a temporary folder")?;
        let key = heartline_serve::host_key::generate()?;
        let key_file = files.path().join("key");
        heartline_serve::host_key::save(&key_file, &key)?;
        let alpha_node = Embedded::start("alpha", key.public_key().clone())?;
        let beta_node = Embedded::start("beta", key.public_key().clone())?;
        let cables = |node: &Embedded| -> std::io::Result<[Relay; 2]> {
            Ok([Relay::start(node.addr())?, Relay::start(node.addr())?])
        };
        let (alpha, beta) = (cables(&alpha_node)?, cables(&beta_node)?);
        let known_hosts = files.path().join("known_hosts");
        let lines = [&alpha_node, &beta_node].map(Embedded::known_hosts_line);
        fs::write(&known_hosts, lines.concat())?;
        let requests = [
            request("alpha", &alpha, &key_file, &known_hosts)?,
            request("beta", &beta, &key_file, &known_hosts)?,
        ];
        let preparer = Preparer::new(
            Resolver::with_parser(),
            Arc::default(),
            Arc::new(Asker::from_env()),
        );
        let plan = make_plan(&preparer, &requests).await?;
        Ok(Self {
            alpha,
            beta,
            beta_node,
            alpha_node,
            engine: Engine::start(&plan)?,
            seen: HashMap::new(),
            _files: files,
        })
    }

    /// Waits until `who` (`node` or `node/line`) is in this state for this cause, or without one for any; `None` if it is not by `until`.
    pub(super) async fn see(
        &mut self,
        who: &str,
        state: &str,
        cause: Option<Cause>,
        until: Instant,
    ) -> Option<Seen> {
        loop {
            if let Some((now, why, seen)) = self.seen.get(who)
                && *now == state
                && cause.is_none_or(|cause| *why == Some(cause))
            {
                return Some(*seen);
            }
            let told = timeout_at(until.into(), self.engine.next()).await.ok()?;
            if let Some((who, state, cause, after_ms)) = of(&told) {
                let at = Instant::now();
                self.seen.insert(who, (state, cause, Seen { at, after_ms }));
            }
        }
    }

    /// Ends it all.
    pub(super) async fn end(self) {
        self.engine.stop().await;
        drop((self.alpha, self.beta));
        self.alpha_node.stop();
        self.beta_node.stop();
    }
}

fn request(
    name: &str,
    cables: &[Relay; 2],
    key: &Path,
    known_hosts: &Path,
) -> anyhow::Result<NodeRequest> {
    let mut invocation = Invocation::new(name.parse()?);
    invocation.config_file = Some("none".into());
    invocation.user = Some("demo".to_owned());
    invocation.identity_files = vec![key.to_owned()];
    invocation.options = vec![
        format!("UserKnownHostsFile={}", known_hosts.display()),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        format!("HostKeyAlias={name}"),
        "IdentitiesOnly=yes".to_owned(),
        "IdentityAgent=none".to_owned(),
        "BatchMode=yes".to_owned(),
    ];
    let line = |(cable, name): (&Relay, &str)| {
        format!("127.0.0.1,port={},name={name}", cable.addr().port()).parse::<LineOverride>()
    };
    let lines: Result<Vec<_>, _> = cables.iter().zip(["east", "west"]).map(line).collect();
    Ok(NodeRequest {
        name: name.to_owned(),
        invocation,
        lines: lines?,
        timing: TimingEntry {
            interval: Some(INTERVAL),
            count: Some(COUNT),
            connect_timeout: Some(Duration::from_secs(2)),
            rise: None,
            // The embedded nodes run no command.
            fuse: Some(Duration::ZERO),
            detector: None,
            ..TimingEntry::default()
        },
        paused: false,
        tags: Vec::new(),
    })
}

/// Time between beats.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);
/// Beats that may go unanswered.
pub(super) const COUNT: u32 = 1;
