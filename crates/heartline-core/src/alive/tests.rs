use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(millis: u64) -> Moment {
    Moment::at(ms(millis))
}

fn rule(interval_ms: u64, count: u32) -> AliveRule {
    let interval = Interval::new(ms(interval_ms)).unwrap();
    AliveRule {
        slack: Duration::ZERO,
        ..AliveRule::new(interval, Count::new(count).unwrap())
    }
}

/// Everything a machine does until it ends, if called exactly when it asks to be.
fn run_out(alive: &mut Alive) -> Vec<(u64, AliveStep)> {
    let mut steps = Vec::new();
    while let Some(due) = alive.poll_timeout() {
        if let Some(step) = alive.handle_timeout(due) {
            let when = due.since_start().as_millis();
            steps.push((u64::try_from(when).unwrap(), step));
        }
    }
    steps
}

#[test]
fn probes_at_each_interval_and_ends_one_after_the_last() {
    use AliveStep::{End, Probe};
    let mut alive = Alive::new(rule(15_000, 3), Moment::START);
    assert_eq!(
        run_out(&mut alive),
        [
            (15_000, Probe),
            (30_000, Probe),
            (45_000, Probe),
            (60_000, End)
        ]
    );
}

#[test]
fn a_sign_of_life_begins_it_anew() {
    let mut alive = Alive::new(rule(1_000, 1), Moment::START);
    assert_eq!(alive.handle_timeout(at(1_000)), Some(AliveStep::Probe));
    alive.handle_life(at(1_999));
    assert_eq!(
        run_out(&mut alive),
        [(2_999, AliveStep::Probe), (3_999, AliveStep::End)]
    );
}

#[test]
fn nothing_brings_back_the_dead() {
    let mut alive = Alive::new(rule(1_000, 1), Moment::START);
    run_out(&mut alive);
    alive.handle_life(at(2_001));
    assert_eq!(alive.poll_timeout(), None);
    assert_eq!(alive.handle_timeout(at(9_000)), None);
}

#[test]
fn a_watcher_that_was_stopped_asks_again_before_it_judges() {
    // Stopped from just after the start until long past the end.
    let mut alive = Alive::new(rule(1_000, 1), Moment::START);
    assert_eq!(alive.handle_timeout(at(21_000)), Some(AliveStep::Probe));
    assert_eq!(run_out(&mut alive), [(22_000, AliveStep::End)]);
}

#[test]
fn a_watcher_that_was_stopped_before_the_end_takes_a_last_look() {
    let mut alive = Alive::new(rule(1_000, 1), Moment::START);
    assert_eq!(alive.handle_timeout(at(1_000)), Some(AliveStep::Probe));
    assert_eq!(alive.handle_timeout(at(21_000)), None);
    alive.handle_life(at(21_001));
    assert_eq!(alive.end(), at(23_001));
}

/// A driver tells what it knows whenever it looks, be it new or not.
#[test]
fn a_sign_of_life_told_again_undoes_neither_probe_nor_stall() {
    let mut alive = Alive::new(rule(1_000, 2), at(500));
    assert_eq!(alive.handle_timeout(at(1_500)), Some(AliveStep::Probe));
    alive.handle_life(at(500));
    assert_eq!(alive.unanswered(at(1_500)), 1);
    assert_eq!(alive.handle_timeout(at(12_500)), Some(AliveStep::Probe));
    alive.handle_life(at(500));
    assert_eq!(run_out(&mut alive), [(13_500, AliveStep::End)]);
}

#[test]
fn probes_of_many_lines_fall_on_one_grid() {
    let rule = AliveRule::new(Interval::new(ms(1_000)).unwrap(), Count::new(2).unwrap());
    let dues: Vec<_> = (0..10)
        .map(|phase| Alive::new(rule, at(5_000 + phase)).poll_timeout())
        .collect();
    assert!(dues.iter().all(|due| *due == Some(at(6_000))));
}

#[test]
fn where_the_session_probes_only_the_end_is_ours() {
    let mut rule = rule(1_000, 3);
    rule.prober = Prober::Session;
    let mut alive = Alive::new(rule, Moment::START);
    assert_eq!(alive.unanswered(at(2_500)), 2);
    alive.handle_life(at(3_999));
    assert_eq!(alive.unanswered(at(4_500)), 0);
    assert_eq!(run_out(&mut alive), [(7_999, AliveStep::End)]);
}

