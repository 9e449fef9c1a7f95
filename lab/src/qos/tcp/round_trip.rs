//! The estimate of the round trip, and the timeout that follows from it.

use std::time::Duration;

use heartline_core::Moment;

/// `tcp_rtt_estimator` of Linux, in its scaled microseconds, and the least round trip of the last minutes.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundTrip {
    /// Eight times the smoothed round trip; 0, before the first.
    smoothed: i64,
    /// Four times the mean deviation.
    deviation: i64,
    /// The largest of it in this window, never below the least timeout.
    highest: i64,
    variation: i64,
    /// The window ends when this message is acknowledged.
    window: u64,
    least: Option<(Duration, Moment)>,
}

impl RoundTrip {
    /// A new sample; `una` is the first message not acknowledged, `next` the first not sent.
    pub(super) fn sampled(&mut self, took: Duration, now: Moment, una: u64, next: u64) {
        let is_old = |at: Moment| now.saturating_since(at) > LEAST_KEPT;
        if self
            .least
            .is_none_or(|(least, at)| took <= least || is_old(at))
        {
            self.least = Some((took, now));
        }
        let took = i64::try_from(took.as_micros())
            .unwrap_or(i64::MAX >> 4)
            .max(1);
        if self.smoothed == 0 {
            self.smoothed = took << 3;
            self.deviation = took << 1;
            self.variation = self.deviation.max(LEAST_VARIATION);
            self.highest = self.variation;
            self.window = next;
            return;
        }
        let error = took - (self.smoothed >> 3);
        self.smoothed = (self.smoothed + error).max(1);
        let mut growth = error.abs() - (self.deviation >> 2);
        if error < 0 && growth > 0 {
            growth >>= 3;
        }
        self.deviation += growth;
        if self.deviation > self.highest {
            self.highest = self.deviation;
            self.variation = self.variation.max(self.highest);
        }
        if una > self.window {
            if self.highest < self.variation {
                self.variation -= (self.variation - self.highest) >> 2;
            }
            self.window = next;
            self.highest = LEAST_VARIATION;
        }
    }

    /// `tcpi_rtt`: zero, before the first sample.
    pub(super) fn smoothed(&self) -> Duration {
        micros(self.smoothed >> 3)
    }

    /// `tcpi_rttvar`.
    pub(super) fn deviation(&self) -> Duration {
        micros(self.deviation >> 2)
    }

    /// The least of the last five minutes.
    pub(super) fn least(&self) -> Duration {
        self.least.map_or(Duration::ZERO, |(least, _)| least)
    }

    /// The retransmission timeout, before it is doubled.
    pub(super) fn timeout(&self) -> Duration {
        if self.smoothed == 0 {
            return FIRST_TIMEOUT;
        }
        micros((self.smoothed >> 3) + self.variation)
    }
}

fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// `TCP_RTO_MIN`, in µs.
const LEAST_VARIATION: i64 = 200_000;
/// `TCP_TIMEOUT_INIT`.
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
/// `tcp_min_rtt_wlen`.
const LEAST_KEPT: Duration = Duration::from_mins(5);
