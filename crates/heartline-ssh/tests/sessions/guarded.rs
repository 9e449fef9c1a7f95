//! What is known of a guard when its session is over.

use std::time::Duration;

use heartline_core::{Cause, Failure, Fuse, Interval};
use heartline_ssh::{Clock, ExecRequest, GuardRule, Tries};

use crate::bed::{Bed, CEILING, until, within};
use crate::client::{Client, patient, target};

/// Whoever asks hears of the end first, and asks what the session had.
#[tokio::test]
async fn a_guard_that_held_until_the_end_is_not_one_that_was_being_started() {
    let Some(bed) = Bed::or_skip("a_guard_that_held_until_the_end") else {
        return;
    };
    // A bash that is that deep reads no rc file of whoever runs the tests.
    let sshd = bed.sshd("SetEnv SHLVL=9");
    let client = Client::new();
    let target = target(&bed, sshd.addr, patient(), &[]).await;
    let established = client.dial(&target).await;
    let interval = Interval::new(Duration::from_mins(1)).unwrap();
    let guard = established.session.guard(GuardRule {
        duty: heartline_ssh::Duty::Session,
        fuse: Fuse::new(Duration::from_mins(2), interval).unwrap(),
        patience: CEILING,
        clock: Clock::start(),
    });
    until("a guard holds", || guard.holds()).await;
    let end = established.session.exec(ExecRequest {
        command: "kill -KILL $PPID".into(),
        patience: CEILING,
        ..ExecRequest::default()
    });
    // How is no matter here, nor whether it was still answered.
    let _ = within("an answer", end).await;
    let _ = within("the end", established.ended).await;
    // Long enough for the guard's own task to see it too.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(guard.holds());
    let ended = Failure::from(Cause::ClosedByPeer);
    let mut tries = Tries::new(patient());
    for _ in 0..2 {
        assert_eq!(tries.session_ended(Some(&guard), &ended), None);
    }
}
