//! When the client last gave a sign of life: a complete packet that passed its MAC, of whatever kind.
//!
//! russh tells its handler of few packets: not of replies, not of IGNORE, DEBUG or UNIMPLEMENTED, though
//! each proves that the client lives. But it reads every packet by two exact reads
//! (`cipher::read`: the first block, then the rest), checks the MAC, and only then reads on. So when
//! it begins to read again after the second of them, the packet before was whole and genuine.
//!
//! The count begins with the login: before it reads follow another pattern (the identification, clear
//! packets that end with their first block), and nothing is proven. russh reports a login between
//! two packets, so the next read is of a first block; and with a MAC of 16 bytes or more, as all
//! those offered have, a rest is never empty.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use heartline_core::Moment;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::Clock;

/// The client's last sign of life. Written in russh's task, read in ours.
#[derive(Debug)]
pub(crate) struct Heard {
    clock: Clock,
    logged_in: AtomicBool,
    /// In nanoseconds of the clock.
    at: AtomicU64,
}

impl Heard {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            clock,
            logged_in: AtomicBool::new(false),
            at: AtomicU64::new(0),
        })
    }

    /// The packet being judged logs in: the first sign of life. To be called in russh's task.
    pub(crate) fn login(&self) {
        self.mark(self.clock.now());
        self.logged_in.store(true, Ordering::Release);
    }

    /// When it was; the clock's start before the login.
    pub(crate) fn last(&self) -> Moment {
        Moment::at(Duration::from_nanos(self.at.load(Ordering::Acquire)))
    }

    fn mark(&self, at: Moment) {
        let nanos = u64::try_from(at.since_start().as_nanos()).unwrap_or(u64::MAX);
        self.at.store(nanos, Ordering::Release);
    }
}

/// The stream that russh reads a client's packets from; see the module.
pub(crate) struct Tap<S> {
    stream: S,
    heard: Arc<Heard>,
    next: Part,
    /// When the packet that russh is judging now arrived.
    arrived: Option<Moment>,
}

#[derive(Clone, Copy)]
enum Part {
    FirstBlock,
    Rest,
}

impl<S> Tap<S> {
    /// Tells `heard` what is read from `stream`, which must not be read from elsewhere.
    pub(crate) fn new(stream: S, heard: Arc<Heard>) -> Self {
        Self {
            stream,
            heard,
            next: Part::FirstBlock,
            arrived: None,
        }
    }

    /// One exact read of russh's is complete.
    fn part_done(&mut self) {
        match self.next {
            Part::FirstBlock => self.next = Part::Rest,
            Part::Rest => {
                self.next = Part::FirstBlock;
                self.arrived = Some(self.heard.clock.now());
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.heard.logged_in.load(Ordering::Acquire) {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        if let Some(arrived) = self.arrived.take() {
            self.heard.mark(arrived);
        }
        let wanted = buf.remaining();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if wanted > 0 && buf.remaining() == 0 {
            self.part_done();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{advance, timeout};

    use super::*;

    const A_SECOND: Duration = Duration::from_secs(1);

    fn tapped() -> (Tap<DuplexStream>, DuplexStream, Arc<Heard>) {
        let (ours, theirs) = duplex(1024);
        let heard = Heard::new(Clock::start());
        (Tap::new(ours, Arc::clone(&heard)), theirs, heard)
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_before_the_login_is_a_sign_of_life_and_the_login_is() {
        let (mut tap, mut theirs, heard) = tapped();
        advance(A_SECOND).await;
        theirs.write_all(&[0; 15]).await.unwrap();
        // An odd number of reads, which would turn first blocks and rests around.
        for _ in 0..3 {
            tap.read_exact(&mut [0; 5]).await.unwrap();
        }
        assert_eq!(heard.last(), Moment::START);
        heard.login();
        assert_eq!(heard.last(), Moment::at(A_SECOND));
    }

    /// A packet half of which is there proves nothing; nor does a whole one before russh, having
    /// judged it, reads on.
    #[tokio::test(start_paused = true)]
    async fn only_a_whole_packet_that_was_judged_is_a_sign_of_life() {
        let (mut tap, mut theirs, heard) = tapped();
        heard.login();
        let login = heard.last();
        advance(A_SECOND).await;
        theirs.write_all(&[0; 10]).await.unwrap();
        tap.read_exact(&mut [0; 4]).await.unwrap();
        let mut rest = [0; 16];
        assert_eq!(tap.read(&mut rest).await.unwrap(), 6);
        assert_eq!(heard.last(), login);
        theirs.write_all(&[0; 10]).await.unwrap();
        tap.read_exact(&mut rest[6..]).await.unwrap();
        let arrived = heard.clock.now();
        assert_eq!(heard.last(), login);
        let none_yet = timeout(A_SECOND, tap.read_exact(&mut [0; 4])).await;
        assert!(none_yet.is_err());
        assert_eq!(heard.last(), arrived);
    }
}
