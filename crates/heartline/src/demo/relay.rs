//! A cable on loopback: a TCP relay that can be cut, frozen, half-opened, reset and healed.
//!
//! It stands between a line and its node, and does to TCP what happens to real cables. On Linux a
//! cut is one for TCP too, without root: a socket filter that drops every packet (socket(7),
//! `SO_ATTACH_FILTER`) is put on the relay's sockets, so that nothing is acknowledged and no new
//! handshake completed. Elsewhere the relay's own kernel goes on acknowledging while it is cut, and
//! TCP's statistics see a living host and a hung program.
//!
//! While nothing passes, nothing is read: at most 16 KiB wait in here for each direction, the
//! rest in the kernel, until the ends' send buffers are full. Healed, everything that waited goes
//! on its way, as after a real outage. Everything ends when the [`Relay`] is dropped.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use socket2::{SockRef, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// A relay that listens on a port of 127.0.0.1 and forwards to one address.
#[derive(Debug)]
pub(crate) struct Relay {
    addr: SocketAddr,
    cable: watch::Sender<Cable>,
    task: AbortHandle,
}

impl Relay {
    /// Listens on a free port and forwards to `target`. Must be called in a tokio runtime.
    pub(crate) fn start(target: SocketAddr) -> io::Result<Self> {
        let port = Port::take()?;
        let (cable, seen) = watch::channel(Cable::default());
        let addr = port.addr;
        let task = tokio::spawn(relay(port, target, seen)).abort_handle();
        Ok(Self { addr, cable, task })
    }

    /// Where it listens; the same for its whole life.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A pulled cable: nothing passes in either direction, nobody is told.
    pub(crate) fn cut(&self) {
        self.set(Passes::NOTHING);
    }

    /// Nothing passes in this direction, everything in the other.
    pub(crate) fn half_open(&self, silent: Direction) {
        self.set(Passes {
            to_node: silent != Direction::ToNode,
            to_line: silent != Direction::ToLine,
            ..Passes::EVERYTHING
        });
    }

    /// Nobody listens here: new connections are refused, as soon as the relay's task has run. Those
    /// that stand are left as they are.
    pub(crate) fn refuse(&self) {
        self.set(Passes {
            listens: false,
            ..Passes::EVERYTHING
        });
    }

    /// Both ends of every connection get RST. What comes after passes as before.
    pub(crate) fn reset(&self) {
        self.cable.send_modify(|cable| cable.resets += 1);
    }

    /// Everything passes again, first what waited. An end that has gone in the meantime is now
    /// seen to be gone by the other.
    pub(crate) fn heal(&self) {
        self.set(Passes::EVERYTHING);
    }

