//! What each observation does to a line.

use std::time::Duration;

use super::{
    Action, Alive, AliveRule, Failure, Line, LineState, Moment, Observation, Phase, Stage, Timer,
};

impl Line {
    /// Takes in what the driver saw.
    pub fn handle(&mut self, now: Moment, observation: Observation) {
        match observation {
            Observation::Reached(stage) => {
                self.evidence.ssh.stage = Some(stage);
                self.reached = Some(now);
            }
            Observation::Connected => self.connected(now),
            Observation::DialFailed(failure) => {
                if matches!(self.phase, Phase::Dialing) {
                    self.dial_failed(now, failure);
                }
            }
            Observation::Life => self.life(now),
            Observation::Beat(rtt) => self.answered(now, rtt),
            Observation::Closed(failure) => self.closed(now, failure),
            Observation::RoundTrip(rtt) => self.evidence.ssh.rtt_ms = Some(millis(rtt)),
            Observation::Echo(rtt) => self.echo = Some((now, rtt)),
            Observation::Tcp(evidence) => {
                self.tcp = Some(evidence);
                self.first_tcp.get_or_insert((now, evidence));
            }
            Observation::JumpInDoubt(doubt) => self.jump_in_doubt = doubt,
            Observation::Link(Some(link)) => self.linked(now, link),
            Observation::Link(None) => self.evidence.link = None,
            Observation::ShellHangs(hangs) => self.shell(now, hangs),
            Observation::Grain(grain) => self.grain = grain,
            Observation::Lag(lag) => self.lag = lag,
            Observation::Ask => self.asked(now),
            Observation::Stalled(lost) => self.stalled(now, lost),
            Observation::DialNow => self.dial_now(now),
            Observation::Pause => self.pause(now),
            Observation::Resume => {
                if self.state == LineState::Paused {
                    self.show(now, LineState::Dialing);
                    self.dial(now);
                }
            }
        }
    }

    fn connected(&mut self, now: Moment) {
        if !matches!(self.phase, Phase::Dialing) {
            return;
        }
        let rule = AliveRule {
            prober: self.prober,
            bound: self.timing.bound(),
            ..AliveRule::new(self.timing.interval, self.timing.count)
        };
        self.timers.stop(Timer::Dial);
        self.timers.stop(Timer::Patience);
        self.last_life = Some(now);
        self.evidence.ssh.stage = Some(Stage::Session);
        self.evidence.ssh.detail = None;
        self.evidence.ssh.unanswered = 0;
        // A line that was never down need not prove itself twice, nor one that came back before it was called down.
        let rising = match self.state {
            LineState::Down(_) => self.rise_wanted(now),
            _ => 1,
        };
        let alive = Alive::new(rule, now);
        self.phase = Phase::Beating {
            alive,
            rising,
            begun: now,
            beat: now,
            was_up: false,
        };
        self.detect_anew(now);
        self.doubt_after(now);
        self.beat(now);
    }

    fn life(&mut self, now: Moment) {
        let Phase::Beating {
            alive,
            rising,
            was_up,
            ..
        } = &mut self.phase
        else {
            return;
        };
        alive.handle_life(now);
        let (rising, was_up) = (*rising, *was_up);
        self.last_life = Some(now);
        self.evidence.ssh.unanswered = 0;
        self.doubt_after(now);
        match rising {
            0 => self.is_well(now),
            _ if was_up => self.lives_after_all(now),
            _ => {}
        }
    }

    fn answered(&mut self, now: Moment, rtt: Duration) {
        if let Phase::Beating { rising, beat, .. } = &mut self.phase {
            *rising = rising.saturating_sub(1);
            // Counted here, so that the next beat does not count the same answer again.
            *beat = now;
            let left = *rising;
            self.evidence.ssh.rtt_ms = Some(millis(rtt));
            self.life(now);
            if left > 0 {
                let pause = self.timing.interval.as_duration().min(Self::RISE_PAUSE);
                self.timers.set(Timer::Rise, now + pause);
            }
        }
    }

    /// The peer ended the session. Its machine may be well: until the bound has passed the line is only doubted, and we
    /// dial again, which soon tells.
    fn closed(&mut self, now: Moment, failure: Failure) {
        let Phase::Beating { alive, was_up, .. } = &self.phase else {
            return;
        };
        let (end, was_up) = (alive.end(), *was_up);
        let lasted = self.session_over(now);
        let cause = self.cause_of_silence(failure.cause);
        self.evidence.ssh.detail = failure.detail;
        if !was_up {
            self.show(now, LineState::Down(cause));
            self.retry_after(now, cause);
            return;
        }
        if matches!(self.state, LineState::Up | LineState::Suspect(_)) {
            self.show(now, LineState::Suspect(cause));
            self.timers.set(Timer::Patience, end);
        } else {
            self.show(now, LineState::Down(cause));
        }
        // At once after a session that lasted, and once after one that did not: that tells a restarted sshd from a dead
        // one without a wait, and a peer that ends every session sees no storm.
        let at_once = lasted || self.backoff.is_fresh();
        self.retry_after(now, cause);
        if at_once {
            self.dial(now);
        }
    }

    /// Somebody else is in doubt.
    fn asked(&mut self, now: Moment) {
        if matches!(self.phase, Phase::Beating { rising: 0, .. }) && self.probes == 0 {
            self.beat(now);
            self.look_by_life = None;
            if let Some(detector) = &mut self.detector {
                detector.sent(now);
                if let Some(look) = detector.poll_timeout() {
                    self.timers.set(Timer::Doubt, look);
                }
            }
        }
    }

    pub(super) fn stalled(&mut self, now: Moment, lost: Duration) {
        if let Phase::Beating { alive, .. } = &mut self.phase {
            alive.handle_stall(now, lost);
            if let Some(detector) = &mut self.detector {
                // A stall may be told twice, and no more of it counts than there was of silence.
                let lost = lost.min(now.saturating_since(detector.life()));
                detector.stalled(lost, now + Alive::last_look(lost));
            }
        }
        self.look_by_life = None;
        // A dial, a doubt, or a wait for the peer to come back has lost the same time.
        for timer in [Timer::Dial, Timer::Doubt, Timer::Patience] {
            if let Some(at) = self.timers.at(timer) {
                // What arrived meanwhile is looked at before anything is concluded.
                let later = (at + lost).max(now + Alive::last_look(lost));
                self.timers.set(timer, later);
            }
        }
    }

    fn dial_now(&mut self, now: Moment) {
        match self.phase {
            Phase::Resting | Phase::Waiting if self.state != LineState::Paused => self.dial(now),
            _ => {}
        }
    }

    fn pause(&mut self, now: Moment) {
        match self.phase {
            Phase::Beating { .. } => self.actions.push_back(Action::Disconnect),
            Phase::Dialing => self.actions.push_back(Action::Abort),
            Phase::Resting | Phase::Waiting => {}
        }
        self.session_over(now);
        self.show(now, LineState::Paused);
    }

    /// The most between two beats of a line that is rising, so that a healed line is shown soon.
    const RISE_PAUSE: Duration = Duration::from_millis(500);
}

pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
