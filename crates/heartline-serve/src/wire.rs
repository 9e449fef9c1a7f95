//! The TCP stream under a session, with an end of its own.
//!
//! russh writes where nothing interrupts it: once the send buffer is full, its loop reads nothing
//! and fires no timer (facts/russh.md, section 4). And its session runs in a task of its own that
//! outlives every handle to it. So the stream itself must be able to end: by [`KillSwitch`] from
//! outside, and by a deadline on the wait for the peer's close after our own.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use heartline_socket::TcpInfo;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// A TCP stream that fails instead of waiting for ever.
pub(crate) struct Wire {
    stream: Arc<TcpStream>,
    closing: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    /// Takes over the stream.
    pub(crate) fn new(stream: TcpStream) -> (Self, KillSwitch) {
        let stream = Arc::new(stream);
        let switch = KillSwitch {
            stream: Arc::downgrade(&stream),
        };
        let wire = Self {
            stream,
            closing: None,
        };
        (wire, switch)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Poll::Ready(ready) = self.stream.poll_read_ready(cx) {
                ready?;
                match self.stream.try_read(buf.initialize_unfilled()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    Err(error) => return Poll::Ready(Err(error)),
                    Ok(n) => {
                        buf.advance(n);
                        return Poll::Ready(Ok(()));
                    }
                }
            }
            let Some(closing) = &mut self.closing else {
                return Poll::Pending;
            };
            ready!(closing.as_mut().poll(cx));
            // Nothing read is how a stream says that it has ended.
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write(buf) {
                // The readiness was stale and is cleared now: ask again.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closing
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(CLOSE_WAIT)));
        // A peer that is gone already has closed better than we can.
        match SockRef::from(&*self.stream).shutdown(std::net::Shutdown::Write) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}

/// Ends a [`Wire`] from outside, whatever its owner is waiting for; so does dropping it, since then
/// nobody watches over the wire any more. Holds no file descriptor.
pub(crate) struct KillSwitch {
    stream: Weak<TcpStream>,
}

impl KillSwitch {
    /// Both directions end at once; what was not sent yet is thrown away, and the peer gets RST as
    /// soon as the owner drops the wire. Reads and writes under way wake up and fail.
    pub(crate) fn kill(&self) {
        if let Some(stream) = self.stream.upgrade() {
            let socket = SockRef::from(&*stream);
            // Both can only fail on a socket that has ended by itself.
            let _ = socket.set_linger(Some(Duration::ZERO));
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }

    /// What TCP knows of the connection; `None` where it has ended or the kernel does not say.
    pub(crate) fn tcp_info(&self) -> Option<TcpInfo> {
        heartline_socket::tcp_info(self.stream.upgrade()?.as_fd()).ok()
    }
}

impl Drop for KillSwitch {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How long a peer gets to close its side after we closed ours.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::{KillSwitch, Wire};

    async fn pair() -> (Wire, KillSwitch, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(addr), listener.accept());
        let (wire, switch) = Wire::new(near.unwrap());
        (wire, switch, far.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_and_an_end_is_seen() {
        let (mut wire, _switch, mut far) = pair().await;
        wire.write_all(b"ping").await.unwrap();
        let mut got = [0; 4];
        far.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"ping");
        far.write_all(b"pong").await.unwrap();
        wire.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"pong");
        drop(far);
        assert_eq!(wire.read(&mut got).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_switch_ends_a_read_and_a_stuck_write_under_way() {
        let (wire, switch, far) = pair().await;
        let (mut reading, mut writing) = tokio::io::split(wire);
        let reader = tokio::spawn(async move { reading.read(&mut [0; 16]).await });
        let writer = tokio::spawn(async move {
            let chunk = vec![0; 1 << 20];
            loop {
                if let Err(error) = writing.write_all(&chunk).await {
                    return error;
                }
            }
        });
        // The far end's buffer grows to its full size, then stops growing: the writer is stuck.
        let (mut before, mut same) = (0, 0);
        while same < 20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let mut peeked = vec![0; 64 << 20];
            let queued = far.peek(&mut peeked).await.unwrap();
            same = if queued == before { same + 1 } else { 0 };
            before = queued;
        }
        assert!(!reader.is_finished() && !writer.is_finished());
        switch.kill();
        let ended = tokio::time::timeout(Duration::from_secs(10), async {
            (reader.await.unwrap(), writer.await.unwrap())
        });
        let (read, _) = ended.await.expect("both ends of the wire wake up");
        assert!(matches!(read, Ok(0) | Err(_)));
        drop(far);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_closes_is_not_waited_for() {
        let (mut wire, _switch, _far) = pair().await;
        wire.shutdown().await.unwrap();
        assert_eq!(wire.read(&mut [0; 16]).await.unwrap(), 0);
    }
}