    fn set(&self, passes: Passes) {
        self.cable.send_modify(|cable| cable.passes = passes);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the line (the watcher's end) to the node.
    ToNode,
    /// From the node to the line.
    ToLine,
}

/// The state of the cable.
#[derive(Clone, Copy, Debug, Default)]
struct Cable {
    passes: Passes,
    /// Counts the resets: a connection that sees it change ends.
    resets: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Passes {
    listens: bool,
    dials: bool,
    to_node: bool,
    to_line: bool,
}

impl Passes {
    const EVERYTHING: Self = Self {
        listens: true,
        dials: true,
        to_node: true,
        to_line: true,
    };
    const NOTHING: Self = Self {
        listens: true,
        dials: false,
        to_node: false,
        to_line: false,
    };

    fn bytes(self, direction: Direction) -> bool {
        match direction {
            Direction::ToNode => self.to_node,
            Direction::ToLine => self.to_line,
        }
    }
}

impl Default for Passes {
    fn default() -> Self {
        Self::EVERYTHING
    }
}

/// A port that stays ours also while nobody listens on it.
#[derive(Debug)]
struct Port {
    addr: SocketAddr,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Listening(TcpListener),
    /// Bound but not listening, so that the kernel refuses who connects.
    Bound {
        _socket: TcpSocket,
    },
}

impl Port {
    fn take() -> io::Result<Self> {
        let listener = bound((Ipv4Addr::LOCALHOST, 0).into())?.listen(BACKLOG)?;
        Ok(Self {
            addr: listener.local_addr()?,
            held: Held::Listening(listener),
        })
    }

    /// Listens or stops listening. The new socket is bound before the old one is closed.
    fn listen(&mut self, wanted: bool) -> io::Result<()> {
        self.held = match (&self.held, wanted) {
            (Held::Listening(_), true) | (Held::Bound { .. }, false) => return Ok(()),
            (Held::Listening(_), false) => Held::Bound {
                _socket: bound(self.addr)?,
            },
            (Held::Bound { .. }, true) => Held::Listening(bound(self.addr)?.listen(BACKLOG)?),
        };
        Ok(())
    }

    /// The next connection; never, while nobody listens.
    async fn accept(&self) -> io::Result<TcpStream> {
        match &self.held {
            Held::Listening(listener) => Ok(listener.accept().await?.0),
            Held::Bound { .. } => std::future::pending().await,
        }
    }

    /// Lets new connections come, or drops what would begin them.
    fn filter(&self, drops: bool) {
        if let Held::Listening(listener) = &self.held {
            filter(&SockRef::from(listener), drops);
        }
    }
}

/// Drops every packet that comes to a socket, or none.
#[cfg(target_os = "linux")]
fn filter(socket: &Socket, drops: bool) {
    /// Classic BPF: return 0, which is: take nothing of the packet.
    const NOTHING: socket2::SockFilter = socket2::SockFilter::new(0x06, 0, 0, 0);
    let _ = if drops {
        socket.attach_filter(&[NOTHING])
    } else {
        socket.detach_filter()
    };
}

#[cfg(not(target_os = "linux"))]
fn filter(_socket: &Socket, _drops: bool) {}

fn bound(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // For the moment of handing the port over from one socket to the next.
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

/// Accepts, and carries every connection in a task of its own. Aborted, it takes them with it.
async fn relay(mut port: Port, target: SocketAddr, mut seen: watch::Receiver<Cable>) {
    let mut connections = JoinSet::new();
    loop {
        let passes = seen.borrow_and_update().passes;
        if let Err(error) = port.listen(passes.listens) {
            tracing::warn!(addr = %port.addr, %error, "Relay cannot change its listening.");
        }
        port.filter(!passes.to_node);
        let room = passes.dials && connections.len() < MAX_CONNECTIONS;
        tokio::select! {
            biased;
            changed = seen.changed() => if changed.is_err() { return },
            Some(_) = connections.join_next() => {}
            accepted = port.accept(), if room => match accepted {
                Ok(line) => {
                    connections.spawn(carry(line, target, seen.clone()));
                }
                Err(error) => {
                    tracing::debug!(addr = %port.addr, %error, "Relay cannot accept.");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            },
        }
    }
}

/// One connection, until both ends have closed, one was lost, or it is reset.
async fn carry(mut line: TcpStream, target: SocketAddr, seen: watch::Receiver<Cable>) {
    let before = seen.borrow().resets;
    let mut waiting = seen.clone();
    let reset = async {
        // An error means that the relay is gone, and this task with it in a moment.
        let _ = waiting.wait_for(|cable| cable.resets != before).await;
    };
    let carried = async {
        let mut node = timeout(DIAL, TcpStream::connect(target)).await??;
        let ended = both_ways(&mut line, &mut node, &seen, reset).await;
        if ended.is_err() {
            node.set_zero_linger()?;
        }
        ended
    };
    if carried.await.is_err() {
        // Fails only on a socket that is gone anyway.
        let _ = line.set_zero_linger();
    }
}

async fn both_ways(
    line: &mut TcpStream,
    node: &mut TcpStream,
    seen: &watch::Receiver<Cable>,
    reset: impl Future<Output = ()>,
) -> io::Result<()> {
    line.set_nodelay(true)?;
    node.set_nodelay(true)?;
    let (line_end, node_end) = (
        SockRef::from(&*line).try_clone()?,
        SockRef::from(&*node).try_clone()?,
    );
    let filtered = drop_packets(line_end, node_end, seen.clone());
    let (mut from_line, mut to_line) = line.split();
    let (mut from_node, mut to_node) = node.split();
    let up = Pump::new(Direction::ToNode, seen).run(&mut from_line, &mut to_node);
    let down = Pump::new(Direction::ToLine, seen).run(&mut from_node, &mut to_line);
    tokio::select! {
        biased;
        () = reset => Err(io::ErrorKind::ConnectionReset.into()),
        () = filtered => Err(io::ErrorKind::ConnectionAborted.into()),
        ended = async { tokio::try_join!(up, down) } => ended.map(drop),
    }
}

/// Keeps both sockets' filters as the cable is, until the relay is gone.
async fn drop_packets(line: Socket, node: Socket, mut seen: watch::Receiver<Cable>) {
    loop {
        let passes = seen.borrow_and_update().passes;
        filter(&line, !passes.to_node);
        filter(&node, !passes.to_line);
        if seen.changed().await.is_err() {
            return;
        }
    }
}

/// Carries bytes in one direction, as far as the cable lets them.
struct Pump {
    direction: Direction,
    seen: watch::Receiver<Cable>,
}

impl Pump {
    fn new(direction: Direction, seen: &watch::Receiver<Cable>) -> Self {
        Self {
            direction,
            seen: seen.clone(),
        }
    }

    /// Until the end of `from` has been passed on to `to`.
    async fn run(mut self, from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = self.while_open(from.read(&mut buffer)).await?;
            let mut rest = buffer.get(..read).unwrap_or_default();
            if rest.is_empty() {
                return self.while_open(to.shutdown()).await;
            }
            while !rest.is_empty() {
                let written = self.while_open(to.write(rest)).await?;
                rest = rest.get(written..).unwrap_or_default();
            }
        }
    }

    /// Acts only while this direction is open: shut in the middle, the act goes on where it was
    /// once the direction is open again.
    async fn while_open<T>(&mut self, act: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let mut act = pin!(act);
        loop {
            self.becomes(true).await?;
            tokio::select! {
                biased;
                shut = self.becomes(false) => shut?,
                done = &mut act => return done,
            }
        }
    }

    async fn becomes(&mut self, open: bool) -> io::Result<()> {
        let direction = self.direction;
        let becomes = self
            .seen
            .wait_for(|cable| cable.passes.bytes(direction) == open);
        match becomes.await {
            Ok(_) => Ok(()),
            Err(_) => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

const BUFFER: usize = 16 * 1024;
const BACKLOG: u32 = 128;
/// A demonstration has a handful; a bug in it may not take every descriptor.
const MAX_CONNECTIONS: usize = 64;
const DIAL: Duration = Duration::from_secs(5);
const ACCEPT_REST: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
