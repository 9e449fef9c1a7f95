//! The byte stream below one SSH connection, with a kill switch.
//!
//! russh awaits reads and writes inside its own task; a dropped dial leaks that task and its socket, and a full send
//! buffer stops its clock (facts/russh.md, section 4). So the stream is ours: [`KillSwitch::kill`] makes every read and
//! write of it fail at once, from outside, whatever russh is waiting for.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;
use heartline_core::TcpEvidence;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::arrival::{Arrival, StampedTcp};

/// What carries the bytes.
pub(crate) trait Carrier: AsyncRead + AsyncWrite + Arrival + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Arrival + Send + Unpin> Carrier for T {}

/// A stream that can be killed from outside.
pub(crate) struct Wire {
    carrier: Box<dyn Carrier>,
    switch: Arc<Shared>,
}

impl Wire {
    /// Over a TCP connection.
    pub(crate) fn over_tcp(stream: TcpStream) -> (Self, KillSwitch) {
        // A second descriptor of the same socket, to ask TCP_INFO and to reset it while russh owns the first.
        let socket = socket2::SockRef::from(&stream).try_clone().ok();
        Self::build(Box::new(StampedTcp::new(stream)), socket.map(OwnedFd::from))
    }

    /// Over anything else: a jump host's channel, a proxy command's pipes.
    pub(crate) fn over(carrier: impl Carrier + 'static) -> (Self, KillSwitch) {
        Self::build(Box::new(carrier), None)
    }

    fn build(carrier: Box<dyn Carrier>, socket: Option<OwnedFd>) -> (Self, KillSwitch) {
        let switch = Arc::new(Shared::default());
        let wire = Self {
            carrier,
            switch: Arc::clone(&switch),
        };
        (wire, KillSwitch { switch, socket })
    }

    fn killed() -> io::Error {
        io::Error::new(io::ErrorKind::ConnectionAborted, "ended by heartline")
    }
}

/// Ends its [`Wire`]; when dropped, too.
pub(crate) struct KillSwitch {
    switch: Arc<Shared>,
    socket: Option<OwnedFd>,
}

impl KillSwitch {
    /// Fails every read and write of the wire from now on. A TCP connection is reset rather than closed: its peer is not
    /// answering, so the kernel must not go on retransmitting for us, and a peer that does still hear us learns of the end
    /// at once.
    pub(crate) fn kill(&self) {
        if let Some(socket) = &self.socket {
            let socket = socket2::SockRef::from(socket);
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
        self.switch.killed.store(true, Ordering::Release);
        self.switch.reader.wake();
        self.switch.writer.wake();
    }

    /// Where the connection begins and ends. `None` where there is no TCP of our own.
    pub(crate) fn ends(&self) -> Option<Ends> {
        let socket = socket2::SockRef::from(self.socket.as_ref()?);
        let of = |address: io::Result<socket2::SockAddr>| Some(address.ok()?.as_socket()?.ip());
        Some(Ends {
            local: of(socket.local_addr())?,
            peer: of(socket.peer_addr())?,
            device: device_of(&socket),
        })
    }

    /// What TCP knows of the connection; `None` where there is no TCP of our own, or the kernel does not say.
    pub(crate) fn tcp_evidence(&self) -> Option<TcpEvidence> {
        let info = heartline_socket::tcp_info(self.socket.as_ref()?).ok()?;
        Some(TcpEvidence {
            unacked: info.unacked,
            unsent: info.unsent,
            bytes_acked: info.bytes_acked,
            window: info.window,
            retransmits: info.retransmits,
            backoff: info.backoff,
            last_ack_ms: info.last_ack_ms,
            last_sent_ms: info.last_sent_ms,
            rtt_us: info.rtt_us,
            rtt_var_us: info.rtt_var_us,
            recovers: info.recovers,
        })
    }
}

/// Where a TCP connection of ours begins and ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Our address.
    pub local: IpAddr,
    /// The peer's.
    pub peer: IpAddr,
    /// The interface that it may not leave, if it was bound to one.
    pub device: Option<String>,
}

