//! The sending half: what is not acknowledged, when it is repeated, and how much may be under way.

mod acks;
mod timers;
mod window;

use std::collections::VecDeque;
use std::time::Duration;

use heartline_core::Moment;
use heartline_core::detect::Kernel;

use super::round_trip::RoundTrip;
use super::wheel::tick;
use acks::Newest;
use timers::Timer;
use window::Window;

#[derive(Clone, Debug)]
pub(crate) struct Sender {
    /// Whether the timeout of a thin stream is not doubled.
    thin: bool,
    /// Sent, and not acknowledged.
    segments: VecDeque<Segment>,
    /// The first message not acknowledged, the first not sent, the first not written.
    una: u64,
    next: u64,
    written: u64,
    state: State,
    /// Until this one is acknowledged, the state stays.
    high: u64,
    window: Window,
    round_trip: RoundTrip,
    newest: Newest,
    /// A probe for a lost tail is under way, and is answered when this one is acknowledged.
    probed: Option<u64>,
    timer: Option<(Timer, Moment)>,
    /// The timeout as it stands, doubled or not, and how often it has passed in a row.
    timeout: Duration,
    timeouts: u32,
    /// To be sent whatever the window says.
    urgent: Option<Urgent>,
    /// When the first repetition of this loss left.
    repeated: Option<Moment>,
    last_ack: Moment,
}

/// As `tcpi_ca_state` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Disorder,
    Recovery,
    Loss,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgent {
    First,
    Last,
    New,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    from: u64,
    to: u64,
    /// When it was sent last.
    sent: Moment,
    /// Whether more than once.
    is_repeated: bool,
    has_come: bool,
    is_lost: bool,
}

impl Segment {
    /// Whether it takes room in the window.
    fn is_under_way(&self) -> bool {
        !self.has_come && !self.is_lost
    }
}

impl Sender {
    /// For a new connection; `thin`, if it asked for timeouts that are not doubled.
    pub(crate) fn new(thin: bool, now: Moment) -> Self {
        let round_trip = RoundTrip::default();
        Self {
            thin,
            segments: VecDeque::with_capacity(8),
            una: 0,
            next: 0,
            written: 0,
            state: State::Open,
            high: 0,
            window: Window::new(),
            timeout: round_trip.timeout(),
            round_trip,
            newest: Newest::default(),
            probed: None,
            timer: None,
            timeouts: 0,
            urgent: None,
            repeated: None,
            last_ack: now,
        }
    }

    /// So many messages more are to be sent.
    pub(crate) fn write(&mut self, messages: u64) {
        self.written += messages;
    }

    /// The messages of the next segment that may leave now.
    pub(crate) fn poll_transmit(&mut self, now: Moment) -> Option<(u64, u64)> {
        match self.urgent.take() {
            Some(Urgent::First) if !self.segments.is_empty() => return self.repeat(0, now),
            Some(Urgent::Last) if !self.segments.is_empty() => {
                return self.repeat(self.segments.len() - 1, now);
            }
            Some(Urgent::New) if self.next < self.written => return Some(self.send(now)),
            _ => {}
        }
        if self.under_way() >= self.window.size {
            return None;
        }
        if let Some(lost) = self.segments.iter().position(|segment| segment.is_lost) {
            if lost == 0 {
                self.set(Timer::Timeout, now, self.timeout);
            }
            return self.repeat(lost, now);
        }
        (self.next < self.written).then(|| {
            let was_empty = self.segments.is_empty();
            let sent = self.send(now);
            self.sent_new(was_empty, now);
            sent
        })
    }

    /// What `TCP_INFO` says.
    pub(crate) fn info(&self, now: Moment) -> Kernel {
        Kernel {
            round_trip: self.round_trip.smoothed(),
            variation: self.round_trip.deviation(),
            last_ack: tick(now).saturating_since(tick(self.last_ack)),
            all_acked: self.una == self.written,
            recovers: self.state != State::Open,
        }
    }

    fn send(&mut self, now: Moment) -> (u64, u64) {
        let (from, to) = (self.next, self.written);
        self.next = to;
        self.segments.push_back(Segment {
            from,
            to,
            sent: now,
            is_repeated: false,
            has_come: false,
            is_lost: false,
        });
        self.window.used(self.segments.len());
        (from, to)
    }

    /// Sends a segment again, and what follows it with it, up to what has come (`tcp_retrans_try_collapse`).
    fn repeat(&mut self, index: usize, now: Moment) -> Option<(u64, u64)> {
        while self
            .segments
            .get(index + 1)
            .is_some_and(|next| !next.has_come)
        {
            let next = self.segments.remove(index + 1)?;
            self.segments.get_mut(index)?.to = next.to;
        }
        self.repeated.get_or_insert(now);
        let segment = self.segments.get_mut(index)?;
        segment.sent = now;
        segment.is_repeated = true;
        segment.is_lost = false;
        Some((segment.from, segment.to))
    }

    fn under_way(&self) -> usize {
        let under_way = self
            .segments
            .iter()
            .filter(|segment| segment.is_under_way());
        under_way.count()
    }
}
