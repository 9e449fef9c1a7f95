//! What a client on russh gets: beats answered, everything else refused.

use std::sync::Arc;

use heartline_serve::{AuthorizedKeys, host_key};
use russh::ChannelOpenFailure;
use russh::keys::ssh_key::certificate::{Builder, CertType};

use crate::support::{Endpoint, beat, log_in, open_sockets, until};

#[tokio::test]
async fn every_beat_is_answered() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.log_in().await;
    for _ in 0..200 {
        assert!(beat(&client).await);
    }
}

#[tokio::test]
async fn a_session_can_do_nothing() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.log_in().await;
    let refusal = |result: Result<_, russh::Error>| match result {
        Err(russh::Error::ChannelOpenFailure(reason, _)) => reason,
        Err(other) => panic!("{other:?}"),
        Ok(()) => panic!("a channel was opened"),
    };
    let refusals = [
        client.channel_open_session().await.map(drop),
        client.channel_open_x11("127.0.0.1", 6000).await.map(drop),
        client
            .channel_open_direct_tcpip("127.0.0.1", 22, "127.0.0.1", 1)
            .await
            .map(drop),
        client
            .channel_open_direct_streamlocal("/tmp/socket")
            .await
            .map(drop),
    ];
    for result in refusals {
        assert_eq!(
            refusal(result),
            ChannelOpenFailure::AdministrativelyProhibited
        );
    }
    assert!(client.tcpip_forward("127.0.0.1", 0).await.is_err());
    assert!(client.streamlocal_forward("/tmp/socket").await.is_err());
    assert!(beat(&client).await, "the session outlives its refusals");
}

#[tokio::test]
async fn only_the_right_key_logs_in() {
    let endpoint = Endpoint::start().await;
    let stranger = host_key::generate().unwrap();
    let mut client = endpoint.dial().await;
    assert!(!log_in(&mut client, "watcher", &stranger).await);
    let none = client.authenticate_none("watcher").await.unwrap();
    assert!(!none.success());
    let password = client.authenticate_password("watcher", "x").await.unwrap();
    assert!(!password.success());
    assert!(log_in(&mut client, "watcher", &endpoint.user_key).await);
    assert!(beat(&client).await);
}

#[tokio::test]
async fn guessing_ends_after_a_few_tries() {
    let endpoint = Endpoint::start().await;
    let mut client = endpoint.dial().await;
    let mut tries = 0;
    let stranger = host_key::generate().unwrap();
    while !client.is_closed() && tries < 50 {
        assert!(!log_in(&mut client, "watcher", &stranger).await);
        tries += 1;
    }
    assert!((5..10).contains(&tries), "{tries}");
}

#[tokio::test]
async fn a_certificate_of_the_authority_logs_in_and_another_does_not() {
    let authority = host_key::generate().unwrap();
    let line = authority.public_key().to_openssh().unwrap();
    let keys = AuthorizedKeys::parse(format!("cert-authority {line}").as_bytes());
    let endpoint = Endpoint::start_with(|config| config.authorized = keys).await;
    let user = Arc::new(host_key::generate().unwrap());
    let signed_by = |signer: &heartline_serve::PrivateKey| {
        let mut builder = Builder::new([1; 16], user.public_key(), 0, u64::MAX >> 1).unwrap();
        builder.cert_type(CertType::User).unwrap();
        builder.key_id("watcher one").unwrap();
        builder.valid_principal("watcher").unwrap();
        builder.sign(signer).unwrap()
    };
    let attempt = async |user_name: &str, certificate| {
        let mut client = endpoint.dial().await;
        client
            .authenticate_openssh_cert(user_name, Arc::clone(&user), certificate)
            .await
            .unwrap()
            .success()
    };
    assert!(attempt("watcher", signed_by(&authority)).await);
    assert!(!attempt("root", signed_by(&authority)).await);
    assert!(!attempt("watcher", signed_by(&user)).await);
    let mut bare = endpoint.dial().await;
    assert!(!log_in(&mut bare, "watcher", &user).await);
    assert!(!log_in(&mut bare, "watcher", &authority).await);
}

#[tokio::test]
async fn sessions_that_end_leave_no_socket() {
    let endpoint = Endpoint::start().await;
    let idle = open_sockets();
    for _ in 0..20 {
        let client = endpoint.log_in().await;
        assert!(beat(&client).await);
        drop(client);
    }
    until("no socket is left", || open_sockets() == idle).await;
}
