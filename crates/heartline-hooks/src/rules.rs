//! What follows from an event for each hook. No I/O and no clock: the time is the event's.

use std::collections::HashMap;
use std::sync::Arc;

use heartline_journal::{Change, Opened, Rules};
use heartline_watch::Told;
use heartline_watch::board::Noted;
use heartline_watch::config::Subject;

use crate::hook::Hooks;
use crate::letter::Facts;
use crate::outbox::Outbox;

use known::Known;
use step::Step;

mod known;
mod step;

/// What each node is tagged with.
pub type Tags = HashMap<Arc<str>, Arc<[String]>>;

/// See the module.
#[derive(Debug)]
pub struct HookRules {
    hooks: Hooks,
    outbox: Outbox,
    /// What each hook knows of each subject, in the order of the hooks.
    known: Vec<HashMap<String, Known>>,
    /// As the plan has them, and as each verdict says since; lines have none of their own.
    tags: Tags,
    /// What hooks knew that are no more, to be forgotten.
    stale: Vec<Change>,
}

impl HookRules {
    /// For these hooks, with what the journal remembers that they know: hook, subject, JSON.
    pub fn new(
        hooks: &Hooks,
        outbox: &Outbox,
        remembered: &[(String, String, String)],
        tags: Tags,
    ) -> Self {
        let mut known = vec![HashMap::new(); hooks.count()];
        let mut stale = Vec::new();
        for (name, subject, what) in remembered {
            let place = hooks.all().iter().position(|hook| *hook.name == **name);
            let of_hook = place.and_then(|place| known.get_mut(place));
            match (of_hook, Known::parse(what)) {
                (Some(of_hook), Some(what)) => {
                    of_hook.insert(subject.clone(), what);
                }
                _ => stale.push(Change::Knows {
                    hook: name.clone(),
                    subject: subject.clone(),
                    what: None,
                }),
            }
        }
        let pending = known.iter().flat_map(HashMap::values);
        let pending = pending.filter_map(|known| Some(known.pending.as_ref()?.key.as_str()));
        outbox.hasten_all_but(&pending.collect());
        Self {
            hooks: hooks.clone(),
            outbox: outbox.clone(),
            known,
            tags,
            stale,
        }
    }
}

impl Rules for HookRules {
    fn everything(&self) -> Vec<Change> {
        let hooks = self.hooks.all().iter().zip(&self.known);
        let known = hooks.flat_map(|(hook, known)| {
            known.iter().map(|(subject, known)| Change::Knows {
                hook: hook.name.to_string(),
                subject: subject.clone(),
                what: known.to_json(),
            })
        });
        let messages = self.outbox.lock().messages();
        known.chain(messages.into_iter().map(Change::Put)).collect()
    }

    fn recall(&mut self, opened: &Opened) {
        for (name, subject, what) in &opened.known {
            let place = self
                .hooks
                .all()
                .iter()
                .position(|hook| *hook.name == **name);
            let of_hook = place.and_then(|place| self.known.get_mut(place));
            if let (Some(of_hook), Some(what)) = (of_hook, Known::parse(what)) {
                of_hook.entry(subject.clone()).or_insert(what);
            }
        }
        self.outbox.recall(&self.hooks, &opened.waiting);
    }

    fn judge(&mut self, noted: &Noted) -> Vec<Change> {
        let mut changes = std::mem::take(&mut self.stale);
        if let Told::Node(node) = &noted.told {
            let known = self.tags.get(&node.node);
            if known.map_or(!node.tags.is_empty(), |tags| *tags != node.tags) {
                self.tags
                    .insert(Arc::clone(&node.node), Arc::clone(&node.tags));
            }
        }
        let Some(facts) = Facts::of(&noted.told) else {
            return changes;
        };
        let tags = facts.node.and_then(|node| self.tags.get(node));
        let tags = tags.map_or(&[][..], |tags| tags);
        let mut subject = None;
        for (hook, known) in self.hooks.all().iter().zip(&mut self.known) {
            // The watcher has neither name nor tags to choose it by.
            let is_wanted = facts.of == Subject::Watcher
                || facts.node.is_some_and(|node| hook.wants(node, tags));
            if !hook.is_of(facts.of) || !is_wanted {
                continue;
            }
            let subject: &String = subject.get_or_insert_with(|| facts.subject());
            let before = known.get(subject).cloned().unwrap_or_default();
            let step = Step {
                hook,
                outbox: &self.outbox,
                subject,
                facts: &facts,
                tags,
                noted,
                known: before.clone(),
                changes: &mut changes,
            };
            let after = step.take();
            if after == before {
                continue;
            }
            changes.push(Change::Knows {
                hook: hook.name.to_string(),
                subject: subject.clone(),
                what: after.to_json(),
            });
            known.insert(subject.clone(), after);
        }
        changes
    }
}

#[cfg(test)]
mod tests;
