//! A journal as its users see it: what is told is there, whatever happens to the process, the file and the disk.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use heartline_core::Cause;
use heartline_journal::{
    Change, EventFilter, Journal, Keeper, Message, Opened, Place, ReadError, Reader, RoundTripRow,
    Rules, SetAsideWhy, Settings, Stored, WAITING,
};
use heartline_ssh::RoundTripCounts;
use heartline_watch::board::Noted;
use heartline_watch::{NodeTold, Told};
use jiff::Timestamp;

/// One message an event, and that it was seen.
struct Each;

impl Rules for Each {
    fn judge(&mut self, noted: &Noted) -> Vec<Change> {
        let subject = noted.told.node().map(ToString::to_string);
        let subject = subject.unwrap_or_default();
        let knows = Change::Knows {
            hook: "h".into(),
            subject: subject.clone(),
            what: noted.told.to().map(str::to_owned),
        };
        let put = Change::Put(Message {
            key: format!("h:{}", noted.seq),
            hook: "h".into(),
            subject,
            due: noted.told.t(),
            tries: 0,
            body: format!("{{\"seq\":{}}}", noted.seq),
        });
        vec![put, knows]
    }
}

struct None_;

impl Rules for None_ {
    fn judge(&mut self, _: &Noted) -> Vec<Change> {
        Vec::new()
    }
}

fn event(seq: u64, node: &str, to: &'static str) -> Arc<Noted> {
    let is_down = to == "down";
    Arc::new(Noted {
        seq,
        told: Told::Node(NodeTold {
            t: Timestamp::now(),
            node: node.into(),
            from: "suspect",
            to,
            cause: is_down.then_some(Cause::Silent),
            after_ms: Some(seq),
            token: seq * 10,
            tags: Arc::default(),
            lines: Vec::new(),
        }),
    })
}

type Delivered = Arc<Mutex<Vec<Change>>>;

fn open(path: &Path, rules: Box<dyn Rules>) -> (Journal, Keeper, Opened, Delivered) {
    open_as(path, rules, Settings::default())
}

fn open_as(
    path: &Path,
    rules: Box<dyn Rules>,
    settings: Settings,
) -> (Journal, Keeper, Opened, Delivered) {
    let place = Place::take(path).unwrap();
    let (opening, opened) = Journal::open(Some(place), settings);
    let delivered = Delivered::default();
    let to = Arc::clone(&delivered);
    let deliver = move |changes: Vec<Change>| to.lock().unwrap().extend(changes);
    let (journal, keeper) = opening.start(rules, Box::new(deliver)).unwrap();
    (journal, keeper, opened, delivered)
}

fn end(journal: Journal, keeper: Keeper) {
    journal.end();
    drop(journal);
    keeper.wait();
}

fn events(path: &Path) -> Vec<Stored> {
    let mut all = Vec::new();
    let reader = Reader::open(path).unwrap();
    reader
        .events(&EventFilter::default(), |event| all.push(event))
        .unwrap();
    all
}

/// Whether a message of this key was handed on.
fn is_put(delivered: &Delivered, key: &str) -> bool {
    let delivered = delivered.lock().unwrap();
    let mut puts = delivered.iter().filter_map(|change| match change {
        Change::Put(message) => Some(&message.key),
        _ => None,
    });
    puts.any(|put| put == key)
}

/// Keeps a journal's disk from taking anything, as long as it is there. Whoever writes hangs meanwhile.
fn hold_up(path: &Path) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(path).unwrap();
    other.busy_timeout(Duration::from_secs(30)).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    other
}

