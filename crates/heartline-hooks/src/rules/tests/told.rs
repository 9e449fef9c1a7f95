//! What a hook is told of, case by case.

use std::time::Duration;

use heartline_core::Cause;

use super::model::Model;

fn hook(more: &str) -> Model {
    Model::new(&format!("[[hook]]\nname='h'\nrun=['/bin/true']\n{more}"))
}

/// One node goes through these states, so many seconds in each.
fn through(model: &mut Model, states: &[(&'static str, u64)]) -> Vec<String> {
    let mut from = "unknown";
    for (to, seconds) in states {
        model.node("db1", from, to);
        from = to;
        model.send();
        model.pass(*seconds);
    }
    model.told()
}

#[test]
fn it_is_told_of_a_fall_and_of_its_end_and_of_nothing_between() {
    let states = [
        ("up", 5),
        ("suspect", 1),
        ("down", 5),
        ("unknown", 5),
        ("down", 5),
        ("suspect", 1),
        ("paused", 5),
        ("down", 5),
        ("degraded", 5),
        ("up", 5),
    ];
    let mut model = hook("");
    assert_eq!(through(&mut model, &states), ["down", "degraded"]);
    let letter = &model.received[0];
    assert_eq!(
        (letter.from.as_str(), letter.after_ms),
        ("suspect", Some(9_804))
    );
    assert_eq!(letter.sentence.as_deref(), Some(Cause::Silent.sentence()));
    assert_eq!(letter.tags, ["prod"]);
    assert_eq!(model.waits(), 0);
}

#[test]
fn the_next_run_does_not_tell_what_the_one_before_has_told() {
    let mut model = hook("");
    assert_eq!(through(&mut model, &[("up", 5), ("down", 5)]), ["down"]);
    model.restart();
    assert_eq!(
        through(&mut model, &[("unknown", 1), ("down", 1)]),
        ["down"]
    );
    model.restart();
    assert_eq!(through(&mut model, &[("up", 1)]), ["down", "up"]);
    model.restart();
    assert_eq!(through(&mut model, &[("up", 1), ("up", 1)]), ["down", "up"]);
}

#[test]
fn what_went_out_when_the_process_was_killed_goes_out_again_under_its_key() {
    let mut model = hook("");
    model.node("db1", "up", "down");
    assert!(model.begin());
    model.restart();
    model.send();
    assert_eq!(model.received.len(), 2);
    assert_eq!(model.received[0], model.received[1]);
    assert_eq!(model.told(), ["down"]);
}

#[test]
fn a_wall_clock_that_is_set_decides_nothing_about_what_waits() {
    for set_by in [3_600, -3_600] {
        let mut model = hook("after='30s'");
        model.node("db1", "up", "down");
        model.pass(5);
        model.set_clock(set_by);
        model.node("db1", "down", "up");
        model.pass(100);
        assert!(model.told().is_empty(), "taken back in time, {set_by}");

        let mut model = hook("after='30s'");
        model.node("db1", "up", "down");
        model.pass(5);
        model.set_clock(set_by);
        // It is due by then, though nobody has come to send it.
        model.pass_idle(26_000);
        model.node("db1", "down", "up");
        model.send();
        assert_eq!(model.told(), ["down", "up"], "too late, {set_by}");
    }
}

#[test]
fn a_wall_clock_that_is_set_makes_no_message_old_but_what_a_run_before_has_left() {
    let day = 24 * 3_600;
    let mut model = hook("settle=0");
    model.node("db1", "up", "down");
    model.set_clock(2 * day);
    model.pass_idle(7_000);
    assert_eq!(model.age(), Duration::from_secs(7));
    model.fail(60);
    model.set_clock(-9 * day);
    model.pass_idle(60_000);
    assert_eq!(model.age(), Duration::from_secs(67));

    let mut model = hook("settle=0");
    model.node("db1", "up", "down");
    // While no watcher ran.
    model.set_clock(day);
    model.restart();
    // One that had no clock before.
    model.set_clock(99 * day);
    model.pass_idle(7_000);
    let age = model.age().as_secs();
    assert_eq!(age, 24 * 3_600 + 7);
}

#[test]
fn a_short_fall_is_not_told_with_a_delay_nor_is_its_end() {
    let states = [("up", 5), ("down", 29), ("up", 100)];
    assert!(through(&mut hook("after='30s'"), &states).is_empty());
    let states = [("up", 5), ("down", 31), ("up", 100)];
    assert_eq!(through(&mut hook("after='30s'"), &states), ["down", "up"]);
    // A doubt and a while in which it could not be told are no return; a pause is.
    let states = [("down", 10), ("unknown", 10), ("down", 11)];
    assert_eq!(through(&mut hook("after='30s'"), &states), ["down"]);
    let states = [("down", 10), ("paused", 10), ("down", 29)];
    assert!(through(&mut hook("after='30s'"), &states).is_empty());
}

#[test]
fn what_waits_is_told_with_the_last_token_of_that_state() {
    let mut model = hook("after='30s'");
    let states = [("up", 1), ("down", 10), ("unknown", 10), ("down", 30)];
    assert_eq!(through(&mut model, &states), ["down"]);
    assert_eq!(model.received[0].token, Some(30));
    assert_eq!(model.received[0].from, "unknown");
}

#[test]
fn a_delay_goes_on_over_a_restart_and_can_be_cancelled_after_it() {
    let mut model = hook("after='30s'");
    through(&mut model, &[("down", 10)]);
    model.restart();
    assert!(through(&mut model, &[("unknown", 5), ("up", 60)]).is_empty());
    assert_eq!(model.waits(), 0);
    through(&mut model, &[("down", 10)]);
    model.restart();
    assert_eq!(through(&mut model, &[("down", 21)]), ["down"]);
}

#[test]
fn a_return_goes_out_behind_its_fall_also_where_that_was_late() {
    let mut model = hook("after='30s'\nsettle=0");
    model.node("db1", "up", "down");
    model.pass_idle(30_000);
    model.node("db1", "down", "up");
    model.send();
    assert_eq!(model.told(), ["down", "up"]);
    // Due while nobody ran: nobody knows whether it was received.
    model.node("db1", "up", "down");
    model.pass_idle(40_000);
    model.restart();
    model.node("db1", "unknown", "up");
    model.send();
    assert_eq!(model.told().len(), 4);
}

#[test]
fn thirty_flaps_give_four_messages() {
    for rests in [1, 7, 19] {
        let mut model = hook("");
        for _ in 0..30 {
            through(&mut model, &[("down", 3), ("up", rests)]);
        }
        assert_eq!(model.told(), ["down", "up", "down flapping"]);
        model.pass(599 - rests);
        assert_eq!(model.told().len(), 3);
        model.pass(2);
        let want = ["down", "up", "down flapping", "up after 57"];
        assert_eq!(model.told(), want);
        // And it is as any other again.
        let mut told = through(&mut model, &[("down", 700), ("up", 700)]);
        assert_eq!(told.split_off(4), ["down", "up"]);
    }
}

#[test]
fn one_that_settles_as_it_was_told_gives_no_more() {
    let mut model = hook("");
    for _ in 0..30 {
        through(&mut model, &[("down", 3), ("up", 3)]);
    }
    let told = through(&mut model, &[("down", 2_000)]);
    assert_eq!(told, ["down", "up", "down flapping"]);
    let told = through(&mut model, &[("up", 1)]);
    assert_eq!(told, ["down", "up", "down flapping", "up"]);
}

#[test]
fn flaps_are_remembered_over_restarts() {
    let mut model = hook("");
    for _ in 0..30 {
        through(&mut model, &[("down", 3)]);
        model.restart();
        through(&mut model, &[("unknown", 1), ("up", 3)]);
        model.restart();
    }
    model.pass(700);
    assert_eq!(model.told(), ["down", "up", "down flapping", "up after 57"]);
}

#[test]
fn without_a_time_to_settle_each_is_told() {
    let mut model = hook("settle=0");
    for _ in 0..30 {
        through(&mut model, &[("down", 3), ("up", 3)]);
    }
    assert_eq!(model.told().len(), 60);
}

#[test]
fn to_get_worse_or_better_step_by_step_is_not_to_flap() {
    let mut model = hook("on=['down','degraded']");
    let states = [
        ("up", 5),
        ("degraded", 5),
        ("down", 5),
        ("degraded", 5),
        ("up", 5),
    ];
    let want = ["degraded", "down", "degraded", "up"];
    assert_eq!(through(&mut model, &states), want);
    let told = through(&mut model, &[("degraded", 5), ("down", 5), ("up", 601)]);
    assert_eq!(told[4..], ["degraded flapping", "up after 2"]);
}

#[test]
fn one_that_asked_for_up_alone_is_told_of_each_and_flaps_too() {
    let mut model = hook("on=['up']\nsettle='1m'");
    let told = through(&mut model, &[("up", 100), ("down", 5), ("up", 100)]);
    assert_eq!(told, ["up", "up"]);
    for _ in 0..30 {
        through(&mut model, &[("down", 1), ("up", 1)]);
    }
    model.pass(100);
    let told = model.told();
    assert!(told.len() <= 5, "{told:?}");
}

#[test]
fn another_cause_is_another_matter() {
    let mut model = hook("cause=['refused']");
    assert!(through(&mut model, &[("down", 5), ("up", 5)]).is_empty());
    let mut model = hook("cause=['refused','silent']");
    assert_eq!(
        through(&mut model, &[("down", 5), ("up", 5)]),
        ["down", "up"]
    );
}

#[test]
fn lines_are_subjects_of_their_own_and_have_the_tags_of_their_node() {
    let mut model = hook("of=['line']\ntag=['prod']\nnode=['db*']");
    model.line("db1", "a", "down");
    assert!(model.told().is_empty());
    model.node("db1", "unknown", "down");
    for line in ["a", "b"] {
        model.line("db1", line, "down");
        model.line("db1", line, "dialing");
        model.line("db1", line, "down");
    }
    model.line("db1", "a", "up");
    model.line("web1", "a", "down");
    model.send();
    assert_eq!(model.told(), ["down", "down", "up"]);
    let lines: Vec<_> = model
        .received
        .iter()
        .map(|letter| letter.line.clone())
        .collect();
    assert_eq!(
        lines,
        [Some("a".into()), Some("b".into()), Some("a".into())]
    );
}

#[test]
fn a_node_called_as_the_watcher_or_as_a_line_is_neither() {
    let mut model = hook("of=['line','node','watcher']");
    model.node("watcher", "up", "down");
    model.node("/watcher", "up", "down");
    model.node("db1/a", "up", "down");
    model.line("db1", "a", "down");
    model.watcher(Cause::WatcherIsolated, false);
    model.watcher(Cause::WatcherStalled, true);
    model.watcher(Cause::WatcherIsolated, true);
    model.send();
    assert_eq!(model.told(), ["down", "down", "down", "down", "down", "up"]);
    assert_eq!(model.knows().len(), 5);
}

#[test]
fn what_a_hook_knew_that_is_no_more_is_forgotten() {
    let mut model = hook("");
    through(&mut model, &[("down", 5)]);
    let text = "[[hook]]\nname='other'\nrun=['/bin/true']";
    let other = Model::new(text);
    model.become_of(other);
    model.node("db2", "up", "down");
    let hooks: Vec<_> = model
        .knows()
        .iter()
        .map(|(hook, ..)| hook.as_str())
        .collect();
    assert_eq!(hooks, ["other"]);
}

#[test]
fn ten_thousand_nodes_at_once_and_one_more() {
    let mut model = hook("after='30s'");
    for count in 0..10_005 {
        model.node(&format!("n{count}"), "up", "down");
    }
    assert_eq!(model.waits(), 10_000);
    model.pass(31);
    let first = model
        .received
        .iter()
        .find(|letter| letter.node.as_deref() == Some("n4"));
    assert!(first.is_none());
    assert_eq!(model.received.len(), 10_000);
    assert_eq!(model.waits(), 0);
}
