//! What the settings mean for what lies between the two ends: firewalls that forget, outages, long ways.

use std::time::Duration;

use super::alive::AliveRule;
use super::ending::{Ending, Mechanism};
use super::scene::{KeepAliveSetting, Scene, Side};
use super::tcp::Segments;

/// Whether a firewall or NAT that forgets idle connections forgets this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatVerdict {
    /// The firewall forgets after this long without a packet.
    pub forgets_after: Duration,
    /// The longest silence on the connection; `None`: without end.
    pub longest_silence: Option<Duration>,
    /// What makes the silence no longer than that.
    pub by: &'static str,
}

impl NatVerdict {
    /// Whether the connection stays open.
    pub fn is_kept(&self) -> bool {
        self.longest_silence
            .is_some_and(|silence| silence < self.forgets_after)
    }

    pub(super) fn of(scene: &Scene, rule: Option<&AliveRule<'_>>) -> Option<Self> {
        let forgets_after = scene.nat?;
        let kernel = match scene.tcp.keep_alive {
            KeepAliveSetting::Unsaid => Some(scene.kernel.keep_alive),
            KeepAliveSetting::No => None,
            KeepAliveSetting::Yes(kernel) => Some(kernel),
        };
        let seconds = |seconds: u32| (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        let other_end = scene.other_end.and_then(|pair| seconds(pair.interval));
        let sent = [
            (rule.and_then(AliveRule::probe_every), "this end's probes"),
            (other_end, "the other end's probes"),
            (scene.own_writes(), "what this end writes"),
            (scene.peer_writes(), "what the other end writes"),
            (
                kernel.and_then(|kernel| seconds(kernel.time)),
                "TCPKeepAlive",
            ),
        ];
        let sent = sent
            .into_iter()
            .filter_map(|(every, by)| Some((every?, by)));
        let first = sent.min_by_key(|(every, _)| *every);
        Some(Self {
            forgets_after,
            longest_silence: first.map(|(every, _)| every),
            by: first.map_or("nothing", |(_, by)| by),
        })
    }
}

/// What outage of the network the connection survives.
///
/// It is less than interval·count: once the network is back, nothing moves before TCP's next retransmission, and those
/// are twice as far apart each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// So long it surely survives.
    pub surely: Duration,
    /// Longer than this it surely does not; between the two it depends on the moment.
    pub at_best: Duration,
}

impl Outage {
    pub(super) fn of(
        rule: Option<&AliveRule<'_>>,
        ending: Option<&Ending>,
        segments: &Segments,
    ) -> Option<Self> {
        let rule = rule?;
        let ending = ending.filter(|ending| ending.by == Mechanism::Alive)?;
        let own_every = segments.own_every?;
        // From the first segment that is lost to the end: the least, where it is the first probe.
        let least = rule.least_after_first_probe()?;
        // Ended also without an outage.
        if segments.rtt >= least {
            return None;
        }
        let last_try = |within: Duration| {
            let times = segments.retransmissions(within.saturating_sub(segments.rtt));
            times.last().copied().unwrap_or_default()
        };
        let most = if segments.own_is_data {
            ending.after_fault.max()
        } else {
            least
        };
        let surely = last_try(least);
        let at_best = last_try(most).saturating_add(own_every);
        Some(Self {
            surely,
            at_best: at_best.min(ending.after_fault.max()).max(surely),
        })
    }
}

/// What the man pages say: the product, and no more.
pub(super) fn man_page(scene: &Scene) -> Duration {
    let pair = scene.pair();
    Duration::from_secs(pair.interval.into()).saturating_mul(pair.count)
}

/// The names of the two settings at an end, as its manual writes them.
pub(super) const fn setting_names(side: Side) -> (&'static str, &'static str) {
    match side {
        Side::Client => ("ServerAliveInterval", "ServerAliveCountMax"),
        Side::Server => ("ClientAliveInterval", "ClientAliveCountMax"),
    }
}
