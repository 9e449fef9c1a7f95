//! A watcher that is killed two hundred times.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use heartline_journal::{EventFilter, Reader};
use tempfile::tempdir;

use crate::receiver::Receiver;
use crate::watcher::{Watcher, hurried, waiting};

const JOURNAL: &str = "HEARTLINE_TEST_JOURNAL";
const URL: &str = "HEARTLINE_TEST_URL";
const NODES: usize = 4;

/// No test: the watcher that is killed.
#[test]
fn child() {
    let (Some(journal), Ok(url)) = (env::var_os(JOURNAL), env::var(URL)) else {
        return;
    };
    let hooks = format!("[[hook]]\nname='page'\nurl='{url}'\nsettle=0");
    let watcher = Watcher::start(&PathBuf::from(journal), &hooks, hurried());
    for count in 0.. {
        for node in 0..NODES {
            let (from, to) = [("up", "down"), ("down", "up")][(count + node) % 2];
            watcher.node(&format!("n{node}"), from, to);
            sleep(Duration::from_micros(fastrand::u64(0..2_000)));
        }
    }
}

fn kill_one(journal: &Path, url: &str) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "restart::child", "--nocapture"])
        .env(JOURNAL, journal)
        .env(URL, url)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    sleep(Duration::from_millis(fastrand::u64(15..90)));
    // SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn two_hundred_kills_lose_no_message_and_send_none_that_is_not_one() {
    let folder = tempdir().unwrap();
    let journal = folder.path().join("j.db");
    // Now and then it fails, or it has taken what it says it has not.
    let receiver = Receiver::answering(|count, _| {
        let status = if count % 7 == 3 { 503 } else { 200 };
        (status, Vec::new(), String::new())
    });
    let begun = Instant::now();
    for _ in 0..200 {
        kill_one(&journal, &receiver.url);
    }
    let killed = begun.elapsed();
    // What is left goes out in one last run.
    let hooks = format!("[[hook]]\nname='page'\nurl='{}'\nsettle=0", receiver.url);
    let watcher = Watcher::start(&journal, &hooks, hurried());
    let until = Instant::now() + Duration::from_secs(20);
    let mut count = receiver.taken().len();
    loop {
        sleep(Duration::from_millis(700));
        let now = receiver.taken().len();
        if now == count {
            break;
        }
        assert!(Instant::now() < until);
        count = now;
    }
    watcher.end();
    assert!(waiting(&journal).is_empty());

    let want = transitions(&journal);
    let all = want.values().map(Vec::len).sum::<usize>();
    let sent = receiver.count();
    println!("{all} transitions, {sent} requests, 200 kills in {killed:?}");
    assert!(all > 500, "{all}");
    let (mut taken, mut begun) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
    for one in receiver.seen() {
        let (node, key) = (one.text("node"), one.key());
        let taken = taken.entry(node.clone()).or_default();
        let begun = begun.entry(node).or_default();
        if !begun.contains(&key) {
            // None is begun before the one before it was taken.
            assert_eq!(begun, taken, "{key}");
            begun.push(key.clone());
        }
        if one.is_taken && !taken.contains(&key) {
            taken.push(key);
        }
    }
    assert_eq!(taken.len(), want.len());
    for (node, want) in want {
        let differ = want
            .iter()
            .zip(&taken[&node])
            .find(|(want, had)| want != had);
        assert_eq!((differ, taken[&node].len()), (None, want.len()), "{node}");
    }
}

/// The keys of what a hook for `down` is to be told, by node, in order; by what is in the journal.
fn transitions(journal: &Path) -> HashMap<String, Vec<String>> {
    let mut keys: HashMap<String, Vec<String>> = HashMap::new();
    let mut told: HashMap<String, bool> = HashMap::new();
    let reader = Reader::open(journal).unwrap();
    reader
        .events(&EventFilter::default(), |event| {
            let node = event.node.unwrap();
            let is_down = event.state.as_deref() == Some("down");
            let knows = told.entry(node.clone()).or_default();
            if *knows != is_down {
                *knows = is_down;
                let key = format!("page-{}-{}", event.seq, event.t.as_millisecond());
                keys.entry(node).or_default().push(key);
            }
        })
        .unwrap();
    keys
}
