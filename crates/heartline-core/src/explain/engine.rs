//! All the ways in which a connection ends, together, and what follows from the settings besides.

use std::time::Duration;

use super::alive::AliveRule;
use super::banner::Implementation;
use super::channel;
use super::ending::{Ending, Mechanism, Outcome};
use super::lint::{Warning, warnings};
use super::other;
use super::path::{NatVerdict, Outage};
use super::scene::{Fault, KeepAliveSetting, Pair, Scene, Tcp};
use super::span::Span;
use super::tcp::Segments;
use super::timeline::Timeline;

/// What the settings of one end really do.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The interval and count in force.
    pub pair: Pair,
    /// Whether this end sends probes of its own (of the SSH layer, or autossh's).
    pub probes: bool,
    /// When and by what this end goes away by the settings; `None`: never.
    pub ending: Option<Ending>,
    /// What is seen of that end.
    pub outcome: Option<Outcome>,
    /// When these settings end an idle connection that is well (counted from its last data); `None`: never.
    pub healthy_ending: Option<Ending>,
    /// What TCP does in the end where nothing else does, with the kernel's own values; `None`: nothing.
    pub backstop: Option<Ending>,
    /// How often a probe leaves while all is well; `None`: never, because none are set, or because what flows keeps it
    /// from leaving.
    pub probe_every: Option<Duration>,
    /// The most that one wait of a login may take once the server has named itself (before that only `ConnectTimeout`
    /// counts); `None`: as long as the server allows.
    pub login_limit: Option<Duration>,
    /// What outage is survived; `None` where nothing ends this end by probes.
    pub outage: Option<Outage>,
    /// The round-trip time from which on a connection that is well is ended; `None`: none.
    pub rtt_limit: Option<Duration>,
    /// What the firewall that was asked about does.
    pub nat: Option<NatVerdict>,
    /// When sshd closes the channel of an idle session, though the connection may stay.
    pub channel_close: Option<Span>,
    /// What happens when, from the last data on.
    pub timeline: Timeline,
    /// What to warn of.
    pub warnings: Vec<Warning>,
}

impl Explanation {
    /// Whether this end goes away by itself.
    pub const fn disconnects(&self) -> bool {
        self.ending.is_some()
    }

    /// Probes of an idle or flowing connection that is well, over so long.
    pub fn probes_within(&self, stretch: Duration) -> u128 {
        let every = self.probe_every.filter(|every| !every.is_zero());
        every.map_or(0, |every| stretch.as_nanos() / every.as_nanos())
    }
}

/// Explains a scene.
pub fn explain(scene: &Scene) -> Explanation {
    let rule = AliveRule::of(scene);
    let segments = Segments::of(
        scene,
        rule.as_ref().and_then(AliveRule::first_probe_after_fault),
    );
    let healthy_ending = healthy(scene, rule.as_ref());
    let ending = match scene.fault {
        Fault::CommandHung => healthy_ending.clone(),
        _ => Ending::first_of(&endings(scene, rule.as_ref(), &segments)),
    };
    let timeline = Timeline::of(scene, rule.as_ref(), ending.as_ref());
    let mut explanation = Explanation {
        pair: scene.pair(),
        probes: rule.as_ref().is_some_and(|rule| !rule.kills_at_once())
            || other::autossh(scene).is_some(),
        outcome: ending.as_ref().and_then(|end| Outcome::of(scene, end.by)),
        backstop: backstop(scene, &segments),
        probe_every: rule.as_ref().and_then(AliveRule::probe_every),
        login_limit: login_limit(scene),
        outage: Outage::of(rule.as_ref(), ending.as_ref(), &segments),
        rtt_limit: rtt_limit(rule.as_ref(), ending.as_ref()),
        nat: NatVerdict::of(scene, rule.as_ref()),
        channel_close: channel::session_close(scene),
        ending,
        healthy_ending,
        timeline,
        warnings: Vec::new(),
    };
    explanation.warnings = warnings(scene, &explanation);
    explanation
}

