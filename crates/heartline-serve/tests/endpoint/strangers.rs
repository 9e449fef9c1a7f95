//! Hostile clients: gone within the grace, and nobody else notices.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Endpoint, beat, open_sockets, until, within};

const GRACE: Duration = Duration::from_millis(800);

/// What a stranger does until its connection ends.
#[derive(Clone, Copy, Debug)]
enum Stranger {
    Silent,
    EndlessBanner,
    EndlessLine,
    Garbage,
    IdentThenSilence,
    IdentThenHugePacket,
    IdentThenEmptyPacket,
    IdentThenKexInitThenSilence,
    OldProtocol,
}

impl Stranger {
    const ALL: [Self; 9] = [
        Self::Silent,
        Self::EndlessBanner,
        Self::EndlessLine,
        Self::Garbage,
        Self::IdentThenSilence,
        Self::IdentThenHugePacket,
        Self::IdentThenEmptyPacket,
        Self::IdentThenKexInitThenSilence,
        Self::OldProtocol,
    ];

    /// What it says first, and what it repeats.
    fn says(self) -> (Vec<u8>, Option<Vec<u8>>) {
        let ident = b"SSH-2.0-stranger_1\r\n".to_vec();
        let with = |rest: &[u8]| [&ident[..], rest].concat();
        match self {
            Self::Silent => (Vec::new(), None),
            Self::EndlessBanner => (Vec::new(), Some(b"hello\r\n".repeat(100))),
            Self::EndlessLine => (Vec::new(), Some(vec![b'x'; 1000])),
            Self::Garbage => {
                let bytes = (0..1000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8);
                (bytes.collect(), Some(vec![0xff; 1000]))
            }
            Self::IdentThenSilence => (ident, None),
            Self::IdentThenHugePacket => (with(&[0xff; 64]), Some(vec![0xff; 1000])),
            Self::IdentThenEmptyPacket => (with(&[0; 64]), Some(vec![0; 1000])),
            Self::IdentThenKexInitThenSilence => (with(&kexinit()), None),
            Self::OldProtocol => (b"SSH-1.5-stranger\r\n".to_vec(), None),
        }
    }

