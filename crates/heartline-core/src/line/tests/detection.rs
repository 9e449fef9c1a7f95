//! Down ahead of the bound, what is known at once, and what has to prove itself.

use super::*;
use crate::event::LinkEvidence;
use crate::timing::Detection;

const SILENT: LineState = LineState::Down(Cause::Silent);
const BOUND: Duration = Duration::from_secs(2);

fn adaptive(interval_ms: u64, count: u32) -> Bed {
    let mut bed = Bed::with(interval_ms, count, Prober::Session);
    bed.line.timing.detection = Detection::Adaptive;
    bed.has_kernel = true;
    bed
}

/// One on a LAN, whose session beats by itself.
fn bed() -> Bed {
    let mut bed = adaptive(1_000, 1);
    bed.run_for(ms(5_000));
    // A beat that was due is heard.
    bed.line.handle(bed.now, Observation::Life);
    bed.heard = bed.now;
    bed
}

fn link(carrier: bool, address: bool, route: bool) -> Observation {
    Observation::Link(Some(LinkEvidence {
        interface: Some("eth0".into()),
        carrier,
        address,
        route,
    }))
}

#[test]
fn a_silence_is_down_soon_and_ends_at_the_bound() {
    let mut bed = bed();
    bed.peer = Peer::Silent;
    let begun = bed.now;
    bed.run_for(ms(1_300));
    assert_eq!(bed.line.state(), SILENT);
    let told = bed.said.last().unwrap();
    let after = told.after.unwrap();
    assert!(after > ms(1_000) && after < ms(1_250), "{after:?}");
    assert!(bed.aborts.is_empty(), "the session is kept");
    bed.run_for(BOUND);
    let aborted = bed.aborts.first().copied();
    assert_eq!(aborted, Some(begun + BOUND), "until the bound");
    let downs = bed
        .states()
        .iter()
        .filter(|state| **state == SILENT)
        .count();
    assert_eq!(downs, 1, "told once");
}

#[test]
fn one_that_was_only_slow_is_up_again_in_the_same_session() {
    let mut bed = bed();
    let dials = bed.dials.len();
    bed.peer = Peer::Silent;
    bed.run_for(ms(1_500));
    assert_eq!(bed.line.state(), SILENT);
    bed.peer = Peer::Well;
    bed.line.handle(bed.now, Observation::Life);
    bed.run_for(ms(1_000));
    assert_eq!(bed.line.state(), LineState::Up);
    assert_eq!(bed.dials.len(), dials);
    assert_eq!(bed.said.last().unwrap().flaps, 1);
}

/// Found by hand: a line that owed one beat was up again in a second, by the life it had shown before its cable was pulled.
#[test]
fn what_was_heard_before_it_fell_answers_no_beat_after() {
    let mut bed = bed();
    bed.line.timing.eager = true;
    bed.run_for(ms(3_500));
    assert_eq!(bed.line.state(), LineState::Up);
    bed.peer = Peer::Silent;
    bed.line.handle(bed.now, link(false, true, true));
    bed.said.clear();
    bed.run_for(ms(1_900));
    assert!(!bed.states().contains(&LineState::Up), "{:?}", bed.said);
}

#[test]
fn a_kernel_that_acknowledges_has_until_the_bound() {
    let mut bed = bed();
    bed.peer = Peer::Hung;
    bed.run_for(ms(1_990));
    assert_eq!(bed.line.state(), LineState::Suspect(Cause::SshdHung));
    bed.run_for(ms(20));
    assert_eq!(bed.line.state(), LineState::Down(Cause::SshdHung));
}

#[test]
fn where_no_kernel_tells_it_is_the_bound_that_decides() {
    let mut bed = adaptive(1_000, 1);
    bed.has_kernel = false;
    bed.run_for(ms(5_000));
    bed.line.handle(bed.now, Observation::Life);
    bed.peer = Peer::Silent;
    bed.run_for(ms(1_990));
    assert_eq!(bed.line.state(), LineState::Suspect(Cause::Silent));
    bed.run_for(ms(20));
    assert_eq!(bed.line.state(), SILENT);
}

#[test]
fn it_dozes_in_health_and_is_asked_when_another_is_in_doubt() {
    let mut bed = bed();
    bed.run_for(ms(2_500));
    assert!(bed.line.dozes());
    bed.line.handle(bed.now, Observation::Life);
    bed.peer = Peer::Silent;
    let asked = bed.now + ms(100);
    bed.run_for(ms(100));
    bed.line.handle(bed.now, Observation::Ask);
    assert_eq!(bed.line.poll_action(), Some(Action::Beat));
    bed.sent = Some(bed.now);
    bed.run_for(ms(300));
    assert_eq!(bed.line.state(), SILENT);
    let told = bed.said.last().unwrap();
    assert!(told.at.saturating_since(asked) < ms(250), "{told:?}");
}

