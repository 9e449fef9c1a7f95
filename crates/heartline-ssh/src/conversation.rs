//! The stream that russh converses on: what we read before is read again, what we said is not said twice, and every
//! complete packet that passed its MAC leaves a mark in time.
//!
//! russh tells its handler of few packets: not of replies to its own keepalives, not of the peer's keepalives, not of
//! UNIMPLEMENTED, IGNORE or DEBUG, though each proves that the peer lives. But it reads every packet by the same two
//! exact reads (`cipher::read`: the first block, then the rest), checks the MAC, and only then reads on. So when russh
//! begins to read again after the second of them, the packet before was complete and genuine.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use heartline_core::Moment;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::arrival::Arrival;
use crate::clock::Clock;
use crate::preamble::IDENT_LINE;
use crate::round_trips::{RoundTripCounts, RoundTrips};

/// When the last complete packet that passed its MAC arrived, in nanoseconds of the clock, and how long after what we had
/// written.
#[derive(Debug, Default)]
pub struct Heard {
    at: AtomicU64,
    round_trip: AtomicU64,
    round_trips: RoundTrips,
}

impl Heard {
    /// That moment; the clock's start when there was none.
    pub fn last(&self) -> Moment {
        Moment::at(Duration::from_nanos(self.at.load(Ordering::Acquire)))
    }

    /// From the first byte we wrote after the packet before, to that packet.
    pub fn round_trip(&self) -> Duration {
        Duration::from_nanos(self.round_trip.load(Ordering::Acquire))
    }

    /// All of them, by how long they took.
    pub fn round_trips(&self) -> RoundTripCounts {
        self.round_trips.counts()
    }

    /// The shortest and the longest since this was last asked; none, if there was none.
    pub fn take_extremes(&self) -> Option<(Duration, Duration)> {
        self.round_trips.take_extremes()
    }

    /// There was one at this moment.
    pub fn hear(&self, life: Moment) {
        self.at.store(nanos(life.since_start()), Ordering::Release);
    }

