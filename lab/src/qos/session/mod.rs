//! A session in virtual time: a watcher that beats, a peer that answers, TCP between them, and a network with weather.
//!
//! Everything is a turn of one queue; the watcher acts only while it runs, the kernels always. Time is that of a [`Moment`], and
//! nothing here looks at a clock or draws chance but from the seed.

mod log;
mod turn;
mod watcher;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use heartline_core::Moment;
use heartline_core::detect::{Adaptive, Doubt};

use super::Trace;
use super::tcp::{Acks, Due, Packet, Receiver, Sender};
use super::weather::{Climate, Way, Weather};
use log::Log;
use turn::{Flight, Flying, Turn};
use watcher::Watcher;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The weather of the network and of the watcher.
    pub climate: Climate,
    /// The same seed gives the same weather.
    pub seed: u64,
    /// Between two beats.
    pub interval: Duration,
    /// How both kernels acknowledge.
    pub acks: Acks,
    /// Whether the watcher's socket asks that the timeout of a thin stream is not doubled.
    pub thin: bool,
}

/// A session under way.
#[derive(Clone, Debug)]
pub(super) struct Session {
    now: Moment,
    weather: Weather,
    ends: [End; 2],
    flights: BinaryHeap<Reverse<Flight>>,
    launched: u64,
    watcher: Watcher,
    has_crashed: bool,
    log: Option<Log>,
}

/// What the watcher made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The peer is taken for dead.
    Dead,
    /// It was heard.
    Alive,
}

/// One kernel's half.
#[derive(Clone, Debug)]
struct End {
    sender: Sender,
    receiver: Receiver,
}

impl Setup {
    /// What comes of beats that are never sent out of turn, for as many of them.
    pub fn trace(self, beats: usize) -> Trace {
        let mut session = Session::new(self, None);
        session.log = Some(Log::with_capacity(beats));
        while session.log.as_ref().is_some_and(|log| !log.has(beats)) {
            session.step();
        }
        let stalls = session.watcher.into_stalls();
        let log = session.log.unwrap_or_default();
        log.into_trace(self, beats, stalls)
    }
}

impl Session {
    /// Begins one; without a detector, beats leave only in their turn.
    pub(super) fn new(setup: Setup, detector: Option<Adaptive>) -> Self {
        let start = Moment::START;
        let end = |thin| End {
            sender: Sender::new(thin, start),
            receiver: Receiver::new(setup.acks),
        };
        Self {
            now: start,
            weather: setup.climate.weather(setup.seed),
            ends: [end(setup.thin), end(false)],
            flights: BinaryHeap::new(),
            launched: 0,
            watcher: Watcher::new(setup, detector),
            has_crashed: false,
            log: None,
        }
    }

    /// The present.
    pub(super) fn now(&self) -> Moment {
        self.now
    }

    /// Beats so far, and how many of them were out of turn.
    pub(super) fn beats(&self) -> (u64, u64) {
        (self.watcher.beats, self.watcher.extra)
    }

    /// When the next turn is.
    pub(super) fn next_at(&self) -> Moment {
        self.next().0
    }

    /// The peer's machine stops, now or at the next turn: nothing comes from it any more but what is under way.
    pub(super) fn crash(&mut self) {
        self.has_crashed = true;
        self.log = None;
    }

    /// Whether nothing can come any more that left the peer before its crash.
    pub(super) fn is_settled(&self) -> bool {
        let mut flights = self.flights.iter();
        !flights.any(|Reverse(flight)| matches!(flight.flying, Flying::Packet(Way::Back, _)))
            && !self.watcher.has_unread()
    }

    /// Takes the next turn.
    pub(super) fn step(&mut self) -> Option<Verdict> {
        let (at, turn) = self.next();
        self.now = self.now.max(at);
        let at = self.now;
        match turn {
            Turn::Land => self.land(),
            Turn::Timeout(way) => {
                self.end(way).sender.handle_timeout(at);
                self.transmit(way);
            }
            Turn::Acknowledge(way) => {
                self.end(way).receiver.handle_timeout();
                self.launch(way, None);
            }
            Turn::Wake => self.watcher.wake(),
            Turn::Read => {
                self.watcher.read(at);
                return Some(Verdict::Alive);
            }
            Turn::Beat => {
                self.watcher.beat();
                if let Some(log) = &mut self.log {
                    log.sent(at);
                }
                self.write(Way::Forth, 1);
            }
            Turn::Look => return self.look(),
        }
        None
    }

