//! Connections through a session: what each leaves behind, which is nothing, and what a node says that makes none.

use std::time::Duration;

use bytes::Bytes;
use heartline_ssh::{FarEnd, ForwardError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bed::{Bed, CEILING, until, within};
use crate::client::{Client, beat, patient, target};

fn tcp(host: &str, port: u16) -> FarEnd {
    FarEnd::Tcp {
        host: host.to_owned(),
        port,
    }
}

/// A service here, which is there too, that says what it hears and goes.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut heard = [0; 64];
                while let Ok(length @ 1..) = stream.read(&mut heard).await {
                    let _ = stream.write_all(&heard[..length]).await;
                }
            });
        }
    });
    port
}

/// Whoever closes first, and also where nobody waits for the end.
#[tokio::test]
async fn a_connection_that_is_over_leaves_nothing() {
    let Some(bed) = Bed::or_skip("over_leaves_nothing") else {
        return;
    };
    let sshd = bed.sshd("");
    let client = Client::new();
    let target = target(&bed, sshd.addr, patient(), &[]).await;
    let session = client.dial(&target).await.session;
    let forwards = session.forwards();
    let to = tcp("127.0.0.1", echo().await);
    for round in 0..60 {
        let stream = forwards.connect(&to, None, CEILING).await.unwrap();
        match round % 3 {
            // Ours is gone in the middle of it.
            0 => drop(stream),
            1 => {
                stream.input.write(Bytes::from_static(b"x")).await.unwrap();
                assert_eq!(within("it", stream.output.next()).await, Some("x".into()));
            }
            _ => {
                stream.input.end().await.unwrap();
                assert_eq!(within("its end", stream.output.next()).await, None);
                within("all of it", stream.output.closed()).await;
            }
        }
    }
    until("nothing is left", || forwards.open_channels() == 0).await;
    beat(&*session).await;
}

#[tokio::test]
async fn each_is_told_its_own_refusal() {
    let Some(bed) = Bed::or_skip("its_own_refusal") else {
        return;
    };
    let sshd = bed.sshd("PermitOpen 127.0.0.1:1 nowhere.invalid:80");
    let client = Client::new();
    let target = target(&bed, sshd.addr, patient(), &[]).await;
    let session = client.dial(&target).await.session;
    let forwards = session.forwards();
    let (refused, prohibited) = (tcp("127.0.0.1", 1), tcp("127.0.0.1", 2));
    for _ in 0..20 {
        let (one, two) = tokio::join!(
            forwards.connect(&refused, None, CEILING),
            forwards.connect(&prohibited, None, CEILING),
        );
        let why = "Connection refused".to_owned();
        assert_eq!(one.unwrap_err(), ForwardError::NoConnection { why });
        assert!(
            matches!(two, Err(ForwardError::Prohibited { .. })),
            "{two:?}"
        );
    }
}

/// The node stops to listen when nobody wants it to any more, also when it was asked and nobody waited for the answer.
#[tokio::test]
async fn a_port_that_nobody_wants_is_free_again() {
    let Some(bed) = Bed::or_skip("a_port_is_free_again") else {
        return;
    };
    let sshd = bed.sshd("");
    let client = Client::new();
    let target = target(&bed, sshd.addr, patient(), &[]).await;
    let session = client.dial(&target).await.session;
    let forwards = session.forwards();
    let mut listening = forwards
        .listen(&tcp("127.0.0.1", 0), 4, CEILING)
        .await
        .unwrap();
    let at = tcp("127.0.0.1", listening.port());
    let mut visitor = TcpStream::connect(("127.0.0.1", listening.port()))
        .await
        .unwrap();
    let incoming = within("a visitor", listening.next()).await.unwrap();
    let stream = incoming.accept().await;
    stream
        .input
        .write(Bytes::from_static(b"hello"))
        .await
        .unwrap();
    let mut heard = [0; 5];
    visitor.read_exact(&mut heard).await.unwrap();
    drop((listening, stream));
    let again = within("it is free", async {
        loop {
            match forwards.listen(&at, 4, CEILING).await {
                Ok(listening) => return listening,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    });
    drop(again.await);
    // Given up at once: the answer comes all the same, and its port is given back.
    for _ in 0..10 {
        let _ = tokio::time::timeout(Duration::ZERO, forwards.listen(&at, 4, CEILING)).await;
    }
    within("it is free once more", async {
        while forwards.listen(&at, 4, CEILING).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
