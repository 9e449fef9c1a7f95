use std::io::{Read, Write};
use std::time::{Duration, Instant};

use heartline_core::{Cause, NodeState};
use heartline_web::client::{Events, Happening};
use tokio::time::timeout;

use crate::site::{Site, many, node};

async fn next(events: &mut Events) -> Happening {
    let next = timeout(Duration::from_secs(10), events.next()).await;
    next.unwrap().expect("the stream goes on")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_comes_at_once_and_in_order() {
    let site = Site::open(many(3));
    let mut events = Events::open(&site.socket, None).await.unwrap();
    assert!(matches!(
        next(&mut events).await,
        Happening::Hello {
            seq: 100,
            plan: 1,
            ..
        }
    ));
    let begun = Instant::now();
    for seq in 101..=200 {
        site.turn("web000.example.org", NodeState::Down(Cause::Silent));
        let Happening::Told(event) = next(&mut events).await else {
            panic!("not an event");
        };
        assert_eq!(event.seq, seq);
        assert_eq!(event.json["cause"], "silent");
    }
    let each = begun.elapsed() / 100;
    println!("an event reaches the client after {each:?}");
    assert!(each < Duration::from_millis(100), "{each:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_again_misses_nothing_and_hears_nothing_twice() {
    let site = Site::open(many(3));
    for _ in 0..5 {
        site.turn("web000.example.org", NodeState::Down(Cause::Silent));
    }
    let mut events = Events::open(&site.socket, Some(103)).await.unwrap();
    site.turn("web000.example.org", NodeState::Up);
    assert!(matches!(
        next(&mut events).await,
        Happening::Hello {
            seq: 105,
            plan: 1,
            ..
        }
    ));
    for seq in 104..=106 {
        assert!(matches!(next(&mut events).await, Happening::Told(event) if event.seq == seq));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_missed_what_is_not_at_hand_any_more_is_told_to_read_anew() {
    let site = Site::open(many(3));
    for _ in 0..1_005 {
        site.turn("web000.example.org", NodeState::Up);
    }
    for after in [0, 99_999] {
        let mut events = Events::open(&site.socket, Some(after)).await.unwrap();
        next(&mut events).await;
        assert_eq!(next(&mut events).await, Happening::Resync, "{after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_told_so_and_holds_up_nobody() {
    let site = Site::open(vec![node("db1", NodeState::Up)]);
    let mut slow = Events::open(&site.socket, None).await.unwrap();
    let begun = Instant::now();
    for at in 0..20_000 {
        site.turn("db1", NodeState::Up);
        if at % 1_000 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    let mut seen = 0;
    loop {
        match next(&mut slow).await {
            Happening::Resync => break,
            Happening::Told(_) => seen += 1,
            _ => {}
        }
    }
    assert!(seen < 20_000);
    // It goes on with what comes then.
    site.turn("db1", NodeState::Down(Cause::Silent));
    while !matches!(next(&mut slow).await, Happening::Told(event) if event.json["to"] == "down") {}
}

#[tokio::test(flavor = "multi_thread")]
async fn another_plan_is_a_reason_to_read_anew() {
    let site = Site::open(many(3));
    let mut events = Events::open(&site.socket, None).await.unwrap();
    next(&mut events).await;
    // The hub takes its first look within a second.
    tokio::time::sleep(Duration::from_millis(200)).await;
    site.board.set(many(5));
    assert_eq!(next(&mut events).await, Happening::Resync);
}

/// How a stream begins, for a browser that comes again with this id.
fn come_again(site: &Site, id: &str, until: &str) -> String {
    let mut stream = std::net::TcpStream::connect(site.address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let host = site.address;
    write!(
        stream,
        "GET /live HTTP/1.1\r\nHost: {host}\r\nLast-Event-ID: {id}\r\n\r\n"
    )
    .unwrap();
    let mut said = String::new();
    while !said.contains(until) {
        let mut piece = [0; 4_096];
        let length = stream.read(&mut piece).unwrap();
        assert_ne!(length, 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&piece[..length]));
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_another_process_are_not_taken_for_those_of_this_one() {
    let site = Site::open(many(3));
    for _ in 0..5 {
        site.turn("web000.example.org", NodeState::Down(Cause::Silent));
    }
    let begun = site.board.begun();
    let said = come_again(
        &site,
        &format!("{begun}-103"),
        &format!("id: {begun}-105\n"),
    );
    assert!(!said.contains("resync"), "{said}");
    assert!(said.contains(&format!("id: {begun}-104\n")), "{said}");
    assert!(!said.contains(&format!("id: {begun}-103\n")), "{said}");
    assert!(said.contains(&format!("\"begun\":\"{begun}\"")), "{said}");
    for other in ["2020-01-01T00:00:00Z-103", "103", "x", "-"] {
        let said = come_again(&site, other, "event: resync");
        assert!(!said.contains("event: told"), "{other}: {said}");
    }
}
