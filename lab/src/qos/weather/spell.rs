//! Spells: times in which something is the case.

use std::time::Duration;

use heartline_core::Moment;

use super::chance::{Chance, Spread};

/// Spells one after another, apart from each other.
#[derive(Clone, Debug)]
pub(crate) struct Spells {
    chance: Chance,
    /// Between two, on average.
    apart: Duration,
    length: Spread,
    size: Spread,
    current: Spell,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spell {
    /// The first moment of it, and the first after it.
    pub(crate) from: Moment,
    pub(crate) to: Moment,
    /// How much of it.
    pub(crate) size: Duration,
}

impl Spells {
    pub(super) fn new(seed: u64, apart: Duration, length: Spread, size: Spread) -> Self {
        let mut new = Self {
            chance: Chance::new(seed),
            apart,
            length,
            size,
            current: Spell {
                from: Moment::START,
                to: Moment::START,
                size: Duration::ZERO,
            },
        };
        new.current = new.next();
        new
    }

    /// The spell of this moment; to be asked in the order of time.
    pub(super) fn at(&mut self, now: Moment) -> Option<Spell> {
        Some(self.coming(now)).filter(|spell| spell.from <= now)
    }

    /// The spell of this moment, or the next.
    pub(crate) fn coming(&mut self, now: Moment) -> Spell {
        while self.current.to <= now {
            self.current = self.next();
        }
        self.current
    }

    fn next(&mut self) -> Spell {
        let from = self.current.to + self.chance.until(self.apart);
        Spell {
            from,
            to: from + self.chance.draw(self.length).max(LEAST),
            size: self.chance.draw(self.size),
        }
    }
}

/// No spell is shorter, so that there is always a next one.
const LEAST: Duration = Duration::from_micros(1);
