//! Ten thousand events in a second.

use std::time::{Duration, Instant};

use tempfile::tempdir;

use crate::receiver::Receiver;
use crate::watcher::{Watcher, hurried, waiting};

#[test]
fn ten_thousand_nodes_that_fall_at_once_are_each_told_of_once() {
    let folder = tempdir().unwrap();
    let journal = folder.path().join("j.db");
    let receiver = Receiver::start();
    let hooks = format!("[[hook]]\nname='page'\nurl='{}'", receiver.url);
    let watcher = Watcher::start(&journal, &hooks, hurried());
    let begun = Instant::now();
    for count in 0..10_000 {
        watcher.node(&format!("n{count}"), "up", "down");
    }
    // Nobody who tells has to wait.
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    receiver.wait_for(10_000, Duration::from_mins(1));
    watcher.end();
    assert_eq!(receiver.count(), 10_000);
    assert!(waiting(&journal).is_empty());
}

#[test]
fn ten_nodes_that_flap_a_thousand_times_are_four_messages_each() {
    let folder = tempdir().unwrap();
    let journal = folder.path().join("j.db");
    let receiver = Receiver::start();
    let hooks = format!("[[hook]]\nname='page'\nurl='{}'\nsettle='2s'", receiver.url);
    let watcher = Watcher::start(&journal, &hooks, hurried());
    for _ in 0..500 {
        for (from, to) in [("up", "down"), ("down", "up")] {
            for node in 0..10 {
                watcher.node(&format!("n{node}"), from, to);
            }
        }
    }
    let taken = receiver.wait_for(40, Duration::from_secs(20));
    watcher.end();
    assert_eq!(receiver.count(), 40);
    for node in 0..10 {
        let node = format!("n{node}");
        let of_node = taken.iter().filter(|one| one.text("node") == node);
        let told: Vec<_> = of_node.map(|one| one.text("to")).collect();
        assert_eq!(told, ["down", "up", "down", "up"]);
    }
    assert!(
        taken
            .iter()
            .all(|one| one.json()["changes"] == 997 || one.json().get("changes").is_none())
    );
    assert!(waiting(&journal).is_empty());
}
