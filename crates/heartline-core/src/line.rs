//! One line's life.
//!
//! ```text
//!  idle → dialing → up ⇄ suspect → down(cause) → (backoff) dialing …      paused, by the operator
//! ```
//!
//! Observations come in by [`Line::handle`] and [`Line::handle_timeout`]; afterwards [`Line::poll_action`] and
//! [`Line::poll_event`] are to be drained, and [`Line::poll_timeout`] says when to come back. What a line shows
//! ([`LineState`]) and what it is doing (its phase) are two things: a line that is down is dialing, waiting, or rising.

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::Duration;

use crate::alive::{Alive, AliveRule, AliveStep, Prober};
use crate::backoff::Backoff;
use crate::cause::Cause;
use crate::detect::Adaptive;
use crate::event::{Evidence, LineEvent, LinkEvidence, TcpEvidence};
use crate::flap::Flaps;
use crate::time::Moment;
use crate::timer::{Timer, TimerTable};
use crate::timing::Timing;

mod doubt;
mod face;
mod known;
mod layers;
mod observe;
mod silence;

pub use face::{Action, Failure, LineConfig, Observation, Stage};

/// What a line shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineState {
    /// Not begun.
    Idle,
    /// Dialing for the first time; nothing is known yet.
    Dialing,
    /// Its beats are answered.
    Up,
    /// A beat is overdue, or the peer ended the session and we are dialing again; the bound has not passed.
    Suspect(Cause),
    /// Not usable.
    Down(Cause),
    /// Paused by the operator.
    Paused,
}

impl LineState {
    /// The word in JSON and on the terminal.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Dialing => "dialing",
            Self::Up => "up",
            Self::Suspect(_) => "suspect",
            Self::Down(_) => "down",
            Self::Paused => "paused",
        }
    }

    /// Why it is not up.
    pub const fn cause(self) -> Option<Cause> {
        match self {
            Self::Suspect(cause) | Self::Down(cause) => Some(cause),
            Self::Idle | Self::Dialing | Self::Up | Self::Paused => None,
        }
    }
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    timing: Timing,
    prober: Prober,
    phase: Phase,
    state: LineState,
    last_life: Option<Moment>,
    timers: TimerTable,
    backoff: Backoff,
    evidence: Evidence,
    tcp: Option<TcpEvidence>,
    /// When the guard last answered, and after how long.
    echo: Option<(Moment, Duration)>,
    jump_in_doubt: bool,
    /// The first that TCP knew of this silence, and when.
    first_tcp: Option<(Moment, TcpEvidence)>,
    /// When a dial under way last came a stage further; none while it waits for its turn.
    reached: Option<Moment>,
    /// Calls the peer down before the bound; none, where that is not wanted, or no session stood yet.
    detector: Option<Adaptive>,
    /// Nobody tells what TCP knows of this session, so that the detector cannot work.
    is_blind: bool,
    /// Beats of the detector since the last sign of life.
    probes: u32,
    /// It has looked at this silence.
    has_looked: bool,
    /// When to look, as long as that follows from the last sign of life alone.
    look_by_life: Option<Moment>,
    /// A sign of life was told since somebody asked when to come back.
    is_fresh: Cell<bool>,
    /// Small latenesses that did not count against this silence, in all.
    excused: Duration,
    grain: Duration,
    lag: Duration,
    shell_hangs: bool,
    /// Our own side was not whole since the last sign of life.
    was_cut_off: bool,
    flaps: Flaps,
    actions: VecDeque<Action>,
    events: VecDeque<LineEvent>,
}

/// What a line is doing.
#[derive(Clone, Debug)]
enum Phase {
    /// Nothing, until told.
    Resting,
    /// Waiting to dial.
    Waiting,
    /// Dialing.
    Dialing,
    /// A session stands; `rising` good beats are still wanted before the line is up.
    Beating {
        alive: Alive,
        rising: u32,
        begun: Moment,
        /// When the last beat left, or was answered.
        beat: Moment,
        /// It has been up in this session.
        was_up: bool,
    },
}

