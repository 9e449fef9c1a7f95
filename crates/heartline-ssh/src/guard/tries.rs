//! What is known of guards at one far end, from session to session: whether to start one, and what to tell when there can be
//! none.

use std::time::Duration;

use heartline_core::{Cause, Failure, Fuse, Timing};

use super::{Duty, Guard, GuardRule, Unguarded};
use crate::clock::Clock;
use crate::session::Session;

/// See the module.
#[derive(Debug)]
pub struct Tries {
    fuse: Option<Fuse>,
    patience: Duration,
    /// None can work there.
    given_up: bool,
    /// It was told that there is none.
    told: bool,
    /// Sessions in a row that their peer ended while a guard was being started.
    broken: u8,
}

impl Tries {
    /// For sessions of this timing; none was tried.
    pub fn new(timing: Timing) -> Self {
        Self {
            fuse: timing.fuse,
            patience: timing.stage_timeout,
            given_up: false,
            told: false,
            broken: 0,
        }
    }

    /// Whether a session is to have a guard.
    pub fn are_wanted(&self) -> bool {
        self.fuse.is_some() && !self.given_up
    }

    /// Starts a guard for a session, if there is to be one.
    pub fn start(&self, session: &dyn Session, clock: Clock) -> Option<Guard> {
        let fuse = self.fuse.filter(|_| self.are_wanted())?;
        Some(session.guard(GuardRule {
            fuse,
            duty: Duty::Session,
            patience: self.patience,
            clock,
        }))
    }

    /// There can be no guard for a session that is well; whether that is to be told.
    pub fn unguarded(&mut self, why: &Unguarded) -> bool {
        self.given_up |= !why.may_pass();
        !std::mem::replace(&mut self.told, true)
    }

    /// A session is over that had this guard, if any; what is to be told.
    pub fn session_ended(&mut self, guard: Option<&Guard>, failure: &Failure) -> Option<Unguarded> {
        let guard = guard?;
        let is_starting = !guard.holds() && guard.echo().is_none();
        if !is_starting || failure.cause != Cause::ClosedByPeer {
            self.broken = 0;
            return None;
        }
        // Many a switch or router ends the session with the command. Once may be chance: an sshd that was just ended.
        self.broken += 1;
        let why = Unguarded::EndsSession;
        (self.broken >= MOST_BROKEN && self.unguarded(&why)).then_some(why)
    }

    /// Somebody may have mended it: whether to try again, and to tell again.
    pub fn try_again(&mut self) {
        self.given_up = false;
        self.told = false;
        self.broken = 0;
    }
}

const MOST_BROKEN: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_there_is_no_guard_is_told_once_until_somebody_asks_for_another_try() {
        let mut tries = Tries::new(Timing::default());
        let mute = Unguarded::Mute {
            after: Duration::from_secs(10),
        };
        assert!(tries.unguarded(&mute));
        assert!(!tries.given_up, "the next session may have one");
        assert!(!tries.unguarded(&mute));
        assert!(!tries.unguarded(&Unguarded::NotOurs));
        assert!(tries.given_up);
        tries.try_again();
        assert!(!tries.given_up && tries.unguarded(&Unguarded::NotRun));
    }
}
