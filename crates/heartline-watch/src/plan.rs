//! What is to be watched: nodes, their lines, and how often.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use heartline_core::{Timing, TimingError};
use heartline_ssh::settings::Settings;
use heartline_ssh::{ConnectError, PrepareError, Target};
use thiserror::Error;

use crate::pace;

/// Everything to be watched, ready to be dialed.
#[derive(Clone, Default)]
pub struct Plan {
    /// The nodes, in the order given.
    pub nodes: Vec<NodePlan>,
    /// What answers near this watcher whenever its own side is well.
    pub references: Vec<SocketAddr>,
}

/// One node.
#[derive(Clone)]
pub struct NodePlan {
    /// Its name, as typed or as in the configuration.
    pub name: Arc<str>,
    /// Its lines, one at least.
    pub lines: Vec<LinePlan>,
    /// Watched, but paused by the operator.
    pub paused: bool,
    /// Words to choose it by.
    pub tags: Arc<[String]>,
}

/// One line.
#[derive(Clone)]
pub struct LinePlan {
    /// Its name within the node: `10.0.1.5%eth0`.
    pub name: Arc<str>,
    /// Its timing.
    pub timing: Timing,
    /// Where it goes.
    pub target: Arc<Target>,
}

impl LinePlan {
    /// Whether a line dialed by one of them needs nothing new for the other.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let (a, b): (&Settings, &Settings) = (self.target.settings(), other.target.settings());
        self.timing == other.timing && a == b
    }
}

impl Plan {
    /// How many lines there are in all.
    pub fn line_count(&self) -> usize {
        self.nodes.iter().map(|node| node.lines.len()).sum()
    }

    /// How often each of so many threads has to wake for these lines; none: for each event.
    pub(crate) fn tick(&self, threads: usize) -> Option<Duration> {
        let lines = self.nodes.iter().flat_map(|node| &node.lines);
        pace::tick(lines.map(|line| line.timing.interval), threads)
    }

    /// Two nodes, or two lines of a node, of one name could not be told apart.
    pub fn check_names(&self) -> Result<(), PlanError> {
        let mut nodes = HashSet::new();
        for node in &self.nodes {
            if !nodes.insert(&node.name) {
                let name = node.name.to_string();
                return Err(PlanError::TwoNodes { name });
            }
            let mut lines = HashSet::new();
            if let Some(twice) = node.lines.iter().find(|line| !lines.insert(&line.name)) {
                return Err(PlanError::TwoLines {
                    node: node.name.to_string(),
                    line: twice.name.to_string(),
                });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Plan({} nodes, {} lines)",
            self.nodes.len(),
            self.line_count()
        )
    }
}

/// Why a plan cannot be carried out. Nothing was started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Nothing to watch.
    #[error("no node to watch; name one, or list some in heartline.toml")]
    Empty,
    /// Two nodes of one name.
    #[error("two nodes are called {name:?}; give each a name of its own")]
    TwoNodes {
        /// The name.
        name: String,
    },
    /// Two lines of a node with one name.
    #[error("two lines of {node:?} are called {line:?}; give one a name=…")]
    TwoLines {
        /// The node.
        node: String,
        /// The line's name.
        line: String,
    },
    /// Something on our side is not in order.
    #[error("{node}: {error}")]
    Prepare {
        /// The node.
        node: String,
        /// What it is.
        error: Box<PrepareError>,
    },
    /// A time or a count is out of range.
    #[error("{node}: {error}")]
    Timing {
        /// The node.
        node: String,
        /// What it is.
        error: TimingError,
    },
    /// A name does not resolve.
    #[error("{node}: {error}; check the name, or give an address")]
    Resolve {
        /// The node.
        node: String,
        /// What it is.
        error: ConnectError,
    },
}
