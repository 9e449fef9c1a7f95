//! Programs, as hooks of a watcher.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::tempdir;

use crate::watcher::{Watcher, hurried, waiting};

#[test]
fn one_that_is_not_there_or_fails_is_tried_three_times_and_one_that_asks_for_it_again() {
    let folder = tempdir().unwrap();
    let (journal, at) = (folder.path().join("j.db"), folder.path().display());
    let hooks = format!(
        "[[hook]]\nname='gone'\nrun=['/no/such/program']\n\
         [[hook]]\nname='fails'\nrun=['/bin/sh','-c','echo >> {at}/fails; exit 1']\n\
         [[hook]]\nname='later'\nrun=['/bin/sh','-c','echo >> {at}/later; [ $(wc -l < {at}/later) -ge 6 ] || exit 75']\n\
         [[hook]]\nname='well'\nrun=['/bin/sh','-c','cat >> {at}/well']\n"
    );
    let watcher = Watcher::start(&journal, &hooks, hurried());
    watcher.node("db1", "up", "down");
    let count = |name: &str| {
        let text = fs::read_to_string(folder.path().join(name));
        text.unwrap_or_default().lines().count()
    };
    let until = Instant::now() + Duration::from_secs(20);
    while (count("fails"), count("later"), count("well")) != (3, 6, 1) {
        assert!(Instant::now() < until);
        sleep(Duration::from_millis(20));
    }
    sleep(Duration::from_millis(500));
    watcher.end();
    assert_eq!((count("fails"), count("later"), count("well")), (3, 6, 1));
    assert!(waiting(&journal).is_empty());
}

#[test]
fn of_one_that_hangs_sixteen_run_at_once_and_none_outlives_the_end() {
    let folder = tempdir().unwrap();
    let (journal, at) = (folder.path().join("j.db"), folder.path().display());
    let hooks = format!(
        "[[hook]]\nname='hangs'\nrun=['/bin/sh','-c','echo $$ >> {at}/pids; exec sleep 1000']\n"
    );
    let watcher = Watcher::start(&journal, &hooks, hurried());
    for count in 0..100 {
        watcher.node(&format!("n{count}"), "up", "down");
    }
    sleep(Duration::from_millis(1_500));
    let pids = fs::read_to_string(folder.path().join("pids")).unwrap();
    assert_eq!(pids.lines().count(), 16);
    let begun = Instant::now();
    watcher.end();
    assert!(begun.elapsed() < Duration::from_secs(5));
    sleep(Duration::from_millis(200));
    for pid in pids.lines() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z"), "{stat}");
    }
    // They were not done, and are told again by the next run.
    assert_eq!(waiting(&journal).len(), 100);
}

#[test]
fn messages_of_a_hook_that_is_no_more_are_let_go() {
    let folder = tempdir().unwrap();
    let journal = folder.path().join("j.db");
    let hooks = "[[hook]]\nname='page'\nrun=['/bin/true']\nafter='1h'";
    let watcher = Watcher::start(&journal, hooks, hurried());
    watcher.node("db1", "up", "down");
    sleep(Duration::from_millis(300));
    watcher.end();
    assert_eq!(waiting(&journal).len(), 1);
    let watcher = Watcher::start(&journal, "", hurried());
    assert_eq!(watcher.opened.waiting.len(), 1);
    sleep(Duration::from_millis(300));
    watcher.end();
    assert!(waiting(&journal).is_empty());
}
