//! The one timer of a connection: timeout, probe for a lost tail, or the end of the wait for reordering.

use std::time::Duration;

use heartline_core::Moment;

use super::super::wheel::fires;
use super::{Sender, State, Urgent};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Fires when the first segment was not acknowledged in time (RFC 6298).
    Timeout,
    /// Fires when the last segment may be lost without a later one to show it (RFC 8985, section 7).
    Probe,
    /// Fires when a segment that was overtaken can no longer be late (RFC 8985, section 6).
    Reordering,
}

impl Sender {
    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        self.timer.map(|(_, at)| at)
    }

    /// To be called then; afterwards segments may leave.
    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        match self.timer.take_if(|(_, at)| *at <= now) {
            Some((Timer::Timeout, _)) => self.timed_out(now),
            Some((Timer::Probe, _)) => self.probe(now),
            Some((Timer::Reordering, _)) => self.waited(now),
            None => {}
        }
    }

    pub(super) fn set(&mut self, timer: Timer, now: Moment, after: Duration) {
        self.timer = Some((timer, fires(now, after)));
    }

    /// A new segment was sent (`tcp_event_new_data_sent`).
    pub(super) fn sent_new(&mut self, was_empty: bool, now: Moment) {
        let probes = matches!(self.timer, Some((Timer::Probe, _)));
        if was_empty || probes {
            self.rearm(now);
        }
        self.schedule_probe(now, false);
    }

    /// The timer after an acknowledgement of something new (`tcp_set_xmit_timer`).
    pub(super) fn advanced(&mut self, now: Moment) {
        if self.segments.is_empty() {
            self.timer = None;
        } else if !self.schedule_probe(now, true) {
            self.rearm(now);
        }
    }

    /// `tcp_rearm_rto`: from now on, but what another timer has waited counts.
    fn rearm(&mut self, now: Moment) {
        let after = match self.timer {
            Some((Timer::Probe | Timer::Reordering, _)) => self.until_timeout(now),
            Some((Timer::Timeout, _)) | None => self.timeout,
        };
        self.set(Timer::Timeout, now, after);
    }

    /// `tcp_schedule_loss_probe`.
    fn schedule_probe(&mut self, now: Moment, advances: bool) -> bool {
        if self.segments.is_empty() || self.state != State::Open {
            return false;
        }
        let round_trip = self.round_trip.smoothed();
        let after = match (round_trip.is_zero(), self.segments.len()) {
            (true, _) => self.round_trip.timeout(),
            (false, 1) => round_trip * 2 + LEAST_TIMEOUT,
            (false, _) => round_trip * 2 + TWO_TICKS,
        };
        let timeout = if advances {
            self.timeout
        } else {
            self.until_timeout(now)
        };
        self.set(Timer::Probe, now, after.min(timeout));
        true
    }

    fn until_timeout(&self, now: Moment) -> Duration {
        let end = self.segments.front().map(|first| first.sent + self.timeout);
        end.map_or(self.timeout, |end| end.saturating_since(now))
            .max(ONE_TICK)
    }

    /// `tcp_send_loss_probe`: new messages, or the last segment once more; one at a time.
    fn probe(&mut self, now: Moment) {
        if self.segments.is_empty() {
            return;
        }
        if self.probed.is_none() {
            let has_new = self.next < self.written;
            self.urgent = Some(if has_new { Urgent::New } else { Urgent::Last });
            self.probed = Some(if has_new { self.written } else { self.next });
        }
        self.set(Timer::Timeout, now, self.timeout);
    }

    /// `tcp_retransmit_timer` and `tcp_enter_loss`.
    fn timed_out(&mut self, now: Moment) {
        if self.segments.is_empty() {
            return;
        }
        if self.state != State::Loss {
            self.window.lost();
            self.repeated = None;
        }
        self.state = State::Loss;
        self.high = self.next;
        self.probed = None;
        for segment in self.segments.iter_mut().filter(|segment| !segment.has_come) {
            segment.is_lost = true;
        }
        self.window.held(1);
        self.urgent = Some(Urgent::First);
        self.timeouts += 1;
        self.timeout = if self.thin && self.timeouts <= THIN_RETRIES {
            self.round_trip.timeout()
        } else {
            (self.timeout * 2).min(LONGEST_TIMEOUT)
        };
        self.set(Timer::Timeout, now, self.timeout);
    }

    /// `tcp_rack_reo_timeout`.
    fn waited(&mut self, now: Moment) {
        self.find_lost(now);
        if !matches!(self.timer, Some((Timer::Reordering, _))) {
            self.set(Timer::Timeout, now, self.timeout);
        }
    }
}

/// `TCP_RTO_MIN`.
const LEAST_TIMEOUT: Duration = Duration::from_millis(200);
/// `TCP_RTO_MAX`.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(2);
/// `TCP_THIN_LINEAR_RETRIES`.
const THIN_RETRIES: u32 = 6;
const ONE_TICK: Duration = Duration::from_millis(4);
const TWO_TICKS: Duration = Duration::from_millis(8);
