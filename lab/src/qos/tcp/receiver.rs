//! The receiving half: what has come in order, and when it is acknowledged.

use std::time::Duration;

use heartline_core::Moment;

use super::Packet;
use super::wheel::fires;

/// How a receiver acknowledges what comes in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// After 40 ms, if nothing goes that way before (RFC 5681, section 4.2).
    Delayed,
    /// As Linux does: at once, except where the answer is usually quick ("pingpong mode").
    Quick,
}

/// When a segment is to be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Now.
    Now,
    /// By its timer, or with what is sent before.
    Later,
}

#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    acks: Acks,
    /// Every message before this one has come.
    next: u64,
    /// Which after it have come; the lowest bit is `next` itself.
    ahead: u64,
    /// The stamp that is echoed.
    echo: Moment,
    /// What was acknowledged last.
    told: u64,
    pingpong: bool,
    last_data: Moment,
    timer: Option<Moment>,
}

impl Receiver {
    pub(crate) fn new(acks: Acks) -> Self {
        Self {
            acks,
            next: 0,
            ahead: 0,
            echo: Moment::START,
            told: 0,
            pingpong: false,
            last_data: Moment::START,
            timer: None,
        }
    }

    /// Every message before this one has come.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// A segment with messages came.
    pub(crate) fn came(&mut self, packet: &Packet, now: Moment) -> Due {
        if packet.from <= self.told && packet.to > self.told {
            self.echo = packet.stamp;
        }
        if packet.to <= self.next {
            return Due::Now;
        }
        let before = self.next;
        let had_gap = self.ahead != 0;
        for number in packet.from.max(self.next)..packet.to.min(self.next + 64) {
            self.ahead |= 1 << (number - before);
        }
        let is_early = self.ahead & 1 == 0;
        while self.ahead & 1 == 1 {
            self.ahead >>= 1;
            self.next += 1;
        }
        self.last_data = now;
        if had_gap || is_early || (self.acks == Acks::Quick && !self.pingpong) {
            return Due::Now;
        }
        if self.timer.is_none() {
            self.timer = Some(fires(now, DELAY));
        }
        Due::Later
    }

    /// A segment leaves, with the acknowledgement of all that has come; `has_data`, if not for that alone.
    pub(crate) fn leaves(&mut self, has_data: bool, now: Moment) -> (u64, u64, Moment) {
        self.timer = None;
        self.told = self.next;
        if has_data && now.saturating_since(self.last_data) < DELAY {
            self.pingpong = true;
        }
        (self.next, self.ahead, self.echo)
    }

    /// When the delayed acknowledgement is due.
    pub(crate) fn timer(&self) -> Option<Moment> {
        self.timer
    }

    /// It is: the answer was not quick.
    pub(crate) fn handle_timeout(&mut self) {
        self.timer = None;
        self.pingpong = false;
    }
}

/// `TCP_DELACK_MIN`.
const DELAY: Duration = Duration::from_millis(40);
