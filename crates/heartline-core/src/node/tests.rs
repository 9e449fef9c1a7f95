use proptest::prelude::*;

use super::*;

const WELL: WatcherHealth = WatcherHealth {
    isolated: false,
    asking: false,
};

fn of(lines: &[LineState]) -> NodeState {
    verdict(lines.iter().copied(), WELL)
}

#[test]
fn one_line_cut_is_degraded_both_cut_is_down() {
    use LineState::{Down, Up};
    assert_eq!(of(&[Up, Up]), NodeState::Up);
    assert_eq!(
        of(&[Up, Down(Cause::Silent)]),
        NodeState::Degraded(Cause::Silent)
    );
    assert_eq!(
        of(&[Down(Cause::Silent), Down(Cause::Silent)]),
        NodeState::Down(Cause::Silent)
    );
}

#[test]
fn what_the_host_said_beats_silence() {
    use LineState::Down;
    assert_eq!(
        of(&[Down(Cause::Silent), Down(Cause::Refused)]),
        NodeState::Down(Cause::Refused)
    );
    assert_eq!(
        of(&[Down(Cause::LinkDown), Down(Cause::Silent)]),
        NodeState::Down(Cause::Silent)
    );
}

#[test]
fn a_line_that_could_not_be_asked_leaves_the_node_unknown() {
    use LineState::Down;
    for cause in [
        Cause::AuthRefused,
        Cause::HostKeyChanged,
        Cause::HostKeyUnknown,
        Cause::JumpDown,
    ] {
        assert_eq!(
            of(&[Down(Cause::Silent), Down(cause)]),
            NodeState::Unknown(cause)
        );
    }
}

#[test]
fn doubt_on_one_line_is_no_doubt_of_a_node_that_another_proves() {
    use LineState::{Down, Suspect, Up};
    assert_eq!(of(&[Up, Suspect(Cause::Silent)]), NodeState::Up);
    assert_eq!(
        of(&[Down(Cause::Silent), Suspect(Cause::Silent)]),
        NodeState::Suspect(Cause::Silent)
    );
}

#[test]
fn paused_lines_count_for_nothing() {
    use LineState::{Paused, Up};
    assert_eq!(of(&[Paused, Up]), NodeState::Up);
    assert_eq!(of(&[Paused, Paused]), NodeState::Paused);
}

#[test]
fn an_isolated_watcher_calls_nobody_down() {
    let isolated = WatcherHealth {
        isolated: true,
        ..WELL
    };
    assert_eq!(
        verdict([LineState::Down(Cause::Silent)], isolated),
        NodeState::Unknown(Cause::WatcherIsolated)
    );
}

#[test]
fn while_others_are_asked_nobody_is_down_for_a_silence() {
    use LineState::{Down, Up};
    let asking = WatcherHealth {
        asking: true,
        ..WELL
    };
    let of = |lines: &[LineState]| verdict(lines.iter().copied(), asking);
    let silent = Down(Cause::Silent);
    assert_eq!(of(&[silent, silent]), NodeState::Suspect(Cause::Silent));
    assert_eq!(of(&[silent, Up]), NodeState::Degraded(Cause::Silent));
    // What another line was told before says nothing of now.
    assert_eq!(
        of(&[silent, Down(Cause::Refused)]),
        NodeState::Suspect(Cause::Silent)
    );
    assert_eq!(of(&[Down(Cause::Refused)]), NodeState::Down(Cause::Refused));
}

fn any_line() -> impl Strategy<Value = LineState> {
    let cause = prop::sample::select(vec![
        Cause::Silent,
        Cause::Refused,
        Cause::SshdHung,
        Cause::LinkDown,
        Cause::AuthRefused,
        Cause::Dns,
    ]);
    prop_oneof![
        Just(LineState::Idle),
        Just(LineState::Dialing),
        Just(LineState::Up),
        Just(LineState::Paused),
        cause.clone().prop_map(LineState::Suspect),
        cause.prop_map(LineState::Down),
    ]
}

proptest! {
    #[test]
    fn down_needs_every_line_down_and_order_means_nothing(
        lines in prop::collection::vec(any_line(), 1..6),
        turn in 0_usize..6,
    ) {
        let state = of(&lines);
        if let NodeState::Down(_) = state {
            prop_assert!(lines.iter().all(|l| matches!(l, LineState::Down(_) | LineState::Paused)));
        }
        if lines.contains(&LineState::Up) {
            prop_assert!(matches!(state, NodeState::Up | NodeState::Degraded(_)));
        }
        let mut turned = lines.clone();
        turned.rotate_left(turn % lines.len());
        prop_assert_eq!(of(&turned).word(), state.word());
    }
}
