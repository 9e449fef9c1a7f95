//! What the kernel knows of a TCP connection, `TCP_INFO`, and how long it may wait before it sends again, `TCP_RTO_MAX_MS`
//! (Linux, tcp(7)).
//!
//! The one crate of the house with unsafe code, because no safe crate offers these socket options. It holds nothing else.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// The fields of `struct tcp_info` (linux/tcp.h) that explain a silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// Segments sent and not acknowledged (`tcpi_unacked`).
    pub unacked: u32,
    /// Bytes that our own side has not been able to send yet (`tcpi_notsent_bytes`).
    pub unsent: u32,
    /// Bytes that the peer has acknowledged since the connection began (`tcpi_bytes_acked`, Linux 4.1).
    pub bytes_acked: u64,
    /// Bytes that the peer's kernel has room for (`tcpi_snd_wnd`, Linux 5.4; 0 before).
    pub window: u32,
    /// Retransmissions in a row of the first of them (`tcpi_retransmits`).
    pub retransmits: u8,
    /// How often the retransmission timer was doubled (`tcpi_backoff`).
    pub backoff: u8,
    /// Milliseconds since the last acknowledgement arrived (`tcpi_last_ack_recv`).
    pub last_ack_ms: u32,
    /// Milliseconds since data was last sent (`tcpi_last_data_sent`).
    pub last_sent_ms: u32,
    /// Smoothed round trip in microseconds (`tcpi_rtt`).
    pub rtt_us: u32,
    /// Its mean deviation in microseconds (`tcpi_rttvar`).
    pub rtt_var_us: u32,
    /// A loss, or what looks like one, is being repaired: the state of congestion control (`tcpi_ca_state`) is not Open.
    pub recovers: bool,
}

/// Reads `TCP_INFO` of a connected TCP socket.
///
/// # Errors
/// What getsockopt(2) says: `ENOTSOCK` and `EOPNOTSUPP` for what is not a TCP socket, `ENOPROTOOPT` on a kernel
/// without it.
#[cfg(target_os = "linux")]
pub fn tcp_info(socket: impl AsFd) -> io::Result<TcpInfo> {
    use std::mem::{MaybeUninit, size_of};

    // Zeroed, so that what an older kernel with a shorter structure leaves out reads as 0.
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).unwrap_or(0);
    // SAFETY: the descriptor is borrowed and therefore open; `info` is valid for writes of `len` bytes, and the kernel
    // writes no more than `len`.
    let done = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every field of `struct tcp_info` is an integer, for which all bit patterns, zeroes included, are valid.
    let info = unsafe { info.assume_init() };
    Ok(TcpInfo {
        unacked: info.tcpi_unacked,
        unsent: info.tcpi_notsent_bytes,
        bytes_acked: info.tcpi_bytes_acked,
        window: info.tcpi_snd_wnd,
        retransmits: info.tcpi_retransmits,
        backoff: info.tcpi_backoff,
        last_ack_ms: info.tcpi_last_ack_recv,
        last_sent_ms: info.tcpi_last_data_sent,
        rtt_us: info.tcpi_rtt,
        rtt_var_us: info.tcpi_rttvar,
        recovers: info.tcpi_ca_state != 0,
    })
}

/// Reads `TCP_INFO` of a connected TCP socket; not on this system.
///
/// # Errors
/// Always `Unsupported`.
#[cfg(not(target_os = "linux"))]
pub fn tcp_info(socket: impl AsFd) -> io::Result<TcpInfo> {
    let _ = socket.as_fd().as_raw_fd();
    Err(io::ErrorKind::Unsupported.into())
}

/// Bounds the time between two retransmissions (`TCP_RTO_MAX_MS`, Linux 6.15): 1 s to 120 s.
///
/// # Errors
/// What setsockopt(2) says: `ENOPROTOOPT` on an older kernel, `EINVAL` out of range.
#[cfg(target_os = "linux")]
pub fn set_longest_retransmission(
    socket: impl AsFd,
    longest: std::time::Duration,
) -> io::Result<()> {
    use std::mem::size_of;

    let millis = libc::c_int::try_from(longest.as_millis()).unwrap_or(libc::c_int::MAX);
    let len = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(0);
    // SAFETY: the descriptor is borrowed and therefore open; `millis` is valid for reads of `len` bytes.
    let done = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            TCP_RTO_MAX_MS,
            (&raw const millis).cast(),
            len,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Bounds the time between two retransmissions; not on this system.
///
/// # Errors
/// Always `Unsupported`.
#[cfg(not(target_os = "linux"))]
pub fn set_longest_retransmission(
    socket: impl AsFd,
    _longest: std::time::Duration,
) -> io::Result<()> {
    let _ = socket.as_fd().as_raw_fd();
    Err(io::ErrorKind::Unsupported.into())
}

/// linux/tcp.h.
#[cfg(target_os = "linux")]
const TCP_RTO_MAX_MS: libc::c_int = 44;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_peer_that_is_frozen_still_acknowledges() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.write_all(b"a beat that nobody reads").unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        while tcp_info(&stream).unwrap().unacked > 0 {
            assert!(Instant::now() < until, "never acknowledged");
            std::thread::yield_now();
        }
        let info = tcp_info(&stream).unwrap();
        assert_eq!((info.retransmits, info.backoff), (0, 0));
        assert!(info.rtt_us > 0);
    }

    /// An older kernel says that it does not know the option, and nothing else.
    #[test]
    fn retransmissions_may_be_bounded() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        match set_longest_retransmission(&stream, Duration::from_secs(1)) {
            Ok(()) => {
                let short = Duration::from_millis(1);
                assert!(set_longest_retransmission(&stream, short).is_err());
            }
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENOPROTOOPT)),
        }
    }

    #[test]
    fn what_is_not_tcp_is_an_error() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(tcp_info(&socket).is_err());
    }
}
