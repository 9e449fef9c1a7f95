//! A line that goes down again and again has to prove itself for longer each time.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Moment;

/// When a line went down lately.
#[derive(Clone, Debug, Default)]
pub struct Flaps(VecDeque<Moment>);

impl Flaps {
    /// It went down.
    pub fn fell(&mut self, now: Moment) {
        if self.0.len() >= Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }

    /// How often it did in the [`WINDOW`](Self::WINDOW) until now; [`MOST`](Self::MOST) at most.
    pub fn lately(&self, now: Moment) -> u32 {
        let lately = self
            .0
            .iter()
            .filter(|at| now.saturating_since(**at) < Self::WINDOW);
        u32::try_from(lately.count()).unwrap_or(u32::MAX)
    }

    /// How many good beats it has to have before it is up again, where `rise` are enough for one that fell once: twice as many
    /// each time, [`DOUBLINGS`](Self::DOUBLINGS) times at most.
    pub fn rise(&self, now: Moment, rise: u32) -> u32 {
        let doublings = self.lately(now).saturating_sub(1).min(Self::DOUBLINGS);
        rise.max(1).saturating_mul(1 << doublings)
    }

    /// What was longer ago is forgotten: 10 minutes.
    pub const WINDOW: Duration = Duration::from_mins(10);
    /// More than these are not counted.
    pub const MOST: usize = 99;
    /// At the default of 2 good beats, half a second apart at most, 64 of them are half a minute.
    pub const DOUBLINGS: u32 = 5;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_to_rise_for_longer_each_time_and_is_forgiven_after_a_while() {
        let at = |s| Moment::at(Duration::from_secs(s));
        let mut flaps = Flaps::default();
        assert_eq!((flaps.lately(at(0)), flaps.rise(at(0), 2)), (0, 2));
        let mut wanted = Vec::new();
        for fall in 0..8 {
            flaps.fell(at(fall * 10));
            wanted.push(flaps.rise(at(fall * 10), 2));
        }
        assert_eq!(wanted, [2, 4, 8, 16, 32, 64, 64, 64]);
        assert_eq!(flaps.lately(at(70)), 8);
        assert_eq!(flaps.lately(at(600)), 7);
        assert_eq!((flaps.lately(at(700)), flaps.rise(at(700), 2)), (0, 2));
        for _ in 0..1_000 {
            flaps.fell(at(1_000));
        }
        assert_eq!(flaps.lately(at(1_000)), 99);
    }
}
