//! `log -f`: what is noted while it follows, wherever that is written.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that finds something else than it needs has failed"
)]

mod program;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use heartline_journal::{Journal, Place, Settings};
use program::{CEILING, Home};
use rusqlite::{Connection, params};

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A journal with its tables.
fn journal(path: &Path) -> Connection {
    let place = Place::take(path).unwrap();
    drop(Journal::open(Some(place), Settings::default()));
    Connection::open(path).unwrap()
}

fn note(journal: &Connection, seq: i64, kind: &str, json: &str) {
    let query = "INSERT INTO event (seq, t, kind, json) VALUES (?1, 1800000000000, ?2, ?3)";
    journal.execute(query, params![seq, kind, json]).unwrap();
}

fn follow(home: &Home, path: &Path) -> Ended {
    let child = home
        .command()
        .args(["log", "-f", "--json", "--journal"])
        .arg(path)
        .stdout(File::create(home.path("out")).unwrap())
        .stderr(Stdio::inherit())
        .spawn();
    Ended(child.unwrap())
}

/// What it has printed, once that is so much.
fn printed(home: &Home, count: usize) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let text = home.read_lossy("out");
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        if lines.len() >= count && text.ends_with('\n') {
            return lines;
        }
        assert!(begun.elapsed() < CEILING, "{lines:?}");
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn gaps_that_come_while_it_follows_are_shown_once() {
    let home = Home::new();
    let path = home.path("journal.db");
    let journal = journal(&path);
    note(&journal, -1, "gap", "old gap");
    note(&journal, 1, "watcher", "first");
    let _log = follow(&home, &path);
    assert_eq!(printed(&home, 2), ["old gap", "first"]);
    note(&journal, -2, "gap", "gap 1");
    assert_eq!(printed(&home, 3).last().unwrap(), "gap 1");
    note(&journal, -3, "gap", "gap 2");
    assert_eq!(printed(&home, 4).last().unwrap(), "gap 2");
    note(&journal, 2, "watcher", "second");
    assert_eq!(
        printed(&home, 5),
        ["old gap", "first", "gap 1", "gap 2", "second"]
    );
}

#[test]
fn it_goes_over_to_the_journal_that_was_begun_anew() {
    let home = Home::new();
    let path = home.path("journal.db");
    let old = journal(&path);
    note(&old, 1_000, "watcher", "old");
    let _log = follow(&home, &path);
    assert_eq!(printed(&home, 1), ["old"]);
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        fs::rename(home.path(name), home.path(&format!("{name}.aside"))).unwrap();
    }
    // Its numbers may be less: whoever removed it removed them, too.
    let new = journal(&path);
    note(&new, 1, "watcher", "new");
    assert_eq!(printed(&home, 2), ["old", "new"]);
    note(&new, -1, "gap", "gap");
    assert_eq!(printed(&home, 3).last().unwrap(), "gap");
    note(&new, 2, "watcher", "newer");
    assert_eq!(printed(&home, 4), ["old", "new", "gap", "newer"]);
}
