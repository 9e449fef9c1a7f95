//! Listening sockets, and what every accepted socket is set to.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use heartline_core::Bound;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

/// Listens on `addr`. An IPv6 socket takes IPv6 alone, so that both wildcards can stand together.
pub(crate) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Else the address of an endpoint just stopped is busy for a minute.
    socket.set_reuse_address(true)?;
    // Inherited by what is accepted. Packets here are short, and a flood of them may not grow the
    // kernel's buffers to megabytes for every session.
    socket.set_send_buffer_size(KERNEL_BUFFER)?;
    socket.set_recv_buffer_size(KERNEL_BUFFER)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// The next connection on any of the listeners, each getting its turn.
pub(crate) struct Acceptor {
    listeners: Vec<TcpListener>,
    turn: usize,
}

impl Acceptor {
    pub(crate) fn new(listeners: Vec<TcpListener>) -> Self {
        Self { listeners, turn: 0 }
    }

    pub(crate) fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    /// Cancel safe: a connection is either returned or still to be accepted.
    pub(crate) async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (listeners, turn) = (&self.listeners, &mut self.turn);
        poll_fn(|cx| {
            for _ in 0..listeners.len() {
                *turn = (*turn + 1) % listeners.len();
                let Some(listener) = listeners.get(*turn) else {
                    continue;
                };
                if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Sets an accepted socket so that beats leave at once, and so that the kernel does not give up on a
/// peer before `bound` has passed, nor long after: the probes are what it waits to be acknowledged.
pub(crate) fn prepare(stream: &TcpStream, bound: Bound) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let timeout = bound.as_duration().saturating_add(BEHIND);
        socket.set_tcp_user_timeout(Some(timeout.min(MAX_USER_TIMEOUT)))?;
    }
    Ok(())
}

const BACKLOG: i32 = 1024;
/// In bytes; holds any key exchange of the algorithms offered.
const KERNEL_BUFFER: usize = 32 * 1024;
/// So that a session whose time is over ends by our rule, and its cause is in the log.
#[cfg(any(target_os = "linux", target_os = "android"))]
const BEHIND: Duration = Duration::from_secs(10);
/// What the kernel takes at most: `INT_MAX` milliseconds (`tcp_sock_set_user_timeout`).
#[cfg(any(target_os = "linux", target_os = "android"))]
const MAX_USER_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);
