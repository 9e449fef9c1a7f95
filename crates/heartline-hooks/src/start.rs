//! A journal and the hooks that live on it, started together.

use std::io;

use heartline_journal::{Journal, JournalError, Keeper, Opened, Opening};

use crate::deliver::Deliverer;
use crate::hook::Hooks;
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::rules::{HookRules, Tags};

/// What runs.
#[derive(Debug)]
pub struct Started {
    /// Who is told of events.
    pub journal: Journal,
    /// The journal's thread; it is waited for after `journal.end()`.
    pub keeper: Keeper,
    /// The hooks' thread, to be ended before the journal; none, where there is no hook.
    pub deliverer: Option<Deliverer>,
}

/// Starts both. `opened` is what the journal remembers, `tags` what the nodes of the plan are tagged with.
pub fn start(
    opening: Opening,
    opened: &Opened,
    hooks: &Hooks,
    tags: Tags,
    limits: Limits,
) -> Result<Started, JournalError> {
    let outbox = Outbox::new(hooks, &opened.waiting, &limits);
    let rules = HookRules::new(hooks, &outbox, &opened.known, tags);
    let to = outbox.clone();
    let deliver = move |changes| to.changes(changes);
    let (journal, keeper) = opening.start(Box::new(rules), Box::new(deliver))?;
    // Messages of hooks that are no more want to be let go, too.
    let is_needed = hooks.count() > 0 || !opened.waiting.is_empty();
    let deliverer = is_needed
        .then(|| Deliverer::start(hooks.clone(), outbox, journal.clone(), limits))
        .transpose()
        .map_err(|error: io::Error| JournalError::Thread(error))?;
    Ok(Started {
        journal,
        keeper,
        deliverer,
    })
}