const HANGS: Settings = Settings {
    keep: Duration::from_hours(24),
    lock_wait: Duration::from_hours(1),
};

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_was_told_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/journal.db");
    let (journal, keeper, opened, delivered) = open(&path, Box::new(Each));
    assert_eq!((opened.last_seq, opened.last_token), (0, 0));
    for seq in 1..=50 {
        journal.tell(event(seq, "db1", if seq % 2 == 0 { "up" } else { "down" }));
    }
    journal.done("h:7".into());
    let later = Timestamp::now() + Duration::from_secs(5);
    journal.put_off("h:8".into(), 3, later);
    end(journal, keeper);
    assert_eq!(delivered.lock().unwrap().len(), 100);
    let all = events(&path);
    assert_eq!(all.len(), 50);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "for nobody else to read");
    assert_eq!(all[0].cause.as_deref(), Some("silent"));
    assert_eq!(all[49].state.as_deref(), Some("up"));
    assert!(
        all[49].json.contains(r#""after_ms":50"#),
        "{}",
        all[49].json
    );

    let (journal, keeper, opened, _) = open(&path, Box::new(None_));
    assert_eq!((opened.last_seq, opened.last_token), (50, 500));
    assert_eq!(opened.waiting.len(), 49);
    let eighth = opened.waiting.iter().find(|one| one.key == "h:8").unwrap();
    assert_eq!(
        (eighth.tries, eighth.due.as_millisecond()),
        (3, later.as_millisecond())
    );
    assert_eq!(opened.known, [("h".into(), "db1".into(), "up".into())]);
    // Nobody else keeps it meanwhile.
    assert!(Place::take(&path).is_err());
    end(journal, keeper);
    assert!(Place::take(&path).is_ok());
}

#[test]
fn one_that_is_damaged_or_of_a_later_version_is_set_aside_and_a_new_one_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    fs::write(
        &path,
        "this is no journal at all, and never was one".repeat(200),
    )
    .unwrap();
    let (journal, keeper, opened, _) = open(&path, Box::new(None_));
    let aside = opened.set_aside.unwrap();
    assert_eq!(aside.why, SetAsideWhy::Corrupt);
    assert!(
        fs::read_to_string(&aside.to)
            .unwrap()
            .starts_with("this is no")
    );
    journal.tell(event(opened.last_seq + 1, "db1", "down"));
    end(journal, keeper);
    assert_eq!(events(&path).len(), 1);

    let sqlite = rusqlite::Connection::open(&path).unwrap();
    sqlite.pragma_update(None, "user_version", 99).unwrap();
    drop(sqlite);
    let (journal, keeper, opened, _) = open(&path, Box::new(None_));
    let aside = opened.set_aside.unwrap();
    assert_eq!(aside.why, SetAsideWhy::Later { version: 99 });
    assert_eq!(events(&aside.to).len(), 1);
    // Numbers go on above all that were given.
    assert!(opened.last_seq > 1_000_000);
    end(journal, keeper);

    // However often it happens, few are kept.
    for _ in 0..6 {
        fs::write(&path, "damaged").unwrap();
        let (journal, keeper, opened, _) = open(&path, Box::new(None_));
        assert!(opened.set_aside.is_some());
        end(journal, keeper);
    }
    let names = fs::read_dir(folder.path()).unwrap();
    let aside = names.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with('Z')
    });
    assert_eq!(aside.count(), 3);
}

#[test]
fn one_that_is_damaged_while_it_is_kept_is_set_aside_and_what_came_then_is_in_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let (journal, keeper, _, _) = open(&path, Box::new(None_));
    // More than SQLite keeps in memory.
    for seq in 1..=30_000 {
        journal.tell(event(seq, &format!("n{}", seq * 7_919 % 10_007), "down"));
    }
    until("written", || events(&path).len() == 30_000);
    for name in ["journal.db", "journal.db-wal"] {
        let name = folder.path().join(name);
        let len = fs::metadata(&name).unwrap().len();
        fs::write(&name, vec![0x5a; usize::try_from(len).unwrap()]).unwrap();
    }
    // It is noticed when what is damaged is read; from then on all is in the new one.
    let mut seq = 30_000;
    until("a new journal", || {
        seq += 1;
        journal.tell(event(seq, &format!("n{}", seq * 7_919 % 10_007), "up"));
        let mut last = 0;
        let read = Reader::open(&path)
            .and_then(|reader| reader.events(&EventFilter::default(), |event| last = event.seq));
        read.is_ok() && last > 30_000
    });
    let names = fs::read_dir(folder.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    let is_aside = |name: &std::ffi::OsString| name.to_string_lossy().ends_with('Z');
    assert!(names.iter().any(is_aside), "{names:?}");
    let before = seq;
    for _ in 0..100 {
        seq += 1;
        journal.tell(event(seq, "db1", "up"));
    }
    end(journal, keeper);
    let later = events(&path)
        .iter()
        .filter(|event| event.seq > i64::try_from(before).unwrap())
        .count();
    assert_eq!(later, 100);
}