impl Line {
    /// An idle line.
    pub fn new(config: LineConfig) -> Self {
        Self {
            timing: config.timing,
            prober: config.prober,
            phase: Phase::Resting,
            state: LineState::Idle,
            last_life: None,
            timers: TimerTable::default(),
            backoff: Backoff::new(config.seed).eager(config.timing.eager),
            evidence: Evidence::default(),
            tcp: None,
            echo: None,
            jump_in_doubt: false,
            first_tcp: None,
            reached: None,
            detector: None,
            is_blind: false,
            probes: 0,
            has_looked: false,
            look_by_life: None,
            is_fresh: Cell::new(false),
            excused: Duration::ZERO,
            grain: config.grain,
            lag: Duration::ZERO,
            shell_hangs: false,
            was_cut_off: false,
            flaps: Flaps::default(),
            actions: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// To be called when [`poll_timeout`](Self::poll_timeout) is due.
    ///
    /// A call that comes much later than due shows that the watcher did not run; that time counts against nobody.
    pub fn handle_timeout(&mut self, now: Moment) {
        let late = self.lateness(now);
        if !late.is_zero() {
            self.stalled(now, late);
        }
        if let Phase::Beating { alive, .. } = &mut self.phase {
            match alive.handle_timeout(now) {
                Some(AliveStep::Probe) => self.beat(now),
                Some(AliveStep::End) => self.end_of_silence(now),
                None => {}
            }
        }
        while let Some(timer) = self.timers.pop_due(now) {
            self.fire(now, timer);
        }
    }

    /// By how much the watcher did not run when it should have, as far as that does not count against the peer. Long latenesses never do,
    /// of short ones so much a silence.
    fn lateness(&mut self, now: Moment) -> Duration {
        // After a sign of life that was told just now a detector may have wanted to look when the beat after it left, which nobody
        // could know; whoever slept was to be woken when its answer is overdue.
        let is_fresh = self.is_fresh.take();
        let overdue = self
            .detector
            .as_ref()
            .filter(|_| is_fresh)
            .map(Adaptive::overdue);
        let due = self
            .next_timeout()
            .map(|due| overdue.map_or(due, |overdue| due.max(overdue)));
        let late = due.map_or(Duration::ZERO, |due| now.saturating_since(due));
        if late <= Self::LATE + self.grain {
            return Duration::ZERO;
        }
        if late > Alive::LATE + self.grain {
            return late;
        }
        let left = Alive::LATE.saturating_sub(self.excused);
        self.excused += late.min(left);
        late.min(left)
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; to be asked before whoever drives the line waits. `None` while only an observation can matter.
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.is_fresh.set(false);
        self.next_timeout()
    }

    fn next_timeout(&self) -> Option<Moment> {
        let alive = match &self.phase {
            Phase::Beating { alive, .. } => alive.poll_timeout(),
            Phase::Resting | Phase::Waiting | Phase::Dialing => None,
        };
        [alive, self.timers.next()].into_iter().flatten().min()
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<LineEvent> {
        self.events.pop_front()
    }

    /// Whether there is nothing to do until [`poll_timeout`](Self::poll_timeout), and nothing then either if a sign of life
    /// comes before: what it wants to be called for is put off by as much as that comes after the last one. Before
    /// anything else is told it has then to be told of the last of them. After a stall that is not so until there is life
    /// again, since the stall has put off what it wants to be called for.
    pub fn dozes(&self) -> bool {
        let is_settled = matches!(self.phase, Phase::Beating { rising: 0, .. });
        self.prober == Prober::Session
            && self.state == LineState::Up
            && is_settled
            && self.timers.only() == Some(Timer::Doubt)
            && self.look_by_life.is_some()
            && self.timers.at(Timer::Doubt) == self.look_by_life
    }

    /// Whether a beat is overdue, so that what TCP knows would explain the silence; the driver then reads it before it
    /// calls [`handle_timeout`](Self::handle_timeout).
    pub fn wants_tcp_evidence(&self, now: Moment) -> bool {
        let is_overdue = || {
            let look = self.detector.as_ref().and_then(Adaptive::poll_timeout);
            look.is_some_and(|look| look <= now)
        };
        matches!(&self.phase, Phase::Beating { alive, .. } if alive.unanswered(now) > 0 || is_overdue())
    }

    /// What it shows.
    pub fn state(&self) -> LineState {
        self.state
    }

    /// Its peer's last sign of life.
    pub fn last_life(&self) -> Option<Moment> {
        self.last_life
    }

    /// Its bound.
    pub fn bound(&self) -> Duration {
        self.timing.bound().as_duration()
    }

    fn fire(&mut self, now: Moment, timer: Timer) {
        match timer {
            Timer::Dial => {
                let since = self.reached.unwrap_or(now);
                if since + self.timing.dial_timeout() > now {
                    self.timers
                        .set(Timer::Dial, since + self.timing.dial_timeout());
                    return;
                }
                self.actions.push_back(Action::Abort);
                let cause = match self.evidence.ssh.stage {
                    Some(Stage::Banner) => Cause::BannerTimeout,
                    Some(Stage::Kex) => Cause::KexTimeout,
                    Some(Stage::Auth | Stage::Session) => Cause::AuthTimeout,
                    Some(Stage::Resolve) => Cause::Dns,
                    Some(Stage::Proxy | Stage::Connect) | None => Cause::Silent,
                };
                self.dial_failed(now, Failure::new(cause, "the dial took too long"));
            }
            Timer::Retry => self.dial(now),
            Timer::Rise => {
                if matches!(self.phase, Phase::Beating { rising: 1.., .. }) {
                    self.beat(now);
                }
            }
            Timer::Doubt => self.doubt(now),
            Timer::Patience => {
                if let LineState::Suspect(cause) = self.state {
                    self.show(now, LineState::Down(cause));
                }
            }
        }
    }

    fn dial(&mut self, now: Moment) {
        self.phase = Phase::Dialing;
        self.forget_doubt();
        self.is_blind = false;
        self.echo = None;
        self.jump_in_doubt = false;
        self.reached = None;
        self.evidence.ssh.stage = None;
        self.timers.stop(Timer::Retry);
        self.timers
            .set(Timer::Dial, now + self.timing.dial_timeout());
        self.actions.push_back(Action::Dial);
        if self.state == LineState::Idle {
            self.show(now, LineState::Dialing);
        }
    }

    fn beat(&mut self, now: Moment) {
        self.actions.push_back(Action::Beat);
        let mut answered = false;
        if let Phase::Beating {
            alive,
            rising,
            beat,
            ..
        } = &mut self.phase
        {
            // A peer whose replies cannot be told apart (UNIMPLEMENTED) proves by them that it lives all the same.
            answered = *rising > 0 && alive.last_life() > *beat;
            *rising = rising.saturating_sub(answered.into());
            answered &= *rising == 0;
            *beat = now;
        }
        if answered {
            self.is_well(now);
        }
        self.evidence.ssh.unanswered = self.evidence.ssh.unanswered.saturating_add(1);
    }

    /// The bound has passed without a sign of life: both ends go, and the line is down.
    fn end_of_silence(&mut self, now: Moment) {
        let cause = self.silence(now);
        self.count_unanswered(now);
        self.actions.push_back(Action::Abort);
        self.session_over(now);
        self.show(now, LineState::Down(cause));
        self.retry_after(now, cause);
    }

    fn dial_failed(&mut self, now: Moment, failure: Failure) {
        self.timers.stop(Timer::Dial);
        let cause = self.cause_of_silence(failure.cause);
        self.evidence.ssh.detail = failure.detail;
        self.timers.stop(Timer::Patience);
        self.show(now, LineState::Down(cause));
        self.retry_after(now, cause);
    }

    fn retry_after(&mut self, now: Moment, cause: Cause) {
        if cause.stops_dialing() {
            self.phase = Phase::Resting;
            return;
        }
        self.phase = Phase::Waiting;
        let wait = self.backoff.next(cause);
        self.timers.set(Timer::Retry, now + wait);
    }

    /// Whether the session that is over here, if there was one, had lasted.
    fn session_over(&mut self, now: Moment) -> bool {
        self.shell_hangs = false;
        let lasted = matches!(&self.phase, Phase::Beating { begun, .. }
            if now.saturating_since(*begun) >= Self::LASTED);
        if lasted {
            self.backoff.reset();
        }
        self.phase = Phase::Resting;
        self.timers.clear();
        lasted
    }

    fn show(&mut self, now: Moment, to: LineState) {
        if to == self.state {
            return;
        }
        let was_usable = matches!(self.state, LineState::Up | LineState::Suspect(_));
        if was_usable && matches!(to, LineState::Down(_)) {
            self.flaps.fell(now);
        }
        if let (LineState::Up, Phase::Beating { was_up, .. }) = (to, &mut self.phase) {
            *was_up = true;
        }
        let from = std::mem::replace(&mut self.state, to);
        self.events.push_back(LineEvent {
            at: now,
            from,
            to,
            after: self.last_life.map(|life| now.saturating_since(life)),
            evidence: self.evidence_now(now),
            flaps: self.flaps.lately(now),
        });
    }

    /// A timer that is handled so much later, and more than the grain, shows that the watcher did not run. It is short, since a line in
    /// doubt is called often, and of a stall in many pieces each piece has to be seen.
    const LATE: Duration = Duration::from_millis(20);
    /// A session that lasted this long was a good one: when the peer ends it we dial at once, and the backoff begins
    /// anew. A shorter one counts as a failed dial, so that a peer that ends every session never sees a login storm.
    pub const LASTED: Duration = Duration::from_secs(30);
}

#[cfg(test)]
mod tests;
