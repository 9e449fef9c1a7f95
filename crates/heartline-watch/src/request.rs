//! From what a person asked for to a plan: settings looked up, keys read, nothing dialed. Names are resolved by each dial; whoever dials
//! but once wants to know before ([`plan`]), and whoever dials for ever does not ask ([`lasting_plan`]).

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use heartline_core::{Count, Detection, Fuse, Interval, Patience, Timing, TimingError};
use heartline_ssh::settings::{Invocation, LineOverride, Settings};
use heartline_ssh::{ConnectError, Preparer, addresses};
use tokio::time::timeout;

use crate::config::TimingEntry;
use crate::plan::{LinePlan, NodePlan, Plan, PlanError};

/// One node as it was asked for.
#[derive(Clone, Debug)]
pub struct NodeRequest {
    /// What to call it.
    pub name: String,
    /// Where it is, and what was given along with it.
    pub invocation: Invocation,
    /// Its lines; none means one, to where the node is.
    pub lines: Vec<LineOverride>,
    /// Timing that was asked for.
    pub timing: TimingEntry,
    /// Paused by the operator.
    pub paused: bool,
    /// Words to choose it by.
    pub tags: Vec<String>,
}

/// Makes a plan of these, or says what is wrong with the first that cannot be carried out; a name that does not resolve is wrong.
pub async fn plan(preparer: &Preparer, requests: &[NodeRequest]) -> Result<Plan, PlanError> {
    let plan = lasting_plan(preparer, requests).await?;
    let lines = plan
        .nodes
        .iter()
        .flat_map(|node| node.lines.iter().map(|line| (Arc::clone(&node.name), line)));
    stream::iter(lines)
        .map(|(node, line)| check_address(node, line))
        .buffered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok(plan)
}

/// The same without a look at names: one that does not resolve today is its line's affair, and may do so tomorrow.
pub async fn lasting_plan(
    preparer: &Preparer,
    requests: &[NodeRequest],
) -> Result<Plan, PlanError> {
    if requests.is_empty() {
        return Err(PlanError::Empty);
    }
    let nodes: Vec<_> = stream::iter(requests)
        .map(|request| settle(preparer, request))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let plan = Plan {
        nodes,
        references: Vec::new(),
    };
    plan.check_names()?;
    Ok(plan)
}

/// Makes one node ready: settings, keys, known hosts. No name is resolved.
pub async fn settle(preparer: &Preparer, request: &NodeRequest) -> Result<NodePlan, PlanError> {
    let one = [LineOverride::default()];
    let wanted = if request.lines.is_empty() {
        &one[..]
    } else {
        &request.lines
    };
    let failed = |error| PlanError::Prepare {
        node: request.name.clone(),
        error: Box::new(error),
    };
    let mut lines = Vec::with_capacity(wanted.len());
    for line in wanted {
        let invocation = request.invocation.clone().with_line(line.clone());
        let settings = preparer.resolve(&invocation).await;
        let settings = settings.map_err(|error| failed(error.into()))?;
        let timing = timing(request.timing, &settings).map_err(|error| PlanError::Timing {
            node: request.name.clone(),
            error,
        })?;
        let name = line.name.clone().unwrap_or_else(|| name(line, &settings));
        let target = preparer.prepare(&invocation, settings, timing).await;
        lines.push(LinePlan {
            name: name.into(),
            timing,
            target: target.map_err(failed)?,
        });
    }
    Ok(NodePlan {
        name: request.name.as_str().into(),
        lines,
        paused: request.paused,
        tags: request.tags.clone().into(),
    })
}

/// What was asked for, then `ssh_config`'s ServerAliveInterval, ServerAliveCountMax and `ConnectTimeout`, then ours.
fn timing(asked: TimingEntry, settings: &Settings) -> Result<Timing, TimingError> {
    let interval = asked.interval.or(settings.server_alive_interval);
    let count = asked.count.or(settings.server_alive_count_max);
    let stage = asked.connect_timeout.or(settings.connect_timeout);
    let interval = interval.map_or(Ok(Interval::DEFAULT), Interval::new)?;
    let count = count.map_or(Ok(Count::DEFAULT), Count::new)?;
    let timing = Timing {
        interval,
        count,
        fuse: None,
        rise: asked.rise.unwrap_or(Timing::DEFAULT_RISE).max(1),
        stage_timeout: stage
            .filter(|stage| !stage.is_zero())
            .unwrap_or(Timing::DEFAULT_STAGE_TIMEOUT),
        detection: asked.detector.unwrap_or(Detection::Adaptive),
        patience: asked.patience,
        eager: asked.eager,
    };
    let fuse = match asked.fuse {
        // No fuse is longer than that.
        None if asked.patience == Some(Patience::Endless) => None,
        None => Some(Fuse::default_for(timing.bound())),
        Some(Duration::ZERO) => None,
        Some(fuse) => Some(Fuse::new(fuse, interval)?),
    };
    Ok(Timing { fuse, ..timing })
}

/// A line's name where none was given: what it dials, and by what.
fn name(line: &LineOverride, settings: &Settings) -> String {
    let mut name = match (settings.port, line.port) {
        (22, _) | (_, None) => settings.host.clone(),
        (port, Some(_)) if settings.host.contains(':') => format!("[{}]:{port}", settings.host),
        (port, Some(_)) => format!("{}:{port}", settings.host),
    };
    if let Some(interface) = &line.bind_interface {
        name.push('%');
        name.push_str(interface);
    } else if let Some(source) = &line.bind_address {
        name.push('%');
        name.push_str(&source.to_string());
    }
    if let Some(jump) = &line.jump {
        name.push_str(" via ");
        name.push_str(&jump.to_string());
    }
    name
}

/// Whether the name of what this line dials first resolves.
pub async fn check_address(node: Arc<str>, line: &LinePlan) -> Result<(), PlanError> {
    let failed = |error| PlanError::Resolve {
        node: node.to_string(),
        error,
    };
    match timeout(RESOLVE, addresses(&line.target)).await {
        Ok(None | Some(Ok(_))) => Ok(()),
        Ok(Some(Err(error))) => Err(failed(error)),
        Err(_) => Err(failed(ConnectError::Dns {
            host: line.target.settings().host.clone(),
            error: std::io::ErrorKind::TimedOut.into(),
        })),
    }
}

/// Nodes looked up at a time.
const AT_ONCE: usize = 16;
/// The longest wait for one name.
const RESOLVE: Duration = Duration::from_secs(10);
