//! A trace in the making.

use std::time::Duration;

use heartline_core::Moment;

use super::Setup;
use crate::qos::tcp::Packet;
use crate::qos::{Sending, Stall, Trace};

#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    beats: Vec<Sending>,
    /// All replies before this one have come.
    came: u64,
}

impl Log {
    pub(super) fn with_capacity(beats: usize) -> Self {
        Self {
            beats: Vec::with_capacity(beats + 64),
            came: 0,
        }
    }

    /// Whether all is known of so many beats.
    pub(super) fn has(&self, beats: usize) -> bool {
        usize::try_from(self.came).is_ok_and(|came| came >= beats)
    }

    pub(super) fn sent(&mut self, now: Moment) {
        self.beats.push(Sending {
            sent: now.since_start(),
            left: Duration::MAX,
            came: None,
        });
    }

    /// A packet with replies came, and all before `upto` can be read now. A reply has left when the packet left that brought it: one
    /// that is lost in a crash does not come again.
    pub(super) fn came(&mut self, packet: &Packet, upto: u64, now: Moment) {
        for beat in range(&mut self.beats, packet.from, packet.to) {
            beat.left = beat.left.min(packet.stamp.since_start());
        }
        for beat in range(&mut self.beats, self.came, upto) {
            beat.came = Some(now.since_start());
        }
        self.came = self.came.max(upto);
    }

    pub(super) fn into_trace(mut self, setup: Setup, beats: usize, stalls: Vec<Stall>) -> Trace {
        self.beats.truncate(beats);
        Trace {
            name: setup.climate.name().to_owned(),
            interval: setup.interval,
            beats: self.beats,
            stalls,
        }
    }
}

fn range(beats: &mut [Sending], from: u64, to: u64) -> &mut [Sending] {
    let index = |number| usize::try_from(number).unwrap_or(usize::MAX);
    beats.get_mut(index(from)..index(to)).unwrap_or_default()
}
