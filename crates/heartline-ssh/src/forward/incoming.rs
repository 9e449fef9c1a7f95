//! What connects to the node where it listens for us.

use std::net::{IpAddr, SocketAddr};

use russh::client::{ChannelOpenHandle, Msg};
use russh::{Channel, ChannelOpenFailure};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::{FarEnd, FarStream, Forwards};

/// The node listens. When this is dropped nobody answers there any more, and the node is told to stop.
#[derive(Debug)]
pub struct Listening {
    forwards: Forwards,
    at: FarEnd,
    port: u16,
    stands: bool,
    door: u64,
    arriving: mpsc::Receiver<Arriving>,
}

/// Somebody connected there, and waits. When this is dropped it is refused.
#[derive(Debug)]
pub struct Incoming {
    arriving: Arriving,
    forwards: Forwards,
}

/// What the handler has of one.
pub(crate) struct Arriving {
    pub(crate) channel: Channel<Msg>,
    pub(crate) reply: ChannelOpenHandle,
    pub(crate) from: Option<SocketAddr>,
}

/// Where the node listens for us, by one session.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    doors: Vec<Door>,
    next: u64,
}

#[derive(Debug)]
struct Door {
    id: u64,
    at: FarEnd,
    /// The node has chosen it, if it was to.
    port: Option<u16>,
    send: mpsc::Sender<Arriving>,
}

impl Listening {
    /// Before the node is asked, so that none that comes at once is turned away.
    pub(super) fn begin(forwards: Forwards, at: FarEnd, queue: usize) -> Self {
        let (door, arriving) = forwards.doors(|doors| doors.open(&at, queue));
        Self {
            forwards,
            at,
            port: 0,
            stands: false,
            door,
            arriving,
        }
    }

    /// The node listens, there if it was to choose.
    pub(super) fn stands(&mut self, port: u16) {
        (self.stands, self.port) = (true, port);
        self.forwards.doors(|doors| doors.chose(self.door, port));
    }

    /// The port it listens on, the node's choice if that was asked for; 0 for a Unix socket.
    pub fn port(&self) -> u16 {
        match self.at {
            FarEnd::Tcp { port, .. } if port != 0 => port,
            _ => self.port,
        }
    }

    /// The next that connects; none, when the session is over. Losing the future loses nothing.
    pub async fn next(&mut self) -> Option<Incoming> {
        let arriving = self.arriving.recv().await?;
        Some(Incoming {
            arriving,
            forwards: self.forwards.clone(),
        })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.forwards.doors(|doors| doors.close(self.door));
        if !self.stands {
            return;
        }
        let Some(handle) = self.forwards.session.upgrade() else {
            return;
        };
        let (at, port) = (self.at.clone(), u32::from(self.port()));
        tokio::spawn(async move {
            let _ = match at {
                FarEnd::Tcp { host, .. } => handle.cancel_tcpip_forward(host, port).await,
                FarEnd::Unix { path } => handle.cancel_streamlocal_forward(path).await,
            };
        });
    }
}

impl Incoming {
    /// Who connected, as the node says; none for a Unix socket.
    pub fn from(&self) -> Option<SocketAddr> {
        self.arriving.from
    }

    /// Lets it in.
    pub async fn accept(self) -> FarStream {
        let Arriving { channel, reply, .. } = self.arriving;
        // Before anything can come on it.
        let stream = self.forwards.stream(channel);
        reply.accept().await;
        stream
    }

    /// Tells the node that there is nobody to connect it with.
    pub async fn refuse(self) {
        let reply = self.arriving.reply;
        reply.reject(ChannelOpenFailure::ConnectFailed).await;
    }
}

impl Doors {
    fn open(&mut self, at: &FarEnd, queue: usize) -> (u64, mpsc::Receiver<Arriving>) {
        let (send, arriving) = mpsc::channel(queue.max(1));
        let id = self.next;
        self.next += 1;
        let port = match at {
            FarEnd::Tcp { port: 0, .. } | FarEnd::Unix { .. } => None,
            FarEnd::Tcp { port, .. } => Some(*port),
        };
        self.doors.push(Door {
            id,
            at: at.clone(),
            port,
            send,
        });
        (id, arriving)
    }

    fn chose(&mut self, id: u64, port: u16) {
        if let Some(door) = self.doors.iter_mut().find(|door| door.id == id) {
            door.port = door.port.or(Some(port));
        }
    }

    fn close(&mut self, id: u64) {
        self.doors.retain(|door| door.id != id);
    }

    /// Somebody connected to this port of the node, at an address that the node calls as we did.
    pub(crate) fn tcp(&self, address: &str, port: u32) -> Option<mpsc::Sender<Arriving>> {
        let port = u16::try_from(port).ok()?;
        let is_it = |door: &&Door| match &door.at {
            FarEnd::Tcp { host, .. } => {
                (door.port == Some(port) || door.port.is_none()) && host == address
            }
            FarEnd::Unix { .. } => false,
        };
        self.doors.iter().find(is_it).map(|door| door.send.clone())
    }

    /// The same of a Unix socket.
    pub(crate) fn unix(&self, path: &str) -> Option<mpsc::Sender<Arriving>> {
        let is_it = |door: &&Door| matches!(&door.at, FarEnd::Unix { path: at } if at == path);
        self.doors.iter().find(is_it).map(|door| door.send.clone())
    }
}

impl Arriving {
    /// To whoever listens; refused, if nobody does or too many wait.
    pub(crate) async fn send_to(self, door: Option<mpsc::Sender<Self>>) {
        let Some(door) = door else { return };
        if let Err(TrySendError::Full(arriving) | TrySendError::Closed(arriving)) =
            door.try_send(self)
        {
            let reply = arriving.reply;
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
        }
    }

    /// The address that the node gives for whoever connected.
    pub(crate) fn origin(address: &str, port: u32) -> Option<SocketAddr> {
        let address: IpAddr = address.parse().ok()?;
        Some(SocketAddr::new(address, u16::try_from(port).ok()?))
    }
}

impl std::fmt::Debug for Arriving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Arriving(from {:?})", self.from)
    }
}
