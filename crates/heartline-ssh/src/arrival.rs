//! A TCP connection that tells when the kernel had what was read from it.
//!
//! A thread that has much to do reads an answer some time after it came: what is measured then is our own lateness.
//! Linux notes the time of every segment for who asks (`SO_TIMESTAMPNS`, socket(7)) and hands it out with the bytes,
//! without a further system call.

use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// What knows how old its last bytes are.
pub(crate) trait Arrival {
    /// How long before the last read the kernel had the last of its bytes; `None` where nobody says.
    fn age(&self) -> Option<Duration> {
        None
    }
}

impl<S: Arrival + AsyncRead> Arrival for tokio::io::BufReader<S> {
    fn age(&self) -> Option<Duration> {
        self.get_ref().age()
    }
}

/// Nobody stamps what comes through a jump host: it is as old as our reading of it.
impl Arrival for russh::ChannelStream<russh::client::Msg> {}

/// See the module.
pub(crate) struct StampedTcp {
    stream: TcpStream,
    age: Option<Duration>,
}

impl StampedTcp {
    /// Has the kernel note times from now on; where it will not, there are none.
    pub(crate) fn new(stream: TcpStream) -> Self {
        let _ = setsockopt(&stream, sockopt::ReceiveTimestampns, &true);
        Self { stream, age: None }
    }
}

impl Arrival for StampedTcp {
    fn age(&self) -> Option<Duration> {
        self.age
    }
}

impl AsyncRead for StampedTcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            let room = buf.initialize_unfilled();
            let wanted = room.len();
            let mut got = None;
            let tried = self.stream.try_io(Interest::READABLE, || {
                let received = receive(&self.stream, room)?;
                got = Some(received);
                // On epoll a read that comes up short has emptied the socket, and more will be told anew: saying so
                // saves asking again (tokio's own streams do the same).
                if (1..wanted).contains(&received.0) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(())
            });
            match (got, tried) {
                (Some((bytes, age)), _) => {
                    self.age = age;
                    buf.advance(bytes);
                    return Poll::Ready(Ok(()));
                }
                (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                (None, tried) => return Poll::Ready(tried),
            }
        }
    }
}

impl AsyncWrite for StampedTcp {
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

/// Room for one control message that holds a `struct timespec`, aligned as the kernel's header wants it.
#[repr(align(8))]
struct Control([u8; 64]);

/// recvmsg(2): how many bytes, and how old the last of them are.
fn receive(stream: &TcpStream, room: &mut [u8]) -> io::Result<(usize, Option<Duration>)> {
    let mut control = Control([0; 64]);
    let mut parts = [IoSliceMut::new(room)];
    let received = recvmsg::<()>(
        stream.as_raw_fd(),
        &mut parts,
        Some(&mut control.0),
        MsgFlags::empty(),
    )?;
    let stamp = received.cmsgs().ok().and_then(|mut all| {
        all.find_map(|one| match one {
            ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
            _ => None,
        })
    });
    // The stamp is wall-clock time. Should somebody set the clock in between, who reads it has a bound.
    let age = stamp.and_then(|stamp| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        now.checked_sub(stamp)
    });
    Ok((received.bytes, age))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    const CEILING: Duration = Duration::from_secs(10);

    async fn pair() -> (StampedTcp, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap());
        let (ours, theirs) = tokio::join!(ours, listener.accept());
        (StampedTcp::new(ours.unwrap()), theirs.unwrap().0)
    }

    /// The kernel begins to stamp a little after the first socket of the machine has asked for it.
    #[tokio::test]
    async fn what_is_read_late_is_as_old_as_that() {
        let (mut ours, mut theirs) = pair().await;
        let late = Duration::from_millis(120);
        let begun = Instant::now();
        let age = loop {
            assert!(begun.elapsed() < CEILING, "no stamp");
            theirs.write_all(b"an answer").await.unwrap();
            sleep(late).await;
            let mut got = [0; 64];
            assert_eq!(ours.read(&mut got).await.unwrap(), 9);
            if let Some(age) = ours.age() {
                break age;
            }
        };
        assert!(age >= late && age < CEILING, "{age:?}");
    }

    /// Short reads, exact reads, and reads of what comes later: nothing is lost and nothing waits for more.
    #[tokio::test]
    async fn every_byte_is_read_when_it_comes() {
        let (mut ours, mut theirs) = pair().await;
        let mut got = [0; 4];
        for round in 0..50_u8 {
            theirs.write_all(&[round; 7]).await.unwrap();
            let read = async {
                ours.read_exact(&mut got).await.unwrap();
                ours.read_exact(&mut got[..3]).await.unwrap();
            };
            timeout(CEILING, read).await.unwrap();
            assert_eq!(got, [round; 4]);
        }
        let waits = timeout(Duration::from_millis(20), ours.read(&mut got)).await;
        assert!(waits.is_err());
        drop(theirs);
        let end = timeout(CEILING, ours.read(&mut got)).await.unwrap();
        assert_eq!(end.unwrap(), 0);
    }
}