#[test]
fn a_year_of_beats_has_no_end() {
    let interval = 5_000;
    let mut alive = Alive::new(rule(interval, 1), Moment::START);
    let year = Moment::at(Duration::from_hours(365 * 24));
    let mut beats = 0_u32;
    while let Some(due) = alive.poll_timeout().filter(|due| *due < year) {
        assert_eq!(alive.handle_timeout(due), Some(AliveStep::Probe));
        beats += 1;
        alive.handle_life(due + ms(u64::from(beats % 997)));
    }
    assert!(beats > 5_700_000);
}

proptest! {
    /// However life comes and goes, and however late (by less than a stall) the machine is called: the end comes exactly
    /// at the bound after the last sign of life, plus that lateness; never before.
    #[test]
    fn the_end_is_at_the_bound(
        interval in 10_u64..20_000,
        count in 1_u32..6,
        slack in 0_u64..50,
        lives in prop::collection::vec(0.0_f64..1.0, 0..40),
        late in prop::collection::vec(0_u64..100, 1..40),
    ) {
        let mut rule = rule(interval, count);
        rule.slack = ms(slack.min(interval / 10));
        let bound = rule.bound.as_duration();
        let mut alive = Alive::new(rule, Moment::START);
        let mut last = Moment::START;
        let mut late = late.into_iter().cycle();
        for gap in lives {
            let next = last + bound.mul_f64(gap * 0.999);
            while let Some(due) = alive.poll_timeout() {
                let called = due + ms(late.next().unwrap());
                if called >= next { break; }
                prop_assert_ne!(alive.handle_timeout(called), Some(AliveStep::End));
            }
            alive.handle_life(next);
            last = next;
        }
        let mut probes = 0;
        loop {
            let called = alive.poll_timeout().unwrap() + ms(late.next().unwrap());
            match alive.handle_timeout(called) {
                Some(AliveStep::Probe) => probes += 1,
                Some(AliveStep::End) => {
                    prop_assert!(called >= last + bound);
                    prop_assert!(called <= last + bound + ms(100));
                    break;
                }
                None => {}
            }
        }
        prop_assert!(probes <= count);
        // Late calls may swallow a probe only where the interval is as short as the lateness.
        if interval > 200 { prop_assert_eq!(probes, count); }
    }

    /// A peer that answers every probe within less than an interval never meets its end, whatever stalls the watcher has.
    #[test]
    fn never_ends_while_probes_are_answered(
        interval in 200_u64..20_000,
        count in 1_u32..4,
        replies in prop::collection::vec((0.0_f64..0.95, 0_u64..30_000), 1..80),
    ) {
        let mut alive = Alive::new(rule(interval, count), Moment::START);
        let mut now = Moment::START;
        for (rtt, stall) in replies {
            // Whenever the machine is called late, what arrived meanwhile is read at once after it.
            let due = alive.poll_timeout().unwrap();
            now = now.max(due) + ms(stall);
            match alive.handle_timeout(now) {
                Some(AliveStep::End) => prop_assert!(false, "ended while the peer answered"),
                Some(AliveStep::Probe) => now = now + ms(interval).mul_f64(rtt),
                None => now = now + ms(1),
            }
            alive.handle_life(now);
        }
    }

    /// The bound holds for every stall too: what is added to it is never more than the time that was lost, plus the last
    /// look.
    #[test]
    fn a_stall_adds_no_more_than_itself(
        interval in 200_u64..5_000,
        count in 1_u32..4,
        stalls in prop::collection::vec(0_u64..10_000, 0..10),
    ) {
        let rule = rule(interval, count);
        let mut alive = Alive::new(rule, Moment::START);
        let mut stalls = stalls.into_iter();
        let mut lost = Duration::ZERO;
        let mut now = Moment::START;
        let mut looks = 1;
        while let Some(due) = alive.poll_timeout() {
            let stall = ms(stalls.next().unwrap_or(0));
            if stall > Alive::LATE { looks += 1; }
            now = now.max(due) + stall;
            lost += stall;
            alive.handle_timeout(now);
        }
        let most = rule.bound.as_duration() + lost + Alive::LAST_LOOK * looks;
        prop_assert!(now.since_start() <= most);
    }
}
