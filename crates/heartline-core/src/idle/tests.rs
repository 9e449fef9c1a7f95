//! Worlds that forget after a time, searched without a clock.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// What a round comes to where the first death ends it soon, as a driver does it.
fn round(search: &mut Search, connections: u32, mut fate: impl FnMut(Duration) -> Trial) -> u32 {
    let times = search.next(connections);
    let mut tried = 0;
    let mut over = Duration::MAX;
    for asked in times {
        if asked > over {
            break;
        }
        let trial = fate(asked);
        if let Trial::Died { silent, .. } = trial {
            over = over.min(silent.min(asked) + tolerance(asked));
        }
        search.handle(asked, trial);
        tried += 1;
    }
    search.end_round();
    tried
}

/// A path that forgets after this long.
fn forgets(after: Duration) -> impl Fn(Duration) -> Trial {
    move |silent| {
        if silent < after {
            Trial::Survived { silent }
        } else {
            let how = Death::Dropped;
            Trial::Died { silent, how }
        }
    }
}

fn search(at_most: Duration, connections: u32, fate: impl Fn(Duration) -> Trial) -> Finding {
    let mut search = Search::new(at_most);
    loop {
        if let Some(finding) = search.finding() {
            return finding;
        }
        round(&mut search, connections, &fate);
    }
}

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

