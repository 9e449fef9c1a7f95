//! What a silence means: the rules by which TCP's word tells a hung sshd from a cut line.

use std::time::Duration;

use super::{Cause, Line, Moment, Prober, TcpEvidence};

impl Line {
    /// Why nothing comes back: a jump host that is silent itself explains it, and a kernel that has acknowledged a beat of
    /// this silence lives, or one that answers our asking whether it has room again. It may put the acknowledgement of the
    /// last beat off for 40 to 200 ms, longer than a short interval; so one will do. When its last segment came says
    /// nothing by itself: a peer that no longer hears us repeats what it said.
    pub(super) fn silence(&self, now: Moment) -> Cause {
        let beaten = self.last_life.unwrap_or(now) + self.timing.interval.as_duration();
        let lives = |tcp: TcpEvidence| {
            let ago = Duration::from_millis(tcp.last_ack_ms.into());
            let is_full = tcp.unsent > tcp.window && now.saturating_since(beaten) > ago;
            let acked = tcp.unsent == 0 && tcp.unacked < self.beats_out(now);
            tcp.retransmits == 0 && (acked || is_full)
        };
        match self.tcp {
            _ if self.jump_in_doubt => Cause::JumpDown,
            Some(tcp) if lives(tcp) => Cause::SshdHung,
            _ => Cause::Silent,
        }
    }

    /// Beats that have left for certain since the last sign of life.
    fn beats_out(&self, now: Moment) -> u32 {
        let interval = self.timing.interval;
        let routine = match (self.prober, self.last_life) {
            (Prober::Session, Some(life)) => {
                let silent = now.saturating_since(life).saturating_sub(interval.slack());
                silent.as_nanos() / interval.as_duration().as_nanos().max(1)
            }
            _ => 0,
        };
        self.beats_asked
            .saturating_add(u32::try_from(routine).unwrap_or(u32::MAX))
    }
}
