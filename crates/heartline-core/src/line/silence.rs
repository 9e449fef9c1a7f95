//! What a silence means: the rules by which TCP's word tells a hung sshd from a cut line.

use std::time::Duration;

use super::{Cause, Line, Moment, TcpEvidence};

impl Line {
    /// Why nothing comes back: a jump host that is silent itself explains it, and a kernel that acknowledges our beats lives,
    /// or one that answers our asking whether it has room again.
    ///
    /// Acknowledged bytes count, and nothing else. When its last segment came says nothing: a peer that no longer hears us
    /// repeats what it said. Nor does the number of segments that are out: beats that our own kernel could not send leave
    /// together, as one.
    pub(super) fn silence(&self, now: Moment) -> Cause {
        if let Some(fault) = self.link_fault() {
            return fault;
        }
        match self.tcp {
            _ if self.jump_in_doubt => Cause::JumpDown,
            Some(tcp) if self.acknowledges(now, tcp) => Cause::SshdHung,
            _ => Cause::Silent,
        }
    }

    fn acknowledges(&self, now: Moment, tcp: TcpEvidence) -> bool {
        let beaten = self.last_life.unwrap_or(now) + self.timing.interval.as_duration();
        let ago = Duration::from_millis(tcp.last_ack_ms.into());
        let is_full = tcp.unsent > tcp.window && now.saturating_since(beaten) > ago;
        let went_on = self.first_tcp.is_some_and(|(since, first)| {
            // The acknowledgement of the last beat may be on its way still.
            let soon = first.all_acked() && now.saturating_since(since) < DELAYED_ACK;
            tcp.unsent == 0 && (tcp.bytes_acked > first.bytes_acked || soon)
        });
        tcp.retransmits == 0 && (tcp.all_acked() || went_on || is_full)
    }
}

/// The longest by which Linux puts an acknowledgement off (`TCP_DELACK_MAX`).
const DELAYED_ACK: Duration = Duration::from_millis(200);
