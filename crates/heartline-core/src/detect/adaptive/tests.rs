use proptest::prelude::*;

use super::*;

const BOUND: Duration = Duration::from_secs(3);
const INTERVAL: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(time: u64) -> Moment {
    Moment::at(millis(time))
}

fn begun() -> Adaptive {
    Adaptive::new(BOUND, at(0), at(1_000))
}

/// A kernel on a LAN that heard the peer last at `acked`.
fn lan(now: Moment, acked: Moment) -> Kernel {
    Kernel {
        round_trip: Duration::from_micros(400),
        variation: Duration::from_micros(50),
        last_ack: now.saturating_since(acked),
        all_acked: false,
        recovers: false,
    }
}

/// Everything that it says until then, asked in time; the kernel says what `kernel` makes of the moment.
fn until(
    adaptive: &mut Adaptive,
    end: Moment,
    kernel: impl Fn(Moment) -> Option<Kernel>,
) -> Vec<(Moment, Doubt)> {
    let mut said = Vec::new();
    while let Some(now) = adaptive.poll_timeout().filter(|now| *now <= end) {
        if let Some(doubt) = adaptive.handle_timeout(now, kernel(now)) {
            said.push((now, doubt));
        }
    }
    said
}

fn dead(said: &[(Moment, Doubt)]) -> Option<Moment> {
    let dead = said.iter().find(|(_, doubt)| *doubt == Doubt::Dead);
    dead.map(|(at, _)| *at)
}

#[test]
fn a_new_session_on_a_quiet_lan_waits_for_a_tenth_of_a_second() {
    let mut adaptive = begun();
    let said = until(&mut adaptive, at(9_000), |now| Some(lan(now, at(0))));
    let waited = dead(&said).unwrap().saturating_since(at(1_000));
    assert!((millis(100)..millis(150)).contains(&waited), "{waited:?}");
}

#[test]
fn probes_are_spread_over_a_burst_of_losses() {
    let mut adaptive = begun().with_margin(BOUND);
    let wan = |now: Moment| Kernel {
        round_trip: millis(100),
        variation: millis(5),
        ..lan(now, at(0))
    };
    let said = until(&mut adaptive, at(2_500), |now| Some(wan(now)));
    let probes: Vec<_> = said.iter().map(|(now, _)| *now).collect();
    assert_eq!(probes, [at(1_124), at(1_174), at(1_274), at(1_474)]);
}

#[test]
fn nothing_is_sent_out_of_turn_while_tcp_repairs_a_loss() {
    let mut adaptive = begun();
    let repairing = |now| Kernel {
        recovers: true,
        ..lan(now, at(0))
    };
    let said = until(&mut adaptive, at(9_000), |now| Some(repairing(now)));
    assert_eq!(said.len(), 1, "{said:?}");
}

#[test]
fn where_no_kernel_can_be_asked_the_bound_alone_counts() {
    let mut adaptive = begun();
    let said = until(&mut adaptive, at(9_000), |_| None);
    assert_eq!(said, [(at(3_000), Doubt::Dead)]);
}

#[test]
fn a_silence_counts_from_the_last_acknowledgement() {
    let mut adaptive = begun();
    let said = until(&mut adaptive, at(9_000), |now| {
        Some(lan(now, now.min(at(1_700))))
    });
    let dead = dead(&said).unwrap();
    assert!((at(1_800)..at(1_850)).contains(&dead), "{dead:?}");
}

#[test]
fn a_stall_of_the_watcher_is_no_silence() {
    let mut adaptive = begun();
    adaptive.stalled(millis(60_000), at(61_010));
    assert_eq!(adaptive.poll_timeout(), Some(at(61_010)));
    adaptive.heard(at(61_000), at(61_000));
    let said = until(&mut adaptive, at(61_099), |now| Some(lan(now, at(60_900))));
    assert_eq!(dead(&said), None);
}

