//! A disk that never answers.

use std::time::Duration;

use heartline_journal::{Place, Settings};
use rusqlite::Connection;
use tempfile::tempdir;

use crate::receiver::Receiver;
use crate::watcher::{Watcher, hurried, waiting};

#[test]
fn somebody_is_woken_though_the_disk_hangs() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("j.db");
    let receiver = Receiver::start();
    let hooks = format!("[[hook]]\nname='page'\nurl='{}'\nsettle=0", receiver.url);
    let settings = Settings {
        lock_wait: Duration::from_hours(1),
        ..Settings::default()
    };
    let place = Place::take(&path).unwrap();
    let watcher = Watcher::start_as(Some(place), settings, &hooks, hurried());
    let other = Connection::open(&path).unwrap();
    other.busy_timeout(Duration::from_secs(30)).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    watcher.node("db1", "up", "down");
    receiver.wait_for(1, Duration::from_secs(30));
    watcher.node("db2", "up", "down");
    watcher.node("db1", "down", "up");
    let seen = receiver.wait_for(3, Duration::from_secs(30));
    let mut told: Vec<_> = seen
        .iter()
        .map(|seen| seen.text("node") + " " + &seen.text("to"))
        .collect();
    told.sort();
    assert_eq!(told, ["db1 down", "db1 up", "db2 down"]);
    drop(other);
    watcher.end();
    // The journal knows that they were taken: none is sent again.
    assert!(waiting(&path).is_empty());
    assert_eq!(receiver.count(), 3);
}