#[test]
fn a_burst_is_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let (journal, keeper, _, delivered) = open(&path, Box::new(Each));
    for seq in 1..=20_000 {
        journal.tell(event(seq, &format!("n{}", seq % 100), "down"));
    }
    until("delivered", || delivered.lock().unwrap().len() == 40_000);
    assert_eq!(journal.lost(), 0);
    end(journal, keeper);
    assert_eq!(events(&path).len(), 20_000);
}

#[test]
fn a_disk_that_hangs_holds_up_no_message_and_has_all_when_it_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let (journal, keeper, _, delivered) = open_as(&path, Box::new(Each), HANGS);
    journal.tell(event(1, "db1", "down"));
    until("the first", || is_put(&delivered, "h:1"));
    assert!(journal.is_well());

    let other = hold_up(&path);
    journal.tell(event(2, "db1", "up"));
    until("the second, which hangs", || is_put(&delivered, "h:2"));
    assert!(!journal.is_well());
    assert_eq!(events(&path).len(), 1, "it is not written");
    // What comes while it hangs is judged too.
    journal.tell(event(3, "db1", "down"));
    until("the third, behind it", || is_put(&delivered, "h:3"));
    journal.done("h:2".into());
    assert_eq!(journal.lost(), 0);

    drop(other);
    until("all are written", || events(&path).len() == 3);
    until("it is well", || journal.is_well());
    end(journal, keeper);
    let puts = delivered.lock().unwrap().len();
    assert_eq!(puts, 6, "each was handed on once");
    let (journal, keeper, opened, _) = open(&path, Box::new(None_));
    let waiting: Vec<_> = opened.waiting.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(waiting, ["h:1", "h:3"]);
    end(journal, keeper);
}

#[test]
fn what_finds_no_room_while_the_disk_hangs_is_counted_and_said_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let (journal, keeper, _, delivered) = open_as(&path, Box::new(Each), HANGS);
    let other = hold_up(&path);
    // Three entries each.
    let count = u64::try_from(WAITING / 3 + 5_000).unwrap();
    for seq in 1..=count {
        journal.tell(event(seq, "db1", "down"));
        if seq % 1_000 == 0 {
            until("judged", || is_put(&delivered, &format!("h:{seq}")));
        }
    }
    until("judged", || is_put(&delivered, &format!("h:{count}")));
    assert!(journal.lost() >= 4_000, "{}", journal.lost());
    drop(other);
    let last = i64::try_from(count).unwrap();
    until("written", || {
        events(&path).last().is_some_and(|event| event.seq == last)
    });
    let all = events(&path);
    let (gaps, whole): (Vec<_>, Vec<_>) = all.iter().partition(|event| event.kind == "gap");
    let lost = gaps.iter().map(|gap| {
        let gap = gap.json.split_once(r#""lost":"#).unwrap().1;
        let (lost, _) = gap.split_once([',', '}']).unwrap();
        lost.parse::<u64>().unwrap()
    });
    assert_eq!(lost.sum::<u64>() + whole.len() as u64, count);
    end(journal, keeper);
}

