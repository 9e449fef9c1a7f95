//! When to do what, so that a storm takes no more than a part of the time. No I/O.

use std::cmp::max;
use std::time::Duration;

use tokio::time::Instant;

/// When to do what; `None` is for nothing to do.
#[derive(Debug)]
pub(crate) struct Pace {
    judge: Option<Instant>,
    round: Option<Instant>,
    reread: Option<Instant>,
    peek: Option<Instant>,
    /// The taps rest until then.
    near: Option<Instant>,
    far: Option<Instant>,
    judge_not_before: Instant,
    round_not_before: Instant,
    reread_not_before: Instant,
    peeks_until: Instant,
    /// What look-ups have taken since the last rest.
    spent: Duration,
    /// Events about routes since then.
    events: usize,
}

/// All ways are judged.
impl Pace {
    pub(crate) fn want_judging(&mut self) {
        self.judge.get_or_insert(self.judge_not_before);
    }

    pub(crate) fn wants_judging(&self) -> bool {
        self.judge.is_some()
    }

    pub(crate) fn judging_is_due(&self, now: Instant) -> bool {
        is_due(self.judge, now)
    }

    pub(crate) fn end_judging(&mut self, now: Instant) {
        self.judge = None;
        self.judge_not_before = now + JUDGE_REST;
    }
}

/// Rounds of look-ups.
impl Pace {
    pub(crate) fn want_round(&mut self, now: Instant) {
        self.round
            .get_or_insert(max(now + SETTLE, self.round_not_before));
    }

    pub(crate) fn begin_round(&mut self, now: Instant) -> bool {
        take_due(&mut self.round, now)
    }

    pub(crate) fn spend(&mut self, spent: Duration) {
        self.spent += spent;
    }

    pub(crate) fn end_round(&mut self, now: Instant) {
        let is_storm = std::mem::take(&mut self.events) >= STORM;
        let least = if is_storm { STORM_REST } else { ROUND_REST };
        self.round_not_before = now + rest(std::mem::take(&mut self.spent), least);
        // Somebody may have wanted one while this one was under way.
        self.round = self.round.map(|round| max(round, self.round_not_before));
    }
}

/// The taps.
impl Pace {
    /// Whether the near one may be read.
    pub(crate) fn near_is_open(&mut self, now: Instant) -> bool {
        take_due(&mut self.near, now);
        self.near.is_none()
    }

    pub(crate) fn near_is_resting(&self) -> bool {
        self.near.is_some()
    }

    /// It has brought something.
    pub(crate) fn near_has_told(&mut self, now: Instant) {
        self.near = Some(now + NEAR_REST);
    }

    /// Whether the far one may be read.
    pub(crate) fn far_is_open(&mut self, now: Instant) -> bool {
        take_due(&mut self.far, now);
        self.far.is_none()
    }

    pub(crate) fn far_is_resting(&self) -> bool {
        self.far.is_some()
    }

    /// It has brought so much.
    pub(crate) fn far_has_told(&mut self, now: Instant, events: usize) {
        if events > 0 {
            self.far = Some(now + FAR_REST);
            self.events = self.events.saturating_add(events);
        }
    }
}

/// Everything is read anew.
impl Pace {
    pub(crate) fn want_reread(&mut self) {
        self.reread.get_or_insert(self.reread_not_before);
    }

    pub(crate) fn begin_reread(&mut self, now: Instant) -> bool {
        take_due(&mut self.reread, now)
    }

    pub(crate) fn end_reread(&mut self, now: Instant, spent: Duration) {
        self.reread_not_before = now + rest(spent, STORM_REST);
    }
}

/// The interfaces in use are looked at.
impl Pace {
    /// Something has changed: for a while the kernel may hold back what comes next.
    pub(crate) fn want_peeks(&mut self, now: Instant) {
        self.peeks_until = now + PEEK_FOR;
        self.peek.get_or_insert(now + PEEK_EVERY);
    }

    pub(crate) fn begin_peek(&mut self, now: Instant) -> bool {
        let is_due = take_due(&mut self.peek, now);
        let next = now + PEEK_EVERY;
        if is_due && next <= self.peeks_until {
            self.peek = Some(next);
        }
        is_due
    }
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            judge: None,
            round: None,
            reread: None,
            peek: None,
            near: None,
            far: None,
            judge_not_before: now,
            round_not_before: now,
            reread_not_before: now,
            peeks_until: now,
            spent: Duration::ZERO,
            events: 0,
        }
    }

    /// When something is due next.
    pub(crate) fn next(&self) -> Option<Instant> {
        let work = [self.judge, self.round, self.reread, self.peek];
        let taps = [self.near, self.far];
        work.into_iter().chain(taps).flatten().min()
    }
}

