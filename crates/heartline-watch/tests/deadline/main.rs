//! The engine's own deadline, with a real sshd behind a relay that freezes: whatever russh waits for at that moment, the
//! node is down no later than its bound after the last sign of life, for the right cause, and its socket is gone.
//!
//! A send buffer that is full is in the binary's lab tests, where a network can be made that fills one.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that finds something else than it needs has failed"
)]

mod place;

use std::time::{Duration, Instant};

use heartline_core::{Cause, Count, Interval, Timing};
use heartline_watch::{Engine, NodeTold, Told};
use lab::hostile::{Step, StepRelay};

use crate::place::{CEILING, Lateness, Place, within};

/// A watched node that is up, and the relay before it.
struct Watched {
    engine: Engine,
    relay: StepRelay,
    timing: Timing,
    lateness: Lateness,
}

impl Watched {
    async fn start(place: &Place, step: Option<Step>, timing: Timing) -> Self {
        let lateness = Lateness::measure();
        let relay = StepRelay::start(place.addr(), step).unwrap();
        let plan = place.plan(relay.addr(), timing).await;
        let mut watched = Self {
            engine: Engine::start(&plan).unwrap(),
            relay,
            timing,
            lateness,
        };
        let up = watched.node().await;
        assert_eq!(up.to, "up", "{up:?}");
        watched
    }

    /// The node's next change that is no doubt alone.
    async fn node(&mut self) -> NodeTold {
        within("the node's verdict changes", async {
            loop {
                match self.engine.next().await {
                    Told::Node(node) if node.to != "suspect" => return node,
                    _ => {}
                }
            }
        })
        .await
    }

    /// Sees the node go down in time, `frozen` being when its peer fell silent at the latest; how late the machine was
    /// meanwhile is allowed for.
    async fn goes_down_in_time(mut self, frozen: Instant, cause: Cause) {
        let down = self.node().await;
        let told = Instant::now();
        assert_eq!((down.to, down.cause), ("down", Some(cause)), "{down:?}");
        let bound = self.timing.bound().as_duration();
        let most = bound + GRACE + self.lateness.worst();
        let after = Duration::from_millis(down.after_ms.unwrap());
        assert!(after >= bound && after <= most, "{after:?}, {most:?}");
        assert!(told - frozen <= most, "{:?}, {most:?}", told - frozen);
        let left = self.relay.wait("our end is gone", CEILING, |visits| {
            visits[0].client_left.is_some()
        });
        let left = left.unwrap()[0].client_left.unwrap().at;
        // The relay looks some 20 times a second.
        let most = most + Duration::from_millis(100);
        assert!(left - frozen <= most, "gone {:?} after", left - frozen);
        self.engine.stop().await;
    }
}

fn timing(interval_ms: u64, count: u32) -> Timing {
    Timing {
        interval: Interval::new(Duration::from_millis(interval_ms)).unwrap(),
        count: Count::new(count).unwrap(),
        ..Timing::default()
    }
}

/// Its kernel acknowledges and nobody reads, as with a stopped sshd.
#[tokio::test]
async fn a_node_that_freezes_is_down_at_its_bound() {
    let Some(place) = Place::or_skip("a_node_that_freezes_is_down_at_its_bound", "") else {
        return;
    };
    for (interval, count) in [(500, 1), (200, 3), (50, 20)] {
        let watched = Watched::start(&place, None, timing(interval, count)).await;
        watched.relay.freeze();
        let frozen = Instant::now();
        watched.goes_down_in_time(frozen, Cause::SshdHung).await;
    }
}

/// It could still speak, and is not heard since it is not asked.
#[tokio::test]
async fn a_node_that_stops_reading_is_down_at_its_bound() {
    let Some(place) = Place::or_skip("a_node_that_stops_reading_is_down_at_its_bound", "") else {
        return;
    };
    let watched = Watched::start(&place, None, timing(100, 9)).await;
    watched.relay.freeze_towards_server();
    // What it had been asked before may still be answered.
    let frozen = Instant::now() + Duration::from_millis(20);
    watched.goes_down_in_time(frozen, Cause::SshdHung).await;
}

/// In the middle of an exchange of keys russh sends no beat and takes none from us.
#[tokio::test]
async fn a_node_that_freezes_in_a_rekey_is_down_at_its_bound() {
    // sshd exchanges keys a second after it did the last time.
    let rekeying = "RekeyLimit default 1";
    let Some(place) = Place::or_skip("a_node_that_freezes_in_a_rekey_is_down", rekeying) else {
        return;
    };
    // The first beat of its own would come after the rekey.
    let timing = timing(2_000, 1);
    let (before, after) = rekey_span(&place, timing).await;
    for step in [before + 1, u64::midpoint(before, after), after - 1] {
        let step = Step::AfterServerBytes(step);
        let watched = Watched::start(&place, Some(step), timing).await;
        let frozen = watched.relay.wait_until_at_step(1, CEILING).unwrap();
        let frozen = frozen[0].at_step.unwrap();
        watched.goes_down_in_time(frozen, Cause::SshdHung).await;
    }
}

/// How much sshd has said once the node is up, and once keys were exchanged again: to the byte the same every time.
async fn rekey_span(place: &Place, timing: Timing) -> (u64, u64) {
    let watched = Watched::start(place, None, timing).await;
    let said = |visits: &[lab::hostile::RelayVisit]| visits[0].to_client;
    // The relay counts a moment after it has passed something on.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = said(&watched.relay.visits());
    let rekeyed = watched
        .relay
        .wait("a rekey", CEILING, |visits| said(visits) > before + LEAST);
    let begun = rekeyed.unwrap()[0].opened;
    // Until just before the first beat is due.
    let settled = begun + timing.interval.as_duration() * 4 / 5;
    tokio::time::sleep_until(settled.into()).await;
    let after = said(&watched.relay.visits());
    watched.engine.stop().await;
    (before, after)
}

/// What the issue allows beyond a bound.
const GRACE: Duration = Duration::from_millis(100);
/// A KEXINIT is longer, a beat's answer is not.
const LEAST: u64 = 500;
