//! Beats: each is answered, and by the answer to it; one whose session dies is an error; and whatever the peer says
//! proves that it lives.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::FutureExt;
use heartline_core::Cause;
use heartline_ssh::{Beat, Established, Session};
use lab::hostile::StepRelay;

use crate::bed::{Bed, CEILING, until, within};
use crate::client::{Client, beat, beating, patient, target};

/// The reply to a request that nobody was told of is given to the next one, and the last waits for ever: so all are
/// awaited one by one.
async fn all_answered(session: &dyn Session, count: usize) {
    for turn in 0..count {
        let what = format!("beat {turn} is answered");
        let took = within(&what, session.beat()).await.unwrap();
        assert!(took < GENEROUS, "beat {turn} took {took:?}");
    }
}

/// Returns when the peer has been heard without being asked.
async fn heard_unasked(client: &Client, session: &dyn Session) {
    let asked = client.dialer.clock().now();
    until("the peer speaks up by itself", || {
        session.heard().last() > asked
    })
    .await;
}

#[tokio::test]
async fn two_hundred_beats_are_answered_by_sshd_between_its_own_keepalives() {
    let Some(bed) = Bed::or_skip("two_hundred_beats_are_answered_by_sshd") else {
        return;
    };
    let sshd = bed.sshd("ClientAliveInterval 1\nClientAliveCountMax 1000");
    let client = Client::new();
    let target = target(&bed, sshd.addr, patient(), &[]).await;
    let established = client.dial(&target).await;
    for _ in 0..3 {
        all_answered(&*established.session, 67).await;
        // sshd asks while nothing else happens; its request and our answer go between the beats.
        heard_unasked(&client, &*established.session).await;
    }
    // A channel's requests want replies of another kind.
    established.session.hold_channel();
    all_answered(&*established.session, 50).await;
    within("goodbye", established.session.disconnect()).await;
}

