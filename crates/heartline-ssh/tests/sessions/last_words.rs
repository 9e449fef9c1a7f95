//! What a peer says at the end, after its login or instead of it, reaches a person as text.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use heartline_core::{Cause, Failure};
use russh::Disconnect;
use russh::keys::PrivateKey;
use russh::server::{self, Auth, Handler, Session, VerifiedPublicKey};
use tokio::net::TcpListener;

use crate::bed::{Bed, within};
use crate::client::{Client, patient, target};

/// Lets everybody in or nobody, and ends the conversation with a word.
struct Rude {
    welcomes: bool,
}

impl Handler for Rude {
    type Error = russh::Error;

    async fn authentication_banner(&mut self) -> Result<Option<String>, russh::Error> {
        Ok(Some(WORDS.to_owned()))
    }

    async fn auth_publickey(
        &mut self,
        _user: &str,
        _key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        if self.welcomes {
            return Ok(Auth::Accept);
        }
        Ok(Auth::reject())
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), russh::Error> {
        session.disconnect(Disconnect::ByApplication, WORDS, "")
    }
}

/// Listens for one client.
async fn listen(bed: &Bed, welcomes: bool) -> SocketAddr {
    let key = PrivateKey::from_openssh(bed.read("host")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let config = server::Config {
            keys: vec![key],
            auth_rejection_time: Duration::ZERO,
            ..server::Config::default()
        };
        let (stream, _) = listener.accept().await.unwrap();
        let session = server::run_stream(Arc::new(config), stream, Rude { welcomes });
        let _ = session.await.unwrap().await;
    });
    addr
}

fn is_plain(failure: &Failure) -> bool {
    let detail = failure.detail.as_deref().unwrap_or_default();
    !detail.contains(char::is_control) && !detail.contains('\u{202e}')
}

#[tokio::test]
async fn a_goodbye_full_of_terminal_escapes_is_told_as_text() {
    let Some(bed) = Bed::or_skip("a_goodbye_full_of_terminal_escapes_is_told_as_text") else {
        return;
    };
    let addr = listen(&bed, true).await;
    let client = Client::new();
    let target = target(&bed, addr, patient(), &[]).await;
    let failure = match client.try_dial(&target).await {
        Ok(established) => within("the end is told", established.ended).await.unwrap(),
        Err(failure) => failure,
    };
    assert_eq!(failure.cause, Cause::ClosedByPeer, "{failure:?}");
    assert!(is_plain(&failure), "{failure:?}");
    assert!(failure.detail.unwrap().contains("\\x1b[2J"));
}

#[tokio::test]
async fn a_refusal_behind_a_banner_full_of_terminal_escapes_is_told_as_text() {
    let Some(bed) = Bed::or_skip("a_refusal_behind_a_banner_full_of_terminal_escapes") else {
        return;
    };
    let addr = listen(&bed, false).await;
    let client = Client::new();
    let target = target(&bed, addr, patient(), &[]).await;
    let failure = client.try_dial(&target).await.err().unwrap();
    assert_eq!(failure.cause, Cause::AuthRefused, "{failure:?}");
    assert!(is_plain(&failure), "{failure:?}");
}

const WORDS: &str = "\x1b[2J\x1b]0;owned\x07\r\n\u{9b}31m\u{202e}bye";
