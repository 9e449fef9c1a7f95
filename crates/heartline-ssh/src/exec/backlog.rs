//! What has come of a command and was not taken yet.
//!
//! russh opens a channel's window again as soon as data arrive, whether or not anybody takes them, and stops everything,
//! its own beats too, while a channel's queue is full. So its queue is emptied at all times, into this; and when too much
//! has gathered here, the session's wire is not read for a while. Then TCP's own window closes and the far end waits, while
//! what we send, the beats among it, goes on leaving.

use std::sync::{Mutex, PoisonError};

use crate::wire::Brake;

/// See the module.
#[derive(Debug)]
pub(super) struct Backlog {
    state: Mutex<State>,
    brake: Brake,
}

#[derive(Debug, Default)]
struct State {
    bytes: usize,
    holds: bool,
    is_abandoned: bool,
}

impl Backlog {
    /// An empty one, of a session with this brake.
    pub(super) fn new(brake: Brake) -> Self {
        Self {
            state: Mutex::default(),
            brake,
        }
    }

    /// So much has come.
    pub(super) fn came(&self, bytes: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bytes = state.bytes.saturating_add(bytes);
        if state.bytes > HIGH && !state.holds && !state.is_abandoned {
            state.holds = true;
            self.brake.hold();
        }
    }

    /// So much was taken.
    pub(super) fn taken(&self, bytes: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bytes = state.bytes.saturating_sub(bytes);
        if state.bytes <= LOW {
            self.release(&mut state);
        }
    }

    /// Nobody will take anything any more.
    pub(super) fn abandon(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_abandoned = true;
        self.release(&mut state);
    }

    fn release(&self, state: &mut State) {
        if std::mem::take(&mut state.holds) {
            self.brake.release();
        }
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// The window of russh's channels: a fast link stays busy while this is emptied.
const HIGH: usize = 2 << 20;
/// From here on more is let in.
const LOW: usize = HIGH / 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Brake;

    #[test]
    fn the_wire_rests_from_the_high_mark_to_the_low_one() {
        let brake = Brake::detached();
        let backlog = Backlog::new(brake.clone());
        backlog.came(HIGH);
        assert!(!brake.holds());
        backlog.came(1);
        assert!(brake.holds());
        backlog.came(HIGH);
        backlog.taken(HIGH);
        assert!(brake.holds());
        backlog.taken(HIGH);
        assert!(!brake.holds());
        backlog.came(3 * HIGH);
        assert!(brake.holds());
        drop(backlog);
        assert!(!brake.holds());
    }

    #[test]
    fn an_abandoned_one_never_holds_it_again() {
        let brake = Brake::detached();
        let backlog = Backlog::new(brake.clone());
        backlog.came(2 * HIGH);
        backlog.abandon();
        backlog.came(2 * HIGH);
        assert!(!brake.holds());
    }

    #[test]
    fn two_commands_of_one_session_hold_it_apart() {
        let brake = Brake::detached();
        let (one, two) = (Backlog::new(brake.clone()), Backlog::new(brake.clone()));
        one.came(2 * HIGH);
        two.came(2 * HIGH);
        one.abandon();
        assert!(brake.holds());
        two.abandon();
        assert!(!brake.holds());
    }
}