/// Every way in which this end may go away after the fault.
fn endings(scene: &Scene, rule: Option<&AliveRule<'_>>, segments: &Segments) -> Vec<Ending> {
    let of_ssh = [
        rule.and_then(AliveRule::ending),
        other::idle_timeout(scene, false),
        other::autossh(scene),
        channel::ending_after_fault(scene),
    ];
    let mut all: Vec<Ending> = match scene.fault {
        Fault::Silence | Fault::Frozen => of_ssh.into_iter().flatten().collect(),
        Fault::Closed | Fault::Reset | Fault::ResetOnSend | Fault::CommandHung => Vec::new(),
    };
    if scene.fault == Fault::Silence {
        all.extend(tcp_endings(scene.tcp, segments));
    }
    all.extend(other::peer(scene, segments.own_every));
    all
}

fn tcp_endings(tcp: Tcp, segments: &Segments) -> Vec<Ending> {
    let user_timeout = tcp.user_timeout.filter(|limit| !limit.is_zero());
    let keep_alive = match tcp.keep_alive {
        KeepAliveSetting::Yes(kernel) => segments.keep_alive(kernel, user_timeout),
        KeepAliveSetting::Unsaid | KeepAliveSetting::No => None,
    };
    // A user timeout takes the place of tcp_retries2.
    let retransmission = match (user_timeout, tcp.retries2) {
        (Some(limit), _) => segments.user_timeout(limit),
        (None, Some(retries2)) => segments.retransmission(retries2),
        (None, None) => None,
    };
    [keep_alive, retransmission].into_iter().flatten().collect()
}

/// TCP by itself, with the kernel's values.
fn backstop(scene: &Scene, segments: &Segments) -> Option<Ending> {
    if scene.fault != Fault::Silence {
        return None;
    }
    let keep_alive = match scene.tcp.keep_alive {
        KeepAliveSetting::Unsaid => KeepAliveSetting::Yes(scene.kernel.keep_alive),
        said => said,
    };
    let retries2 = scene.tcp.retries2.unwrap_or(scene.kernel.retries2);
    let tcp = Tcp {
        keep_alive,
        retries2: Some(retries2),
        ..scene.tcp
    };
    Ending::first_of(&tcp_endings(tcp, segments))
}

/// How the settings end a connection on which all is well.
fn healthy(scene: &Scene, rule: Option<&AliveRule<'_>>) -> Option<Ending> {
    let killed = rule
        .filter(|rule| rule.kills_at_once() && rule.tick_every().is_some())
        .and_then(AliveRule::ending);
    let others = [
        killed,
        other::idle_timeout(scene, true),
        channel::healthy_ending(scene),
    ];
    let others: Vec<Ending> = others.into_iter().flatten().collect();
    Ending::first_of(&others)
}

/// ssh.c: `ssh_packet_set_timeout(ssh, server_alive_interval, server_alive_count_max)`. Before there is a session the two
/// are no probes but a limit on every wait for a packet (the banner is none), with no interval more; packet.c keeps it in
/// milliseconds of an int.
fn login_limit(scene: &Scene) -> Option<Duration> {
    let Pair { interval, count } = scene.pair();
    let is_ssh = scene.software.implementation == Implementation::OpenSshClient;
    // A session that rides on a master has no login.
    if !is_ssh || scene.master.is_some() || interval == 0 || count == 0 {
        return None;
    }
    let limit = Duration::from_secs(interval.into()).saturating_mul(count);
    Some(limit.min(INT_MAX_MS))
}

/// A reply that takes as long as from the first probe to the end comes too late.
fn rtt_limit(rule: Option<&AliveRule<'_>>, ending: Option<&Ending>) -> Option<Duration> {
    let rule = rule.filter(|rule| rule.probe_every().is_some())?;
    ending.filter(|ending| ending.by == Mechanism::Alive)?;
    rule.least_after_first_probe()
}

/// `INT_MAX` milliseconds.
pub(super) const INT_MAX_MS: Duration = Duration::from_millis(i32::MAX as u64);
