//! A peer that freezes at each step of a dial: the dial ends with the right cause when its stage's time is up, or when it
//! is dropped, and leaves nothing behind.

use std::time::{Duration, Instant};

use heartline_core::{Cause, Stage, Timing};
use lab::hostile::{Act, Peer, RelayVisit, Step, StepRelay, is_held};

use crate::bed::{Bed, Sshd, until};
use crate::client::{Client, Dialing, patient, target};
use crate::lateness::Lateness;

/// A place to freeze at, the stage the dial is in then, and the cause it ends with.
#[derive(Clone, Copy, Debug)]
struct Case {
    step: Step,
    stage: Stage,
    cause: Cause,
}

/// Every step of a dial to this sshd.
async fn cases(bed: &Bed, sshd: &Sshd, options: &[&str]) -> Vec<Case> {
    let case = |step, stage, cause| Case { step, stage, cause };
    let (before, after) = login_span(bed, sshd, options).await;
    vec![
        case(Step::BeforeBanner, Stage::Banner, Cause::BannerTimeout),
        case(Step::AfterBanner, Stage::Kex, Cause::KexTimeout),
        // In the middle of its KEXINIT.
        case(Step::AfterServerBytes(300), Stage::Kex, Cause::KexTimeout),
        case(Step::AfterKexInit, Stage::Kex, Cause::KexTimeout),
        case(Step::AfterNewKeys, Stage::Auth, Cause::AuthTimeout),
        case(
            Step::AfterServerBytes(u64::midpoint(before, after)),
            Stage::Auth,
            Cause::AuthTimeout,
        ),
    ]
}

/// How much sshd has said when authentication begins, and when it is over.
async fn login_span(bed: &Bed, sshd: &Sshd, options: &[&str]) -> (u64, u64) {
    let client = Client::new();
    let idle = client.tasks();
    let relay = StepRelay::start(sshd.addr, Some(Step::AfterNewKeys)).unwrap();
    let target = target(bed, relay.addr(), patient(), options).await;
    let dialing = client.begin(&target);
    until("NEWKEYS has passed", || {
        visit(&relay, |v| v.at_step.is_some())
    })
    .await;
    let before = relay.visits()[0].to_client;
    relay.unfreeze();
    let established = dialing.end().await.0.unwrap();
    let after = relay.visits()[0].to_client;
    drop(established);
    assert!(before < after);
    until("its tasks end", || client.tasks() == idle).await;
    (before, after)
}

fn visit(relay: &StepRelay, holds: impl Fn(&RelayVisit) -> bool) -> bool {
    relay.visits().first().is_some_and(holds)
}

/// Our socket is gone, as the far end sees it, no later than this after `ended`; and so are our tasks.
async fn nothing_is_left(client: &Client, tasks: usize, relay: &StepRelay, ended: Instant) {
    until("the far end sees us leave", || {
        visit(relay, |visit| visit.client_left.is_some())
    })
    .await;
    let visits = relay.visits();
    let left = visits[0].client_left.unwrap().at;
    let late = left.saturating_duration_since(ended);
    assert!(late < GONE, "gone after {late:?} only");
    assert_eq!(visits.len(), 1, "{visits:?}");
    assert!(!is_held(visits[0].client, relay.addr()).unwrap());
    until("our tasks end", || client.tasks() == tasks).await;
    assert!(ended.elapsed() < GONE * 2, "{:?}", ended.elapsed());
}

/// Dials into the ice and sees the dial end by itself, in time.
async fn fails_in_time(bed: &Bed, sshd: &Sshd, case: Case, options: &[&str]) {
    let client = Client::new();
    let relay = StepRelay::start(sshd.addr, Some(case.step)).unwrap();
    let timing = Timing {
        stage_timeout: STAGE,
        ..patient()
    };
    let target = target(bed, relay.addr(), timing, options).await;
    let tasks = client.tasks();
    let lateness = Lateness::measure();
    let dialing = client.begin(&target);
    let stages = dialing.stages.clone();
    let (result, ended) = dialing.end().await;
    let failure = result
        .err()
        .unwrap_or_else(|| panic!("{case:?}: a session"));
    assert_eq!(failure.cause, case.cause, "{case:?}: {failure:?}");
    let begun = stages.at(case.stage).unwrap();
    let took = ended - begun;
    let most = STAGE + MARGIN + lateness.worst();
    assert!(took < most, "{case:?}: {took:?}, at most {most:?}");
    assert!(took >= STAGE, "{case:?}: {took:?}");
    nothing_is_left(&client, tasks, &relay, ended).await;
}

/// Dials into the ice and drops the dial there.
async fn dropped_is_gone(bed: &Bed, sshd: &Sshd, case: Case, options: &[&str]) {
    let client = Client::new();
    let relay = StepRelay::start(sshd.addr, Some(case.step)).unwrap();
    let target = target(bed, relay.addr(), patient(), options).await;
    let tasks = client.tasks();
    let dialing: Dialing = client.begin(&target);
    until("the peer is frozen and the dial waits", || {
        let is_there = visit(&relay, |visit| visit.at_step.is_some());
        is_there && dialing.stages.at(case.stage).is_some()
    })
    .await;
    // Whatever it had still to compute or to send.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(visit(&relay, |visit| visit.client_left.is_none()));
    let dropped = dialing.abandon().await;
    nothing_is_left(&client, tasks, &relay, dropped).await;
}

#[tokio::test]
async fn a_dial_to_a_frozen_peer_ends_in_time_at_every_step() {
    let Some(bed) = Bed::or_skip("a_dial_to_a_frozen_peer_ends_in_time_at_every_step") else {
        return;
    };
    let sshd = bed.sshd("");
    for case in cases(&bed, &sshd, &[]).await {
        fails_in_time(&bed, &sshd, case, &[]).await;
    }
}