fn is_due(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| at <= now)
}

fn take_due(at: &mut Option<Instant>, now: Instant) -> bool {
    at.take_if(|at| *at <= now).is_some()
}

/// The rest after work that took so long: a tenth of the time is for it.
fn rest(spent: Duration, least: Duration) -> Duration {
    spent.saturating_mul(9).clamp(least, LONGEST_REST)
}

/// Between two looks at all ways.
const JUDGE_REST: Duration = Duration::from_millis(5);
/// Between an event and the look-ups that follow from it: more of the kind are on their way.
const SETTLE: Duration = Duration::from_millis(2);
/// Between two rounds of look-ups.
const ROUND_REST: Duration = Duration::from_millis(10);
/// The same under a storm, and between two readings of everything.
const STORM_REST: Duration = Duration::from_millis(100);
/// The longest rest that a tenth of the time can ask for.
const LONGEST_REST: Duration = Duration::from_secs(2);
/// Events about routes between two rounds that make a storm.
pub(crate) const STORM: usize = 256;
/// Between two readings of the near tap, and of the far one.
const NEAR_REST: Duration = Duration::from_millis(5);
const FAR_REST: Duration = Duration::from_millis(2);
/// How long the kernel holds back a carrier's change after another (`linkwatch_nextevent`), and a bit.
const PEEK_FOR: Duration = Duration::from_millis(1100);
const PEEK_EVERY: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pace() -> (Pace, Instant) {
        let now = Instant::now();
        (Pace::new(now), now)
    }

    #[test]
    fn the_first_of_many_is_judged_at_once_and_the_rest_together() {
        let (mut pace, now) = pace();
        pace.want_judging();
        assert!(pace.judging_is_due(now));
        pace.end_judging(now);
        assert!(!pace.wants_judging());
        pace.want_judging();
        pace.want_judging();
        assert!(!pace.judging_is_due(now + 4 * MS));
        assert_eq!(pace.next(), Some(now + 5 * MS));
    }

    #[test]
    fn look_ups_take_a_tenth_of_the_time_at_most() {
        let (mut pace, mut now) = pace();
        let begun = now;
        let mut spent = Duration::ZERO;
        while now < begun + 1000 * MS {
            pace.want_round(now);
            now = pace.next().unwrap();
            assert!(pace.begin_round(now) && !pace.begin_round(now));
            let took = 7 * MS;
            now += took;
            spent += took;
            pace.spend(took);
            pace.end_round(now);
        }
        assert!(spent <= 115 * MS && spent >= 90 * MS, "{spent:?}");
    }

    #[test]
    fn under_a_storm_rounds_are_rare() {
        let (mut pace, mut now) = pace();
        pace.far_has_told(now, STORM);
        assert!(!pace.far_is_open(now) && pace.far_is_open(now + 2 * MS));
        for _ in 0..3 {
            pace.want_round(now);
            now = pace.next().unwrap();
            assert!(pace.begin_round(now));
            // More comes while it is under way.
            pace.far_has_told(now, STORM);
            assert!(pace.far_is_open(now + 2 * MS));
            pace.want_round(now);
            pace.end_round(now);
            assert_eq!(pace.next(), Some(now + 100 * MS));
        }
    }

    #[test]
    fn a_way_looked_up_out_of_turn_delays_the_next_round_by_little() {
        let (mut pace, now) = pace();
        pace.spend(MS);
        pace.end_round(now + 60_000 * MS);
        pace.want_round(now + 60_000 * MS);
        assert_eq!(pace.next(), Some(now + 60_010 * MS));
    }

    #[test]
    fn a_second_after_a_change_nobody_looks_any_more() {
        let (mut pace, now) = pace();
        pace.want_peeks(now);
        let mut peeks = 0;
        while let Some(next) = pace.next() {
            assert!(pace.begin_peek(next) && next <= now + PEEK_FOR);
            peeks += 1;
        }
        assert_eq!(peeks, 110);
    }
}
