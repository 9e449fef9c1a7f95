//! Names to addresses, addresses to connected TCP sockets that are ours in every option.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use heartline_core::Cause;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::settings::{Family, Settings};

/// Why there is no TCP connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name does not resolve.
    #[error("cannot resolve {host}: {error}")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        error: io::Error,
    },
    /// The name has no address of the wanted family.
    #[error("{host} has no {family} address")]
    NoAddress {
        /// The name.
        host: String,
        /// `IPv4`, `IPv6` or `usable`.
        family: &'static str,
    },
    /// The source address or the interface cannot be used.
    #[error("cannot bind to {what}: {error}")]
    Bind {
        /// The address or interface.
        what: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// No address answered in time, or at all.
    #[error("cannot connect to {address}: {error}")]
    Connect {
        /// The address that says the most.
        address: SocketAddr,
        /// What the kernel said.
        error: io::Error,
    },
}

impl ConnectError {
    /// The cause that a line goes down with.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Dns { .. } | Self::NoAddress { .. } => Cause::Dns,
            Self::Bind { error, .. } => match error.raw_os_error() {
                Some(libc_errno::EPERM) => Cause::Config,
                _ => Cause::LinkDown,
            },
            Self::Connect { error, .. } => cause_of(error),
        }
    }
}

/// What the kernel's word on a connection means.
pub(crate) fn cause_of(error: &io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Cause::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Cause::Reset,
        io::ErrorKind::NetworkUnreachable => Cause::NoRoute,
        io::ErrorKind::NetworkDown | io::ErrorKind::AddrNotAvailable => Cause::LinkDown,
        io::ErrorKind::UnexpectedEof => Cause::ClosedByPeer,
        // EHOSTUNREACH among them: no ARP answer, or a router that gave up; either way nothing came from the host.
        _ => match error.raw_os_error() {
            Some(libc_errno::ENODEV) => Cause::LinkDown,
            Some(libc_errno::EPERM | libc_errno::EACCES) => Cause::NoRoute,
            _ => Cause::Silent,
        },
    }
}

/// All addresses of the host that the settings allow, in the resolver's order. The deadline is the caller's.
pub async fn resolve(settings: &Settings) -> Result<Vec<SocketAddr>, ConnectError> {
    let host = settings.host.as_str();
    let found: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, settings.port)],
        Err(_) => look_up(host, settings.port)
            .await
            .map_err(|error| ConnectError::Dns {
                host: host.to_owned(),
                error,
            })?,
    };
    let (family, wanted): (_, fn(&SocketAddr) -> bool) = match settings.family {
        Family::Any => ("usable", |_| true),
        Family::V4 => ("IPv4", SocketAddr::is_ipv4),
        Family::V6 => ("IPv6", SocketAddr::is_ipv6),
    };
    let mut usable: Vec<_> = found.into_iter().filter(wanted).collect();
    usable.dedup();
    if usable.is_empty() {
        let host = host.to_owned();
        return Err(ConnectError::NoAddress { host, family });
    }
    Ok(usable)
}

/// Asks the C library's resolver, on a thread. One that hangs cannot be ended from outside, so it keeps its place until it returns, whoever
/// has stopped waiting for it: else every dial would leave one more behind while no name server answers.
async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let place = LOOKUPS.acquire().await.map_err(io::Error::other)?;
    let host = host.to_owned();
    let looking = spawn_blocking(move || {
        let _place = place;
        let found = (host.as_str(), port).to_socket_addrs()?;
        Ok(found.take(MAX_ADDRESSES).collect())
    });
    looking.await.map_err(io::Error::other)?
}

/// Connects to the first address that answers; a further one is tried as soon as one fails, or after [`STAGGER`]
/// (RFC 8305 section 5). An eager one begins all of them anew every [`AGAIN`], so that a network that is whole again is seen so
/// soon: the kernel repeats a SYN after 1, 2, 4 … seconds. The deadline is the caller's.
pub(crate) async fn connect(
    settings: &Settings,
    addresses: &[SocketAddr],
    user_timeout: Duration,
    eager: bool,
) -> Result<TcpStream, ConnectError> {
    let mut tries = FuturesUnordered::new();
    let mut waiting = addresses.iter();
    let mut best: Option<ConnectError> = None;
    let mut next_round = Instant::now() + AGAIN;
    loop {
        if let Some(address) = waiting.next() {
            let one = connect_one(settings, *address, user_timeout, eager);
            let late = move || ConnectError::Connect {
                address: *address,
                error: io::ErrorKind::TimedOut.into(),
            };
            tries.push(async move {
                if eager {
                    timeout(AGAIN * ROUNDS, one)
                        .await
                        .unwrap_or_else(|_| Err(late()))
                } else {
                    one.await
                }
            });
        } else if tries.is_empty() {
            return Err(best.unwrap_or(ConnectError::NoAddress {
                host: settings.host.clone(),
                family: "usable",
            }));
        }
        let more = waiting.len() > 0;
        tokio::select! {
            Some(done) = tries.next() => match done {
                Ok(stream) => return Ok(stream),
                Err(error) => best = Some(telling(best, error)),
            },
            () = sleep(STAGGER), if more => {}
            () = sleep_until(next_round), if eager && !more => {
                next_round += AGAIN;
                waiting = addresses.iter();
            }
        }
    }
}

