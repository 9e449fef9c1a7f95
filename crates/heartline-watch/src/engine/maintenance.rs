//! Nodes that somebody has paused by hand, for a while or until told otherwise.

use std::time::Duration;

use heartline_core::{LineState, Moment};

use super::{Engine, NodeSlot};
use crate::driver::Command;

/// What was said by hand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ByHand {
    is_paused: bool,
    until: Option<Moment>,
}

impl Engine {
    /// Nobody dials these nodes, and what stands to them is ended, until they are resumed, or for so long. With no names: all. Names that
    /// are not watched are passed over.
    pub fn pause(&mut self, names: &[String], time: Option<Duration>) {
        let until = time.map(|time| self.now() + time);
        self.set_by_hand(
            names,
            ByHand {
                is_paused: true,
                until,
            },
        );
        if let Some(until) = until {
            self.look_by(until);
        }
    }

    /// Takes that back. What the configuration pauses stays paused.
    pub fn resume(&mut self, names: &[String]) {
        self.set_by_hand(names, ByHand::default());
    }

    fn set_by_hand(&mut self, names: &[String], by_hand: ByHand) {
        for slot in &mut self.nodes {
            if names.is_empty() || names.iter().any(|name| **name == *slot.name) {
                slot.by_hand = by_hand;
            }
        }
        self.tell_pauses();
    }

    /// Those whose time is over; when to look again.
    pub(super) fn end_pauses(&mut self, now: Moment) -> Option<Moment> {
        for slot in &mut self.nodes {
            if slot.by_hand.until.is_some_and(|until| until <= now) {
                slot.by_hand = ByHand::default();
            }
        }
        self.tell_pauses();
        self.nodes
            .iter()
            .filter_map(|slot| slot.by_hand.until)
            .min()
    }

    /// Tells every driver whose line is not as it should be; and again a little later, until all are.
    fn tell_pauses(&mut self) {
        let mut pending = false;
        for slot in &self.nodes {
            for line in slot.lines.iter().filter_map(|key| self.lines.get(key)) {
                if (line.state == LineState::Paused) != slot.is_paused() {
                    pending = true;
                    let _ = line.commands.try_send(Command::Pause(slot.is_paused()));
                }
            }
        }
        if pending {
            self.look_by(self.now() + AGAIN);
        }
    }
}

/// A driver that is told does it at once, unless it is starved.
const AGAIN: Duration = Duration::from_millis(200);

impl NodeSlot {
    pub(super) fn is_paused(&self) -> bool {
        self.by_config || self.by_hand.is_paused
    }
}
