//! A peer that stops reading while our send buffer is full: russh waits in a write and looks at nothing else, so only the
//! session's owner can end it.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt};
use heartline_ssh::{Beat, Session};
use lab::hostile::{StepRelay, is_held};

use crate::bed::{Bed, until};
use crate::client::{Client, patient, target};

/// Sends beats until the kernel takes no more of them. The beats, none of which is answered.
async fn fill(session: &dyn Session, relay: &StepRelay) -> FuturesUnordered<Beat> {
    let mut beats = FuturesUnordered::new();
    let client = relay.visits()[0].client;
    let mut queued = (0, Instant::now());
    while queued.0 == 0 || queued.1.elapsed() < STUCK {
        beats.extend((0..BATCH).map(|_| session.beat()));
        assert!(beats.len() < MOST, "{queued:?}: the buffer is never full");
        let answered = tokio::time::timeout(Duration::from_millis(10), beats.next()).await;
        assert!(answered.is_err(), "a beat ended by itself: {answered:?}");
        let waiting = send_queue(client, relay.addr());
        if waiting > queued.0 {
            queued = (waiting, Instant::now());
        }
    }
    beats
}

/// How many bytes of ours wait in the kernel (`/proc/net/tcp`, `tx_queue`).
fn send_queue(local: SocketAddr, remote: SocketAddr) -> u64 {
    let end = |port: u16| format!(":{port:04X}");
    let (local, remote) = (end(local.port()), end(remote.port()));
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let row = table.lines().find_map(|line| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let is_ours = words.get(1)?.ends_with(&local) && words.get(2)?.ends_with(&remote);
        is_ours.then(|| words[4].split(':').next().map(str::to_owned))?
    });
    u64::from_str_radix(&row.expect("no such socket"), 16).unwrap()
}

#[tokio::test]
async fn a_session_stuck_in_a_write_is_freed_at_once() {
    let Some(bed) = Bed::or_skip("a_session_stuck_in_a_write_is_freed_at_once") else {
        return;
    };
    let sshd = bed.sshd("");
    let client = Client::new();
    let relay = StepRelay::start(sshd.addr, None).unwrap();
    let target = target(&bed, relay.addr(), patient(), &[]).await;
    let tasks = client.tasks();
    let established = client.dial(&target).await;
    relay.freeze_towards_server();
    let mut beats = fill(&*established.session, &relay).await;
    // What is full stays full: nothing is answered, and nothing is heard.
    let heard = established.session.heard().last();
    let answered = tokio::time::timeout(STUCK, beats.next()).await;
    assert!(answered.is_err(), "{answered:?}");
    assert_eq!(established.session.heard().last(), heard);
    let dropped = Instant::now();
    drop(established);
    is_gone(&relay, dropped).await;
    while let Some(answer) = beats.next().await {
        assert!(answer.is_err(), "{answer:?}");
    }
    until("our tasks end", || client.tasks() == tasks).await;
}

/// Also where the peer reads nothing and says nothing any more.
#[tokio::test]
async fn a_goodbye_to_a_peer_that_does_not_read_is_bounded() {
    let Some(bed) = Bed::or_skip("a_goodbye_to_a_peer_that_does_not_read_is_bounded") else {
        return;
    };
    let sshd = bed.sshd("");
    let client = Client::new();
    let relay = StepRelay::start(sshd.addr, None).unwrap();
    let target = target(&bed, relay.addr(), patient(), &[]).await;
    let established = client.dial(&target).await;
    relay.freeze();
    let _beats = fill(&*established.session, &relay).await;
    let begun = Instant::now();
    established.session.disconnect().await;
    let took = begun.elapsed();
    let most = heartline_ssh::GOODBYE + Duration::from_secs(1);
    assert!(took < most, "{took:?}");
    is_gone(&relay, Instant::now()).await;
}

/// A session through a jump host whose connection is full.
#[tokio::test]
async fn a_session_through_a_stuck_jump_host_frees_both() {
    let Some(bed) = Bed::or_skip("a_session_through_a_stuck_jump_host_frees_both") else {
        return;
    };
    let sshd = bed.sshd("");
    let relay = StepRelay::start(sshd.addr, None).unwrap();
    bed.configure(&format!(
        "Host jump\nHostName 127.0.0.1\nPort {}\nHost *\nIdentityFile {}",
        relay.addr().port(),
        bed.path("id").display()
    ));
    let client = Client::new();
    let target = target(&bed, sshd.addr, patient(), &["ProxyJump=jump"]).await;
    let tasks = client.tasks();
    let established = client.dial(&target).await;
    relay.freeze_towards_server();
    let mut beats = fill(&*established.session, &relay).await;
    let dropped = Instant::now();
    drop(established);
    is_gone(&relay, dropped).await;
    while let Some(answer) = beats.next().await {
        assert!(answer.is_err(), "{answer:?}");
    }
    until("our tasks end", || client.tasks() == tasks).await;
}

/// The far end sees our socket go within a second.
async fn is_gone(relay: &StepRelay, since: Instant) {
    until("the far end sees us leave", || {
        relay.visits()[0].client_left.is_some()
    })
    .await;
    let visit = &relay.visits()[0];
    let late = visit
        .client_left
        .unwrap()
        .at
        .saturating_duration_since(since);
    assert!(late < Duration::from_secs(1), "gone after {late:?} only");
    assert!(!is_held(visit.client, relay.addr()).unwrap());
}

/// A queue that does not grow for so long is full.
const STUCK: Duration = Duration::from_millis(300);
/// Beats sent at a time.
const BATCH: usize = 2_000;
/// More beats than any buffer holds.
const MOST: usize = 400_000;
