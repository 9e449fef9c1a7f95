//! The end of the endpoint: clients are told, and nothing is left, in bounded time.

use std::time::Duration;

use heartline_serve::{AuthorizedKeys, ConfigError, ServeConfig, ServeError, Server, host_key};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::support::{Deaf, Endpoint, beat, open_sockets, until, within};

#[tokio::test]
async fn every_client_is_told_and_the_port_is_free() {
    let endpoint = Endpoint::start().await;
    let addr = endpoint.addr;
    let clients = [endpoint.log_in().await, endpoint.log_in().await];
    // One that has not got far: it is cut off.
    let mut stranger = TcpStream::connect(addr).await.unwrap();
    let took = endpoint.stop().await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    for client in &clients {
        until("the client knows", || client.is_closed()).await;
    }
    let mut rest = Vec::new();
    let _ = within("the stranger is cut off", stranger.read_to_end(&mut rest)).await;
    assert!(TcpStream::connect(addr).await.is_err());
    let again = ServeConfig::new(
        vec![addr],
        vec![host_key::generate().unwrap()],
        AuthorizedKeys::from_keys([host_key::generate().unwrap().public_key().clone()]),
    );
    Server::bind(again)
        .await
        .expect("the address can be taken again at once");
}

#[tokio::test]
async fn a_client_that_does_not_listen_delays_the_end_by_the_grace_only() {
    let endpoint = Endpoint::start_with(|config| {
        config.shutdown_grace = Duration::from_millis(300);
    })
    .await;
    let (stream, deaf) = Deaf::connect(endpoint.addr).await;
    let mut client = endpoint.dial_over(stream).await.unwrap();
    let logged_in = crate::support::log_in(&mut client, "watcher", &endpoint.user_key).await;
    assert!(logged_in);
    deaf.store(true, std::sync::atomic::Ordering::Relaxed);
    let took = endpoint.stop().await;
    assert!(took >= Duration::from_millis(250), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn dropped_it_resets_every_connection() {
    let before = open_sockets();
    let endpoint = Endpoint::start().await;
    let client = endpoint.log_in().await;
    assert!(beat(&client).await);
    endpoint.abort().await;
    until("the client knows", || client.is_closed()).await;
    drop(client);
    until("no socket is left", || open_sockets() == before).await;
}

#[tokio::test]
async fn faulty_settings_are_refused() {
    let config = || {
        ServeConfig::new(
            vec!["127.0.0.1:0".parse().unwrap()],
            vec![host_key::generate().unwrap()],
            AuthorizedKeys::from_keys([host_key::generate().unwrap().public_key().clone()]),
        )
    };
    let bind = async |change: fn(&mut ServeConfig)| {
        let mut config = config();
        change(&mut config);
        match Server::bind(config).await {
            Err(ServeError::Config(fault)) => fault,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(
        bind(|config| config.listen.clear()).await,
        ConfigError::NoAddress
    ));
    assert!(matches!(
        bind(|config| config.host_keys.clear()).await,
        ConfigError::NoHostKey
    ));
    assert!(matches!(
        bind(|config| config.authorized = AuthorizedKeys::parse(b"# nobody\n")).await,
        ConfigError::NobodyAuthorized
    ));
    for fault in [
        bind(|config| config.login_grace = Duration::ZERO).await,
        bind(|config| config.auth_rejection_time = Duration::from_mins(1)).await,
        bind(|config| config.shutdown_grace = Duration::from_hours(1)).await,
    ] {
        assert!(matches!(fault, ConfigError::OutOfRange { .. }), "{fault}");
    }
    let mut taken = config();
    let first = Server::bind(config()).await.unwrap();
    taken.listen = first.local_addrs().to_vec();
    assert!(matches!(
        Server::bind(taken).await,
        Err(ServeError::Listen { .. })
    ));
}

#[tokio::test]
async fn ipv6_and_ipv4_stand_together() {
    let mut config = ServeConfig::new(
        vec!["[::1]:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()],
        vec![host_key::generate().unwrap()],
        AuthorizedKeys::from_keys([host_key::generate().unwrap().public_key().clone()]),
    );
    config.login_grace = Duration::from_secs(5);
    let Ok(server) = Server::bind(config).await else {
        assert!(!std::path::Path::new("/proc/net/if_inet6").exists());
        lab::skipped("ipv6_and_ipv4_stand_together", "no IPv6 here");
        return;
    };
    let addrs = server.local_addrs().to_vec();
    let task = tokio::spawn(server.run(std::future::pending()));
    for addr in addrs {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let mut ident = [0; 18];
        within("an ident", stream.read_exact(&mut ident))
            .await
            .unwrap();
        assert_eq!(&ident, b"SSH-2.0-heartline_");
    }
    task.abort();
}