async fn connect_one(
    settings: &Settings,
    address: SocketAddr,
    user_timeout: Duration,
    eager: bool,
) -> Result<TcpStream, ConnectError> {
    let socket = open(settings, address)?;
    let failed = |error| ConnectError::Connect { address, error };
    let stream = TcpSocket::from_std_stream(socket.into())
        .connect(address)
        .await
        .map_err(failed)?;
    set_up(&stream, settings, user_timeout).map_err(failed)?;
    if eager {
        // Linux 6.15. Without it TCP waits up to twice as long as the network was gone.
        let _ = heartline_socket::set_longest_retransmission(&stream, LONGEST_RETRANSMISSION);
    }
    Ok(stream)
}

/// A socket bound as the settings say.
fn open(settings: &Settings, address: SocketAddr) -> Result<Socket, ConnectError> {
    let failed = |error| ConnectError::Connect { address, error };
    let domain = Domain::for_address(address);
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(domain, kind, Some(Protocol::TCP)).map_err(failed)?;
    if let Some(interface) = &settings.bind_interface {
        let bind = |error| ConnectError::Bind {
            what: format!("interface {interface}"),
            error,
        };
        socket
            .bind_device(Some(interface.as_bytes()))
            .map_err(bind)?;
    }
    if let Some(source) = &settings.bind_address {
        let bind = |error| ConnectError::Bind {
            what: format!("address {source}"),
            error,
        };
        let source = source_for(source, address).map_err(bind)?;
        socket
            .bind(&SocketAddr::new(source, 0).into())
            .map_err(bind)?;
    }
    Ok(socket)
}

fn source_for(source: &str, address: SocketAddr) -> io::Result<IpAddr> {
    if source == "*" {
        return Ok(match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        });
    }
    let parsed: IpAddr = source.parse().map_err(|_| {
        let text = "not an IP address";
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })?;
    if parsed.is_ipv4() != address.is_ipv4() {
        let text = "not of the family of the address to connect to";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(parsed)
}

/// No Nagle: a beat leaves when it is due. `TCP_USER_TIMEOUT` at the line's bound stands behind our own deadline: were
/// this process stopped, the kernel would still end the connection.
fn set_up(stream: &TcpStream, settings: &Settings, user_timeout: Duration) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    {
        if user_timeout < Duration::MAX {
            socket.set_tcp_user_timeout(Some(user_timeout.min(MAX_USER_TIMEOUT)))?;
        }
        // A beat that is lost again is repeated after as long as at first, not twice as long (tcp(7)); where the kernel knows how.
        let _ = socket.set_tcp_thin_linear_timeouts(true);
    }
    if settings.tcp_keep_alive {
        let seconds = user_timeout.max(Duration::from_secs(1)).min(MAX_KEEPALIVE);
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(seconds))?;
    }
    Ok(())
}

/// Of two failures the one that says more: a host that refused was at least there.
fn telling(old: Option<ConnectError>, new: ConnectError) -> ConnectError {
    match old {
        Some(old) if old.cause() == Cause::Refused => old,
        _ => new,
    }
}

/// Of an eager dial, between two rounds.
const AGAIN: Duration = Duration::from_millis(500);
/// Of which so many are on their way at once.
const ROUNDS: u32 = 4;
/// The least that the kernel takes (`TCP_RTO_MAX_MS`).
const LONGEST_RETRANSMISSION: Duration = Duration::from_secs(1);
/// RFC 8305's connection attempt delay.
const STAGGER: Duration = Duration::from_millis(250);
/// Names looked up at a time.
static LOOKUPS: Semaphore = Semaphore::const_new(MAX_LOOKUPS);
const MAX_LOOKUPS: usize = 32;
/// More addresses than this of one name are not tried.
const MAX_ADDRESSES: usize = 16;
/// `TCP_USER_TIMEOUT` is a 32-bit number of milliseconds; a day is enough.
const MAX_USER_TIMEOUT: Duration = Duration::from_hours(24);
/// The kernel takes at most 32 767 s.
const MAX_KEEPALIVE: Duration = Duration::from_secs(32_767);

mod libc_errno {
    pub(super) const EPERM: i32 = nix::errno::Errno::EPERM as i32;
    pub(super) const EACCES: i32 = nix::errno::Errno::EACCES as i32;
    pub(super) const ENODEV: i32 = nix::errno::Errno::ENODEV as i32;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lookups_that_hang_let_no_others_pile_up_behind_them() {
        let hanging = LOOKUPS.acquire_many(32).await.unwrap();
        let waited = timeout(Duration::from_millis(200), look_up("localhost", 22)).await;
        assert!(waited.is_err(), "it was not waited for a place");
        drop(hanging);
        let found = look_up("localhost", 22).await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback()));
        assert!(!found.is_empty());
        assert_eq!(LOOKUPS.available_permits(), MAX_LOOKUPS);
    }
}
