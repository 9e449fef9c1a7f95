//! What happens when, from the last data that was received on.

use std::time::Duration;

use super::alive::AliveRule;
use super::ending::{Ending, Mechanism};
use super::scene::{Fault, KeepAliveSetting, Scene};

/// Events in order, of one plain case that lies within the stated windows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// In order of time; a disconnect stands last.
    pub events: Vec<Event>,
    /// Probes left out between the last one listed and the end, of a connection that ends.
    pub omitted: u32,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// From the last data (for TCP's probes: the last segment) on.
    pub at: Duration,
    /// What.
    pub kind: EventKind,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A probe of the SSH layer leaves; with it so many are unanswered.
    Probe {
        /// 1 and more.
        unanswered: u32,
    },
    /// The kernel sends a keepalive probe.
    KernelProbe {
        /// 1 and more.
        unanswered: u32,
    },
    /// This end goes away.
    Disconnect,
}

impl EventKind {
    /// The word in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Probe { .. } => "probe",
            Self::KernelProbe { .. } => "kernel_probe",
            Self::Disconnect => "disconnect",
        }
    }

    /// Probes that are unanswered by now, this one included.
    pub const fn unanswered(self) -> Option<u32> {
        match self {
            Self::Probe { unanswered } | Self::KernelProbe { unanswered } => Some(unanswered),
            Self::Disconnect => None,
        }
    }
}

impl Timeline {
    pub(super) fn of(scene: &Scene, rule: Option<&AliveRule<'_>>, ending: Option<&Ending>) -> Self {
        let is_silent = matches!(scene.fault, Fault::Silence | Fault::Frozen);
        let rule = rule.filter(|_| is_silent);
        let last_tick = rule.and_then(AliveRule::last_tick);
        let most = match (last_tick, ending) {
            (Some(last), _) => last.min(MOST_PROBES + 1),
            (None, Some(_)) => MOST_PROBES,
            (None, None) => ENDLESS_SHOWN,
        };
        let ticks = rule.map_or_else(Vec::new, |rule| rule.ticks(most));
        let end = ending.map(|ending| end_of(ending, last_tick, &ticks));
        let is_before_end = |at: &Duration| end.is_none_or(|end| *at < end);
        let shown = ticks.into_iter().filter(is_before_end);
        let mut events: Vec<Event> = (1..=MOST_PROBES)
            .zip(shown)
            .map(|(unanswered, at)| Event {
                at,
                kind: EventKind::Probe { unanswered },
            })
            .collect();
        let mut omitted = 0;
        if let Some(ending) = ending {
            let listed = u32::try_from(events.len()).unwrap_or(u32::MAX);
            if ending.by == Mechanism::Alive {
                omitted = last_tick.map_or(0, |last| last.saturating_sub(1).saturating_sub(listed));
            }
            if let (Mechanism::TcpKeepAlive, KeepAliveSetting::Yes(kernel)) =
                (ending.by, scene.tcp.keep_alive)
            {
                events.extend((0..kernel.probes.min(MOST_PROBES)).map(|probe| Event {
                    at: Duration::from_secs(kernel.time.into()).saturating_add(
                        Duration::from_secs(kernel.interval.into()).saturating_mul(probe),
                    ),
                    kind: EventKind::KernelProbe {
                        unanswered: probe + 1,
                    },
                }));
            }
        }
        events.sort_by_key(|event| event.at);
        events.extend(end.map(|at| Event {
            at,
            kind: EventKind::Disconnect,
        }));
        Self { events, omitted }
    }
}

/// The tick that ends it, where that lies within the window; else the latest moment.
fn end_of(ending: &Ending, last_tick: Option<u32>, ticks: &[Duration]) -> Duration {
    let window = ending.after_last_data;
    let nth = last_tick
        .filter(|_| ending.by == Mechanism::Alive)
        .and_then(|last| usize::try_from(last).ok()?.checked_sub(1));
    let tick = nth.and_then(|nth| ticks.get(nth)).copied();
    tick.filter(|at| window.holds(*at, Duration::ZERO))
        .unwrap_or(window.max())
}

/// Probes that are listed.
const MOST_PROBES: u32 = 40;
/// Probes that are listed where they go on for ever.
const ENDLESS_SHOWN: u32 = 3;