#[test]
fn patience_that_was_inflated_is_forgotten_at_the_next_beats() {
    let mut adaptive = begun();
    let slow = |now| Kernel {
        variation: millis(100),
        ..lan(now, at(0))
    };
    until(&mut adaptive, at(1_450), |now| Some(slow(now)));
    adaptive.heard(at(1_460), at(2_000));
    assert_eq!(adaptive.poll_timeout(), Some(at(2_000)));
    adaptive.handle_timeout(at(2_000), Some(lan(at(2_000), at(1_460))));
    assert!(adaptive.poll_timeout().unwrap() < at(2_010));
}

#[test]
fn a_quiet_peer_is_given_less_and_less_time() {
    let mut adaptive = begun();
    let mut margins = Vec::new();
    for second in 1..=10 * 86_400 {
        let sent = at(second * 1_000);
        until(&mut adaptive, sent, |now| Some(lan(now, sent - INTERVAL)));
        adaptive.heard(sent + millis(1), sent + INTERVAL);
        margins.push(adaptive.margin());
    }
    assert!(margins.is_sorted_by(|before, after| before >= after));
    let last = *margins.last().unwrap();
    assert!((millis(15)..millis(30)).contains(&last), "{last:?}");
}

#[test]
fn what_was_learnt_outlives_the_connection() {
    let mut adaptive = begun();
    let said = until(&mut adaptive, at(9_000), |now| Some(lan(now, at(0))));
    assert!(dead(&said).is_some());
    let mut adaptive = adaptive.renewed(at(1_900), at(2_900));
    assert!(adaptive.margin() > millis(890));
    let said = until(&mut adaptive, at(3_780), |now| Some(lan(now, at(1_900))));
    assert_eq!(dead(&said), None);
}

#[test]
fn an_end_that_no_margin_could_have_put_off_teaches_nothing() {
    let mut adaptive = begun();
    until(&mut adaptive, at(9_000), |now| Some(lan(now, at(0))));
    let before = adaptive.margin();
    adaptive.heard(at(60_000), at(61_000));
    assert_eq!(adaptive.margin(), before);
}

/// What a kernel may say; `acked` is how long before the asking, as a share of the silence.
fn any_kernel() -> impl Strategy<Value = Option<Kernel>> {
    let times = (0..400_u64, 0..200_u64, 0..5_000_u64);
    let kernel = (times, any::<bool>(), any::<bool>());
    proptest::option::weighted(0.9, kernel).prop_map(|kernel| {
        kernel.map(
            |((round_trip, variation, last_ack), all_acked, recovers)| Kernel {
                round_trip: millis(round_trip),
                variation: millis(variation),
                last_ack: millis(last_ack),
                all_acked,
                recovers,
            },
        )
    })
}

/// Signs of life so far apart, in milliseconds, and what the kernel says meanwhile, each time anew.
fn any_schedule() -> impl Strategy<Value = Vec<(u64, Vec<Option<Kernel>>)>> {
    let kernels = proptest::collection::vec(any_kernel(), 1..8);
    proptest::collection::vec((1..6_000_u64, kernels), 1..40)
}

/// What was said between two signs of life, and when those came.
struct Gap {
    life: Moment,
    next: Moment,
    said: Vec<(Moment, Doubt)>,
}

fn gaps(
    mut adaptive: Adaptive,
    schedule: &[(u64, Vec<Option<Kernel>>)],
    check: impl Fn(&Adaptive),
) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut life = at(0);
    for (apart, kernels) in schedule {
        let next = life + millis(*apart);
        let mut said = Vec::new();
        let mut kernels = kernels.iter().cycle();
        while let Some(now) = adaptive.poll_timeout().filter(|now| *now < next) {
            let kernel = kernels.next().copied().flatten();
            said.extend(
                adaptive
                    .handle_timeout(now, kernel)
                    .map(|doubt| (now, doubt)),
            );
            assert!(
                adaptive
                    .poll_timeout()
                    .is_none_or(|look| look > now || look >= life + BOUND)
            );
            check(&adaptive);
        }
        gaps.push(Gap { life, next, said });
        adaptive.heard(next, next + INTERVAL);
        check(&adaptive);
        life = next;
    }
    gaps
}

