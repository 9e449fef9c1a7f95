//! One table of everything that waits.

use crate::time::Moment;

/// What a line may be waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Fires when a dial has taken longer than all of its stages together may.
    Dial = 0,
    /// Fires when the next dial may begin.
    Retry = 1,
    /// Fires when a line that is rising wants its next beat early.
    Rise = 2,
    /// Fires when a beat has gone unanswered for half an interval.
    Doubt = 3,
    /// Fires when a line whose session was ended by the peer has not come back within the bound.
    Patience = 4,
}

impl Timer {
    /// Every timer, in the order in which they fire when due together.
    pub const ALL: [Self; 5] = [
        Self::Dial,
        Self::Retry,
        Self::Rise,
        Self::Doubt,
        Self::Patience,
    ];
}

/// When each [`Timer`] fires; at most one time each.
#[derive(Clone, Debug, Default)]
pub struct TimerTable([Option<Moment>; Timer::ALL.len()]);

impl TimerTable {
    /// Sets `timer` to fire at `at`, in place of what was set before.
    pub fn set(&mut self, timer: Timer, at: Moment) {
        if let Some(slot) = self.0.get_mut(timer as usize) {
            *slot = Some(at);
        }
    }

    /// Stops `timer`.
    pub fn stop(&mut self, timer: Timer) {
        if let Some(slot) = self.0.get_mut(timer as usize) {
            *slot = None;
        }
    }

    /// Stops all of them.
    pub fn clear(&mut self) {
        self.0 = Default::default();
    }

    /// When `timer` fires.
    pub fn at(&self, timer: Timer) -> Option<Moment> {
        self.0.get(timer as usize).copied().flatten()
    }

    /// The one timer that is set, if there is exactly one.
    pub fn only(&self) -> Option<Timer> {
        let mut set = Timer::ALL
            .into_iter()
            .filter(|timer| self.at(*timer).is_some());
        set.next().filter(|_| set.next().is_none())
    }

    /// When the first of them fires.
    pub fn next(&self) -> Option<Moment> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes out one timer that is due at `now`.
    pub fn pop_due(&mut self, now: Moment) -> Option<Timer> {
        let due = Timer::ALL
            .into_iter()
            .find(|timer| self.at(*timer).is_some_and(|at| at <= now))?;
        self.stop(due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn fires_what_is_due_once() {
        let at = |s| Moment::at(Duration::from_secs(s));
        let mut table = TimerTable::default();
        table.set(Timer::Retry, at(5));
        table.set(Timer::Doubt, at(3));
        assert_eq!(table.next(), Some(at(3)));
        assert_eq!(table.pop_due(at(2)), None);
        assert_eq!(table.pop_due(at(9)), Some(Timer::Retry));
        assert_eq!(table.pop_due(at(9)), Some(Timer::Doubt));
        assert_eq!(table.pop_due(at(9)), None);
        assert_eq!(table.next(), None);
    }
}
