//! What an operator reads: a line for every session's begin and end, nothing of a peer's unescaped.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use heartline_serve::host_key;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Endpoint, beat, log_in, until};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn lines(&self, with: &str) -> usize {
        self.text()
            .lines()
            .filter(|line| line.contains(with))
            .count()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn capture() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .with_writer(log.clone())
        .finish();
    // Of this thread: the tests' runtimes have no other.
    (log, tracing::subscriber::set_default(subscriber))
}

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
async fn a_shutdown_is_named_as_the_cause() {
    let (log, _guard) = capture();
    let endpoint = Endpoint::start().await;
    let _client = endpoint.log_in().await;
    endpoint.stop().await;
    assert_eq!(log.lines("cause=shutdown"), 1, "{}", log.text());
}
