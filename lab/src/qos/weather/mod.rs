//! What a way through a network does to packets: seeded, and a function of the moment alone, so that two runs over the same weather
//! differ in nothing but what they send.
//!
//! A way delays (a route, jitter, queues), holds back (a radio that resumes), and loses (at random, in bursts, while routes change).
//! It keeps packets in order.

mod chance;
mod climate;
mod spell;

use std::time::Duration;

use heartline_core::Moment;

pub use climate::Climate;

pub(super) use spell::{Spell, Spells};

use chance::{Chance, Spread};

/// Both ways between two ends.
#[derive(Clone, Debug)]
pub(super) struct Weather {
    seed: u64,
    delay: [Duration; 2],
    jitter: Spread,
    /// Chance of a packet to be lost on a good day.
    loss: f64,
    effects: Vec<Effect>,
    /// What was sent last arrives then.
    last: [Moment; 2],
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the peer.
    Forth,
    /// To the watcher.
    Back,
}

impl Way {
    /// The way back from there.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Forth => Self::Back,
            Self::Back => Self::Forth,
        }
    }
}

/// Something that comes and goes.
#[derive(Clone, Debug)]
struct Effect {
    kind: Kind,
    /// One for both ways, or one for each.
    spells: Vec<Spells>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A queue: the spell's size is added to the delay, and a packet finds it full with this chance.
    Queue(f64),
    /// Nothing passes until it is over, and then all of it does.
    Hold,
    /// A packet is lost with this chance.
    Loss(f64),
    /// Another route: its size is added to the delay, and what is sent in the spell's first moments is lost.
    Route(Spread),
}

impl Weather {
    /// When a packet comes that is sent now; none, if it is lost. To be asked in the order of time.
    pub(super) fn pass(&mut self, way: Way, now: Moment) -> Option<Moment> {
        let index = usize::from(way == Way::Back);
        let mut chance = Chance::at(self.seed.wrapping_add(1 + u64::from(way == Way::Back)), now);
        let mut leaves = now;
        let mut delay =
            self.delay.get(index).copied().unwrap_or_default() + chance.draw(self.jitter);
        let mut is_lost = chance.happens(self.loss);
        for effect in &mut self.effects {
            let which = index.min(effect.spells.len().saturating_sub(1));
            let Some(spell) = effect
                .spells
                .get_mut(which)
                .and_then(|spells| spells.at(now))
            else {
                continue;
            };
            match effect.kind {
                Kind::Queue(full) => {
                    delay += spell.size;
                    is_lost |= chance.happens(full);
                }
                Kind::Hold => leaves = leaves.max(spell.to),
                Kind::Loss(share) => is_lost |= chance.happens(share),
                Kind::Route(outage) => {
                    delay += spell.size;
                    let outage = Chance::at(self.seed, spell.from).draw(outage);
                    is_lost |= now < spell.from + outage;
                }
            }
        }
        if is_lost {
            return None;
        }
        let last = self.last.get_mut(index)?;
        *last = (*last).max(leaves + delay);
        Some(*last)
    }
}