/// What a stall or a beat out of turn has put elsewhere does not follow from the last sign of life; to sleep by that would shift every
/// later look.
#[test]
fn it_does_not_doze_by_what_was_moved_until_there_is_life() {
    for moved in [Observation::Ask, Observation::Stalled(ms(700))] {
        let mut bed = bed();
        bed.run_for(ms(2_500));
        assert!(bed.line.dozes());
        bed.line.handle(bed.now, moved.clone());
        while bed.line.poll_action().is_some() {}
        assert!(!bed.line.dozes(), "{moved:?}");
        bed.line.handle(bed.now + ms(5), Observation::Life);
        assert!(bed.line.dozes(), "{moved:?}");
        bed.line.poll_timeout();
    }
}

/// A watcher that is always a little late does not put the end off for ever.
#[test]
fn steady_lateness_puts_the_end_off_by_little() {
    let mut bed = bed();
    bed.peer = Peer::Silent;
    let life = bed.line.last_life().unwrap();
    for _ in 0..1_000 {
        let Some(due) = bed.line.poll_timeout().filter(|_| bed.aborts.is_empty()) else {
            break;
        };
        bed.now = bed.now.max(due) + ms(60);
        if let Some(tcp) = bed.evidence() {
            bed.line.handle(bed.now, Observation::Tcp(tcp));
        }
        bed.line.handle_timeout(bed.now);
        bed.drain();
    }
    let took = bed.aborts.first().unwrap().saturating_since(life);
    assert!(took < BOUND + ms(300), "{took:?}");
}

/// One that has slept over many beats is told of the last of them only when it wakes, and that may be long after.
#[test]
fn a_stall_is_seen_also_by_one_that_was_told_of_life_just_now() {
    let mut bed = bed();
    bed.run_for(ms(2_500));
    assert!(bed.line.dozes());
    bed.line.poll_timeout();
    let last = bed.now + ms(3_000);
    bed.now = last + ms(5_000);
    bed.line.handle(last, Observation::Life);
    bed.line.handle_timeout(bed.now);
    bed.drain();
    assert_eq!(bed.line.state(), LineState::Up);
}

/// It is told twice, by the late timer and by the pulse, and takes nothing from what comes after.
#[test]
fn a_suspend_leaves_the_detector_as_it_was() {
    let mut bed = bed();
    bed.line.poll_timeout();
    bed.now = bed.now + Duration::from_hours(8);
    bed.line.handle_timeout(bed.now);
    bed.drain();
    bed.line
        .handle(bed.now, Observation::Stalled(Duration::from_hours(8)));
    bed.drain();
    assert_eq!(bed.line.state(), LineState::Up);
    bed.line.handle(bed.now + ms(5), Observation::Life);
    bed.now = bed.now + ms(5);
    bed.peer = Peer::Silent;
    bed.run_for(ms(1_300));
    assert_eq!(bed.line.state(), SILENT);
}

/// A beat that our own side sent late is not the peer's lateness.
#[test]
fn our_own_lateness_is_not_held_against_the_peer() {
    let mut bed = bed();
    bed.peer = Peer::Silent;
    bed.sent = Some(bed.now + ms(1_300));
    bed.run_for(ms(1_305));
    assert_eq!(bed.line.state(), LineState::Up);
    bed.run_for(ms(250));
    assert_eq!(bed.line.state(), SILENT);
}

#[test]
fn what_our_own_side_has_lost_is_known_at_once_and_the_session_is_kept() {
    for (lost, cause) in [
        (link(false, true, true), Cause::LinkDown),
        (link(true, false, true), Cause::LinkDown),
        (link(true, true, false), Cause::NoRoute),
        (link(false, false, false), Cause::LinkDown),
    ] {
        let mut bed = bed();
        let dials = bed.dials.len();
        bed.line.handle(bed.now, link(true, true, true));
        bed.drain();
        assert_eq!(bed.line.state(), LineState::Up);
        bed.peer = Peer::Silent;
        bed.line.handle(bed.now, lost);
        bed.drain();
        assert_eq!(bed.line.state(), LineState::Down(cause));
        bed.run_for(ms(500));
        bed.peer = Peer::Well;
        bed.line.handle(bed.now, link(true, true, true));
        bed.drain();
        bed.run_for(ms(1_100));
        assert_eq!(bed.line.state(), LineState::Up, "{cause}");
        assert_eq!(bed.dials.len(), dials, "TCP has outlived it");
        bed.peer = Peer::Silent;
        bed.line.handle(bed.now, link(false, true, true));
        bed.run_for(BOUND);
        assert_eq!(bed.line.state(), LineState::Down(Cause::LinkDown));
        let dials = bed.dials.len();
        bed.run_for(ms(100));
        bed.peer = Peer::Well;
        bed.line.handle(bed.now, link(true, true, true));
        bed.drain();
        assert_eq!(
            bed.dials.len(),
            dials + 1,
            "and nobody waits once it is back"
        );
    }
}

