//! Whether a line's sessions need a channel to survive.
//!
//! An sshd with `UnusedConnectionTimeout` ends a connection without a channel, quietly, and always at the same age. Two
//! ends in a row at one age tell; from then on the line holds a channel.

use std::time::Duration;

/// What a line has learnt of its sessions' ends.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    last_age: Option<Duration>,
    needed: bool,
}

impl Holding {
    /// Whether the next session is to hold a channel.
    pub(crate) fn is_needed(&self) -> bool {
        self.needed
    }

    /// The peer ended a session that was well, at this age.
    pub(crate) fn ended_by_peer(&mut self, age: Duration) {
        if self.needed {
            return;
        }
        let alike = self.last_age.is_some_and(|last| {
            let apart = last.max(age).saturating_sub(last.min(age));
            apart <= Self::ALIKE + age / 50
        });
        self.needed = alike && age >= Self::YOUNGEST;
        self.last_age = Some(age);
    }

    /// sshd counts in whole seconds.
    const ALIKE: Duration = Duration::from_millis(1_500);
    /// The shortest timeout is 1 s.
    const YOUNGEST: Duration = Duration::from_millis(500);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(ages: &[u64]) -> bool {
        let mut holding = Holding::default();
        for age in ages {
            holding.ended_by_peer(Duration::from_secs(*age));
        }
        holding.is_needed()
    }

    #[test]
    fn two_ends_at_one_age_tell() {
        assert!(!after(&[300]));
        assert!(after(&[300, 303]));
        assert!(!after(&[300, 9_000]));
        assert!(after(&[12, 300, 300]));
        assert!(!after(&[0, 0]));
    }
}
