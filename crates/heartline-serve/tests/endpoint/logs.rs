//! What an operator reads: a line for every session's begin and end, nothing of a peer's unescaped.

use std::num::NonZeroUsize;
use std::time::Duration;

use heartline_serve::host_key;
use tokio::net::TcpStream;

use crate::log::capture;
use crate::support::{Endpoint, beat, log_in, until};

#[tokio::test]
async fn a_session_begins_and_ends_in_one_line_each() {
    let (log, _guard) = capture();
    let endpoint = Endpoint::start().await;
    let mut client = endpoint.dial().await;
    assert!(log_in(&mut client, "ro\x1b[2Jot\n x", &endpoint.user_key).await);
    assert!(beat(&client).await);
    until("the begin is logged", || log.lines("Session began.") == 1).await;
    drop(client);
    until("the end is logged", || log.lines("Session ended.") == 1).await;
    let text = log.text();
    assert!(text.contains("user=ro\\u{1b}[2Jot\\u{a}\\u{20}x"), "{text}");
    assert!(text.contains("cause=closed_by_peer"), "{text}");
    assert!(text.contains("key=SHA256:"), "{text}");
    assert!(!text.contains('\x1b'), "{text:?}");
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[tokio::test]
async fn a_refused_login_is_told_and_a_mere_connection_is_not() {
    let (log, _guard) = capture();
    let endpoint = Endpoint::start_with(|config| {
        config.login_grace = Duration::from_millis(500);
    })
    .await;
    let idle = endpoint.dial().await;
    let mut guessing = endpoint.dial().await;
    let stranger = host_key::generate().unwrap();
    assert!(!log_in(&mut guessing, "root", &stranger).await);
    until("both are ended", || {
        idle.is_closed() && guessing.is_closed()
    })
    .await;
    until("it is logged", || log.lines("Login refused.") == 1).await;
    let text = log.text();
    assert!(text.contains("cause=login_refused"), "{text}");
    assert!(text.contains("seen=login_timeout"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[tokio::test]
async fn who_is_turned_away_is_told_with_the_limit() {
    let (log, _guard) = capture();
    let endpoint = Endpoint::start_with(|config| config.max_per_source = NonZeroUsize::MIN).await;
    let _held = endpoint.log_in().await;
    let _turned_away = TcpStream::connect(endpoint.addr).await.unwrap();
    until("it is logged", || log.lines("turned away") == 1).await;
    assert_eq!(log.lines("limit=max_per_source"), 1, "{}", log.text());
}

#[tokio::test]
async fn a_shutdown_is_named_as_the_cause() {
    let (log, _guard) = capture();
    let endpoint = Endpoint::start().await;
    let _client = endpoint.log_in().await;
    endpoint.stop().await;
    assert_eq!(log.lines("cause=shutdown"), 1, "{}", log.text());
}
