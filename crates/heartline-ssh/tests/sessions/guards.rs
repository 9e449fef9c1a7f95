//! A guard of everything and an inspector, by their public face. What they do to whatever a session has started is in
//! `lab_guard_all.rs`.

use std::time::Duration;

use heartline_core::{Fuse, Interval};
use heartline_ssh::{
    Clock, Duty, Ended, Established, Guard, GuardRule, InspectError, Inspector, Session, Settled,
};

use crate::bed::{Bed, CEILING, Sshd, within};
use crate::client::{Client, beat, patient, target};

fn rule(client: &Client, duty: Duty) -> GuardRule {
    let interval = Interval::new(Duration::from_secs(1)).unwrap();
    let clock: Clock = client.dialer.clock();
    GuardRule {
        fuse: Fuse::new(Duration::from_secs(20), interval).unwrap(),
        duty,
        patience: CEILING,
        clock,
    }
}

/// A session with a guard that holds.
async fn guarded(bed: &Bed, sshd: &Sshd, client: &Client, duty: Duty) -> (Established, Guard) {
    let target = target(bed, sshd.addr, patient(), &[]).await;
    let established = client.dial(&target).await;
    let guard = established.session.guard(rule(client, duty));
    let settled = within("the guard settles", guard.settled()).await;
    assert_eq!(settled, Settled::Holds);
    assert!(guard.holds());
    (established, guard)
}

async fn inspector(session: &dyn Session) -> Inspector {
    within("an inspector", session.inspect(CEILING))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_guard_names_its_session_and_ends_everything_but_that() {
    let Some(bed) = Bed::or_skip("a_guard_names_its_session") else {
        return;
    };
    let sshd = bed.sshd(QUIET);
    let client = Client::new();
    let (first, guard) = guarded(&bed, &sshd, &client, Duty::All).await;
    let far = guard.far().unwrap();
    let port = format!(" {}", sshd.addr.port());
    assert!(far.connection().ends_with(&port), "{far}");
    assert!(guard.burns_within() >= Duration::from_secs(20));
    first.session.hold_channel();

    let other = target(&bed, sshd.addr, patient(), &[]).await;
    let other = client.dial(&other).await;
    let mut inspector = inspector(&*other.session).await;
    let mut count = 0;
    // sshd, the guard, and the `cat` of the channel that is held.
    while count < 3 {
        count = inspector.count(&far, CEILING).await.unwrap();
    }
    let ended = within("it ends", guard.end(CEILING)).await;
    assert_eq!(ended, Ended::Done { left: 0 });
    assert!(!guard.holds());
    beat(&*first.session).await;
    // It holds the fuse on.
    assert!(inspector.count(&far, CEILING).await.unwrap() >= 2);

    assert_eq!(inspector.kill(&far, CEILING).await, Ok(0));
    within("the session is over", first.ended).await.unwrap();
    beat(&*other.session).await;
    within("goodbye", other.session.disconnect()).await;
    assert_eq!(
        inspector.count(&far, CEILING).await,
        Err(InspectError::Over)
    );
}

#[tokio::test]
async fn a_guard_whose_session_is_over_says_so_to_who_asks_for_an_end() {
    let Some(bed) = Bed::or_skip("a_guard_whose_session_is_over") else {
        return;
    };
    let sshd = bed.sshd(QUIET);
    let client = Client::new();
    let (first, guard) = guarded(&bed, &sshd, &client, Duty::All).await;
    let (other, _) = guarded(&bed, &sshd, &client, Duty::Session).await;
    let far = guard.far().unwrap();
    let mut inspector = inspector(&*other.session).await;
    assert_eq!(inspector.kill(&far, CEILING).await, Ok(0));
    within("the session is over", first.ended).await.unwrap();
    assert_eq!(within("an end", guard.end(CEILING)).await, Ended::Over);
    assert_eq!(within("settled", guard.settled()).await, Settled::Over);
}

#[tokio::test]
async fn a_guard_of_the_session_alone_ends_nothing_when_asked_to() {
    let Some(bed) = Bed::or_skip("a_guard_of_the_session_alone") else {
        return;
    };
    let sshd = bed.sshd(QUIET);
    let client = Client::new();
    let (established, guard) = guarded(&bed, &sshd, &client, Duty::Session).await;
    assert_eq!(guard.far(), None);
    assert_eq!(guard.end(CEILING).await, Ended::Unanswered);
    beat(&*established.session).await;
    assert!(guard.holds());
}

#[tokio::test]
async fn where_no_command_is_run_nobody_guards_or_inspects() {
    let Some(bed) = Bed::or_skip("where_no_command_is_run") else {
        return;
    };
    let sshd = bed.sshd(&format!("{QUIET}\nForceCommand echo go away"));
    let client = Client::new();
    let target = target(&bed, sshd.addr, patient(), &[]).await;
    let established = client.dial(&target).await;
    let guard = established.session.guard(rule(&client, Duty::All));
    let settled = within("the guard settles", guard.settled()).await;
    assert!(matches!(settled, Settled::Cannot(_)), "{settled:?}");
    assert_eq!(guard.end(CEILING).await, Ended::Over);
    let inspecting = within("an inspector", established.session.inspect(CEILING)).await;
    let why = inspecting.unwrap_err().to_string();
    assert!(why.ends_with("it said: go away"), "{why}");
}

/// What runs the tests may have rc files of its own, which take their time and locks that a kill leaves behind.
const QUIET: &str = "SetEnv HOME=/nonexistent";