proptest! {
    #[test]
    fn dead_is_said_once_and_by_the_bound(schedule in any_schedule()) {
        for gap in gaps(begun(), &schedule, |_| ()) {
            let deads = gap.said.iter().filter(|(_, doubt)| *doubt == Doubt::Dead).count();
            prop_assert!(deads <= 1);
            prop_assert!(deads == 0 || gap.said.last().is_some_and(|(_, doubt)| *doubt == Doubt::Dead));
            prop_assert!(dead(&gap.said).is_none_or(|dead| dead <= gap.life + BOUND));
            prop_assert!(deads == 1 || gap.next <= gap.life + BOUND);
        }
    }

    #[test]
    fn four_beats_leave_out_of_turn_at_most(schedule in any_schedule()) {
        for gap in gaps(begun(), &schedule, |_| ()) {
            let probes = gap.said.iter().filter(|(_, doubt)| *doubt == Doubt::Probe);
            prop_assert!(probes.count() <= 4);
        }
    }

    #[test]
    fn a_kernel_that_acknowledges_and_one_that_is_not_seen_have_time_until_the_bound(schedule in any_schedule()) {
        let mut schedule = schedule;
        for kernel in schedule.iter_mut().flat_map(|(_, kernels)| kernels).flatten() {
            kernel.all_acked = true;
        }
        for gap in gaps(begun(), &schedule, |_| ()) {
            prop_assert!(dead(&gap.said).is_none_or(|dead| dead == gap.life + BOUND));
        }
    }

    #[test]
    fn a_peer_that_answers_in_time_is_never_dead(
        round_trip in 1..300_u64,
        variation in 0..50_u64,
        answers in proptest::collection::vec(0.0..1.0_f64, 1..200),
    ) {
        let mut adaptive = begun();
        let patience = millis(round_trip + 4 * variation);
        let mut life = at(0);
        for (answer, sent) in answers.iter().zip((1..).map(|second| at(second * 1_000))) {
            let came = sent + patience.mul_f64(*answer);
            let said = until(&mut adaptive, came, |now| Some(Kernel {
                round_trip: millis(round_trip),
                variation: millis(variation),
                ..lan(now, life)
            }));
            prop_assert_eq!(dead(&said), None);
            adaptive.heard(came, sent + INTERVAL);
            life = came;
        }
    }

    #[test]
    fn the_margin_keeps_within_the_bound(schedule in any_schedule()) {
        gaps(begun(), &schedule, |adaptive| {
            assert!(adaptive.margin() <= BOUND && adaptive.margin() > Duration::ZERO);
        });
    }

    #[test]
    fn a_mistake_is_not_made_twice_in_a_day(schedule in any_schedule(), late in 150..1_900_u64, after in 0.0..1.0_f64) {
        let mut adaptive = begun();
        let said = until(&mut adaptive, at(1_000 + late), |now| Some(lan(now, at(0))));
        prop_assert!(dead(&said).is_some());
        adaptive.heard(at(1_000 + late), at(2_000 + late));
        prop_assert!(adaptive.margin() >= millis(late));
        // Whatever comes until then; days of nothing among it.
        let mut life = at(1_000 + late);
        let end = life + DAY.mul_f64(after);
        for (apart, _) in schedule.iter().filter(|(apart, _)| *apart < 1_200) {
            let next = life + millis(*apart);
            until(&mut adaptive, next, |now| Some(lan(now, life)));
            adaptive.heard(next, next + INTERVAL);
            life = next;
        }
        adaptive.heard(end, end + INTERVAL);
        if let Some(look) = adaptive.poll_timeout() {
            adaptive.handle_timeout(look, Some(lan(look, end)));
        }
        prop_assert!(adaptive.margin() >= millis(late));
    }
}
