//! What is known of a line.

use std::time::Duration;

use super::observe::millis;
use super::{Evidence, Line, Moment, Phase, Prober};
use crate::event::ShellEvidence;

impl Line {
    pub(super) fn evidence_now(&self, now: Moment) -> Evidence {
        let shell = |(at, rtt): (Moment, Duration)| ShellEvidence {
            rtt_ms: millis(rtt),
            age_ms: u64::try_from(now.saturating_since(at).as_millis()).unwrap_or(u64::MAX),
        };
        Evidence {
            tcp: self.tcp,
            shell: self.echo.map(shell),
            ..self.evidence.clone()
        }
    }

    pub(super) fn count_unanswered(&mut self, now: Moment) {
        if let (Prober::Session, Phase::Beating { alive, .. }) = (self.prober, &self.phase) {
            self.evidence.ssh.unanswered = alive.unanswered(now);
        }
    }
}