    /// The soonest turn; of those at one moment, the network's first, then the kernels', and the watcher's reading before its looking.
    fn next(&self) -> (Moment, Turn) {
        let mut next = self.watcher.next();
        let mut offer = |at: Option<Moment>, turn| {
            if let Some(at) = at.filter(|at| *at <= next.0) {
                next = (at, turn);
            }
        };
        for (way, end) in [Way::Back, Way::Forth]
            .into_iter()
            .zip(self.ends.iter().rev())
        {
            if way == Way::Forth || !self.has_crashed {
                offer(end.receiver.timer(), Turn::Acknowledge(way));
                offer(end.sender.poll_timeout(), Turn::Timeout(way));
            }
        }
        offer(
            self.flights.peek().map(|Reverse(flight)| flight.at),
            Turn::Land,
        );
        next
    }

    fn look(&mut self) -> Option<Verdict> {
        let [ours, _] = &self.ends;
        match self.watcher.look(self.now, ours.sender.info(self.now))? {
            Doubt::Dead => Some(Verdict::Dead),
            Doubt::Probe => {
                self.write(Way::Forth, 1);
                None
            }
        }
    }

    /// Something arrives.
    fn land(&mut self) {
        let Some(Reverse(flight)) = self.flights.pop() else {
            return;
        };
        match flight.flying {
            Flying::Packet(Way::Forth, _) | Flying::Answer(_) if self.has_crashed => {}
            Flying::Packet(way, packet) => self.receive(way, &packet),
            Flying::Answer(messages) => self.write(Way::Back, messages),
        }
    }

    fn receive(&mut self, way: Way, packet: &Packet) {
        let now = self.now;
        // What comes forth comes to the end that sends back.
        let here = way.other();
        let end = self.end(here);
        let before = end.receiver.next();
        let due = (packet.from < packet.to).then(|| end.receiver.came(packet, now));
        let came = end.receiver.next() - before;
        end.sender.handle_ack(packet, now);
        if due == Some(Due::Now) {
            self.launch(here, None);
        }
        self.transmit(here);
        match way {
            Way::Back => {
                if let Some(log) = &mut self.log {
                    log.came(packet, before + came, now);
                }
                self.watcher.arrived(came, now);
            }
            Way::Forth if came > 0 => self.fly(now + WORK, Flying::Answer(came)),
            Way::Forth => {}
        }
    }

    fn write(&mut self, way: Way, messages: u64) {
        self.end(way).sender.write(messages);
        self.transmit(way);
    }

    /// All that may leave now.
    fn transmit(&mut self, way: Way) {
        let now = self.now;
        while let Some(messages) = self.end(way).sender.poll_transmit(now) {
            self.launch(way, Some(messages));
        }
    }

    fn launch(&mut self, way: Way, messages: Option<(u64, u64)>) {
        let now = self.now;
        let (ack, selective, echo) = self.end(way).receiver.leaves(messages.is_some(), now);
        let (from, to) = messages.unwrap_or_default();
        let packet = Packet {
            from,
            to,
            ack,
            selective,
            stamp: now,
            echo,
        };
        if let Some(at) = self.weather.pass(way, now) {
            self.fly(at, Flying::Packet(way, packet));
        }
    }

    fn fly(&mut self, at: Moment, flying: Flying) {
        self.launched += 1;
        self.flights.push(Reverse(Flight {
            at,
            order: self.launched,
            flying,
        }));
    }

    /// The end that sends this way.
    fn end(&mut self, way: Way) -> &mut End {
        let [ours, theirs] = &mut self.ends;
        match way {
            Way::Forth => ours,
            Way::Back => theirs,
        }
    }
}

/// What the peer takes for an answer.
const WORK: Duration = Duration::from_micros(100);
