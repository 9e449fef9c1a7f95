//! A detector that is the more patient the less its own pings are answered in time.

use std::time::Duration;

use super::{Beat, Detector};
use crate::time::Moment;

/// Half an interval for the answer to the next ping, more of them when the watcher itself is not well, and then the suspicion.
#[derive(Clone, Debug)]
pub struct Lifeguard {
    half: Duration,
    suspicion: Duration,
    /// 0 is well.
    health: u32,
    deadline: Option<Moment>,
}

impl Lifeguard {
    /// For pings that are sent at this interval.
    pub fn new(interval: Duration, suspicion: Duration) -> Self {
        Self {
            half: interval / 2,
            suspicion,
            health: 0,
            deadline: None,
        }
    }

    fn patience(&self) -> Duration {
        self.half * (self.health + 1)
    }
}

impl Detector for Lifeguard {
    fn arrived(&mut self, beat: Beat) {
        let is_in_time = beat.at <= beat.sent + self.patience();
        self.health = if is_in_time {
            self.health.saturating_sub(1)
        } else {
            (self.health + 1).min(WORST)
        };
        self.deadline = Some(beat.next + self.patience() + self.suspicion);
    }

    fn deadline(&self) -> Option<Moment> {
        self.deadline
    }
}

const WORST: u32 = 7;
