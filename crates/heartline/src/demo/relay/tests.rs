use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{BUFFER, Direction, Relay};

const CEILING: Duration = Duration::from_secs(20);
/// Long enough for loopback to have delivered what passes.
const QUIET: Duration = Duration::from_millis(80);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(CEILING, future)
        .await
        .expect("within the ceiling")
}

struct Bench {
    relay: Relay,
    node: TcpListener,
}

impl Bench {
    async fn new() -> Self {
        let node = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Relay::start(node.local_addr().unwrap()).unwrap();
        Self { relay, node }
    }

    async fn connect(&self) -> (TcpStream, TcpStream) {
        let line = TcpStream::connect(self.relay.addr()).await.unwrap();
        let (node, _) = within(self.node.accept()).await.unwrap();
        (line, node)
    }
}

async fn passes(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"beat").await.unwrap();
    let mut got = [0; 4];
    within(to.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"beat");
}

async fn is_silent(stream: &mut TcpStream) {
    let heard = tokio::time::timeout(QUIET, stream.read(&mut [0; 16])).await;
    assert!(heard.is_err(), "{heard:?}");
}

async fn is_reset(stream: &mut TcpStream) {
    let error = within(stream.read(&mut [0; 16])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn bytes_and_ends_pass_both_ways() {
    let bench = Bench::new().await;
    let (mut line, mut node) = bench.connect().await;
    passes(&mut line, &mut node).await;
    passes(&mut node, &mut line).await;
    line.shutdown().await.unwrap();
    assert_eq!(within(node.read(&mut [0; 4])).await.unwrap(), 0);
    passes(&mut node, &mut line).await;
    drop(node);
    assert_eq!(within(line.read(&mut [0; 4])).await.unwrap(), 0);
}

#[tokio::test]
async fn cut_is_silent_and_healed_resumes_what_waited() {
    let bench = Bench::new().await;
    let (mut line, mut node) = bench.connect().await;
    passes(&mut line, &mut node).await;
    bench.relay.cut();
    line.write_all(b"up").await.unwrap();
    node.write_all(b"down").await.unwrap();
    is_silent(&mut node).await;
    is_silent(&mut line).await;
    // A new connection is not even made where the relay can drop packets; elsewhere nobody answers on it.
    let mut connecting = tokio::spawn(TcpStream::connect(bench.relay.addr()));
    let early = tokio::time::timeout(QUIET, &mut connecting).await.ok();
    assert!(early.is_none() || !cfg!(target_os = "linux"));
    bench.relay.heal();
    let mut got = [0; 4];
    within(node.read_exact(&mut got[..2])).await.unwrap();
    assert_eq!(&got[..2], b"up");
    within(line.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"down");
    let mut late = match early {
        Some(connected) => connected.unwrap().unwrap(),
        None => within(connecting).await.unwrap().unwrap(),
    };
    let (mut late_node, _) = within(bench.node.accept()).await.unwrap();
    passes(&mut late, &mut late_node).await;
}

#[tokio::test]
async fn cut_holds_back_the_sender_and_loses_nothing() {
    let bench = Bench::new().await;
    let (mut line, mut node) = bench.connect().await;
    bench.relay.cut();
    let chunk = vec![7; BUFFER];
    let mut sent = 0;
    while let Ok(written) = tokio::time::timeout(QUIET, line.write(&chunk)).await {
        sent += written.unwrap();
        assert!(sent < 64 << 20, "the relay reads while it is cut");
    }
    bench.relay.heal();
    line.shutdown().await.unwrap();
    let mut got = Vec::new();
    within(node.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got.len(), sent);
}

#[tokio::test]
async fn a_peer_that_went_during_the_cut_is_gone_after_it() {
    let bench = Bench::new().await;
    let (mut line, node) = bench.connect().await;
    bench.relay.cut();
    drop(node);
    is_silent(&mut line).await;
    bench.relay.heal();
    assert_eq!(within(line.read(&mut [0; 4])).await.unwrap(), 0);
}

#[tokio::test]
async fn half_open_is_silent_in_one_direction() {
    let bench = Bench::new().await;
    for (silent, other) in [
        (Direction::ToNode, Direction::ToLine),
        (Direction::ToLine, Direction::ToNode),
    ] {
        let (mut line, mut node) = bench.connect().await;
        bench.relay.half_open(silent);
        let (from, to) = match other {
            Direction::ToLine => (&mut node, &mut line),
            Direction::ToNode => (&mut line, &mut node),
        };
        passes(from, to).await;
        to.write_all(b"x").await.unwrap();
        is_silent(from).await;
        bench.relay.heal();
        within(from.read_exact(&mut [0; 1])).await.unwrap();
    }
}

#[tokio::test]
async fn reset_reaches_both_ends_even_while_cut_and_new_connections_pass() {
    let bench = Bench::new().await;
    let (mut line, mut node) = bench.connect().await;
    bench.relay.cut();
    bench.relay.reset();
    is_reset(&mut line).await;
    is_reset(&mut node).await;
    bench.relay.heal();
    let (mut line, mut node) = bench.connect().await;
    passes(&mut line, &mut node).await;
}

#[tokio::test]
async fn refused_and_healed_it_has_the_same_port() {
    let bench = Bench::new().await;
    let (mut line, mut node) = bench.connect().await;
    for _ in 0..3 {
        bench.relay.refuse();
        within(async {
            loop {
                // Caught in the kernel's queue while the port closes, it is reset instead.
                let connected = TcpStream::connect(bench.relay.addr()).await;
                if connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        passes(&mut line, &mut node).await;
        bench.relay.heal();
        let mut late = within(async {
            loop {
                if let Ok(stream) = TcpStream::connect(bench.relay.addr()).await {
                    break stream;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        within(async {
            loop {
                let (mut accepted, _) = bench.node.accept().await.unwrap();
                late.write_all(b"x").await.unwrap();
                // Those of the loop above came through before the port was closed.
                if accepted.read(&mut [0; 1]).await.is_ok_and(|read| read == 1) {
                    break;
                }
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_node_that_refuses_resets_the_line() {
    let bench = Bench::new().await;
    let Bench { relay, node } = bench;
    drop(node);
    let mut line = TcpStream::connect(relay.addr()).await.unwrap();
    is_reset(&mut line).await;
}

#[tokio::test]
async fn dropped_it_closes_everything() {
    let bench = Bench::new().await;
    let (mut line, mut node) = bench.connect().await;
    bench.relay.cut();
    let addr = bench.relay.addr();
    drop(bench.relay);
    assert!(matches!(
        within(line.read(&mut [0; 4])).await,
        Ok(0) | Err(_)
    ));
    assert!(matches!(
        within(node.read(&mut [0; 4])).await,
        Ok(0) | Err(_)
    ));
    assert!(TcpStream::connect(addr).await.is_err());
}
