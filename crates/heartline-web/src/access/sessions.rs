//! Whoever has logged in: a random number each.

use std::collections::VecDeque;
use std::fmt::Write;
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq;

/// Those that are going on, oldest first.
#[derive(Debug, Default)]
pub(super) struct Sessions(VecDeque<(String, Instant)>);

impl Sessions {
    /// Another, at the cost of the oldest if there are too many. None, if the system has no random numbers.
    pub(super) fn begin(&mut self, now: Instant) -> Option<String> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).ok()?;
        let mut id = String::with_capacity(64);
        for byte in random {
            let _ = write!(id, "{byte:02x}");
        }
        self.forget(now);
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((id.clone(), now + AGE));
        Some(id)
    }

    /// Whether it is one.
    pub(super) fn holds(&mut self, id: &str, now: Instant) -> bool {
        self.forget(now);
        let ids = self.0.iter();
        ids.fold(false, |found, (one, _)| {
            found | bool::from(one.as_bytes().ct_eq(id.as_bytes()))
        })
    }

    /// It is over.
    pub(super) fn end(&mut self, id: &str) {
        self.0
            .retain(|(one, _)| !bool::from(one.as_bytes().ct_eq(id.as_bytes())));
    }

    fn forget(&mut self, now: Instant) {
        while self.0.front().is_some_and(|(_, until)| *until <= now) {
            self.0.pop_front();
        }
    }
}

/// How long one lasts.
pub(super) const AGE: Duration = Duration::from_hours(12);
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_over_after_its_time_or_when_it_is_ended_or_when_there_are_too_many() {
        let mut sessions = Sessions::default();
        let now = Instant::now();
        let first = sessions.begin(now).unwrap();
        assert!(sessions.holds(&first, now));
        assert!(!sessions.holds("", now));
        assert!(!sessions.holds(&first, now + AGE));
        let mut ids: Vec<_> = (0..=MOST).map(|_| sessions.begin(now).unwrap()).collect();
        assert!(!sessions.holds(&ids[0], now));
        let last = ids.pop().unwrap();
        assert!(sessions.holds(&last, now));
        sessions.end(&last);
        assert!(!sessions.holds(&last, now));
    }
}