proptest! {
    #[test]
    fn what_is_forgotten_is_found_and_what_is_not_is_not(
        limit in millis(1..4_000_000),
        at_most in millis(1_000..4_000_000),
        connections in 1_u32..20,
    ) {
        match search(at_most, connections, forgets(limit)) {
            Finding::Forgets { survived, died, how } => {
                prop_assert!(survived < limit && limit <= died, "{survived:?} {died:?}");
                prop_assert!(died <= survived + tolerance(died));
                prop_assert!(died <= at_most);
                prop_assert_eq!(how, Death::Dropped);
            }
            Finding::Nothing { survived } => prop_assert!(survived == at_most && at_most < limit),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn a_round_is_what_was_asked_for(
        limit in millis(1..4_000_000),
        at_most in millis(1_000..4_000_000),
        connections in 1_u32..20,
    ) {
        let mut search = Search::new(at_most);
        while search.finding().is_none() {
            let times = search.next(connections);
            let number = u32::try_from(times.len()).unwrap();
            prop_assert!((1..=connections).contains(&number));
            prop_assert!(times.is_sorted_by(|a, b| a < b) && times.iter().all(|time| *time <= at_most));
            prop_assert!(search.left(connections, SECOND) >= *times.last().unwrap());
            round(&mut search, connections, forgets(limit));
        }
        prop_assert!(search.next(connections).is_empty());
        prop_assert_eq!(search.left(connections, SECOND), Duration::ZERO);
    }

    /// Once something has died, what is left is no more than was said.
    #[test]
    fn it_takes_no_longer_than_it_said(
        limit in millis(1_000..600_000),
        connections in 2_u32..20,
    ) {
        let at_most = Duration::from_mins(10);
        let mut search = Search::new(at_most);
        let mut said: Option<Duration> = None;
        let mut took = Duration::ZERO;
        while search.finding().is_none() {
            if !search.died.is_empty() && said.is_none() {
                said = Some(search.left(connections, SECOND));
            }
            if said.is_some() {
                let times = search.next(connections);
                let until = times.iter().find(|time| **time >= limit).or(times.last());
                took += *until.unwrap() + SECOND;
            }
            round(&mut search, connections, forgets(limit));
        }
        if let Some(said) = said {
            prop_assert!(took <= said, "{took:?} {said:?}");
        }
    }

    /// A connection that dies of something else costs time, and changes no more than what is near enough.
    #[test]
    fn a_death_of_something_else_is_found_out(
        limit in millis(5_000..500_000),
        connections in 1_u32..12,
        fluke in 0_u32..12,
    ) {
        let mut search = Search::new(Duration::from_mins(10));
        let mut number = 0;
        while search.finding().is_none() {
            round(&mut search, connections, |silent| {
                number += 1;
                if number == fluke + 1 {
                    return Trial::Died { silent, how: Death::Dropped };
                }
                forgets(limit)(silent)
            });
        }
        let Some(Finding::Forgets { survived, died, .. }) = search.finding() else {
            return Err(TestCaseError::fail(format!("{search:?}")));
        };
        let near = died + tolerance(died);
        prop_assert!(survived < limit && limit <= near, "{survived:?} {died:?} {limit:?}");
    }

    #[test]
    fn who_closes_is_found_in_a_round_or_two(
        after in millis(1_000..500_000),
        connections in 2_u32..12,
        reset in any::<bool>(),
    ) {
        let how = if reset { Death::ResetUnasked } else { Death::Closed };
        let mut search = Search::new(Duration::from_mins(10));
        let mut rounds = 0;
        while search.finding().is_none() {
            rounds += 1;
            let times = search.next(connections);
            // All that are silent at that time end, and a driver waits for them a little.
            for asked in times {
                let trial = if asked < after {
                    Trial::Survived { silent: asked }
                } else {
                    Trial::Died { silent: after, how }
                };
                search.handle(asked, trial);
            }
            search.end_round();
        }
        prop_assert_eq!(search.finding(), Some(Finding::Ends { after, how }));
        prop_assert!(rounds <= 2, "{rounds}");
    }

    #[test]
    fn an_interval_leaves_room_for_a_beat_that_is_late(survived in millis(0..10_000_000)) {
        let interval = Finding::Nothing { survived }.interval();
        prop_assert_eq!(interval.subsec_nanos(), 0);
        prop_assert!(interval >= SECOND && interval <= Finding::OFTEN);
        prop_assert!(interval == SECOND || interval * 5 <= survived * 3);
        prop_assert!(interval == Finding::OFTEN || (interval + SECOND) * 5 > survived * 3);
    }

    #[test]
    fn nonsense_comes_to_an_end(
        seed in any::<u64>(),
        connections in 1_u32..12,
    ) {
        let mut search = Search::new(Duration::from_hours(1));
        let mut state = seed | 1;
        let mut rounds = 0;
        while search.finding().is_none() {
            round(&mut search, connections, |silent| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                match (state >> 33) % 3 {
                    0 => Trial::Survived { silent },
                    1 => Trial::Survived { silent: silent / 3 },
                    _ => Trial::Died { silent, how: Death::Dropped },
                }
            });
            rounds += 1;
            prop_assert!(rounds <= MOST_ROUNDS);
        }
    }
}

#[test]
fn the_first_round_grows_geometrically_and_the_second_divides() {
    let mut search = Search::new(Duration::from_secs(128));
    let seconds =
        |times: Vec<Duration>| -> Vec<u128> { times.iter().map(Duration::as_millis).collect() };
    assert_eq!(
        seconds(search.next(6)),
        [4_000, 8_000, 16_000, 32_000, 64_000, 128_000]
    );
    assert_eq!(search.left(6, SECOND), Duration::from_secs(129));
    round(&mut search, 6, forgets(Duration::from_secs(12)));
    // The death was seen once, so it is tried again.
    assert_eq!(
        seconds(search.next(6)),
        [9_333, 10_666, 12_000, 13_333, 14_666, 16_000]
    );
    round(&mut search, 6, forgets(Duration::from_secs(12)));
    assert_eq!(seconds(search.next(6)), [11_333, 12_000]);
}

/// A server that speaks by itself keeps every connection open, and nothing is learnt of longer silences.
#[test]
fn what_is_held_open_is_said_so() {
    let speaks = Duration::from_secs(15);
    let fate = |asked: Duration| Trial::Survived {
        silent: asked.min(speaks),
    };
    let found = search(Duration::from_mins(10), 6, fate);
    assert_eq!(found, Finding::Held { every: speaks });
    assert_eq!(found.interval(), Duration::from_secs(9));
}

/// As it was seen: asked as the server's own clock ran out.
#[test]
fn one_that_is_asked_as_its_server_ends_it_is_no_path_that_forgets() {
    let mut search = Search::new(Duration::from_secs(30));
    let died = |ms, how| Trial::Died {
        silent: Duration::from_millis(ms),
        how,
    };
    let survived = Duration::from_millis(4_992);
    search.handle(survived, Trial::Survived { silent: survived });
    search.handle(Duration::from_millis(5_985), died(5_985, Death::Reset));
    for asked in [9, 13] {
        search.handle(Duration::from_secs(asked), died(5_989, Death::Closed));
    }
    search.end_round();
    let (after, how) = (Duration::from_millis(5_989), Death::Closed);
    assert_eq!(search.finding(), Some(Finding::Ends { after, how }));
}