/// The same on the way that leads over another runtime.
#[tokio::test]
async fn a_heavy_dial_to_a_frozen_peer_ends_in_time_at_every_step() {
    let Some(bed) = Bed::or_skip("a_heavy_dial_to_a_frozen_peer_ends_in_time_at_every_step") else {
        return;
    };
    let sshd = bed.sshd("");
    for case in cases(&bed, &sshd, HEAVY).await {
        fails_in_time(&bed, &sshd, case, HEAVY).await;
    }
}

#[tokio::test]
async fn a_dial_that_is_dropped_frees_its_socket_at_every_step() {
    let Some(bed) = Bed::or_skip("a_dial_that_is_dropped_frees_its_socket_at_every_step") else {
        return;
    };
    let sshd = bed.sshd("");
    for case in cases(&bed, &sshd, &[]).await {
        dropped_is_gone(&bed, &sshd, case, &[]).await;
    }
}

#[tokio::test]
async fn a_heavy_dial_that_is_dropped_frees_its_socket_at_every_step() {
    let Some(bed) = Bed::or_skip("a_heavy_dial_that_is_dropped_frees_its_socket") else {
        return;
    };
    let sshd = bed.sshd("");
    for case in cases(&bed, &sshd, HEAVY).await {
        dropped_is_gone(&bed, &sshd, case, HEAVY).await;
    }
}

#[tokio::test]
async fn a_session_that_is_dropped_frees_its_socket_though_the_peer_is_frozen() {
    let Some(bed) = Bed::or_skip("a_session_that_is_dropped_frees_its_socket") else {
        return;
    };
    let sshd = bed.sshd("");
    for options in [&[][..], HEAVY] {
        let client = Client::new();
        let relay = StepRelay::start(sshd.addr, None).unwrap();
        let target = target(&bed, relay.addr(), patient(), options).await;
        let tasks = client.tasks();
        let established = client.dial(&target).await;
        relay.freeze();
        let mut beat = established.session.beat();
        let answered = tokio::time::timeout(QUIET, &mut beat).await;
        assert!(answered.is_err(), "{answered:?}");
        // Only now: a packet is marked as heard a moment after what it says is known.
        let heard = established.session.heard().last();
        let answered = tokio::time::timeout(QUIET, &mut beat).await;
        assert!(answered.is_err(), "{answered:?}");
        assert_eq!(established.session.heard().last(), heard);
        drop((established, beat));
        nothing_is_left(&client, tasks, &relay, Instant::now()).await;
    }
}

/// Bytes for ever are not progress: the limits of each stage hold against a peer that talks and talks.
#[tokio::test]
async fn a_dial_to_a_peer_that_talks_nonsense_ends_in_time() {
    let Some(bed) = Bed::or_skip("a_dial_to_a_peer_that_talks_nonsense_ends_in_time") else {
        return;
    };
    let cases: [(Act, &[Cause]); 13] = [
        (Act::Silent, &[Cause::BannerTimeout]),
        (Act::BannerDrip, &[Cause::BannerTimeout]),
        (Act::EndlessBanner, &[Cause::NotSsh]),
        (Act::EndlessLine, &[Cause::NotSsh]),
        (Act::LongIdent, &[Cause::NotSsh]),
        (Act::Garbage, &[Cause::NotSsh]),
        (Act::OldProtocol, &[Cause::NotSsh]),
        (Act::IdentThenSilence, &[Cause::KexTimeout]),
        (Act::KexInitThenSilence, &[Cause::KexTimeout]),
        (Act::HugePacket, &[Cause::KexFailed]),
        (Act::EmptyPacket, &[Cause::KexFailed]),
        // Our identification may meet a socket that is gone already.
        (Act::CloseAtOnce, &[Cause::ClosedByPeer, Cause::Reset]),
        (Act::ResetAtOnce, &[Cause::Reset]),
    ];
    for (act, causes) in cases {
        let peer = Peer::start(act).unwrap();
        let client = Client::new();
        let timing = Timing {
            stage_timeout: STAGE,
            ..patient()
        };
        let target = target(&bed, peer.addr(), timing, &[]).await;
        let tasks = client.tasks();
        let lateness = Lateness::measure();
        let begun = Instant::now();
        let (result, ended) = client.begin(&target).end().await;
        let failure = result.err().unwrap_or_else(|| panic!("{act:?}: a session"));
        assert!(causes.contains(&failure.cause), "{act:?}: {failure:?}");
        let most = STAGE + MARGIN + lateness.worst();
        assert!(ended - begun < most, "{act:?}: {:?}", ended - begun);
        until("the peer sees us leave", || {
            peer.visits().iter().all(|visit| visit.left.is_some())
        })
        .await;
        let late = peer.visits()[0].left.unwrap().at;
        assert!(late.saturating_duration_since(ended) < GONE, "{act:?}");
        until("our tasks end", || client.tasks() == tasks).await;
    }
}

/// What each stage may take here.
const STAGE: Duration = Duration::from_secs(1);
/// How much later than that a dial may end.
const MARGIN: Duration = Duration::from_millis(200);
/// How soon after its end the socket is to be gone.
const GONE: Duration = Duration::from_secs(1);
/// Long enough for loopback to have delivered what passes.
const QUIET: Duration = Duration::from_millis(200);
/// Makes the key exchange one that runs on the other runtime.
const HEAVY: &[&str] = &["KexAlgorithms=diffie-hellman-group14-sha256"];