#[cfg(target_os = "linux")]
fn device_of(socket: &socket2::Socket) -> Option<String> {
    String::from_utf8(socket.device().ok()??).ok()
}

#[cfg(not(target_os = "linux"))]
fn device_of(_: &socket2::Socket) -> Option<String> {
    None
}

impl Drop for KillSwitch {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(Debug, Default)]
struct Shared {
    killed: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Shared {
    fn is_killed(&self, waker: &AtomicWaker, cx: &Context<'_>) -> bool {
        if self.killed.load(Ordering::Acquire) {
            return true;
        }
        waker.register(cx.waker());
        self.killed.load(Ordering::Acquire)
    }
}

impl Arrival for Wire {
    fn age(&self) -> Option<Duration> {
        self.carrier.age()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.switch.is_killed(&self.switch.reader, cx) {
            return Poll::Ready(Err(Self::killed()));
        }
        Pin::new(&mut self.carrier).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.switch.is_killed(&self.switch.writer, cx) {
            return Poll::Ready(Err(Self::killed()));
        }
        Pin::new(&mut self.carrier).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.switch.is_killed(&self.switch.writer, cx) {
            return Poll::Ready(Err(Self::killed()));
        }
        Pin::new(&mut self.carrier).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.switch.is_killed(&self.switch.writer, cx) {
            return Poll::Ready(Err(Self::killed()));
        }
        Pin::new(&mut self.carrier).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    const CEILING: Duration = Duration::from_secs(10);
    const A_WHILE: Duration = Duration::from_millis(50);

    /// Each alone, in a task of its own: neither wakes the other.
    #[tokio::test]
    async fn a_read_that_waits_and_a_write_that_waits_end_when_killed() {
        let (ours, theirs) = duplex(64);
        let (wire, switch) = Wire::over(ours);
        let (mut reader, mut writer) = split(wire);
        let read = tokio::spawn(async move { reader.read(&mut [0; 8]).await });
        let write = tokio::spawn(async move { writer.write_all(&[0; 1_000]).await });
        tokio::time::sleep(A_WHILE).await;
        assert!(!read.is_finished() && !write.is_finished());
        switch.kill();
        let read = timeout(CEILING, read).await.unwrap().unwrap();
        let write = timeout(CEILING, write).await.unwrap().unwrap();
        for error in [read.unwrap_err(), write.unwrap_err()] {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        }
        drop(theirs);
    }

    #[tokio::test]
    async fn once_killed_nothing_passes_though_it_could() {
        let (ours, mut theirs) = duplex(64);
        let (mut wire, switch) = Wire::over(ours);
        theirs.write_all(b"late").await.unwrap();
        drop(switch);
        assert!(wire.read(&mut [0; 8]).await.is_err());
        assert!(wire.write(b"x").await.is_err());
        assert!(wire.flush().await.is_err());
        assert!(wire.shutdown().await.is_err());
    }

    /// The far end learns of it at once, though our bytes fill every buffer on the way and nobody reads them.
    #[tokio::test]
    async fn a_full_tcp_connection_is_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ours = TcpStream::connect(address).await.unwrap();
        let (mut theirs, _) = listener.accept().await.unwrap();
        let (mut wire, switch) = Wire::over_tcp(ours);
        let chunk = vec![7; 64 * 1024];
        let mut fill = Box::pin(async {
            loop {
                if let Err(error) = wire.write_all(&chunk).await {
                    return error;
                }
            }
        });
        assert!(timeout(A_WHILE * 4, &mut fill).await.is_err());
        assert!(switch.tcp_evidence().is_some());
        drop(switch);
        let error = timeout(CEILING, &mut fill).await.unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        drop(fill);
        drop(wire);
        let mut got = vec![0; 64 * 1024];
        let mut end = pin!(async {
            loop {
                match theirs.read(&mut got).await {
                    Ok(0) => return None,
                    Ok(_) => {}
                    Err(error) => return Some(error.kind()),
                }
            }
        });
        let end = timeout(CEILING, &mut end).await.unwrap();
        assert_eq!(end, Some(io::ErrorKind::ConnectionReset));
    }
}
