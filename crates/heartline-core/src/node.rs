//! The verdict on a node: a pure function of its lines' states and of the watcher's own health.

use std::time::Duration;

use crate::cause::{Cause, Says};
use crate::event::NodeEvent;
use crate::fate::is_silence;
use crate::line::LineState;
use crate::time::Moment;

/// A node's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeState {
    /// No line is down and at least one is up.
    Up,
    /// Some line is up, some line is down.
    Degraded(Cause),
    /// No line is up, and at least one is only doubted.
    Suspect(Cause),
    /// Every line is down, and what is known of them says so of the node.
    Down(Cause),
    /// We cannot tell.
    Unknown(Cause),
    /// Paused by the operator.
    Paused,
}

impl NodeState {
    /// The word in JSON and on the terminal.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded(_) => "degraded",
            Self::Suspect(_) => "suspect",
            Self::Down(_) => "down",
            Self::Unknown(_) => "unknown",
            Self::Paused => "paused",
        }
    }

    /// The state of that word; `None` for no word of ours, or a cause where none belongs or the other way round.
    pub fn from_word(word: &str, cause: Option<Cause>) -> Option<Self> {
        Some(match (word, cause) {
            ("up", None) => Self::Up,
            ("paused", None) => Self::Paused,
            ("degraded", Some(cause)) => Self::Degraded(cause),
            ("suspect", Some(cause)) => Self::Suspect(cause),
            ("down", Some(cause)) => Self::Down(cause),
            ("unknown", Some(cause)) => Self::Unknown(cause),
            _ => return None,
        })
    }

    /// Why it is not up.
    pub const fn cause(self) -> Option<Cause> {
        match self {
            Self::Degraded(cause)
            | Self::Suspect(cause)
            | Self::Down(cause)
            | Self::Unknown(cause) => Some(cause),
            Self::Up | Self::Paused => None,
        }
    }
}

/// The watcher's own health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatcherHealth {
    /// Everything fell together and our own evidence says that it is us.
    pub isolated: bool,
    /// Others are being asked whether it is us: until they have answered nobody is down for a silence.
    pub asking: bool,
}

/// The verdict.
///
/// * A line that is only doubted does not degrade a node that another line proves alive.
/// * Down needs every line down. One line that cannot be judged (login refused, host key changed, jump host down …)
///   leaves the node unknown.
/// * Where causes differ, why we cannot tell comes first, then what a host that still speaks said, then silence, then
///   what lies on our side.
/// * Paused lines count for nothing, unless all are paused.
pub fn verdict(lines: impl IntoIterator<Item = LineState>, watcher: WatcherHealth) -> NodeState {
    let (mut ups, mut seen, mut starting) = (0_u32, 0_u32, false);
    let mut down: Option<Cause> = None;
    let mut doubt: Option<Cause> = None;
    let mut silent: Option<Cause> = None;
    for state in lines {
        match state {
            LineState::Paused => continue,
            LineState::Up => ups += 1,
            LineState::Suspect(cause) => doubt = Some(weightier(doubt, cause)),
            LineState::Down(cause) => {
                down = Some(weightier(down, cause));
                silent = silent.or(Some(cause).filter(|cause| is_silence(*cause)));
            }
            LineState::Idle | LineState::Dialing => starting = true,
        }
        seen += 1;
    }
    match (seen, ups, doubt, down) {
        (0, ..) => NodeState::Paused,
        (_, 1.., _, None) => NodeState::Up,
        (_, 1.., _, Some(cause)) => NodeState::Degraded(cause),
        (_, 0, ..) if watcher.isolated => NodeState::Unknown(Cause::WatcherIsolated),
        (_, 0, Some(cause), _) => NodeState::Suspect(cause),
        (_, 0, None, _) if starting => NodeState::Unknown(Cause::Starting),
        (_, 0, None, Some(cause)) if cause.says() == Says::CannotTell && !is_our_side(cause) => {
            NodeState::Unknown(cause)
        }
        (_, 0, None, cause) => match silent.filter(|_| watcher.asking) {
            Some(silent) => NodeState::Suspect(silent),
            None => NodeState::Down(cause.unwrap_or(Cause::Starting)),
        },
    }
}

/// A node: its verdict as last told, so that a change can be.
#[derive(Clone, Debug)]
pub struct Node {
    told: NodeState,
    since: Moment,
}

impl Node {
    /// Begins unknown.
    pub fn new(now: Moment) -> Self {
        Self {
            told: NodeState::Unknown(Cause::Starting),
            since: now,
        }
    }

    /// Judges anew; an event if the verdict or its cause changed.
    pub fn judge(
        &mut self,
        now: Moment,
        lines: impl IntoIterator<Item = LineState>,
        watcher: WatcherHealth,
        last_life: Option<Moment>,
    ) -> Option<NodeEvent> {
        let to = verdict(lines, watcher);
        if to == self.told {
            return None;
        }
        let from = std::mem::replace(&mut self.told, to);
        if from.word() != to.word() {
            self.since = now;
        }
        Some(NodeEvent {
            at: now,
            from,
            to,
            after: last_life.map(|life| now.saturating_since(life)),
        })
    }

    /// The verdict as last told.
    pub fn state(&self) -> NodeState {
        self.told
    }

    /// Since when it is in this state.
    pub fn since(&self) -> Moment {
        self.since
    }

    /// For how long it has been in this state.
    pub fn for_how_long(&self, now: Moment) -> Duration {
        now.saturating_since(self.since)
    }
}

/// A pulled cable or a missing route on our side says nothing of the host, but a node none of whose lines can be used
/// is down for whoever asks; the cause says whose fault it is.
const fn is_our_side(cause: Cause) -> bool {
    matches!(cause, Cause::LinkDown | Cause::NoRoute)
}

fn weightier(old: Option<Cause>, new: Cause) -> Cause {
    match old {
        Some(old) if weight(old) >= weight(new) => old,
        _ => new,
    }
}

/// One line that could not be asked outweighs all that could: down needs every line down. What the host said beats what
/// it did not say.
const fn weight(cause: Cause) -> u8 {
    match cause.says() {
        Says::HostLives => match cause {
            Cause::SshdHung => 9,
            Cause::Refused => 8,
            _ => 7,
        },
        Says::CannotTell if !is_our_side(cause) => 10,
        Says::Nothing => 3,
        Says::CannotTell => 1,
    }
}

#[cfg(test)]
mod tests;
