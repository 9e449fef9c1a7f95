//! The ServerAlive rule: when to probe, when to end.
//!
//! Probes leave at 1, 2 … count intervals after the last sign of life, the end comes at `interval · (count + 1)`
//! (OpenSSH's clientloop.c, `server_alive_check`, but to the millisecond rather than to the whole second). Any sign of
//! life begins it anew. Time in which the watcher itself did not run is not counted against the peer.

use std::time::Duration;

use crate::time::Moment;
use crate::timing::{Bound, Count, Interval};

/// The numbers of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AliveRule {
    /// Time between probes.
    pub interval: Interval,
    /// Probes that may go unanswered.
    pub count: Count,
    /// From the last sign of life to the end.
    pub bound: Bound,
    /// How much earlier than due a probe may leave, so that those of many lines leave together.
    pub slack: Duration,
    /// Who sends the probes.
    pub prober: Prober,
}

/// Who sends the probes of the rule. The end is always ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prober {
    /// Whoever is told by [`AliveStep::Probe`].
    #[default]
    Us,
    /// The session itself, an interval after whatever it last heard, and every interval after that.
    Session,
}

impl AliveRule {
    /// The rule with the slack that belongs to the interval.
    pub fn new(interval: Interval, count: Count) -> Self {
        Self {
            interval,
            count,
            bound: Bound::of(interval, count),
            slack: interval.slack(),
            prober: Prober::Us,
        }
    }
}

/// What [`Alive::handle_timeout`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliveStep {
    /// Send a probe.
    Probe,
    /// The peer is dead: end the session.
    End,
}

/// One peer's aliveness.
#[derive(Clone, Debug)]
pub struct Alive {
    rule: AliveRule,
    /// The peer's last sign of life, as it was.
    last_life: Moment,
    /// The same, moved on by the time in which the watcher did not run.
    base: Moment,
    sent: u32,
    end: Moment,
    ended: bool,
}

impl Alive {
    /// Begins at a sign of life.
    pub fn new(rule: AliveRule, now: Moment) -> Self {
        Self {
            rule,
            last_life: now,
            base: now,
            sent: 0,
            end: now + rule.bound.as_duration(),
            ended: false,
        }
    }

    /// A sign of life: any complete packet that passed its MAC, any reply to a probe.
    pub fn handle_life(&mut self, now: Moment) {
        // One that is known already is no news: it may not undo what a probe or a stall has moved since.
        if self.ended || now <= self.last_life {
            return;
        }
        *self = Self::new(self.rule, now);
    }

    /// The watcher did not run for `lost`, which ended just now: no silence counts for that time.
    pub fn handle_stall(&mut self, now: Moment, lost: Duration) {
        if self.ended {
            return;
        }
        let silence = now.saturating_since(self.base);
        let lost = lost.min(silence);
        self.base = self.base + lost;
        self.end = (self.end + lost).max(now + Self::last_look(lost));
    }

    /// To be called when [`poll_timeout`](Self::poll_timeout) is due. A call that comes later than
    /// [`Self::LATE`] shows that the watcher did not run; the lateness is then not counted.
    pub fn handle_timeout(&mut self, now: Moment) -> Option<AliveStep> {
        if self.ended {
            return None;
        }
        let late = now.saturating_since(self.poll_timeout()?);
        if late > Self::LATE {
            self.handle_stall(now, late);
        }
        if now >= self.end {
            self.ended = true;
            return Some(AliveStep::End);
        }
        if self.next_probe().is_some_and(|at| now >= at) {
            self.sent = self.sent.saturating_add(1);
            return Some(AliveStep::Probe);
        }
        None
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; `None` once it has ended.
    pub fn poll_timeout(&self) -> Option<Moment> {
        if self.ended {
            return None;
        }
        Some(self.next_probe().map_or(self.end, |at| at.min(self.end)))
    }

    /// The peer's last sign of life.
    pub fn last_life(&self) -> Moment {
        self.last_life
    }

    /// Probes sent since the last sign of life, by this rule.
    pub fn unanswered(&self, now: Moment) -> u32 {
        match self.rule.prober {
            Prober::Us => self.sent,
            Prober::Session => {
                let interval = self.rule.interval.as_duration();
                let whole = now.saturating_since(self.base).as_nanos() / interval.as_nanos().max(1);
                u32::try_from(whole).unwrap_or(u32::MAX)
            }
        }
    }

    /// When the end comes unless life does.
    pub fn end(&self) -> Moment {
        self.end
    }

    fn next_probe(&self) -> Option<Moment> {
        if self.rule.prober == Prober::Session || self.sent >= self.rule.count.get() {
            return None;
        }
        let interval = self.rule.interval.as_duration();
        let due = self.base + interval.saturating_mul(self.sent.saturating_add(1));
        // Never earlier than a whole slack after the previous one would have been due: the grid may not make two of one.
        Some(due.floor_to(self.rule.slack).max(self.base))
    }

    /// A timer handled later than this means that the watcher did not run; less is ordinary scheduling.
    pub const LATE: Duration = Duration::from_millis(100);
    /// After a stall of this length at least so long passes before an end, so that what arrived meanwhile is read first.
    pub fn last_look(lost: Duration) -> Duration {
        lost.min(Self::LAST_LOOK)
    }

    /// The longest of these.
    pub const LAST_LOOK: Duration = Duration::from_millis(100);
}

#[cfg(test)]
mod tests;
