//! What can be told of a file by itself: nothing is looked up, opened or dialed.

use std::collections::HashMap;
use std::time::Duration;

use heartline_core::{Count, Interval, TimingError};
use heartline_ssh::settings::{Destination, DestinationError};

use super::draft::Draft;
use super::file::{NodeEntry, TimingEntry};
use super::outlets::HookEntry;
use super::reference::parse_reference;
use super::tree::Step;

impl Draft<'_> {
    /// Looks at all that could be read, and notes what is wrong with it.
    pub fn check(&mut self) {
        let file = self.file.clone();
        self.check_references(&file.references);
        self.check_timing(&[Step::Key("defaults")], file.defaults);
        self.check_outlets(&file);
        let mut names = HashMap::new();
        for (at, node) in file.nodes.iter().enumerate() {
            self.check_node(at, node);
            let steps = [Step::Key("node"), Step::At(at), Step::Key("name")];
            if let Some(first) = names.insert(&node.name, at) {
                let line = self.line_of(&["node".into(), first.into(), "name".into()]);
                let what = format!(
                    "two nodes are called {:?}, this one and that of line {line}; give each a name of its own",
                    node.name
                );
                self.mistaken(&steps, &what);
                names.insert(&node.name, first);
            }
        }
        self.check_hooks(&file.hooks);
        self.warn_of_hooks(&file.hooks, &file.nodes);
        if file.nodes.is_empty() && self.mistakes.is_empty() {
            self.warn(
                &[],
                "no [[node]]: nothing is watched unless nodes are named",
            );
        }
        self.sort();
    }

    fn line_of(&self, steps: &[Step]) -> usize {
        self.place(steps).line()
    }

    fn check_references(&mut self, references: &[String]) {
        for (at, text) in references.iter().enumerate() {
            let steps = [Step::Key("reference"), Step::At(at)];
            if let Err(error) = parse_reference(text) {
                self.mistaken(&steps, &error.to_string());
            }
            if at == MOST_REFERENCES {
                let what = format!("only the first {MOST_REFERENCES} references are asked");
                self.warn(&steps, &what);
            }
        }
    }

    /// What is out of range wherever it stands; what depends on other settings shows when a node is settled.
    fn check_timing(&mut self, steps: &[Step], timing: TimingEntry) {
        let interval = timing.interval.map(Interval::new).and_then(Result::err);
        let count = timing.count.map(Count::new).and_then(Result::err);
        for error in interval.into_iter().chain(count) {
            self.mistimed(steps, &error);
        }
    }

    /// Notes what is wrong with the timing of the table there.
    pub fn mistimed(&mut self, steps: &[Step], error: &TimingError) {
        let mut steps = steps.to_vec();
        steps.push(Step::Key(field(error)));
        self.mistaken(&steps, &error.to_string());
    }

    fn check_node(&mut self, at: usize, node: &NodeEntry) {
        let steps = [Step::Key("node"), Step::At(at)];
        let there = |key: &'static str| [Step::Key("node"), Step::At(at), Step::Key(key)];
        let destination = node.host.as_deref().unwrap_or(&node.name);
        let part = if node.host.is_some() { "host" } else { "name" };
        if let Err(error) = destination.parse::<Destination>() {
            self.mistaken(&there(part), &error.to_string());
        }
        if let Err(error) = user_is_one(node.user.as_deref()) {
            self.mistaken(&there("user"), &error.to_string());
        }
        if node.port == Some(0) {
            self.mistaken(&there("port"), "the port is `0`, expected 1 to 65535");
        }
        self.check_timing(&steps, node.timing());
        for (i, line) in node.lines.iter().enumerate() {
            if let Err(error) = line.to_line() {
                let mut steps = there("line").to_vec();
                steps.push(Step::At(i));
                self.mistaken(&steps, &error.to_string());
            }
        }
    }

    fn check_outlets(&mut self, file: &super::file::ConfigFile) {
        let interval = file.heartbeat.interval;
        if interval.is_some_and(|interval| interval < LEAST_HEARTBEAT) {
            let what = format!("give {LEAST_HEARTBEAT:?} or more");
            self.mistaken(&["heartbeat".into(), "interval".into()], &what);
        }
        let is_web = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        if file.heartbeat.url.as_ref().is_some_and(|url| !is_web(url)) {
            let what = "give an address that begins with http:// or https://";
            self.mistaken(&["heartbeat".into(), "url".into()], what);
        }
    }

    fn check_hooks(&mut self, hooks: &[HookEntry]) {
        let mut names = HashMap::new();
        for (at, hook) in hooks.iter().enumerate() {
            let here = [Step::Key("hook"), Step::At(at)];
            let name = [Step::Key("hook"), Step::At(at), Step::Key("name")];
            if !is_name(&hook.name) {
                let what = format!(
                    "{:?} is no name of a hook; give a-z, 0-9, `-` and `_`, 1 to {LONGEST_NAME} of them",
                    hook.name
                );
                self.mistaken(&name, &what);
            }
            if let Some(first) = names.insert(&hook.name, at) {
                let line = self.line_of(&["hook".into(), first.into(), "name".into()]);
                let what = format!(
                    "two hooks are called {:?}, this one and that of line {line}; give each a name of its own",
                    hook.name
                );
                self.mistaken(&name, &what);
                names.insert(&hook.name, first);
            }
            let ways = [hook.run.is_some(), hook.url.is_some(), hook.mail.is_some()];
            match ways.iter().filter(|given| **given).count() {
                1 => {}
                0 => self.mistaken(
                    &here,
                    "the hook does nothing; give it one of run, url and mail",
                ),
                _ => self.mistaken(
                    &here,
                    "the hook has more than one of run, url and mail; give each a hook of its own",
                ),
            }
            if hook.run.as_ref().is_some_and(Vec::is_empty) {
                let run = [Step::Key("hook"), Step::At(at), Step::Key("run")];
                self.mistaken(&run, "run names no program; give it and its arguments");
            }
        }
    }

    /// A hook for a tag that no node has is never told of anything.
    fn warn_of_hooks(&mut self, hooks: &[HookEntry], nodes: &[NodeEntry]) {
        for (at, hook) in hooks.iter().enumerate() {
            for (i, tag) in hook.tags.iter().enumerate() {
                if !nodes.iter().any(|node| node.tags.contains(tag)) {
                    let steps = ["hook".into(), at.into(), "tag".into(), i.into()];
                    self.warn(&steps, &format!("no node has the tag {tag:?}"));
                }
            }
            for (i, name) in hook.nodes.iter().enumerate() {
                let is_plain = !name.contains(['*', '?']);
                if is_plain && !nodes.iter().any(|node| node.name == *name) {
                    let steps = ["hook".into(), at.into(), "node".into(), i.into()];
                    self.warn(&steps, &format!("no node is called {name:?}"));
                }
            }
        }
    }
}

/// What the error is about.
fn field(error: &TimingError) -> &'static str {
    match error {
        TimingError::IntervalZero | TimingError::IntervalRange { .. } => "interval",
        TimingError::CountZero | TimingError::CountRange { .. } => "count",
        _ => "fuse",
    }
}

fn user_is_one(user: Option<&str>) -> Result<(), DestinationError> {
    Destination::new(user, "host", None).map(drop)
}

fn is_name(name: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(is_fine)
}

const LEAST_HEARTBEAT: Duration = Duration::from_secs(5);
const LONGEST_NAME: usize = 64;
/// As the engine asks.
const MOST_REFERENCES: usize = 16;
