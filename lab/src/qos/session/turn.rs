//! What happens next.

use std::cmp::Ordering;

use heartline_core::Moment;

use crate::qos::tcp::Packet;
use crate::qos::weather::Way;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// What flies lands.
    Land,
    /// A timer of the kernel that sends this way.
    Timeout(Way),
    /// A delayed acknowledgement is due this way.
    Acknowledge(Way),
    /// The watcher runs again.
    Wake,
    /// It reads what has come.
    Read,
    /// It sends a beat in its turn.
    Beat,
    /// Its detector looks.
    Look,
}

/// Something under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) at: Moment,
    /// Of those that land at one moment, the one that left first is first.
    pub(super) order: u64,
    pub(super) flying: Flying,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Flying {
    Packet(Way, Packet),
    /// The peer works on its answers to so many beats.
    Answer(u64),
}

impl PartialEq for Flight {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Flight {}

impl PartialOrd for Flight {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Flight {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
