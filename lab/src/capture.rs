//! What passed on the cables of a machine, and when: which end heard the last word of the other, and at what moment.
//!
//! The tap sits before the firewall's ingress hook: what is received here and then dropped by a [`Fault`](crate::Fault)
//! is listed too. Only IPv4 and TCP are looked at, and only the headers.

use std::io::{ErrorKind, Read};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};

use crate::host::Host;

/// Listens on every interface of one machine until it is dropped.
#[derive(Debug)]
pub struct Capture {
    seen: Arc<Mutex<Vec<Segment>>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// One TCP segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// When it was read, which is as late as the scheduler was (`CLOCK_MONOTONIC`).
    pub at: Instant,
    /// Its sender.
    pub from: Ipv4Addr,
    /// Its receiver.
    pub to: Ipv4Addr,
    /// Bytes of data in it; 0 is a mere acknowledgement.
    pub payload: usize,
}

impl Capture {
    /// Begins to listen.
    pub fn start(host: &Host) -> Result<Self> {
        // packet(7): a datagram socket gives packets without their link header.
        let all = Protocol::from(i32::from(ETH_P_ALL.to_be()));
        let socket = host.enter(|| Socket::new(Domain::PACKET, Type::DGRAM, Some(all)))?;
        let socket = socket.context("cannot capture packets")?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.set_read_timeout(Some(TICK))?;
        let (seen, stopping) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (list, flag) = (Arc::clone(&seen), Arc::clone(&stopping));
        let thread = std::thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || listen(socket, &list, &flag))?;
        Ok(Self {
            seen,
            stopping,
            thread: Some(thread),
        })
    }

    /// Every segment so far between these two, oldest first.
    pub fn segments(&self, from: Ipv4Addr, to: Ipv4Addr) -> Vec<Segment> {
        let wanted = |segment: &&Segment| segment.from == from && segment.to == to;
        lock(&self.seen).iter().filter(wanted).copied().collect()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed.
            let _ = thread.join();
        }
    }
}

fn listen(mut socket: Socket, seen: &Mutex<Vec<Segment>>, stopping: &AtomicBool) {
    let mut packet = [0; MOST_HEADERS];
    while !stopping.load(Ordering::Relaxed) {
        let length = match socket.read(&mut packet) {
            Ok(length) => length,
            Err(why) if is_idle(why.kind()) => continue,
            Err(_) => return,
        };
        let at = Instant::now();
        let segment = packet.get(..length).and_then(|packet| parse(at, packet));
        let mut seen = lock(seen);
        if let Some(segment) = segment.filter(|_| seen.len() < MOST_KEPT) {
            seen.push(segment);
        }
    }
}

fn is_idle(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// RFC 791, section 3.1, and RFC 9293, section 3.1; `None` for all else.
fn parse(at: Instant, packet: &[u8]) -> Option<Segment> {
    let byte = |place: usize| packet.get(place).copied();
    let words = |byte: u8| usize::from(byte) * 4;
    let first = byte(0)?;
    if first >> 4 != 4 || byte(9)? != TCP {
        return None;
    }
    let address = |place: usize| {
        let bytes: [u8; 4] = packet.get(place..place + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(bytes))
    };
    let ip_header = words(first & 0x0f);
    let total = usize::from(u16::from_be_bytes([byte(2)?, byte(3)?]));
    let tcp_header = words(byte(ip_header + 12)? >> 4);
    Some(Segment {
        at,
        from: address(12)?,
        to: address(16)?,
        payload: total.saturating_sub(ip_header + tcp_header),
    })
}

/// A panic elsewhere cannot leave it half changed.
fn lock(seen: &Mutex<Vec<Segment>>) -> MutexGuard<'_, Vec<Segment>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `linux/if_ether.h`.
const ETH_P_ALL: u16 = 3;
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// Both headers at their longest.
const MOST_HEADERS: usize = 120;
/// A busy machine reads late.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Segments kept, some 100 bytes each; those after it are not.
const MOST_KEPT: usize = 1 << 20;
/// How soon it stops when told to.
const TICK: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(first: u8, protocol: u8, total: u16) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[0] = first;
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        packet[9] = protocol;
        packet[12..16].copy_from_slice(&[10, 77, 1, 1]);
        packet[16..20].copy_from_slice(&[10, 77, 1, 2]);
        packet[32] = 5 << 4;
        packet
    }

    #[test]
    fn reads_the_headers_and_nothing_else() {
        let at = Instant::now();
        let segment = parse(at, &packet(0x45, TCP, 88)).unwrap();
        let (from, to) = (Ipv4Addr::new(10, 77, 1, 1), Ipv4Addr::new(10, 77, 1, 2));
        let wanted = Segment {
            at,
            from,
            to,
            payload: 48,
        };
        assert_eq!(segment, wanted);
        assert_eq!(parse(at, &packet(0x45, TCP, 40)).unwrap().payload, 0);
        for (first, protocol) in [(0x65, TCP), (0x45, 17), (0x4f, TCP)] {
            assert_eq!(parse(at, &packet(first, protocol, 88)), None);
        }
        assert_eq!(parse(at, &[]), None);
    }
}
