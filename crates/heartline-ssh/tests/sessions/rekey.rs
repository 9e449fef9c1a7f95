//! A peer that freezes in the middle of a key exchange on a session that stood: nothing passes for life, and the session
//! is freed like any other.

use std::time::{Duration, Instant};

use lab::hostile::{Step, StepRelay, is_held};

use crate::bed::{Bed, Sshd, until};
use crate::client::{Client, beat, patient, target};

/// sshd exchanges keys anew two seconds after it did the last time, without being spoken to.
const SSHD: &str = "RekeyLimit default 2";

/// How much sshd has said when a session stands and one beat was answered, and when keys were exchanged anew; to the byte
/// the same for every session with the same keys.
async fn rekey_span(bed: &Bed, sshd: &Sshd) -> (u64, u64) {
    let client = Client::new();
    let idle = client.tasks();
    let relay = StepRelay::start(sshd.addr, None).unwrap();
    let target = target(bed, relay.addr(), patient(), &[]).await;
    let established = client.dial(&target).await;
    let before = said(&relay).await;
    until("sshd exchanges keys", || {
        relay.visits()[0].to_client > before
    })
    .await;
    beat(&*established.session).await;
    let after = said(&relay).await;
    beat(&*established.session).await;
    let answer = said(&relay).await - after;
    let after = after - answer;
    assert!(
        after - before > LEAST,
        "no rekey in {} bytes",
        after - before
    );
    drop(established);
    until("its tasks end", || client.tasks() == idle).await;
    (before, after)
}

/// How much sshd has said, now that it is quiet: the relay counts a moment after it has passed something on.
async fn said(relay: &StepRelay) -> u64 {
    loop {
        let said = relay.visits()[0].to_client;
        tokio::time::sleep(Duration::from_millis(50)).await;
        if relay.visits()[0].to_client == said {
            return said;
        }
    }
}

#[tokio::test]
async fn beats_outlive_a_rekey() {
    let Some(bed) = Bed::or_skip("beats_outlive_a_rekey") else {
        return;
    };
    let sshd = bed.sshd(SSHD);
    let client = Client::new();
    let target = target(&bed, sshd.addr, patient(), &[]).await;
    let established = client.dial(&target).await;
    let begun = Instant::now();
    let mut beats = 0;
    while begun.elapsed() < Duration::from_secs(5) {
        beat(&*established.session).await;
        beats += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(beats > 30, "{beats}");
}

#[tokio::test]
async fn a_peer_frozen_in_a_rekey_is_not_alive_and_is_freed_at_once() {
    let Some(bed) = Bed::or_skip("a_peer_frozen_in_a_rekey_is_not_alive") else {
        return;
    };
    let sshd = bed.sshd(SSHD);
    let (before, after) = rekey_span(&bed, &sshd).await;
    // One byte of its KEXINIT has come; half of it all; all but the last byte of its NEWKEYS.
    for at in [before + 1, u64::midpoint(before, after), after - 1] {
        frozen_at(&bed, &sshd, at).await;
    }
}

async fn frozen_at(bed: &Bed, sshd: &Sshd, at: u64) {
    let client = Client::new();
    let relay = StepRelay::start(sshd.addr, Some(Step::AfterServerBytes(at))).unwrap();
    let target = target(bed, relay.addr(), patient(), &[]).await;
    let tasks = client.tasks();
    let established = client.dial(&target).await;
    assert!(relay.visits()[0].at_step.is_none(), "frozen too early");
    until("the rekey is frozen", || {
        relay.visits()[0].at_step.is_some()
    })
    .await;
    let mut owed = established.session.beat();
    // What had come in before that is heard by now.
    let answered = tokio::time::timeout(QUIET, &mut owed).await;
    assert!(answered.is_err(), "{at}: {answered:?}");
    let heard = established.session.heard().last();
    let mut later = established.session.beat();
    let answered = tokio::time::timeout(QUIET, &mut later).await;
    assert!(answered.is_err(), "{at}: {answered:?}");
    assert_eq!(established.session.heard().last(), heard, "{at}");
    let dropped = Instant::now();
    drop(established);
    until("the far end sees us leave", || {
        relay.visits()[0].client_left.is_some()
    })
    .await;
    let visit = &relay.visits()[0];
    let late = visit
        .client_left
        .unwrap()
        .at
        .saturating_duration_since(dropped);
    assert!(late < Duration::from_secs(1), "{at}: gone after {late:?}");
    assert!(!is_held(visit.client, relay.addr()).unwrap());
    assert!(owed.await.is_err() && later.await.is_err(), "{at}");
    until("our tasks end", || client.tasks() == tasks).await;
}

/// A KEXINIT and a reply are longer, a beat's answer is not.
const LEAST: u64 = 500;
const QUIET: Duration = Duration::from_millis(400);
