//! How long to wait before dialing again: exponential, with full jitter, capped.
//!
//! Full jitter (a uniform draw from zero to the ceiling) spreads a thousand lines that fell together better than a
//! jitter around the ceiling does. Dials that the peer's sshd never saw may be repeated soon; those it saw are spaced so
//! that fail2ban, MaxStartups and PerSourcePenalties never see an attacker.

use std::time::Duration;

use crate::cause::Cause;

/// The wait before each next dial of one line.
#[derive(Clone, Debug)]
pub struct Backoff {
    tries: u32,
    unseen_cap: Duration,
    dice: fastrand::Rng,
}

impl Backoff {
    /// Begins with no failure; `seed` should differ from line to line.
    pub fn new(seed: u64) -> Self {
        Self {
            tries: 0,
            unseen_cap: Self::UNSEEN_CAP,
            dice: fastrand::Rng::with_seed(seed),
        }
    }

    /// Where it is worth more to be back soon: no sshd sees those dials.
    #[must_use]
    pub fn eager(self, eager: bool) -> Self {
        let unseen_cap = if eager {
            Self::EAGER_CAP
        } else {
            Self::UNSEEN_CAP
        };
        Self { unseen_cap, ..self }
    }

    /// Whether nothing has failed since the beginning, or since a session that lasted.
    pub fn is_fresh(&self) -> bool {
        self.tries == 0
    }

    /// A session lasted: begin anew.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// A dial failed for this cause: how long to wait.
    pub fn next(&mut self, cause: Cause) -> Duration {
        let (floor, cap) = if cause == Cause::Penalty {
            (Self::PENALTY_FLOOR, Self::PENALTY_CAP)
        } else if cause.seen_by_sshd() {
            (Self::SEEN_FLOOR, Self::SEEN_CAP)
        } else {
            (Self::UNSEEN_FLOOR, self.unseen_cap)
        };
        let ceiling = Self::FIRST
            .saturating_mul(1 << self.tries.min(Self::MAX_DOUBLINGS))
            .min(cap);
        self.tries = self.tries.saturating_add(1);
        floor.max(ceiling.mul_f64(self.dice.f64()))
    }

    /// The ceiling of the first wait.
    pub const FIRST: Duration = Duration::from_millis(500);
    /// The most between two dials that no sshd saw.
    pub const UNSEEN_CAP: Duration = Duration::from_secs(5);
    /// The same, of an eager line.
    pub const EAGER_CAP: Duration = Duration::from_millis(500);
    /// The least between two dials that no sshd saw.
    pub const UNSEEN_FLOOR: Duration = Duration::from_millis(100);
    /// The most between two dials that an sshd saw.
    pub const SEEN_CAP: Duration = Duration::from_mins(1);
    /// The least between two dials that an sshd saw.
    pub const SEEN_FLOOR: Duration = Duration::from_secs(1);
    /// The most between two dials to a host that turns us away.
    pub const PENALTY_CAP: Duration = Duration::from_mins(5);
    /// The least between two dials to a host that turns us away (PerSourcePenalties' shortest is 1 s, its usual 5 s).
    pub const PENALTY_FLOOR: Duration = Duration::from_secs(15);
    const MAX_DOUBLINGS: u32 = 16;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_between_floor_and_cap_and_draws_from_the_whole_range() {
        let mut backoff = Backoff::new(7);
        let waits: Vec<_> = (0..500).map(|_| backoff.next(Cause::Silent)).collect();
        assert!(
            waits
                .iter()
                .all(|w| *w >= Backoff::UNSEEN_FLOOR && *w <= Backoff::UNSEEN_CAP)
        );
        assert!(waits.iter().skip(10).any(|w| *w < Backoff::UNSEEN_CAP / 10));
        assert!(waits.iter().any(|w| *w > Backoff::UNSEEN_CAP / 10 * 9));
    }

    #[test]
    fn a_host_that_turns_us_away_is_left_alone_for_a_while() {
        let mut backoff = Backoff::new(7);
        assert!((0..50).all(|_| backoff.next(Cause::Penalty) >= Backoff::PENALTY_FLOOR));
        assert!((0..50).all(|_| backoff.next(Cause::KexTimeout) <= Backoff::SEEN_CAP));
    }
}
