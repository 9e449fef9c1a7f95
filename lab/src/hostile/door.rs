//! A listening socket with a thread for itself and one for every connection.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::{Domain, SockRef, Socket, Type};

/// Accepts connections until it is dropped, which ends and joins every thread.
#[derive(Debug)]
pub(super) struct Door {
    addr: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Listens on a free port of 127.0.0.1. `serve` runs in a thread for every connection, whose
    /// socket does not block, and must return soon once its flag is set.
    pub(super) fn open<F>(name: &str, receive_buffer: Option<usize>, serve: F) -> Result<Self>
    where
        F: Fn(TcpStream, SocketAddr, &AtomicBool) + Send + Sync + 'static,
    {
        let listener = listen(receive_buffer).context("cannot listen on 127.0.0.1")?;
        let addr = listener.local_addr()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stopping);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || accept_all(&listener, &flag, &serve))
            .context("cannot start a thread")?;
        Ok(Self {
            addr,
            stopping,
            thread: Some(thread),
        })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed; the test that caused it fails by itself.
            let _ = thread.join();
        }
    }
}

/// Waits for any of the wanted on each socket, no longer than [`TICK`] and `most`. What each is ready
/// for; errors and hang-ups come unasked. A `None` is not waited for.
///
/// By epoll, since nix's poll does not know RDHUP, the end that is seen without reading.
pub(super) fn ready<const N: usize>(
    sockets: [Option<(&TcpStream, EpollFlags)>; N],
    most: Duration,
) -> [EpollFlags; N] {
    let mut found = [EpollFlags::empty(); N];
    // Out of descriptors, say: nothing is known to be ready, and the next turn tries again.
    let Ok(epoll) = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC) else {
        std::thread::sleep(TICK);
        return found;
    };
    for (socket, token) in sockets.into_iter().zip(0..) {
        let Some((stream, wanted)) = socket else {
            continue;
        };
        if epoll.add(stream, EpollEvent::new(wanted, token)).is_err() {
            std::thread::sleep(TICK);
            return found;
        }
    }
    // Rounded up, lest a wait of microseconds spins.
    let most = most.min(TICK).as_micros().div_ceil(1000);
    let timeout = u16::try_from(most).map_or(EpollTimeout::NONE, EpollTimeout::from);
    let mut events = [EpollEvent::empty(); N];
    let count = epoll.wait(&mut events, timeout).unwrap_or(0);
    for event in events.iter().take(count) {
        let at = usize::try_from(event.data()).unwrap_or(N);
        if let Some(found) = found.get_mut(at) {
            *found = event.events();
        }
    }
    found
}

/// Makes the next close send RST instead of FIN.
pub(super) fn reset_on_close(stream: &TcpStream) {
    // Fails only on a socket that is gone already.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn listen(receive_buffer: Option<usize>) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    if let Some(bytes) = receive_buffer {
        // Inherited by what is accepted; later it would come too late for the window's scale.
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn accept_all<F>(listener: &TcpListener, stopping: &AtomicBool, serve: &F)
where
    F: Fn(TcpStream, SocketAddr, &AtomicBool) + Send + Sync,
{
    std::thread::scope(|scope| {
        while !stopping.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, client)) => {
                    if stream.set_nonblocking(true).is_ok() && stream.set_nodelay(true).is_ok() {
                        scope.spawn(move || serve(stream, client, stopping));
                    }
                }
                // Nobody there, or a client that has left already.
                Err(_) => std::thread::sleep(ACCEPT_TICK),
            }
        }
    });
}

/// How long a thread may take to see that it must stop.
pub(super) const TICK: Duration = Duration::from_millis(10);
const ACCEPT_TICK: Duration = Duration::from_millis(2);
const BACKLOG: i32 = 1024;
