//! An endpoint to test, a client on russh, and what is needed to look at both.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use heartline_serve::{AuthorizedKeys, PrivateKey, ServeConfig, Server, host_key};
use russh::client;
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep};

/// Far beyond what anything takes on a busy machine.
pub(crate) const CEILING: Duration = Duration::from_secs(30);

/// A running endpoint, and a key that may log in.
pub(crate) struct Endpoint {
    pub(crate) addr: SocketAddr,
    pub(crate) user_key: PrivateKey,
    pub(crate) host_key: PrivateKey,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Endpoint {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut ServeConfig)) -> Self {
        let user_key = host_key::generate().unwrap();
        let host_key = host_key::generate().unwrap();
        let authorized = AuthorizedKeys::from_keys([user_key.public_key().clone()]);
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let mut config = ServeConfig::new(listen, vec![host_key.clone()], authorized);
        config.auth_rejection_time = Duration::from_millis(20);
        change(&mut config);
        let server = Server::bind(config).await.unwrap();
        let addr = server.local_addrs()[0];
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self {
            addr,
            user_key,
            host_key,
            stop: Some(stop),
            task,
        }
    }

    /// Tells it to stop and waits until it has.
    pub(crate) async fn stop(mut self) -> Duration {
        let begun = Instant::now();
        self.stop.take().unwrap().send(()).unwrap();
        within("the endpoint stops", self.task).await.unwrap();
        begun.elapsed()
    }

    /// Ends its task in the middle of whatever it does.
    pub(crate) async fn abort(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    pub(crate) async fn dial(&self) -> Client {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        self.dial_over(stream).await.unwrap()
    }

    pub(crate) async fn dial_over<S>(&self, stream: S) -> Result<Client, russh::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let config = Arc::new(client::Config::default());
        let expected = self.host_key.public_key().clone();
        client::connect_stream(config, stream, Expect(expected)).await
    }

    /// Dials and logs in with the key that may.
    pub(crate) async fn log_in(&self) -> Client {
        let mut client = self.dial().await;
        assert!(log_in(&mut client, "watcher", &self.user_key).await);
        client
    }
}

pub(crate) type Client = client::Handle<Expect>;

/// Whether the login succeeded.
pub(crate) async fn log_in(client: &mut Client, user: &str, key: &PrivateKey) -> bool {
    let key = PrivateKeyWithHashAlg::new(Arc::new(key.clone()), None);
    client
        .authenticate_publickey(user, key)
        .await
        .is_ok_and(|result| result.success())
}

/// One beat: any reply is a sign of life, and this endpoint's is a refusal.
pub(crate) async fn beat(client: &Client) -> bool {
    let reply = client.send_global_request("keepalive@openssh.com", &[], true);
    matches!(
        tokio::time::timeout(CEILING, reply).await,
        Ok(Err(russh::Error::RequestDenied))
    )
}

/// A client that insists on one host key.
pub(crate) struct Expect(russh::keys::PublicKey);

impl client::Handler for Expect {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Ok(key.public_key().key_data() == self.0.key_data())
    }
}

/// A stream whose reading can be stopped for good, as by a program that hangs.
pub(crate) struct Deaf {
    stream: TcpStream,
    deaf: Arc<AtomicBool>,
}

impl Deaf {
    /// With a small receive buffer, so that it is soon full.
    pub(crate) async fn connect(addr: SocketAddr) -> (Self, Arc<AtomicBool>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(addr).await.unwrap();
        let deaf = Arc::new(AtomicBool::new(false));
        let ear = Arc::clone(&deaf);
        (Self { stream, deaf }, ear)
    }
}

impl AsyncRead for Deaf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.deaf.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Deaf {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A stream whose writing can be slowed down to a byte at a time.
pub(crate) struct Dribble {
    stream: TcpStream,
    slow: Arc<AtomicBool>,
    next: Pin<Box<Sleep>>,
}

impl Dribble {
    /// Between two bytes.
    const PAUSE: Duration = Duration::from_millis(50);

    pub(crate) async fn connect(addr: SocketAddr) -> (Self, Arc<AtomicBool>) {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let slow = Arc::new(AtomicBool::new(false));
        let lever = Arc::clone(&slow);
        let next = Box::pin(sleep(Duration::ZERO));
        (Self { stream, slow, next }, lever)
    }
}

impl AsyncRead for Dribble {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Dribble {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut most = buf.len();
        if self.slow.load(Ordering::Relaxed) {
            ready!(self.next.as_mut().poll(cx));
            self.next = Box::pin(sleep(Self::PAUSE));
            most = most.min(1);
        }
        Pin::new(&mut self.stream).poll_write(cx, &buf[..most])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Waits for something that must happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(CEILING, future)
        .await
        .unwrap_or_else(|_| panic!("not within {CEILING:?}: {what}"))
}

/// Waits until it holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    within(what, async {
        while !holds() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// How many sockets this process has open. Only means something where each test is a process.
pub(crate) fn open_sockets() -> usize {
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}
