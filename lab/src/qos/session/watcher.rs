//! The watcher's own program: beats in their turn, its detector, and the times in which it does not run.

use std::time::Duration;

use heartline_core::Moment;
use heartline_core::detect::{Adaptive, Doubt, Kernel};

use super::{Setup, Turn};
use crate::qos::Stall;
use crate::qos::weather::{Spell, Spells};

#[derive(Clone, Debug)]
pub(super) struct Watcher {
    interval: Duration,
    /// When the next beat is due.
    next: Moment,
    /// All beats, and those out of turn.
    pub(super) beats: u64,
    pub(super) extra: u64,
    unread: Option<Moment>,
    detector: Option<Adaptive>,
    stalls: Option<Stalls>,
}

#[derive(Clone, Debug)]
struct Stalls {
    spells: Spells,
    /// The one that is, or comes.
    spell: Spell,
    /// Those before, where there is no detector to be told.
    past: Vec<Stall>,
}

impl Watcher {
    pub(super) fn new(setup: Setup, detector: Option<Adaptive>) -> Self {
        let stalls = setup.climate.stalls(setup.seed).map(|mut spells| Stalls {
            spell: spells.coming(Moment::START),
            spells,
            past: Vec::new(),
        });
        Self {
            interval: setup.interval,
            next: Moment::START + setup.interval,
            beats: 0,
            extra: 0,
            unread: None,
            detector,
            stalls,
        }
    }

    /// Its next turn.
    pub(super) fn next(&self) -> (Moment, Turn) {
        let mut next = (self.awake(self.next), Turn::Beat);
        let look = self.detector.as_ref().and_then(Adaptive::poll_timeout);
        if let Some(look) = look
            .map(|look| self.awake(look))
            .filter(|look| *look < next.0)
        {
            next = (look, Turn::Look);
        }
        if let Some(read) = self
            .unread
            .map(|read| self.awake(read))
            .filter(|read| *read <= next.0)
        {
            next = (read, Turn::Read);
        }
        match &self.stalls {
            Some(stalls) if stalls.spell.to <= next.0 => (stalls.spell.to, Turn::Wake),
            _ => next,
        }
    }

    pub(super) fn has_unread(&self) -> bool {
        self.unread.is_some()
    }

    /// So many replies came; they are read as soon as it runs.
    pub(super) fn arrived(&mut self, replies: u64, now: Moment) {
        if replies > 0 {
            self.unread.get_or_insert(now);
        }
    }

    pub(super) fn read(&mut self, now: Moment) {
        self.unread = None;
        if let Some(detector) = &mut self.detector {
            detector.heard(now, self.next.max(now));
        }
    }

    /// Those that were due while it did not run leave all at once.
    pub(super) fn beat(&mut self) {
        self.beats += 1;
        self.next = self.next + self.interval;
    }

    pub(super) fn look(&mut self, now: Moment, kernel: Kernel) -> Option<Doubt> {
        let doubt = self.detector.as_mut()?.handle_timeout(now, Some(kernel));
        if doubt == Some(Doubt::Probe) {
            self.beats += 1;
            self.extra += 1;
        }
        doubt
    }

    pub(super) fn wake(&mut self) {
        let Some(stalls) = &mut self.stalls else {
            return;
        };
        let Spell { from, to, .. } = stalls.spell;
        stalls.spell = stalls.spells.coming(to);
        match &mut self.detector {
            Some(detector) => detector.stalled(to.saturating_since(from), to + READING),
            None => stalls.past.push(Stall {
                from: from.since_start(),
                to: to.since_start(),
            }),
        }
    }

    /// All times in which it did not run.
    pub(super) fn into_stalls(self) -> Vec<Stall> {
        self.stalls.map_or_else(Vec::new, |stalls| stalls.past)
    }

    /// The moment itself, if it runs; else when it runs again.
    fn awake(&self, at: Moment) -> Moment {
        let spell = self.stalls.as_ref().map(|stalls| stalls.spell);
        spell
            .filter(|spell| spell.from <= at && at < spell.to)
            .map_or(at, |spell| spell.to)
    }
}

/// After it has not run, it reads for so long before it judges.
const READING: Duration = Duration::from_millis(10);
