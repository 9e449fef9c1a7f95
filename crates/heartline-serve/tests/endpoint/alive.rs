//! `ClientAlive` against clients on russh: who lives stays, who is silent ends at the bound.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use heartline_core::{Count, Interval};
use heartline_serve::ServeConfig;

use crate::log::{Log, capture};
use crate::support::{Deaf, Dribble, Endpoint, beat, log_in, open_sockets, until, within};

const INTERVAL: Duration = Duration::from_millis(200);
/// With a count of 2.
const BOUND: Duration = Duration::from_millis(600);
/// What a busy machine may add to it.
const GRACE: Duration = Duration::from_secs(3);

fn quick(config: &mut ServeConfig) {
    config.interval = Interval::new(INTERVAL).unwrap();
    config.count = Count::new(2).unwrap();
}

/// Waits for a session's end, which must be a silent one at the bound, by its own count.
async fn ends_silent(log: &Log) {
    until("the session ends", || log.lines("Session ended.") == 1).await;
    let field = |name| log.field(name).unwrap_or_else(|| panic!("{}", log.text()));
    assert_eq!(field("cause"), "silent");
    let silent = Duration::from_millis(field("silent_ms").parse().unwrap());
    assert!(silent >= BOUND && silent < BOUND + GRACE, "{}", log.text());
}

/// It sends nothing of its own, so it only lives by what it is asked.
#[tokio::test]
async fn a_client_that_only_answers_stays() {
    let endpoint = Endpoint::start_with(quick).await;
    let client = endpoint.log_in().await;
    tokio::time::sleep(BOUND * 5).await;
    assert!(!client.is_closed());
    assert!(beat(&client).await);
}

/// Its machine goes on acknowledging whatever is sent to it.
#[tokio::test]
async fn a_frozen_client_ends_at_the_bound() {
    let (log, _guard) = capture();
    let endpoint = Endpoint::start_with(quick).await;
    let (stream, deaf) = Deaf::connect(endpoint.addr).await;
    let mut client = endpoint.dial_over(stream).await.unwrap();
    assert!(log_in(&mut client, "watcher", &endpoint.user_key).await);
    assert!(beat(&client).await);
    deaf.store(true, Ordering::Relaxed);
    ends_silent(&log).await;
    for (name, value) in [("probes", "2"), ("unacked", "0"), ("unsent", "0")] {
        assert_eq!(log.field(name).unwrap(), value, "{name}: {}", log.text());
    }
}

/// What sshd from 9.2 on never notices while output comes (facts/keepalive.md, section 2), and where
/// russh's loop waits for ever (facts/russh.md, section 4).
#[tokio::test]
async fn a_client_that_stops_reading_ends_at_the_bound_with_output_queued() {
    let (log, _guard) = capture();
    let endpoint = Endpoint::start_with(quick).await;
    let idle = open_sockets();
    let (stream, deaf) = Deaf::connect(endpoint.addr).await;
    let mut client = endpoint.dial_over(stream).await.unwrap();
    assert!(log_in(&mut client, "watcher", &endpoint.user_key).await);
    assert_eq!(open_sockets(), idle + 2);
    deaf.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    // Its own loop goes on writing, so it notices the end by a failed write.
    within("the session ends", async {
        while !client.is_closed() {
            let request = client.send_global_request("keepalive@openssh.com", &[], true);
            tokio::select! {
                biased;
                _ = request => {}
                () = tokio::task::yield_now() => {}
            }
        }
    })
    .await;
    let took = begun.elapsed();
    assert!(took >= BOUND && took < BOUND + GRACE, "{took:?}");
    ends_silent(&log).await;
    let unsent: u32 = log.field("unsent").unwrap().parse().unwrap();
    assert!(unsent > 0, "{}", log.text());
    drop(client);
    until("no socket is left", || open_sockets() == idle).await;
    assert!(beat(&endpoint.log_in().await).await);
}

/// Bytes come all the time, but no packet is ever whole within the bound.
#[tokio::test]
async fn stray_bytes_are_no_sign_of_life() {
    let (log, _guard) = capture();
    let endpoint = Endpoint::start_with(quick).await;
    let (stream, slow) = Dribble::connect(endpoint.addr).await;
    let mut client = endpoint.dial_over(stream).await.unwrap();
    assert!(log_in(&mut client, "watcher", &endpoint.user_key).await);
    slow.store(true, Ordering::Relaxed);
    ends_silent(&log).await;
}

/// A probe before the login would be fatal to OpenSSH's client; a silence there is the grace's matter.
#[tokio::test]
async fn a_login_may_take_many_bounds() {
    let endpoint = Endpoint::start_with(quick).await;
    let mut client = endpoint.dial().await;
    tokio::time::sleep(BOUND * 3).await;
    assert!(log_in(&mut client, "watcher", &endpoint.user_key).await);
    assert!(beat(&client).await);
}
