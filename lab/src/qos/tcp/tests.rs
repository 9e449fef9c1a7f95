use std::time::Duration;

use heartline_core::Moment;

use super::wheel::fires;
use super::{Acks, Due, Packet, Receiver, Sender};

fn at(millis: u64) -> Moment {
    Moment::at(Duration::from_millis(millis))
}

/// With messages from one to another, and nothing else of note.
fn data(from: u64, to: u64) -> Packet {
    Packet {
        from,
        to,
        ack: 0,
        selective: 0,
        stamp: at(0),
        echo: at(0),
    }
}

/// An acknowledgement of what was sent at `echo`.
fn ack(ack: u64, selective: u64, echo: Moment) -> Packet {
    Packet {
        ack,
        selective,
        echo,
        ..data(0, 0)
    }
}

/// A sender whose first message took 100 ms, at 1000 ms.
fn sender(thin: bool) -> Sender {
    let mut sender = Sender::new(thin, at(0));
    sender.write(1);
    assert_eq!(sender.poll_transmit(at(900)), Some((0, 1)));
    sender.handle_ack(&ack(1, 0, at(900)), at(1_000));
    assert_eq!(sender.poll_timeout(), None);
    sender
}

/// When it repeats what it sent at 2000 ms, if nothing is ever acknowledged.
fn repetitions(mut sender: Sender) -> Vec<u64> {
    sender.write(1);
    assert_eq!(sender.poll_transmit(at(2_000)), Some((1, 2)));
    let mut repeated = Vec::new();
    while repeated.len() < 6 {
        let now = sender.poll_timeout().unwrap();
        sender.handle_timeout(now);
        assert_eq!(sender.poll_transmit(now), Some((1, 2)));
        assert_eq!(sender.poll_transmit(now), None);
        repeated.push(u64::try_from(now.saturating_since(at(2_000)).as_millis()).unwrap());
    }
    repeated
}

#[test]
fn the_wheel_is_late_by_a_tick_and_then_by_up_to_eight() {
    let after = |millis| fires(at(0), Duration::from_millis(millis));
    assert_eq!(after(200), at(204));
    assert_eq!(after(248), at(252));
    assert_eq!(after(252), at(256));
    assert_eq!(after(300), at(320));
    assert_eq!(fires(at(20), Duration::from_millis(300)), at(352));
}

#[test]
fn a_lone_beat_is_repeated_after_its_timeout_twice_and_then_later_and_later() {
    // The first is the probe for a lost tail, which does not double the timeout of 300 ms.
    assert_eq!(
        repetitions(sender(false)),
        [304, 624, 1_232, 2_448, 4_912, 9_776]
    );
}

#[test]
fn the_timeout_of_a_thin_stream_stays() {
    assert_eq!(
        repetitions(sender(true)),
        [304, 624, 944, 1_264, 1_584, 1_904]
    );
}

#[test]
fn a_later_beat_that_came_shows_that_one_before_it_is_lost() {
    let mut sender = sender(false);
    sender.write(1);
    assert_eq!(sender.poll_transmit(at(2_000)), Some((1, 2)));
    sender.write(1);
    assert_eq!(sender.poll_transmit(at(2_130)), Some((2, 3)));
    assert!(!sender.info(at(2_200)).recovers);
    sender.handle_ack(&ack(1, 0b10, at(2_130)), at(2_230));
    assert!(sender.info(at(2_230)).recovers);
    assert_eq!(sender.poll_transmit(at(2_230)), Some((1, 2)));
    sender.handle_ack(&ack(3, 0, at(2_230)), at(2_330));
    let info = sender.info(at(2_330));
    assert!(info.all_acked && !info.recovers);
    assert_eq!(sender.poll_timeout(), None);
}

#[test]
fn one_that_was_sent_just_before_may_only_have_been_overtaken() {
    let mut sender = sender(false);
    sender.write(1);
    assert_eq!(sender.poll_transmit(at(2_000)), Some((1, 2)));
    sender.write(1);
    assert_eq!(sender.poll_transmit(at(2_010)), Some((2, 3)));
    sender.handle_ack(&ack(1, 0b10, at(2_010)), at(2_110));
    assert_eq!(sender.poll_transmit(at(2_110)), None);
    // A quarter of the least round trip more than the other took.
    let waited = sender.poll_timeout().unwrap();
    assert!((at(2_124)..at(2_136)).contains(&waited), "{waited:?}");
    sender.handle_timeout(waited);
    assert_eq!(sender.poll_transmit(waited), Some((1, 2)));
}