#[test]
fn minutes_make_hours_and_time_is_counted_by_the_day() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let (journal, keeper, _, _) = open(&path, Box::new(None_));
    let row = |us: u64| {
        let mut counts = RoundTripCounts::default();
        counts.classes[3] = 10;
        counts.sum_us = 10 * us;
        RoundTripRow {
            node: "db1".into(),
            line: "10.0.0.1".into(),
            counts,
            shortest: Duration::from_micros(us / 2),
            longest: Duration::from_micros(us * 2),
        }
    };
    let hour = Timestamp::from_second(3_600 * 490_000).unwrap();
    for (minute, us) in [(1, 1_000), (2, 3_000), (60, 2_000), (61, 9_000)] {
        let t = hour + Duration::from_secs(60 * minute);
        journal.round_trips(t, vec![row(us)]);
    }
    journal.tell(event(1, "db1", "up"));
    sleep(Duration::from_millis(300));
    journal.tell(event(2, "db1", "down"));
    end(journal, keeper);
    let reader = Reader::open(&path).unwrap();
    let minutes = reader
        .round_trips("db1", Duration::from_mins(1), hour)
        .unwrap();
    assert_eq!(minutes.len(), 4);
    let hours = reader
        .round_trips("db1", Duration::from_hours(1), hour)
        .unwrap();
    let [first, second] = &hours[..] else {
        panic!("{hours:?}")
    };
    assert_eq!((first.count, first.mean), (30, Duration::from_millis(2)));
    assert_eq!(first.shortest, Duration::from_micros(500));
    assert_eq!(first.longest, Duration::from_millis(6));
    assert_eq!((second.count, second.mean), (10, Duration::from_millis(9)));
    let days = reader.days(0, Some("db1"), true).unwrap();
    assert_eq!(days.len(), 1);
    assert!((200..5_000).contains(&days[0].times.0[0]), "{days:?}");
}

/// Not a test: what is killed by one.
#[test]
#[ignore = "is run, and killed, by a_process_that_is_killed…"]
fn writes_until_it_is_killed() {
    let Some(path) = std::env::var_os("HEARTLINE_TEST_JOURNAL") else {
        return;
    };
    let (journal, _keeper, opened, delivered) = open(Path::new(&path), Box::new(Each));
    for seq in opened.last_seq + 1.. {
        journal.tell(event(seq, "db1", if seq % 2 == 0 { "up" } else { "down" }));
        if seq % 16 == 0 {
            sleep(Duration::from_micros(200));
        }
        // What was handed on was written before.
        for change in delivered.lock().unwrap().drain(..) {
            if let Change::Put(message) = change {
                println!("{}", message.key);
            }
        }
    }
}

#[test]
fn a_process_that_is_killed_at_any_moment_leaves_a_whole_journal_with_all_that_it_handed_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let us = std::env::current_exe().unwrap();
    let mut handed_on = 0;
    for round in 0..200_u64 {
        let mut child = Command::new(&us)
            .args([
                "--exact",
                "writes_until_it_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env("HEARTLINE_TEST_JOURNAL", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut last = None;
        let first = said.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("h:")));
        last = last.max(first.and_then(|line| number(&line.unwrap())));
        sleep(Duration::from_micros(round * 37 % 3_000));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in said.map_while(Result::ok) {
            last = last.max(number(&line));
        }
        handed_on = handed_on.max(last.unwrap());
        let place = Place::take(&path).unwrap();
        let (_opening, opened) = Journal::open(Some(place), Settings::default());
        assert!(
            opened.set_aside.is_none(),
            "round {round}: {:?}",
            opened.set_aside
        );
        assert!(opened.last_seq >= handed_on, "round {round}");
        assert_eq!(
            opened.waiting.len() as u64,
            opened.last_seq,
            "round {round}"
        );
    }
    let numbers: Vec<_> = events(&path).iter().map(|event| event.seq).collect();
    let whole: Vec<_> = (1..=i64::try_from(numbers.len()).unwrap()).collect();
    assert_eq!(numbers, whole, "none missing, none twice");
    assert!(handed_on > 200);
}

fn number(line: &str) -> Option<u64> {
    line.strip_prefix("h:")?.parse().ok()
}

/// A reader that comes while it is being begun finds no journal, and never a half of one.
#[test]
fn one_that_is_being_begun_is_not_there_yet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    fs::write(&path, "").unwrap();
    let missing = Reader::open(&path).unwrap_err();
    assert!(matches!(missing, ReadError::Missing { .. }), "{missing}");
}