    fn mark(&self, packet: Packet, written: Option<Moment>) {
        if let Some(written) = written {
            let round_trip = packet.round_trip(written);
            self.round_trips.count(round_trip);
            self.round_trip.store(nanos(round_trip), Ordering::Release);
        }
        self.hear(packet.life());
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A packet that came whole.
#[derive(Clone, Copy)]
struct Packet {
    read: Moment,
    /// How long before that it had come.
    age: Duration,
}

impl Packet {
    fn round_trip(self, written: Moment) -> Duration {
        let read = self.read.saturating_since(written);
        // It cannot have come before we wrote: then somebody has set the clock.
        read.checked_sub(self.age).unwrap_or(read)
    }

    /// When it came. What is older than we are ever late came before we were stopped or the clock was set, and must not be
    /// held against the peer.
    fn life(self) -> Moment {
        self.read - self.age.min(MOST_LATE)
    }
}

/// See the module.
pub(crate) struct Conversation<S> {
    stream: S,
    clock: Clock,
    heard: Arc<Heard>,
    /// What was read before, and how much of it has been read again.
    replay: Vec<u8>,
    replayed: usize,
    /// Where the peer's identification ends in it.
    ident_end: usize,
    /// How much of our own identification russh has still to write.
    unsaid: &'static [u8],
    next: Part,
    /// The packet that russh is judging now.
    arrived: Option<Packet>,
    /// When we first wrote something since the last packet.
    written: Option<Moment>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    FirstBlock,
    Rest,
}

impl<S: Arrival> Conversation<S> {
    /// `replay` was read from `stream` before, the peer's identification first, up to `ident_end`; ours was sent.
    pub(crate) fn new(
        stream: S,
        replay: Vec<u8>,
        ident_end: usize,
        clock: Clock,
        heard: Arc<Heard>,
    ) -> Self {
        Self {
            stream,
            clock,
            heard,
            replay,
            replayed: 0,
            ident_end,
            unsaid: IDENT_LINE.as_bytes(),
            next: Part::FirstBlock,
            arrived: None,
            written: None,
        }
    }

    /// Reads again; whether there was anything left.
    fn replay_into(&mut self, buf: &mut ReadBuf<'_>, upto: usize) -> bool {
        let left = self.replay.get(self.replayed..upto).unwrap_or_default();
        if left.is_empty() {
            return false;
        }
        let now = left.len().min(buf.remaining());
        buf.put_slice(left.get(..now).unwrap_or_default());
        self.replayed += now;
        if self.replayed == self.replay.len() {
            self.replay = Vec::new();
            self.replayed = 0;
            self.ident_end = 0;
        }
        true
    }

    /// One exact read of russh's is complete.
    fn part_done(&mut self) {
        match self.next {
            Part::FirstBlock => self.next = Part::Rest,
            Part::Rest => {
                self.next = Part::FirstBlock;
                self.arrived = Some(Packet {
                    read: self.clock.now(),
                    age: self.stream.age().unwrap_or_default(),
                });
            }
        }
    }
}

impl<S: AsyncRead + Arrival + Unpin> AsyncRead for Conversation<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.replayed < self.ident_end {
            // Not a byte more than the identification, so that russh keeps no rest of it in a buffer of its own.
            let upto = self.ident_end;
            self.replay_into(buf, upto);
            return Poll::Ready(Ok(()));
        }
        if let Some(arrived) = self.arrived.take() {
            let written = self.written.take();
            self.heard.mark(arrived, written);
        }
        let wanted = buf.remaining();
        let upto = self.replay.len();
        if !self.replay_into(buf, upto) {
            std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        }
        if wanted > 0 && buf.remaining() == 0 {
            self.part_done();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Conversation<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.unsaid.is_empty() {
            let clock = self.clock;
            self.written.get_or_insert_with(|| clock.now());
            return Pin::new(&mut self.stream).poll_write(cx, buf);
        }
        let now = self.unsaid.len().min(buf.len());
        let (said, rest) = self.unsaid.split_at(now);
        if !buf.starts_with(said) {
            // Cannot happen: russh writes the identification it was given. Were it otherwise, the two ends would hash
            // different names, so stop here rather than fail strangely later.
            let text = "identification differs from the one already sent";
            return Poll::Ready(Err(io::Error::other(text)));
        }
        self.unsaid = rest;
        Poll::Ready(Ok(now))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Twice the longest slack (core, `Interval::slack`).
const MOST_LATE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_said_is_not_said_twice_and_what_was_heard_is_heard_again() {
        let (ours, mut theirs) = duplex(1024);
        let heard = b"SSH-2.0-x\r\nearly".to_vec();
        let mut talk = Conversation::new(ours, heard, 11, Clock::start(), Arc::default());
        talk.write_all(IDENT_LINE.as_bytes()).await.unwrap();
        talk.write_all(b"new").await.unwrap();
        let mut got = [0; 3];
        theirs.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"new");
        theirs.write_all(b" and new").await.unwrap();
        let mut ident = [0; 256];
        assert_eq!(talk.read(&mut ident).await.unwrap(), 11);
        let mut got = [0; 13];
        talk.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"early and new");
    }

    /// A packet half of which is there proves nothing; nor does a whole one before russh, having judged it, reads on.
    #[tokio::test(start_paused = true)]
    async fn only_a_whole_packet_that_was_judged_is_a_sign_of_life() {
        let (ours, mut theirs) = duplex(1024);
        let heard = Arc::new(Heard::default());
        let clock = Clock::start();
        let mut talk = Conversation::new(ours, b"I\n".to_vec(), 2, clock, Arc::clone(&heard));
        talk.read_exact(&mut [0; 2]).await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        theirs.write_all(&[0; 10]).await.unwrap();
        talk.read_exact(&mut [0; 4]).await.unwrap();
        let mut rest = [0; 16];
        let one_byte_an_hour = tokio::time::timeout(Duration::from_mins(1), talk.read(&mut rest));
        assert_eq!(one_byte_an_hour.await.unwrap().unwrap(), 6);
        assert_eq!(heard.last(), Moment::START);
        theirs.write_all(&[0; 10]).await.unwrap();
        talk.read_exact(&mut rest[6..]).await.unwrap();
        assert_eq!(heard.last(), Moment::START);
        let arrived = clock.now();
        let _ = tokio::time::timeout(Duration::from_secs(1), talk.read_exact(&mut [0; 4])).await;
        assert_eq!(heard.last(), arrived);
    }

    #[test]
    fn a_packet_read_late_has_the_round_trip_of_the_network() {
        let ms = Duration::from_millis;
        let packet = |age| Packet {
            read: Moment::at(ms(1_050)),
            age: ms(age),
        };
        let written = Moment::at(ms(1_000));
        assert_eq!(packet(48).round_trip(written), ms(2));
        assert_eq!(packet(48).life(), Moment::at(ms(1_002)));
        // Stopped for a while, or a clock that was set.
        assert_eq!(packet(60).round_trip(written), ms(50));
        assert_eq!(packet(20_000).life(), Moment::at(ms(950)));
    }
}
