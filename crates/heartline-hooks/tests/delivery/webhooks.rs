//! Webhooks against receivers that are well, ill and hostile.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use std::{fs, iter};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tempfile::tempdir;

use crate::receiver::{Answer, Receiver, Seen};
use crate::watcher::{Watcher, hurried, waiting};

fn plain(status: u16) -> Answer {
    (status, Vec::new(), String::new())
}

fn hook(name: &str, url: &str, more: &str) -> String {
    format!("[[hook]]\nname='{name}'\nurl='{url}'\nsettle=0\n{more}\n")
}

#[test]
fn what_is_sent_is_whole_and_signed() {
    let folder = tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "a very secret key\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let receiver = Receiver::start();
    let more = format!("secret_file='{}'", secret.display());
    let hooks = hook("page", &receiver.url, &more);
    let watcher = Watcher::start(&folder.path().join("j.db"), &hooks, hurried());
    watcher.node("dä\"b\n1", "up", "down");
    let seen = receiver.wait_for(1, Duration::from_secs(10)).remove(0);
    watcher.end();
    let json = seen.json();
    assert_eq!(json["node"], "dä\"b\n1");
    assert_eq!((&json["to"], &json["from"]), (&"down".into(), &"up".into()));
    assert_eq!(json["key"], seen.key());
    assert_eq!(json["token"], json["event"]["token"]);
    assert_eq!(json["event"]["event"], "node");
    assert_eq!(json["after_ms"], 9_804);
    assert!(json.get("flapping").is_none() && json.get("line").is_none());
    assert_eq!(seen.header("content-type"), "application/json");
    let timestamp = seen.header("x-heartline-timestamp");
    let age = jiff::Timestamp::now().as_second() - timestamp.parse::<i64>().unwrap();
    assert!((0..10).contains(&age), "{age}");
    let mut mac = Hmac::<Sha256>::new_from_slice(b"a very secret key").unwrap();
    mac.update(format!("{timestamp}.").as_bytes());
    mac.update(&seen.body);
    let mut want = "v1=".to_owned();
    for byte in mac.finalize().into_bytes() {
        let _ = write!(want, "{byte:02x}");
    }
    assert_eq!(seen.header("x-heartline-signature"), want);
    as_the_manual_says(&seen);
}

/// The example of docs/hooks.md, as it stands there.
fn as_the_manual_says(seen: &Seen) {
    let manual = include_str!("../../../../docs/hooks.md");
    let (_, code) = manual.split_once("```python\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    let folder = tempdir().unwrap();
    let body = folder.path().join("body");
    fs::write(&body, &seen.body).unwrap();
    let script = format!(
        "{code}\nimport sys\nbody = open(sys.argv[1], 'rb').read()\n\
         h = {{'X-Heartline-Timestamp': sys.argv[2], 'X-Heartline-Signature': sys.argv[3]}}\n\
         assert is_genuine(b'a very secret key', h, body)\n\
         assert not is_genuine(b'another key', h, body)\n\
         assert not is_genuine(b'a very secret key', h, body + b' ')\n\
         h['X-Heartline-Timestamp'] = str(int(sys.argv[2]) - 3600)\n\
         assert not is_genuine(b'a very secret key', h, body)\n"
    );
    let python = Command::new("python3")
        .args(["-c", &script])
        .arg(&body)
        .arg(seen.header("x-heartline-timestamp"))
        .arg(seen.header("x-heartline-signature"))
        .status();
    match python {
        Ok(status) => assert!(status.success()),
        Err(error) => lab::skipped("the example of the manual", &format!("python3: {error}")),
    }
}

#[test]
fn a_receiver_that_fails_for_an_hour_gets_each_once_and_in_order() {
    let folder = tempdir().unwrap();
    let journal = folder.path().join("j.db");
    let begun = Instant::now();
    // An hour, in the hurry of these tests.
    let answer = move |_: usize, _: &Seen| {
        let is_ill = begun.elapsed() < Duration::from_millis(3_600);
        plain(if is_ill { 500 } else { 200 })
    };
    let receiver = Receiver::answering(answer);
    let watcher = Watcher::start(&journal, &hook("page", &receiver.url, ""), hurried());
    for _ in 0..5 {
        for (from, to) in [("up", "down"), ("down", "up")] {
            for node in 0..20 {
                watcher.node(&format!("n{node}"), from, to);
            }
        }
    }
    let taken = receiver.wait_for(200, Duration::from_secs(20));
    watcher.end();
    assert!(waiting(&journal).is_empty());
    assert_eq!(taken.len(), 200);
    for node in 0..20 {
        let node = format!("n{node}");
        let of_node = |seen: &[Seen]| -> Vec<_> {
            let seen = seen.iter().filter(|one| one.text("node") == node);
            seen.map(|one| (one.key(), one.text("to"))).collect()
        };
        let states: Vec<_> = of_node(&taken).into_iter().map(|(_, to)| to).collect();
        let want: Vec<_> = iter::repeat_n(["down", "up"], 5).flatten().collect();
        assert_eq!(states, want);
        // Nothing came before what was before it was taken.
        let mut all = of_node(&receiver.seen());
        assert!(all.len() > 10);
        all.dedup();
        assert_eq!(all.len(), 10);
    }
}

#[test]
fn who_refuses_is_asked_once_and_who_is_busy_when_they_like() {
    let folder = tempdir().unwrap();
    let journal = folder.path().join("j.db");
    let refusing = Receiver::answering(|_, _| plain(404));
    let busy = Receiver::answering(|count, _| match count {
        0 => (429, vec![("retry-after", "1".to_owned())], String::new()),
        _ => plain(201),
    });
    let leading = Receiver::answering(|_, seen| match seen.path.as_str() {
        "/hook" => (307, vec![("location", "/other".to_owned())], String::new()),
        _ => plain(200),
    });
    let hooks =
        hook("a", &refusing.url, "") + &hook("b", &busy.url, "") + &hook("c", &leading.url, "");
    let watcher = Watcher::start(&journal, &hooks, hurried());
    watcher.node("db1", "up", "down");
    busy.wait_for(1, Duration::from_secs(10));
    let seen = busy.seen();
    assert!(seen[1].at - seen[0].at >= Duration::from_secs(1));
    assert_eq!(seen[0].key(), seen[1].key());
    watcher.end();
    assert_eq!((refusing.count(), leading.count()), (1, 1));
    assert!(waiting(&journal).is_empty());
}

/// Answers a byte now and then, for ever.
fn trickling() -> String {
    answering(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX-");
        while stream.write_all(b"a").is_ok() {
            sleep(Duration::from_millis(50));
        }
    })
}