#[test]
fn after_a_timeout_all_goes_in_one_segment_and_nothing_new_with_it() {
    let mut sender = sender(false);
    for (message, time) in (1..4).zip([2_000, 2_010, 2_020]) {
        sender.write(1);
        assert_eq!(sender.poll_transmit(at(time)), Some((message, message + 1)));
    }
    let probe = sender.poll_timeout().unwrap();
    sender.handle_timeout(probe);
    assert_eq!(sender.poll_transmit(probe), Some((3, 4)));
    let timeout = sender.poll_timeout().unwrap();
    sender.handle_timeout(timeout);
    sender.write(1);
    assert_eq!(sender.poll_transmit(timeout), Some((1, 4)));
    assert_eq!(sender.poll_transmit(timeout), None);
    sender.handle_ack(&ack(4, 0, timeout), at(3_000));
    assert_eq!(sender.poll_transmit(at(3_000)), Some((4, 5)));
}

#[test]
fn a_probe_for_a_lost_tail_takes_what_waits() {
    let mut sender = sender(false);
    // The window holds ten.
    for message in 1..=10 {
        sender.write(1);
        assert_eq!(
            sender.poll_transmit(at(2_000)),
            Some((message, message + 1))
        );
    }
    sender.write(2);
    assert_eq!(sender.poll_transmit(at(2_000)), None);
    let probe = sender.poll_timeout().unwrap();
    // Two round trips and two ticks.
    assert!((at(2_208)..at(2_216)).contains(&probe), "{probe:?}");
    sender.handle_timeout(probe);
    assert_eq!(sender.poll_transmit(probe), Some((11, 13)));
}

#[test]
fn a_needless_repetition_is_taken_back() {
    let mut sender = sender(false);
    sender.write(1);
    assert_eq!(sender.poll_transmit(at(2_000)), Some((1, 2)));
    for _ in 0..2 {
        let now = sender.poll_timeout().unwrap();
        sender.handle_timeout(now);
        assert_eq!(sender.poll_transmit(now), Some((1, 2)));
    }
    assert!(sender.info(at(2_700)).recovers);
    // The acknowledgement answers the first sending.
    sender.handle_ack(&ack(2, 0, at(2_000)), at(2_700));
    assert!(!sender.info(at(2_700)).recovers);
    // A sample of 700 ms, by its timestamp: an eighth of what it is more.
    assert_eq!(
        sender.info(at(2_700)).round_trip,
        Duration::from_millis(175)
    );
}

#[test]
fn the_kernel_tells_the_age_of_an_acknowledgement_in_ticks() {
    let mut sender = Sender::new(false, at(0));
    sender.handle_ack(&ack(0, 0, at(0)), at(1_003));
    assert_eq!(sender.info(at(2_001)).last_ack, Duration::from_secs(1));
}

#[test]
fn an_answer_is_acknowledged_with_the_next_segment_or_after_40_ms() {
    let mut receiver = Receiver::new(Acks::Delayed);
    assert_eq!(receiver.came(&data(0, 1), at(0)), Due::Later);
    assert_eq!(receiver.timer(), Some(at(44)));
    assert_eq!(receiver.leaves(true, at(1)), (1, 0, at(0)));
    assert_eq!(receiver.timer(), None);
}

#[test]
fn what_is_out_of_order_or_came_before_is_acknowledged_at_once() {
    let mut receiver = Receiver::new(Acks::Delayed);
    assert_eq!(receiver.came(&data(1, 2), at(0)), Due::Now);
    assert_eq!(receiver.leaves(false, at(0)), (0, 0b10, at(0)));
    assert_eq!(receiver.came(&data(0, 1), at(5)), Due::Now);
    assert_eq!(receiver.leaves(false, at(5)), (2, 0, at(0)));
    assert_eq!(receiver.came(&data(0, 2), at(9)), Due::Now);
    assert_eq!(receiver.next(), 2);
}

#[test]
fn linux_delays_only_where_the_answer_is_usually_quick() {
    let mut receiver = Receiver::new(Acks::Quick);
    assert_eq!(receiver.came(&data(0, 1), at(0)), Due::Now);
    receiver.leaves(true, at(1));
    assert_eq!(receiver.came(&data(1, 2), at(1_000)), Due::Later);
    receiver.handle_timeout();
    assert_eq!(receiver.came(&data(2, 3), at(2_000)), Due::Now);
}
