//! What passed on the cables of a machine, and when: which end heard the last word of the other, and at what moment.
//!
//! The tap sits before the firewall's ingress hook: what is received here and then dropped by a [`Fault`](crate::Fault)
//! is listed too. Only IPv4 and TCP are looked at, and only the headers.

use std::collections::HashMap;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddrV4};
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
    /// Bytes of data in it that were not sent before; 0 is a mere acknowledgement, or a segment sent again.
    pub payload: usize,
}

/// A [`Segment`] as it stands in its packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packet {
    from: SocketAddrV4,
    to: SocketAddrV4,
    begins: bool,
    sequence: u32,
    payload: u32,
}

/// For each direction of each connection, the sequence number that its next new byte has.
#[derive(Debug, Default)]
struct Sent(HashMap<(SocketAddrV4, SocketAddrV4), u32>);

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
    let mut sent = Sent::default();
    while !stopping.load(Ordering::Relaxed) {
        let length = match socket.read(&mut packet) {
            Ok(length) => length,
            Err(why) if is_idle(why.kind()) => continue,
            Err(_) => return,
        };
        let at = Instant::now();
        let Some(packet) = packet.get(..length).and_then(parse) else {
            continue;
        };
        let segment = Segment {
            at,
            from: *packet.from.ip(),
            to: *packet.to.ip(),
            payload: sent.new_bytes(&packet),
        };
        let mut seen = lock(seen);
        if seen.len() < MOST_KEPT {
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

impl Sent {
    /// How many bytes of this packet its connection had not carried yet.
    fn new_bytes(&mut self, packet: &Packet) -> usize {
        let end = packet
            .sequence
            .wrapping_add(packet.payload)
            .wrapping_add(u32::from(packet.begins));
        let next = self
            .0
            .entry((packet.from, packet.to))
            .or_insert(packet.sequence);
        if packet.begins {
            *next = packet.sequence.wrapping_add(1);
        }
        // RFC 9293, section 3.4: sequence numbers compare modulo 2^32.
        let ahead = end.wrapping_sub(*next).cast_signed();
        let new = u32::try_from(ahead).unwrap_or(0).min(packet.payload);
        if new > 0 {
            *next = end;
        }
        usize::try_from(new).unwrap_or(usize::MAX)
    }
}

/// RFC 791, section 3.1, and RFC 9293, section 3.1; `None` for all else.
fn parse(packet: &[u8]) -> Option<Packet> {
    let byte = |place: usize| packet.get(place).copied();
    let short = |place: usize| Some(u16::from_be_bytes([byte(place)?, byte(place + 1)?]));
    let long = |place: usize| {
        let bytes: [u8; 4] = packet.get(place..place + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    };
    let words = |byte: u8| u32::from(byte) * 4;
    let first = byte(0)?;
    if first >> 4 != 4 || byte(9)? != TCP {
        return None;
    }
    let ip_header = words(first & 0x0f);
    let tcp = usize::try_from(ip_header).ok()?;
    let tcp_header = words(byte(tcp + 12)? >> 4);
    let of =
        |address: usize, port: usize| Some(SocketAddrV4::new(long(address)?.into(), short(port)?));
    Some(Packet {
        from: of(12, tcp)?,
        to: of(16, tcp + 2)?,
        begins: byte(tcp + 13)? & SYN != 0,
        sequence: long(tcp + 4)?,
        payload: u32::from(short(2)?).saturating_sub(ip_header + tcp_header),
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
/// RFC 9293, section 3.1.
const SYN: u8 = 2;
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

    fn bytes(first: u8, protocol: u8, total: u16) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[0] = first;
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        packet[9] = protocol;
        packet[12..16].copy_from_slice(&[10, 77, 1, 1]);
        packet[16..20].copy_from_slice(&[10, 77, 1, 2]);
        packet[20..24].copy_from_slice(&[0xc0, 0x01, 0, 22]);
        packet[24..28].copy_from_slice(&[0xff, 0xff, 0xff, 0xf0]);
        packet[32] = 5 << 4;
        packet
    }

    #[test]
    fn reads_the_headers_and_nothing_else() {
        let packet = parse(&bytes(0x45, TCP, 88)).unwrap();
        let wanted = Packet {
            from: SocketAddrV4::new([10, 77, 1, 1].into(), 0xc001),
            to: SocketAddrV4::new([10, 77, 1, 2].into(), 22),
            begins: false,
            sequence: 0xffff_fff0,
            payload: 48,
        };
        assert_eq!(packet, wanted);
        assert_eq!(parse(&bytes(0x45, TCP, 40)).unwrap().payload, 0);
        for (first, protocol) in [(0x65, TCP), (0x45, 17), (0x4f, TCP)] {
            assert_eq!(parse(&bytes(first, protocol, 88)), None);
        }
        assert_eq!(parse(&[]), None);
    }

    #[test]
    fn what_is_sent_again_is_not_new() {
        let packet = parse(&bytes(0x45, TCP, 88)).unwrap();
        let at = |sequence, payload| Packet {
            sequence,
            payload,
            ..packet
        };
        let mut sent = Sent::default();
        let begins = Packet {
            begins: true,
            ..at(0xffff_ffef, 0)
        };
        let steps = [
            (begins, 0),
            (at(0xffff_fff0, 48), 48),
            (at(0xffff_fff0, 48), 0),
            // A mere acknowledgement; a probe of TCP keepalive; some old, some new; one after a gap.
            (at(32, 0), 0),
            (at(31, 0), 0),
            (at(16, 24), 8),
            (at(100, 10), 10),
            (at(40, 10), 0),
            (begins, 0),
            (at(0xffff_fff0, 48), 48),
        ];
        for (place, (packet, new)) in steps.into_iter().enumerate() {
            assert_eq!(sent.new_bytes(&packet), new, "{place}");
        }
    }
}
