//! The rules of each implementation, as data.
//!
//! Source of every number: facts/keepalive.md, sections 1, 2 and 5, where each was measured and, for OpenSSH, read in
//! the source.

use std::time::Duration;

use super::banner::{Implementation, SshdRelease};

/// How an implementation probes, counts and ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    /// Intervals between two probes.
    pub(super) period: u32,
    /// When it ends.
    pub(super) limit: Limit,
    /// What a count of 0 does.
    pub(super) zero: Zero,
    /// How exact its clock is.
    pub(super) clock: Clock,
    /// Whether its own output keeps it from probing.
    pub(super) is_starved_by_output: bool,
}

/// When it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// At the tick after the last probe that may go unanswered.
    CountAndOne,
    /// At this tick, whatever is set.
    Fixed(u32),
    /// Never: it wants no answer to what it sends.
    Never,
}

/// What a count of 0 does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zero {
    /// The first tick ends a session that is well.
    Kills,
    /// Probes are sent, and nothing ever ends.
    NeverEnds,
    /// The program does not take it.
    Refused,
    /// There is no count.
    Ignored,
}

/// How exact its clock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// It counts from the whole second in which the last data came: up to 1 s early.
    WholeSecond,
    /// To the timer's exactness.
    Exact,
    /// Late by this at least and at most.
    Late(Duration, Duration),
}

impl Model {
    /// The rules, of a client or a server as the implementation says; `None` where none were measured, or where the
    /// program has no probes of this kind.
    pub(super) fn of(implementation: Implementation) -> Option<Self> {
        let plain = Self {
            period: 1,
            limit: Limit::CountAndOne,
            zero: Zero::Kills,
            clock: Clock::Exact,
            is_starved_by_output: false,
        };
        Some(match implementation {
            Implementation::OpenSshClient => Self {
                clock: Clock::WholeSecond,
                ..plain
            },
            Implementation::Sshd(SshdRelease::Before82) => plain,
            Implementation::Sshd(release) => Self {
                zero: Zero::NeverEnds,
                period: if release == SshdRelease::From92To94 {
                    2
                } else {
                    1
                },
                is_starved_by_output: release.is_starved_by_output(),
                ..plain
            },
            Implementation::Dropbear => Self {
                limit: Limit::Fixed(DROPBEAR_TICKS),
                zero: Zero::Ignored,
                ..plain
            },
            Implementation::Putty | Implementation::Paramiko => Self {
                limit: Limit::Never,
                zero: Zero::Ignored,
                ..plain
            },
            Implementation::AsyncSsh => Self {
                zero: Zero::Refused,
                clock: Clock::Late(Duration::from_millis(50), Duration::from_millis(300)),
                ..plain
            },
            Implementation::Autossh | Implementation::Unknown => return None,
        })
    }

    /// The tick at which it ends with this count, counted from the last data; `None`: never.
    pub(super) fn last_tick(&self, count: u32) -> Option<u32> {
        match (self.limit, self.zero) {
            (Limit::CountAndOne, Zero::NeverEnds | Zero::Refused) if count == 0 => None,
            (Limit::CountAndOne, _) => Some(count.saturating_add(1)),
            (Limit::Fixed(ticks), _) => Some(ticks),
            (Limit::Never, _) => None,
        }
    }
}

/// `DEFAULT_KEEPALIVE_LIMIT`: at the third interval.
const DROPBEAR_TICKS: u32 = 3;