/// Answers with a body that has no end.
fn flooding() -> String {
    answering(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 503 No\r\n\r\n");
        while stream.write_all(&[b'a'; 8_192]).is_ok() {}
    })
}

/// The address of one that answers each request so.
fn answering(answer: fn(&mut TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                answer(&mut stream);
            });
        }
    });
    format!("http://{address}/")
}

#[test]
fn one_that_trickles_or_floods_holds_up_nobody_but_itself() {
    let folder = tempdir().unwrap();
    let journal = folder.path().join("j.db");
    let receiver = Receiver::start();
    let hooks = hook("slow", &trickling(), "timeout='300ms'")
        + &hook("flood", &flooding(), "timeout='300ms'")
        + &hook("gone", "http://127.0.0.1:1/", "")
        + &hook("well", &receiver.url, "");
    let watcher = Watcher::start(&journal, &hooks, hurried());
    for count in 0..100 {
        watcher.node(&format!("n{count}"), "up", "down");
    }
    receiver.wait_for(100, Duration::from_secs(5));
    sleep(Duration::from_millis(700));
    let begun = Instant::now();
    watcher.end();
    assert!(begun.elapsed() < Duration::from_secs(5));
    let waiting = waiting(&journal);
    let of = |hook: &str| {
        waiting
            .iter()
            .filter(|message| message.hook == hook)
            .count()
    };
    assert_eq!(
        (of("slow"), of("flood"), of("gone"), of("well")),
        (100, 100, 100, 0)
    );
    assert!(waiting.iter().any(|message| message.tries > 0));
}

#[test]
fn one_that_is_due_later_goes_out_then_and_not_at_all_if_it_is_over() {
    let folder = tempdir().unwrap();
    let receiver = Receiver::start();
    let hooks = hook("page", &receiver.url, "after='600ms'");
    let watcher = Watcher::start(&folder.path().join("j.db"), &hooks, hurried());
    let begun = Instant::now();
    watcher.node("db1", "up", "down");
    watcher.node("db2", "up", "down");
    sleep(Duration::from_millis(200));
    watcher.node("db2", "down", "up");
    let seen = receiver.wait_for(1, Duration::from_secs(10));
    let waited = seen[0].at - begun;
    assert!(waited >= Duration::from_millis(599), "{waited:?}");
    assert!(waited < Duration::from_millis(1_500), "{waited:?}");
    watcher.node("db1", "down", "up");
    let seen = receiver.wait_for(2, Duration::from_secs(10));
    sleep(Duration::from_millis(500));
    watcher.end();
    assert_eq!(receiver.count(), 2);
    let told = |one: &Seen| (one.text("node"), one.text("to"));
    assert_eq!(told(&seen[0]), ("db1".into(), "down".into()));
    assert_eq!(told(&seen[1]), ("db1".into(), "up".into()));
}

#[test]
fn without_a_journal_messages_go_out_all_the_same() {
    let receiver = Receiver::answering(|count, _| plain(if count < 3 { 500 } else { 200 }));
    let watcher = Watcher::start_at(None, &hook("page", &receiver.url, ""), hurried());
    for (from, to) in [("up", "down"), ("down", "up"), ("up", "down")] {
        watcher.node("db1", from, to);
    }
    let taken = receiver.wait_for(3, Duration::from_secs(10));
    watcher.end();
    let told: Vec<_> = taken.iter().map(|one| one.text("to")).collect();
    assert_eq!(told, ["down", "up", "down"]);
}
