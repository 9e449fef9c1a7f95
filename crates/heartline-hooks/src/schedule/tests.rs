use jiff::Timestamp;

use super::*;

fn message(hook: &str, subject: &str, key: &str) -> Message {
    Message {
        key: key.into(),
        hook: hook.into(),
        subject: subject.into(),
        due: Timestamp::UNIX_EPOCH,
        tries: 0,
        body: String::new(),
    }
}

fn schedule(hooks: &[&str], at_once: usize, most: usize) -> Schedule {
    let hooks: Vec<Arc<str>> = hooks.iter().map(|hook| (*hook).into()).collect();
    Schedule::new(&hooks, at_once, most)
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Schedule {
    fn add(&mut self, hook: &str, subject: &str, key: &str, at: Duration) {
        assert_eq!(self.announce(hook, key, at), None);
        self.put(message(hook, subject, key));
    }

    fn begin_all(&mut self, now: Duration) -> Vec<String> {
        std::iter::from_fn(|| self.begin(now))
            .map(|begun| begun.message.key.clone())
            .collect()
    }
}

#[test]
fn messages_about_one_node_go_out_one_after_the_other_and_others_do_not_wait() {
    let mut schedule = schedule(&["a", "b"], 16, 100);
    schedule.add("a", "db1", "1", s(0));
    schedule.add("a", "db1/eth0", "2", s(0));
    schedule.add("a", "db2", "3", s(0));
    schedule.add("b", "db1", "4", s(0));
    assert_eq!(schedule.begin_all(s(0)).len(), 3);
    assert!(schedule.begin(s(1)).is_none());
    assert_eq!(schedule.retry("1", s(5)), 1);
    assert_eq!(schedule.next(), Some(s(5)));
    assert!(schedule.begin(s(4)).is_none());
    let again = schedule.begin(s(5)).unwrap();
    assert_eq!((&*again.message.key, again.tries), ("1", 1));
    schedule.finish("1");
    assert_eq!(schedule.begin_all(s(5)), ["2"]);
    for key in ["2", "3", "4"] {
        schedule.finish(key);
    }
    assert_eq!((schedule.count(), schedule.next()), (0, None));
}

#[test]
fn what_waits_for_its_time_holds_nobody_up_and_can_be_taken_back_until_then() {
    let mut schedule = schedule(&["a"], 16, 100);
    schedule.add("a", "db1", "late", s(30));
    schedule.add("a", "db1", "now", s(1));
    assert_eq!(schedule.next(), Some(s(1)));
    assert_eq!(schedule.begin_all(s(1)), ["now"]);
    schedule.finish("now");
    assert!(schedule.is_open("late"));
    assert_eq!(schedule.begin_all(s(30)), ["late"]);
    assert!(!schedule.is_open("late") && !schedule.cancel("late"));
    schedule.finish("late");
    schedule.add("a", "db1", "other", s(60));
    assert!(schedule.cancel("other"));
    // It was on its way here.
    schedule.put(message("a", "db1", "other"));
    assert!(schedule.begin(s(100)).is_none());
    assert_eq!(schedule.count(), 0);
}

#[test]
fn what_is_hastened_goes_out_before_what_comes_after_it_also_if_it_was_on_its_way() {
    let mut schedule = schedule(&["a"], 16, 100);
    schedule.add("a", "db1", "1", s(30));
    schedule.hasten("1", s(10));
    assert!(!schedule.cancel("1"));
    schedule.add("a", "db1", "2", s(10));
    assert_eq!(schedule.announce("a", "3", s(40)), None);
    schedule.hasten("3", s(11));
    assert!(!schedule.cancel("3"));
    schedule.put(message("a", "db1", "3"));
    schedule.add("a", "db1", "4", s(11));
    for key in ["1", "2", "3", "4"] {
        assert_eq!(schedule.begin_all(s(11)), [key]);
        schedule.finish(key);
    }
}

#[test]
fn a_hook_that_hangs_takes_no_more_than_its_share() {
    let mut schedule = schedule(&["bad", "good"], 16, 1_000);
    for count in 0..100 {
        schedule.add("bad", &format!("n{count}"), &format!("b{count}"), s(0));
    }
    assert_eq!(schedule.begin_all(s(0)).len(), 8);
    assert_eq!(schedule.next(), None);
    for count in 0..100 {
        schedule.add("good", &format!("n{count}"), &format!("g{count}"), s(1));
    }
    assert_eq!(schedule.begin_all(s(1)).len(), 8);
    assert!(schedule.begin(s(2)).is_none());
}

#[test]
fn the_oldest_make_room_and_what_is_under_way_does_not() {
    let mut schedule = schedule(&["a"], 1, 3);
    schedule.add("a", "n1", "1", s(0));
    assert_eq!(schedule.begin_all(s(0)), ["1"]);
    schedule.add("a", "n2", "2", s(0));
    schedule.add("a", "n3", "3", s(0));
    assert_eq!(schedule.announce("a", "4", s(0)).as_deref(), Some("2"));
    schedule.put(message("a", "n4", "4"));
    schedule.finish("1");
    for key in ["3", "4"] {
        assert_eq!(schedule.begin_all(s(0)), [key]);
        schedule.finish(key);
    }
}

#[test]
fn what_was_tried_before_comes_before_what_waits_in_its_lane() {
    let mut schedule = schedule(&["a"], 16, 100);
    let mut first = message("a", "n", "1");
    first.tries = 3;
    schedule.announce("a", "1", s(100));
    schedule.put(first);
    schedule.make_firm("1");
    schedule.add("a", "n", "2", s(0));
    assert!(schedule.begin(s(50)).is_none());
    assert_eq!(schedule.begin(s(100)).unwrap().tries, 3);
}

#[test]
fn one_that_is_replaced_goes_out_once_as_it_is_now() {
    let mut schedule = schedule(&["a"], 16, 100);
    schedule.add("a", "n", "1", s(30));
    let mut other = message("a", "n", "1");
    other.body = "other".into();
    schedule.put(other);
    assert!(schedule.begin(s(29)).is_none());
    assert_eq!(schedule.begin(s(30)).unwrap().message.body, "other");
    assert!(schedule.begin(s(40)).is_none());
}
