//! What goes over the wire.

use heartline_core::Moment;

/// A segment; without messages, an acknowledgement alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// The first message in it.
    pub(crate) from: u64,
    /// The first message after it.
    pub(crate) to: u64,
    /// Every message before this one has come.
    pub(crate) ack: u64,
    /// Of those after it, which have come: the lowest bit is message `ack`, and is never set.
    pub(crate) selective: u64,
    /// When it left (`TSval` of RFC 7323).
    pub(crate) stamp: Moment,
    /// The stamp that it answers (`TSecr`).
    pub(crate) echo: Moment,
}

impl Packet {
    /// Whether message `number` has come, by this acknowledgement.
    pub(crate) fn has(&self, number: u64) -> bool {
        number < self.ack
            || (number - self.ack < 64 && self.selective >> (number - self.ack) & 1 == 1)
    }
}