    /// Acts until the endpoint ends it; how long that took.
    async fn act(self, addr: std::net::SocketAddr) -> Duration {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let (first, repeated) = self.says();
        let (mut reading, mut writing) = stream.split();
        let talking = async {
            if writing.write_all(&first).await.is_ok()
                && let Some(more) = repeated
            {
                while writing.write_all(&more).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            std::future::pending::<()>().await;
        };
        let ending = async {
            let mut buffer = vec![0; 4096];
            while reading.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
        };
        within(&format!("the end of {self:?}"), async {
            tokio::select! {
                () = talking => {}
                () = ending => {}
            }
        })
        .await;
        begun.elapsed()
    }
}

/// A KEXINIT that any server can agree with.
fn kexinit() -> Vec<u8> {
    let lists = [
        "curve25519-sha256",
        "ssh-ed25519",
        "aes256-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-256",
        "none",
        "none",
        "",
        "",
    ];
    let mut payload = vec![20];
    payload.extend_from_slice(&[7; 16]);
    for list in lists {
        payload.extend_from_slice(&u32::try_from(list.len()).unwrap().to_be_bytes());
        payload.extend_from_slice(list.as_bytes());
    }
    payload.extend_from_slice(&[0; 5]);
    let padding = 8 - (payload.len() + 5) % 8 + 8;
    let length = u32::try_from(payload.len() + padding + 1).unwrap();
    let mut packet = length.to_be_bytes().to_vec();
    packet.push(u8::try_from(padding).unwrap());
    packet.extend_from_slice(&payload);
    packet.resize(packet.len() + padding, 0);
    packet
}

#[tokio::test]
async fn strangers_are_gone_within_the_grace_and_others_unaffected() {
    let endpoint = Endpoint::start_with(|config| config.login_grace = GRACE).await;
    let watcher = endpoint.log_in().await;
    let sockets = open_sockets();
    let strangers: Vec<_> = Stranger::ALL
        .into_iter()
        .flat_map(|stranger| [stranger; 3])
        .map(|stranger| (stranger, tokio::spawn(stranger.act(endpoint.addr))))
        .collect();
    let beating = tokio::spawn(async move {
        let mut slowest = Duration::ZERO;
        for _ in 0..40 {
            let sent = Instant::now();
            assert!(beat(&watcher).await);
            slowest = slowest.max(sent.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (watcher, slowest)
    });
    for (stranger, task) in strangers {
        let took = task.await.unwrap();
        assert!(
            took < GRACE + Duration::from_secs(2),
            "{stranger:?} stayed {took:?}"
        );
    }
    let (watcher, slowest) = within("the beats", beating).await.unwrap();
    assert!(slowest < Duration::from_millis(700), "{slowest:?}");
    assert!(beat(&watcher).await);
    until("their sockets are closed", || open_sockets() == sockets).await;
}

#[tokio::test]
async fn the_silent_ones_stay_for_the_whole_grace() {
    let endpoint = Endpoint::start_with(|config| config.login_grace = GRACE).await;
    for stranger in [
        Stranger::Silent,
        Stranger::IdentThenSilence,
        Stranger::IdentThenKexInitThenSilence,
    ] {
        let took = stranger.act(endpoint.addr).await;
        assert!(took >= GRACE, "{stranger:?} was ended after {took:?}");
    }
}

#[tokio::test]
async fn a_login_that_never_comes_ends_with_the_grace() {
    let endpoint = Endpoint::start_with(|config| config.login_grace = GRACE).await;
    let begun = Instant::now();
    let client = endpoint.dial().await;
    until("the endpoint ends it", || client.is_closed()).await;
    assert!(begun.elapsed() >= GRACE);
}

#[tokio::test]
async fn too_many_strangers_are_turned_away_with_words_sshd_uses() {
    let endpoint = Endpoint::start_with(|config| {
        config.max_unauthenticated = NonZeroUsize::new(2).unwrap();
        config.login_grace = Duration::from_secs(20);
    })
    .await;
    let watcher = endpoint.log_in().await;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(answered(&endpoint).await);
    }
    let mut third = TcpStream::connect(endpoint.addr).await.unwrap();
    let mut said = Vec::new();
    within("an end", third.read_to_end(&mut said))
        .await
        .unwrap();
    assert_eq!(said, b"Exceeded MaxStartups\r\n");
    assert!(beat(&watcher).await, "who is in stays in");
    drop(held);
    within("room for another", async {
        loop {
            let stream = TcpStream::connect(endpoint.addr).await.unwrap();
            if endpoint.dial_over(stream).await.is_ok() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn one_source_gets_only_its_share() {
    let endpoint = Endpoint::start_with(|config| {
        config.max_per_source = NonZeroUsize::new(2).unwrap();
    })
    .await;
    let _held = (answered(&endpoint).await, endpoint.log_in().await);
    let mut third = TcpStream::connect(endpoint.addr).await.unwrap();
    let mut said = Vec::new();
    within("an end", third.read_to_end(&mut said))
        .await
        .unwrap();
    assert_eq!(said, b"Exceeded MaxStartups\r\n");
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let other = socket.connect(endpoint.addr).await.unwrap();
    assert!(endpoint.dial_over(other).await.is_ok());
}

/// A connection that got the endpoint's identification, so that it is counted.
async fn answered(endpoint: &Endpoint) -> TcpStream {
    let mut stream = TcpStream::connect(endpoint.addr).await.unwrap();
    let mut ident = [0; 8];
    within("an ident", stream.read_exact(&mut ident))
        .await
        .unwrap();
    assert_eq!(&ident, b"SSH-2.0-");
    stream
}
