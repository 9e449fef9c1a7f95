//! A hook as it is used: what the file says of it, checked whole before anything is started.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use globset::GlobSet;
use heartline_core::Cause;
use heartline_watch::config::{HookEntry, State, Subject};

use crate::mail::Mailer;
use crate::program::Program;
use crate::webhook::{SharedClient, Webhook};

mod check;
mod error;
mod secret;

pub use error::HookError;
pub(crate) use secret::Secret;

/// All hooks of a watcher. Clones are the same.
#[derive(Clone, Debug)]
pub struct Hooks(Arc<[Hook]>);

/// One hook.
#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) name: Arc<str>,
    subjects: Vec<Subject>,
    states: Vec<State>,
    /// None: any node.
    nodes: Option<GlobSet>,
    causes: Vec<Cause>,
    tags: Vec<String>,
    pub(crate) after: Duration,
    /// Zero: nothing counts as flapping.
    pub(crate) settle: Duration,
    pub(crate) timeout: Duration,
    pub(crate) action: Action,
}

/// What it does. Nothing of it is a secret that its Debug shows.
#[derive(Debug)]
pub(crate) enum Action {
    Run(Program),
    Post(Webhook),
    Mail(Mailer),
}

impl Hooks {
    /// Checks what the file says, and reads the secrets that it names.
    pub fn new(entries: &[HookEntry]) -> Result<Self, HookError> {
        let (mut names, mut client) = (HashSet::new(), SharedClient::default());
        let hooks = entries.iter().map(|entry| {
            let hook = check::hook(entry, &mut client)?;
            if !names.insert(Arc::clone(&hook.name)) {
                let hook = entry.name.clone();
                return Err(HookError::Twice { hook });
            }
            Ok(hook)
        });
        Ok(Self(hooks.collect::<Result<_, _>>()?))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn all(&self) -> &[Hook] {
        &self.0
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Hook> {
        self.0.iter().find(|hook| &*hook.name == name)
    }
}

impl Hook {
    /// Whether it is told of such things at all.
    pub(crate) fn is_of(&self, subject: Subject) -> bool {
        self.subjects.contains(&subject)
    }

    /// Whether it is told of this node.
    pub(crate) fn wants(&self, node: &str, tags: &[String]) -> bool {
        let is_named = self.nodes.as_ref().is_none_or(|nodes| nodes.is_match(node));
        is_named && (self.tags.is_empty() || self.tags.iter().any(|tag| tags.contains(tag)))
    }

    /// Whether the state is one that it asked for.
    pub(crate) fn names(&self, state: State) -> bool {
        self.states.contains(&state)
    }

    /// Whether it is told of this state for this cause. What is up has none: a hook for some causes is told of it as a return alone.
    pub(crate) fn lists(&self, state: State, cause: Option<Cause>) -> bool {
        let is_for = || cause.is_some_and(|cause| self.causes.contains(&cause));
        self.names(state) && (self.causes.is_empty() || is_for())
    }

    /// Whether a subject in this state is back from a fall.
    pub(crate) fn is_return(&self, state: State) -> bool {
        state == State::Up || (state == State::Degraded && !self.names(State::Degraded))
    }

    /// Whether that is a state that one can be back from.
    pub(crate) fn is_fall(&self, told: Option<State>) -> bool {
        told.is_some_and(|told| told != State::Up && self.names(told))
    }

    /// The longest that a message may wait for its time.
    pub(crate) fn longest_wait(&self) -> Duration {
        self.after.max(self.settle)
    }
}
