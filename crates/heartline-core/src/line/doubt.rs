//! When a session that says nothing is doubted, and when it is taken for dead.
//!
//! The bound ends it whatever is said here. Before that, with [`Detection::Adaptive`], the line is *called* down as soon as TCP would have
//! repaired a loss; the session stays until the bound, so that a peer that was only slow is up again without a dial.

use std::time::Duration;

use super::{Adaptive, Line, LineState, Moment, Phase, Timer};
use crate::detect::Doubt;
use crate::timing::{Detection, Patience};

impl Line {
    /// A sign of life came: the next beat leaves an interval later.
    pub(super) fn doubt_after(&mut self, life: Moment) {
        self.forget_doubt();
        let next = self.next_beat(life);
        let excused = std::mem::take(&mut self.was_cut_off);
        match &mut self.detector {
            Some(detector) if excused => detector.excused(life, next),
            Some(detector) => detector.heard(life, next),
            None if self.timing.detection == Detection::Adaptive => {
                let bound = self.timing.bound().as_duration();
                self.detector = Some(Adaptive::new(bound, life, next));
            }
            None => {}
        }
        let look = self.look_at(life);
        self.look_by_life = Some(look);
        self.is_fresh.set(true);
        self.excused = Duration::ZERO;
        self.timers.set(Timer::Doubt, look);
    }

    /// Another session begins: of the last one's connection nothing holds any more, but what is learnt does.
    pub(super) fn detect_anew(&mut self, now: Moment) {
        let next = self.next_beat(now);
        self.detector = self
            .detector
            .take()
            .map(|detector| detector.renewed(now, next));
    }

    pub(super) fn forget_doubt(&mut self) {
        self.tcp = None;
        self.first_tcp = None;
        self.probes = 0;
        self.has_looked = false;
    }

    /// Whether a beat is overdue and was repeated. Others that may have fallen with this line are then asked, too.
    pub fn is_in_doubt(&self) -> bool {
        self.probes > 0 && matches!(self.phase, Phase::Beating { .. })
    }

    /// When to look whether a beat is overdue, after a sign of life. To the nanosecond, as [`dozes`](Self::dozes) promises: one that
    /// is called by the difference of two signs of life may not look late.
    pub(super) fn look_at(&self, life: Moment) -> Moment {
        let is_rising = matches!(self.phase, Phase::Beating { rising: 1.., .. });
        let detector = self.detector.as_ref();
        let detector = detector.filter(|_| !is_rising && !self.is_blind);
        match detector.and_then(Adaptive::poll_timeout) {
            Some(look) => look,
            None => self.late_at(life),
        }
    }

    /// Half an interval after a beat is due, or half the patience.
    fn late_at(&self, life: Moment) -> Moment {
        let interval = self.timing.interval.as_duration();
        let late = match self.timing.patience {
            Some(Patience::For(time)) => (time / 2).min(interval / 2),
            Some(Patience::Endless) | None => interval / 2,
        };
        life + interval + late
    }

    fn next_beat(&self, life: Moment) -> Moment {
        let interval = self.timing.interval;
        if self.grain.is_zero() {
            life + interval.less_slack()
        } else {
            life + interval.as_duration() + self.grain
        }
    }

    /// It is time to look.
    pub(super) fn doubt(&mut self, now: Moment) {
        self.count_unanswered(now);
        self.look_by_life = None;
        let Phase::Beating { rising, .. } = self.phase else {
            return;
        };
        if self.detector.is_some() && rising == 0 && !self.is_blind {
            self.detect(now);
        } else {
            self.suspect(now);
            self.probes += 1;
            // What TCP says of this beat tells a cut line from a hung sshd: the last one may have been acknowledged
            // just before the cut.
            self.beat(now);
        }
    }

    fn detect(&mut self, now: Moment) {
        let lag = self.lag.saturating_sub(self.grain);
        let (tcp, is_first) = (self.tcp, self.probes == 0);
        let life = self.last_life.unwrap_or(now);
        if tcp.is_none() && now < self.late_at(life) {
            // Nobody knows what the network does there: the old way, for this session.
            self.is_blind = true;
            self.timers.set(Timer::Doubt, self.late_at(life));
            return;
        }
        let Some(detector) = &mut self.detector else {
            return;
        };
        if let Some(tcp) = tcp.filter(|_| is_first) {
            // Our own lateness is not the peer's: neither a beat that has not left yet, nor one that left late.
            let left = now - Duration::from_millis(tcp.last_sent_ms.into());
            let is_older = left <= life + JIFFY.min(self.timing.interval.as_duration() / 4);
            detector.left(if is_older { now } else { left });
        }
        if !std::mem::replace(&mut self.has_looked, true) {
            detector.delayed(lag);
        }
        match detector.handle_timeout(now, tcp.map(|tcp| tcp.kernel())) {
            Some(Doubt::Probe) => {
                self.probes += 1;
                self.beat(now);
            }
            Some(Doubt::Dead) => return self.dead(now),
            None => {}
        }
        let late = self.late_at(life);
        if self.probes >= Self::TELLING || now >= late {
            self.suspect(now);
        }
        if let Some(look) = self.detector.as_ref().and_then(Adaptive::poll_timeout) {
            let look = if now < late { look.min(late) } else { look };
            self.timers.set(Timer::Doubt, look);
        }
    }

    fn suspect(&mut self, now: Moment) {
        if self.state == LineState::Up {
            let cause = self.silence(now);
            self.show(now, LineState::Suspect(cause));
        }
    }

    fn dead(&mut self, now: Moment) {
        let cause = self.silence(now);
        self.show(now, LineState::Down(cause));
        self.prove_itself(now);
    }

    /// The session stands, and the line is down: it is up again after so many good beats.
    pub(super) fn prove_itself(&mut self, now: Moment) {
        let wanted = self.rise_wanted(now);
        if let Phase::Beating { rising, beat, .. } = &mut self.phase {
            *rising = wanted;
            // Whatever came before that answers none of them.
            *beat = now;
        }
    }

    /// How many good beats a line that was down owes. An eager one is used as soon as it stands, however often it fell.
    pub(super) fn rise_wanted(&mut self, now: Moment) -> u32 {
        if self.timing.eager {
            return 1;
        }
        self.flaps.rise(now, self.timing.rise)
    }

    /// So many beats out of turn are ordinary weather, and no news yet.
    const TELLING: u32 = 3;
}

/// How coarse the kernel counts milliseconds (`CONFIG_HZ` of 100).
const JIFFY: Duration = Duration::from_millis(10);
