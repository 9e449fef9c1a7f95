//! Ends by TCP: the kernel's keepalive, retransmission and `TCP_USER_TIMEOUT`.
//!
//! All three act only where nothing comes back at all; a peer whose kernel still acknowledges is alive to them. The
//! keepalive is suspended while data is unacknowledged, the other two act only then. Source: Linux
//! `net/ipv4/tcp_timer.c`, and facts/keepalive.md, section 3.

use std::time::Duration;

use super::ending::{Ending, Mechanism};
use super::scene::{KernelKeepAlive, Scene};
use super::span::Span;

/// What this end sends after a fault, and what came before it.
pub(super) struct Segments {
    /// Something of our own leaves at the latest this long after a fault; `None`: nothing does.
    pub(super) own_every: Option<Duration>,
    /// Whether that is data rather than probes of the SSH layer: then something came back for it until just before.
    pub(super) own_is_data: bool,
    /// The other end sends this often.
    pub(super) peer_every: Option<Duration>,
    /// Round-trip time.
    pub(super) rtt: Duration,
}

impl Segments {
    pub(super) fn of(scene: &Scene, first_probe: Option<Duration>) -> Self {
        let writes = scene.own_writes();
        Self {
            own_every: [writes, first_probe].into_iter().flatten().min(),
            own_is_data: writes.is_some(),
            peer_every: scene.peer_writes(),
            rtt: scene.rtt(),
        }
    }

    /// The kernel's keepalive: `time + interval·probes` after the last segment, if nothing is unacknowledged by then.
    pub(super) fn keep_alive(
        &self,
        keep_alive: KernelKeepAlive,
        user_timeout: Option<Duration>,
    ) -> Option<Ending> {
        if keep_alive.time == 0 {
            return None;
        }
        let time = Duration::from_secs(keep_alive.time.into());
        let interval = Duration::from_secs(keep_alive.interval.max(1).into());
        let probes = match user_timeout {
            None => keep_alive.probes.max(1),
            // tcp_keepalive_timer: a user timeout takes the place of the number of probes.
            Some(limit) => {
                let nanos = limit.saturating_sub(time).as_nanos();
                let probes = nanos.div_ceil(interval.as_nanos());
                u32::try_from(probes).unwrap_or(u32::MAX).max(1)
            }
        };
        let total = time.saturating_add(interval.saturating_mul(probes));
        let by = match user_timeout {
            None => Mechanism::TcpKeepAlive,
            Some(_) => Mechanism::TcpUserTimeout,
        };
        // Its own probes bring an answer every `time`.
        let age = self.peer_every.map_or(time, |every| every.min(time));
        let after_fault = Span::new(total.saturating_sub(age), total);
        let mut ending = Ending::sure(by, Span::exact(total), after_fault);
        match self.own_every {
            None => Some(ending),
            // Our own data leaves before the last probe could fail, in all cases.
            Some(own) if self.own_is_data || own <= total => None,
            Some(_) => {
                ending.is_certain = false;
                Some(ending)
            }
        }
    }

    /// `tcp_retries2`: the same data is sent again and again, twice as long apart each time.
    ///
    /// The kernel gives up at the first retransmission timer past a hypothetical sum (`retransmits_timed_out`). Which
    /// one that is depends on whether the first retransmission was a tail loss probe: two ends are seen, one about
    /// twice as late as the other. The first wait is rounded up to a whole tick of the
    /// kernel's clock and doubled with that; timers are rounded up again, by up to 6.5 %.
    pub(super) fn retransmission(&self, retries2: u32) -> Option<Ending> {
        let own = self.own_every?;
        let doublings = retries2.min(MOST_DOUBLINGS);
        let steps = 2_u32.saturating_pow(doublings.saturating_add(1));
        let longest = RTO_MAX.saturating_mul(retries2.saturating_sub(MOST_DOUBLINGS));
        let until = |base: Duration| base.saturating_mul(steps).saturating_add(longest);
        let least = until(RTO_MIN);
        let base = RTO_MIN.saturating_add(JIFFY);
        let next_timer = (base.saturating_add(self.rtt))
            .saturating_mul(steps)
            .min(RTO_MAX);
        let most = until(base).saturating_add(next_timer);
        let most = most.saturating_add(most / 16).saturating_add(self.rtt);
        Some(self.after_first_segment(Mechanism::TcpRetransmission, own, Span::new(least, most)))
    }

    /// `TCP_USER_TIMEOUT`: data that is unacknowledged for so long.
    pub(super) fn user_timeout(&self, limit: Duration) -> Option<Ending> {
        let own = self.own_every?;
        let span = Span::exact(limit);
        Some(self.after_first_segment(Mechanism::TcpUserTimeout, own, span))
    }

    /// An end that is counted from the first segment of ours that is lost.
    fn after_first_segment(&self, by: Mechanism, own: Duration, takes: Span) -> Ending {
        let after_fault = Span::new(takes.min(), takes.max().saturating_add(own));
        let after_last = if self.own_is_data {
            after_fault
        } else {
            // The probe leaves one interval after the last data, whole seconds being counted.
            let sent = own.saturating_sub(Duration::from_secs(1));
            Span::new(takes.min().saturating_add(sent), after_fault.max())
        };
        Ending::sure(by, after_last, after_fault)
    }

    /// When segments of ours that get no answer are sent again, from the first sending on, over so long.
    pub(super) fn retransmissions(&self, within: Duration) -> Vec<Duration> {
        let mut times = Vec::new();
        let mut wait = RTO_MIN.saturating_add(self.rtt);
        let mut at = wait;
        while at < within && times.len() < MOST_RETRANSMISSIONS {
            times.push(at);
            at = at.saturating_add(wait);
            wait = wait.saturating_mul(2).min(RTO_MAX);
        }
        times
    }
}

/// `TCP_RTO_MIN`.
const RTO_MIN: Duration = Duration::from_millis(200);
/// A tick of the kernel's clock where it is slowest, `CONFIG_HZ=100`.
const JIFFY: Duration = Duration::from_millis(10);
/// `TCP_RTO_MAX`.
const RTO_MAX: Duration = Duration::from_mins(2);
/// `ilog2(TCP_RTO_MAX / TCP_RTO_MIN)`: past this many the waits are all `TCP_RTO_MAX`.
const MOST_DOUBLINGS: u32 = 9;
const MOST_RETRANSMISSIONS: usize = 1_000;