#[test]
fn a_shell_that_hangs_is_down_while_sshd_is_well() {
    let mut bed = bed();
    let hung = LineState::Down(Cause::ShellHung);
    bed.line.handle(bed.now, Observation::ShellHangs(true));
    assert_eq!(bed.line.state(), hung);
    bed.run_for(ms(10_000));
    assert_eq!(
        bed.line.state(),
        hung,
        "signs of life of sshd are no shell's"
    );
    assert!(bed.aborts.is_empty());
    bed.line.handle(bed.now, Observation::ShellHangs(false));
    assert_eq!(bed.line.state(), LineState::Up);
    bed.line.handle(bed.now, Observation::ShellHangs(true));
    bed.drain();
    bed.peer = Peer::Silent;
    bed.run_for(BOUND * 2);
    assert_eq!(bed.line.state(), SILENT);
}

#[test]
fn a_line_that_flaps_has_to_prove_itself_for_longer_each_time() {
    let mut bed = bed();
    let mut took = Vec::new();
    for _ in 0..5 {
        bed.line.handle(bed.now, link(false, true, true));
        bed.drain();
        assert_eq!(bed.line.state(), LineState::Down(Cause::LinkDown));
        bed.run_for(ms(100));
        bed.line.handle(bed.now, link(true, true, true));
        bed.drain();
        let begun = bed.now;
        for _ in 0..1_000 {
            if bed.line.state() == LineState::Up {
                break;
            }
            bed.run_for(ms(100));
        }
        took.push(bed.now.saturating_since(begun));
    }
    assert!(took.is_sorted(), "{took:?}");
    assert!(took[4] > took[1] * 4, "{took:?}");
    assert_eq!(bed.said.last().unwrap().flaps, 5);
}

/// A peer that was taken for dead too early is given more time from then on; what our own side did teaches nothing.
#[test]
fn a_mistake_is_learnt_from_and_our_own_fault_is_not() {
    for (is_ours, wanted) in [(false, LineState::Suspect(Cause::Silent)), (true, SILENT)] {
        let mut bed = bed();
        if is_ours {
            bed.line.handle(bed.now, link(false, true, true));
            bed.drain();
        }
        bed.peer = Peer::Silent;
        bed.run_for(ms(1_700));
        bed.peer = Peer::Well;
        if is_ours {
            bed.line.handle(bed.now, link(true, true, true));
            bed.drain();
        }
        bed.line.handle(bed.now, Observation::Life);
        bed.run_for(ms(5_000));
        assert_eq!(bed.line.state(), LineState::Up);
        bed.line.handle(bed.now, Observation::Life);
        bed.peer = Peer::Silent;
        bed.run_for(ms(1_500));
        assert_eq!(bed.line.state(), wanted, "ours: {is_ours}");
    }
}

proptest! {
    /// Whatever comes and whatever does not: the session ends at the bound, the line is down by then, and while answers come within
    /// a quarter of the margin it never is.
    #[test]
    fn never_later_than_the_bound_and_never_while_it_lives(
        phase in 0_u64..1_000,
        beats in 1_usize..20,
        interval in 100_u64..5_000,
        count in 1_u32..4,
    ) {
        let mut bed = adaptive(interval, count);
        for _ in 0..beats {
            bed.run_for(ms(interval + 1));
        }
        bed.run_for(ms(interval * phase / 1_000));
        prop_assert_eq!(bed.line.state(), LineState::Up);
        bed.peer = Peer::Silent;
        let life = bed.line.last_life().unwrap();
        let bound = bed.line.timing.bound().as_duration();
        bed.run_for(bound * 2);
        prop_assert_eq!(bed.line.state(), SILENT);
        let down = bed.said.iter().find(|event| event.to == SILENT).unwrap();
        prop_assert!(down.at <= life + bound, "{:?}", down);
        prop_assert_eq!(bed.aborts.first().copied(), Some(life + bound));
    }
}
