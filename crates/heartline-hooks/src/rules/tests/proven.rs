//! What holds whatever happens, and whenever.

use proptest::prelude::*;

use super::model::Model;

/// What may happen.
#[derive(Clone, Debug)]
enum Step {
    Turn(&'static str),
    Pass(u64),
    /// Time passes, and nobody sends.
    Stall(u64),
    /// One is begun; its receiver has it, and nobody knows.
    Begin,
    /// And is tried again after so many seconds.
    Fail(u64),
    Restart,
    /// Somebody sets the wall clock by so many seconds.
    SetClock(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let states = prop::sample::select(vec![
        "up", "up", "down", "down", "degraded", "suspect", "unknown", "paused",
    ]);
    prop_oneof![
        8 => states.prop_map(Step::Turn),
        4 => (0_u64..60).prop_map(Step::Pass),
        1 => (0_u64..1_000).prop_map(Step::Pass),
        2 => (0_u64..60_000).prop_map(Step::Stall),
        1 => Just(Step::Begin),
        1 => (0_u64..300).prop_map(Step::Fail),
        1 => Just(Step::Restart),
        1 => (-7_200_i64..7_200).prop_map(Step::SetClock),
    ]
}

fn hook() -> impl Strategy<Value = (Vec<&'static str>, u64, u64)> {
    let on = prop::sample::select(vec![
        vec!["down"],
        vec!["down", "degraded"],
        vec!["down", "up"],
        vec!["unknown", "down"],
        vec!["degraded"],
        vec!["down", "degraded", "up", "unknown", "suspect", "paused"],
    ]);
    let after = prop::sample::select(vec![0, 0, 1, 30]);
    let settle = prop::sample::select(vec![0, 20, 600]);
    (on, after, settle)
}

fn is_return(on: &[&str], to: &str) -> bool {
    !on.contains(&to) && (to == "up" || (to == "degraded" && !on.contains(&"degraded")))
}

fn check(on: &[&str], after: u64, settle: u64, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut model = Model::new(&format!(
        "[[hook]]\nname='h'\nrun=['/bin/true']\non={on:?}\nafter='{after}s'\nsettle='{settle}s'"
    ));
    let mut is = "dialing";
    for step in steps {
        match step {
            Step::Turn(to) => {
                model.node("n", is, to);
                is = to;
            }
            Step::Pass(seconds) => {
                model.finish();
                model.pass(*seconds);
            }
            Step::Stall(ms) => model.pass_idle(*ms),
            Step::Begin => {
                model.begin();
            }
            Step::Fail(seconds) => {
                model.begin();
                model.fail(*seconds);
            }
            Step::Restart => model.restart(),
            Step::SetClock(seconds) => model.set_clock(*seconds),
        }
    }
    model.finish();
    model.send();
    // One may be tried again in five minutes, and what settles waits behind it.
    model.pass(settle.max(after) + 302);
    prop_assert_eq!(model.waits(), 0);
    let told = model.told();
    let words: Vec<_> = told
        .iter()
        .map(|text| text.split(' ').next().unwrap())
        .collect();
    for pair in words.windows(2) {
        prop_assert_ne!(pair[0], pair[1], "told twice: {:?}", &told);
    }
    let is_fall = |word: &str| word != "up" && on.contains(&word);
    for (place, word) in words.iter().enumerate() {
        if is_return(on, word) {
            let before = place.checked_sub(1).map(|place| words[place]);
            prop_assert!(before.is_some_and(is_fall), "no fall before: {:?}", &told);
        }
    }
    let last = words.last().copied();
    if on.contains(&is) {
        prop_assert_eq!(last, Some(is), "{:?}", &told);
    } else if is_return(on, is) {
        prop_assert!(!last.is_some_and(is_fall), "{} unsaid: {:?}", is, &told);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn never_the_same_twice_no_return_without_a_fall_and_the_end_is_told(
        (on, after, settle) in hook(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        check(&on, after, settle, &steps)?;
    }

    #[test]
    fn however_it_flaps_there_are_four_messages_at_most_in_the_time_to_settle(
        rests in prop::collection::vec(1_u64..70, 60),
        restarts in prop::collection::vec(0_u8..10, 60),
    ) {
        let mut model = Model::new("[[hook]]\nname='h'\nrun=['/bin/true']\nsettle='150s'");
        let states = ["down", "up"];
        for (count, (rest, restart)) in rests.iter().zip(&restarts).enumerate() {
            model.node("n", states[(count + 1) % 2], states[count % 2]);
            model.send();
            model.pass(*rest);
            if *restart == 0 {
                model.restart();
            }
        }
        model.pass(151);
        let told = model.told();
        let want = ["down", "up", "down flapping", "up after 57"];
        prop_assert_eq!(told, want);
    }
}