#[tokio::test]
async fn two_hundred_beats_are_answered_by_our_own_endpoint() {
    let Some(bed) = Bed::or_skip("two_hundred_beats_are_answered_by_our_own_endpoint") else {
        return;
    };
    let serve = bed.serve().await;
    let client = Client::new();
    let target = target(&bed, serve.addr, patient(), &[]).await;
    let established = client.dial(&target).await;
    all_answered(&*established.session, 200).await;
    // It opens no channel; the beats do not mind.
    established.session.hold_channel();
    all_answered(&*established.session, 50).await;
    // Many at a time are answered in the order in which they were sent.
    for _ in 0..20 {
        let beats = (0..8).map(|_| established.session.beat());
        let answers = within("eight at a time", futures::future::join_all(beats)).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    drop(established);
    serve.stop().await;
}

/// A session's routine beats are requests of the same kind as ours, and wait in the same queue for their replies.
#[tokio::test]
async fn routine_beats_and_ours_each_get_their_own_answers() {
    let Some(bed) = Bed::or_skip("routine_beats_and_ours_each_get_their_own_answers") else {
        return;
    };
    let sshd = bed.sshd("ClientAliveInterval 1\nClientAliveCountMax 1000");
    let serve = bed.serve().await;
    for addr in [sshd.addr, serve.addr] {
        let client = Client::new();
        let relay = StepRelay::start(addr, None).unwrap();
        let target = target(&bed, relay.addr(), beating(TICK), &[]).await;
        let established = client.dial(&target).await;
        for turn in 0..200 {
            all_answered(&*established.session, 1).await;
            tokio::time::sleep(TICK * (turn % 4) / 2).await;
        }
        // Left alone, it beats by itself and hears the answers.
        let sent = relay.visits()[0].to_server;
        for _ in 0..20 {
            heard_unasked(&client, &*established.session).await;
        }
        assert!(relay.visits()[0].to_server > sent);
        all_answered(&*established.session, 1).await;
    }
    serve.stop().await;
}

/// Its clock stands still while a send buffer is full, so it must not be the one that judges: the engine ends a session.
#[tokio::test]
async fn a_session_never_ends_by_its_own_judgement() {
    let Some(bed) = Bed::or_skip("a_session_never_ends_by_its_own_judgement") else {
        return;
    };
    let sshd = bed.sshd("");
    let client = Client::new();
    let relay = StepRelay::start(sshd.addr, None).unwrap();
    let target = target(&bed, relay.addr(), beating(TICK), &[]).await;
    let mut established = client.dial(&target).await;
    relay.freeze();
    let ended = tokio::time::timeout(TICK * 100, &mut established.ended).await;
    assert!(ended.is_err(), "{ended:?}");
    relay.unfreeze();
    all_answered(&*established.session, 10).await;
}

#[tokio::test]
async fn a_peer_that_only_asks_is_heard() {
    let Some(bed) = Bed::or_skip("a_peer_that_only_asks_is_heard") else {
        return;
    };
    let sshd = bed.sshd("ClientAliveInterval 1\nClientAliveCountMax 1000");
    let client = Client::new();
    let target = target(&bed, sshd.addr, patient(), &[]).await;
    let established = client.try_dial(&target).await.unwrap();
    for _ in 0..2 {
        heard_unasked(&client, &*established.session).await;
    }
}

/// Begins a beat that cannot be answered any more, and sees that it waits.
async fn pending_beat(session: &dyn Session) -> Beat {
    let mut beat = session.beat();
    let early = tokio::time::timeout(Duration::from_millis(200), &mut beat).await;
    assert!(early.is_err(), "answered by a frozen peer: {early:?}");
    beat
}

/// A session through a relay that passes everything, for now.
async fn through_relay(bed: &Bed, client: &Client, addr: SocketAddr) -> (StepRelay, Established) {
    let relay = StepRelay::start(addr, None).unwrap();
    let target = target(bed, relay.addr(), patient(), &[]).await;
    let established = client.dial(&target).await;
    (relay, established)
}

#[tokio::test]
async fn a_beat_whose_session_the_peer_closes_is_an_error() {
    let Some(bed) = Bed::or_skip("a_beat_whose_session_the_peer_closes_is_an_error") else {
        return;
    };
    let sshd = bed.sshd("");
    let client = Client::new();
    let (relay, established) = through_relay(&bed, &client, sshd.addr).await;
    relay.freeze();
    let beat = pending_beat(&*established.session).await;
    drop(relay);
    let failure = within("the beat ends", beat).await.unwrap_err();
    let expected = [Cause::ClosedByPeer, Cause::Reset];
    assert!(expected.contains(&failure.cause), "{failure:?}");
    let told = within("the end is told", established.ended).await.unwrap();
    assert!(expected.contains(&told.cause), "{told:?}");
    let late = within("a beat after the end", established.session.beat()).await;
    assert!(late.is_err(), "{late:?}");
}

#[tokio::test]
async fn a_beat_whose_session_the_peer_ends_with_a_word_is_an_error() {
    let Some(bed) = Bed::or_skip("a_beat_whose_session_the_peer_ends_with_a_word_is_an_error")
    else {
        return;
    };
    let serve = bed.serve().await;
    let client = Client::new();
    let (relay, established) = through_relay(&bed, &client, serve.addr).await;
    // The beat does not arrive there, the goodbye arrives here.
    relay.freeze_towards_server();
    let beat = pending_beat(&*established.session).await;
    serve.stop().await;
    let failure = within("the beat ends", beat).await.unwrap_err();
    assert_eq!(failure.cause, Cause::ClosedByPeer, "{failure:?}");
    let told = within("the end is told", established.ended).await.unwrap();
    assert_eq!(told.cause, Cause::ClosedByPeer, "{told:?}");
}

#[tokio::test]
async fn a_beat_whose_session_we_drop_is_an_error() {
    let Some(bed) = Bed::or_skip("a_beat_whose_session_we_drop_is_an_error") else {
        return;
    };
    let sshd = bed.sshd("");
    let client = Client::new();
    let (relay, established) = through_relay(&bed, &client, sshd.addr).await;
    relay.freeze();
    let beat = pending_beat(&*established.session).await;
    let begun = Instant::now();
    drop(established.session);
    assert!(within("the beat ends", beat).await.is_err());
    assert!(begun.elapsed() < CEILING / 10);
}

#[tokio::test]
async fn a_beat_that_nobody_waits_for_takes_no_other_beats_answer() {
    let Some(bed) = Bed::or_skip("a_beat_that_nobody_waits_for") else {
        return;
    };
    let serve = bed.serve().await;
    let client = Client::new();
    let target = target(&bed, serve.addr, patient(), &[]).await;
    let established = client.dial(&target).await;
    for _ in 0..50 {
        let mut abandoned = established.session.beat();
        // Sent, and dropped before its answer.
        assert!(abandoned.as_mut().now_or_never().is_none());
        drop(abandoned);
        beat(&*established.session).await;
    }
    drop(established);
    serve.stop().await;
}

/// A session's own beats, where it has them.
const TICK: Duration = Duration::from_millis(20);
/// What a beat on loopback may take on a machine that does much else.
const GENEROUS: Duration = Duration::from_secs(5);
