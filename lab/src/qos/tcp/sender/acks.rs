//! What an acknowledgement tells: what has come, how long it took, and what must be lost.

use std::time::Duration;

use heartline_core::Moment;

use super::timers::Timer;
use super::{Segment, Sender, State};
use crate::qos::tcp::Packet;

/// Of the segments that have come, the one sent last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Newest {
    sent: Moment,
    to: u64,
    took: Duration,
}

/// What came of one acknowledgement.
#[derive(Default)]
struct News {
    /// Segments that came.
    came: usize,
    advanced: bool,
    /// How long the first of them took that was sent once, acknowledged in order or ahead of it.
    in_order: Option<Duration>,
    ahead: Option<Duration>,
}

impl Sender {
    /// A packet came; afterwards segments may leave.
    pub(crate) fn handle_ack(&mut self, packet: &Packet, now: Moment) {
        if packet.ack < self.una {
            return;
        }
        self.last_ack = now;
        if self.segments.is_empty() {
            return;
        }
        let mut news = News::default();
        self.take_acknowledged(packet, now, &mut news);
        self.mark_ahead(packet, now, &mut news);
        self.measure(packet, now, &news);
        if self.probed.is_some_and(|probed| packet.ack >= probed) {
            self.probed = None;
        }
        self.undo_if_needless(packet, &news);
        self.settle(&news);
        self.find_lost(now);
        if news.came > 0 && matches!(self.state, State::Recovery | State::Loss) {
            self.window.held(self.under_way() + news.came);
        }
        let waits = matches!(self.timer, Some((Timer::Reordering, _)));
        if news.advanced && (!waits || self.segments.is_empty()) {
            self.advanced(now);
        }
    }

    fn take_acknowledged(&mut self, packet: &Packet, now: Moment, news: &mut News) {
        while let Some(first) = self.segments.front_mut() {
            if first.to > packet.ack {
                news.advanced |= first.from < packet.ack;
                first.from = first.from.max(packet.ack);
                break;
            }
            let first = *first;
            self.segments.pop_front();
            news.advanced = true;
            if !first.has_come {
                news.came += 1;
                self.newest.advance(&first, now, self.round_trip.least());
                if !first.is_repeated {
                    news.in_order
                        .get_or_insert(now.saturating_since(first.sent));
                }
            }
        }
        self.una = packet.ack;
    }

    fn mark_ahead(&mut self, packet: &Packet, now: Moment, news: &mut News) {
        let least = self.round_trip.least();
        for segment in self.segments.iter_mut().filter(|segment| !segment.has_come) {
            if (segment.from..segment.to).all(|number| packet.has(number)) {
                segment.has_come = true;
                segment.is_lost = false;
                news.came += 1;
                self.newest.advance(segment, now, least);
                if !segment.is_repeated {
                    news.ahead.get_or_insert(now.saturating_since(segment.sent));
                }
            }
        }
    }

    /// `tcp_ack_update_rtt`.
    fn measure(&mut self, packet: &Packet, now: Moment, news: &News) {
        let echoed = || news.advanced.then(|| now.saturating_since(packet.echo));
        let Some(took) = news.in_order.or(news.ahead).or_else(echoed) else {
            return;
        };
        self.round_trip.sampled(took, now, self.una, self.next);
        self.timeout = self.round_trip.timeout();
        self.timeouts = 0;
    }

    /// The first repetition was needless if what was acknowledged left before it (RFC 3522).
    fn undo_if_needless(&mut self, packet: &Packet, news: &News) {
        let is_repairing = matches!(self.state, State::Recovery | State::Loss);
        let is_needless = self.repeated.is_some_and(|at| packet.echo < at);
        if is_repairing && news.advanced && is_needless {
            self.window.undo();
            self.state = State::Open;
            for segment in &mut self.segments {
                segment.is_lost = false;
            }
        }
    }

    /// `tcp_fastretrans_alert`, but for finding what is lost.
    fn settle(&mut self, news: &News) {
        let is_over = self.una >= self.high;
        let has_ahead = self.segments.iter().any(|segment| segment.has_come);
        let quiet = if has_ahead {
            State::Disorder
        } else {
            State::Open
        };
        match self.state {
            State::Recovery | State::Loss if is_over => {
                self.window.repaired(self.state == State::Loss);
                self.repeated = None;
                self.state = quiet;
            }
            State::Recovery | State::Loss => {}
            State::Open | State::Disorder => self.state = quiet,
        }
        if matches!(self.state, State::Open | State::Disorder) {
            if self.segments.is_empty() {
                self.repeated = None;
            }
            if news.advanced {
                self.window
                    .acknowledged(news.came, self.segments.is_empty());
            }
        }
    }

    /// `tcp_rack_detect_loss`: what was sent well before the newest that came.
    pub(super) fn find_lost(&mut self, now: Moment) {
        let slack = self.reordering();
        let newest = self.newest;
        let mut wait: Option<Duration> = None;
        let mut found = false;
        for segment in self
            .segments
            .iter_mut()
            .filter(|segment| segment.is_under_way())
        {
            if !newest.was_sent_after(segment) {
                continue;
            }
            let end = segment.sent + newest.took + slack;
            if end <= now {
                segment.is_lost = true;
                found = true;
            } else {
                wait = wait.max(Some(end.saturating_since(now)));
            }
        }
        if found && matches!(self.state, State::Open | State::Disorder) {
            self.state = State::Recovery;
            self.high = self.next;
            self.repeated = None;
            self.window.lost();
            self.window.held(self.under_way() + 1);
        }
        if let Some(wait) = wait {
            self.set(Timer::Reordering, now, wait);
        }
    }

    /// `tcp_rack_reo_wnd`.
    fn reordering(&self) -> Duration {
        let ahead = self.segments.iter().filter(|segment| segment.has_come);
        if self.state == State::Recovery || self.state == State::Loss || ahead.count() >= DUPLICATES
        {
            return Duration::ZERO;
        }
        (self.round_trip.least() / 4).min(self.round_trip.smoothed())
    }
}

impl Newest {
    /// A segment came (`tcp_rack_advance`): one that was repeated counts only if it cannot have been the first that came.
    fn advance(&mut self, segment: &Segment, now: Moment, least: Duration) {
        let took = now.saturating_since(segment.sent);
        if segment.is_repeated && took < least {
            return;
        }
        self.took = took;
        if (segment.sent, segment.to) > (self.sent, self.to) {
            (self.sent, self.to) = (segment.sent, segment.to);
        }
    }

    fn was_sent_after(&self, segment: &Segment) -> bool {
        (self.sent, self.to) > (segment.sent, segment.to)
    }
}

/// Segments ahead of a missing one after which it is lost (RFC 5681, section 3.2).
const DUPLICATES: usize = 3;
