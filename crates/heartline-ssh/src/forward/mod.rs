//! Connections through a session: to what its node reaches, and from what reaches its node.
//!
//! [`Forwards::connect`] is one connection from here to there (RFC 4254, section 7.2; for a Unix socket OpenSSH's PROTOCOL,
//! section 2.4). [`Forwards::listen`] lets the node listen for us (section 7.1), and what connects there comes as
//! [`Incoming`]. Either becomes a [`FarStream`]: bytes both ways, each with flow control of its own, so that one which
//! nobody reads stops nobody else.
//!
//! Not here: sockets on our side, which session is used, and when one is dialed again.

use std::fmt;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use russh::client::{Handle, Msg};
use russh::{Channel, ChannelOpenFailure, Error};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::escape::escape;
use crate::handler::{Listener, SharedLearnt, refusal_words};

mod incoming;
mod stream;

pub(crate) use incoming::{Arriving, Doors};
pub use incoming::{Incoming, Listening};
pub use stream::{FarInput, FarOutput, FarStream};

/// Where a connection ends, or is listened for, at the far end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FarEnd {
    /// A TCP port; the name is resolved there.
    Tcp {
        /// Name or address. To listen: the address to bind, empty for all, `localhost` for loopback alone (RFC 4254,
        /// section 7.1).
        host: String,
        /// 1 to 65535. To listen: 0 lets the node choose.
        port: u16,
    },
    /// A Unix socket.
    Unix {
        /// Its path there.
        path: String,
    },
}

/// Makes connections through one session, for as long as that lives. It keeps no session alive.
#[derive(Clone)]
pub struct Forwards {
    session: Weak<Handle<Listener>>,
    learnt: SharedLearnt,
}

/// Why there is no connection, or nobody listens.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// The node could not connect.
    #[error("the node cannot connect: {why}")]
    NoConnection {
        /// What it says, escaped: `Connection refused`.
        why: String,
    },
    /// The node does not do that for us: `AllowTcpForwarding`, `PermitOpen`, `AllowStreamLocalForwarding`, `restrict`.
    #[error("the node does not allow it: {why}")]
    Prohibited {
        /// What it says, escaped.
        why: String,
    },
    /// The node has no room for another channel.
    #[error("the node has no room for it: {why}")]
    NoRoom {
        /// What it says, escaped.
        why: String,
    },
    /// The node does not listen there. It says no more than that: the port is in use, privileged, or not allowed
    /// (`AllowTcpForwarding`, `PermitListen`).
    #[error("the node does not listen there")]
    NotListening,
    /// No answer.
    #[error("no answer within {after:?}")]
    Mute {
        /// For this long.
        after: Duration,
    },
    /// The session is over.
    #[error("the session is over")]
    Over,
}

impl Forwards {
    pub(crate) fn new(session: Weak<Handle<Listener>>, learnt: SharedLearnt) -> Self {
        Self { session, learnt }
    }

    /// Whether both go through one session.
    pub fn is_same(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.session, &other.session)
    }

    /// Whether the session that it goes through is over.
    pub fn is_over(&self) -> bool {
        self.session
            .upgrade()
            .is_none_or(|handle| handle.is_closed())
    }

    /// Connections and commands of the session that have not come to their end.
    pub fn open_channels(&self) -> usize {
        self.learn(|learnt| learnt.inboxes.count())
    }

    /// Connects there, for somebody at `from`, within `patience`.
    ///
    /// # Errors
    /// Nothing is left open there.
    pub async fn connect(
        &self,
        to: &FarEnd,
        from: Option<std::net::SocketAddr>,
        patience: Duration,
    ) -> Result<FarStream, ForwardError> {
        let handle = self.session.upgrade().ok_or(ForwardError::Over)?;
        let (this, to, origin) = (self.clone(), to.clone(), Origin::of(from));
        // What comes of it closes itself when nobody takes it.
        in_time(patience, async move {
            let opened = open(&handle, to, origin).await;
            opened.map(|channel| this.stream(channel)).map_err(refused)
        })
        .await
    }

    /// Lets the node listen there, and takes up to `queue` connections that nobody has taken yet; further ones are refused.
    ///
    /// # Errors
    /// Nobody listens then.
    pub async fn listen(
        &self,
        at: &FarEnd,
        queue: usize,
        patience: Duration,
    ) -> Result<Listening, ForwardError> {
        let handle = self.session.upgrade().ok_or(ForwardError::Over)?;
        let (this, at) = (self.clone(), at.clone());
        // It, too: the node is told to stop.
        in_time(patience, async move {
            let mut listening = Listening::begin(this, at.clone(), queue);
            let asked = match at {
                FarEnd::Tcp { host, port } => handle.tcpip_forward(host, port.into()).await,
                FarEnd::Unix { path } => handle.streamlocal_forward(path).await.map(|()| 0),
            };
            match asked {
                Ok(port) => {
                    listening.stands(u16::try_from(port).unwrap_or_default());
                    Ok(listening)
                }
                Err(Error::RequestDenied) => Err(ForwardError::NotListening),
                Err(_) => Err(ForwardError::Over),
            }
        })
        .await
    }

    fn stream(&self, channel: Channel<Msg>) -> FarStream {
        let inboxes = self.learn(|learnt| learnt.inboxes.clone());
        FarStream::new(channel, &inboxes)
    }

    fn doors<T>(&self, what: impl FnOnce(&mut Doors) -> T) -> T {
        self.learn(|learnt| what(&mut learnt.doors))
    }

    fn learn<T>(&self, what: impl FnOnce(&mut crate::handler::Learnt) -> T) -> T {
        what(&mut self.learnt.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whom a connection is for, as the peer is told.
struct Origin {
    address: String,
    port: u32,
}

impl Origin {
    fn of(from: Option<std::net::SocketAddr>) -> Self {
        match from {
            Some(from) => Self {
                address: from.ip().to_string(),
                port: from.port().into(),
            },
            // As ssh says it of a Unix socket.
            None => Self {
                address: "127.0.0.1".to_owned(),
                port: 0,
            },
        }
    }
}

async fn open(
    handle: &Arc<Handle<Listener>>,
    to: FarEnd,
    origin: Origin,
) -> Result<Channel<Msg>, Error> {
    match to {
        FarEnd::Tcp { host, port } => {
            let (address, from) = (origin.address, origin.port);
            handle
                .channel_open_direct_tcpip(host, port.into(), address, from)
                .await
        }
        FarEnd::Unix { path } => handle.channel_open_direct_streamlocal(path).await,
    }
}

/// Waits so long for it. It goes on by itself until it is done, or the session is over, since what russh has begun it does not
/// take back; what comes of it too late is dropped.
async fn in_time<T: Send + 'static>(
    patience: Duration,
    work: impl Future<Output = Result<T, ForwardError>> + Send + 'static,
) -> Result<T, ForwardError> {
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        let _ = tell.send(work.await);
    });
    match timeout(patience, told).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(ForwardError::Over),
        Err(_) => Err(ForwardError::Mute { after: patience }),
    }
}

fn refused(error: Error) -> ForwardError {
    let Error::ChannelOpenFailure(reason, words) = error else {
        return ForwardError::Over;
    };
    let why = refusal_words(&words);
    match reason {
        ChannelOpenFailure::AdministrativelyProhibited | ChannelOpenFailure::UnknownChannelType => {
            ForwardError::Prohibited { why }
        }
        ChannelOpenFailure::ResourceShortage => ForwardError::NoRoom { why },
        _ => ForwardError::NoConnection { why },
    }
}

impl fmt::Debug for Forwards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Forwards(over: {})", self.is_over())
    }
}

impl fmt::Display for FarEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => {
                let host = escape(host.as_bytes(), MAX_NAME);
                if host.contains(':') {
                    write!(f, "[{host}]:{port}")
                } else {
                    write!(f, "{host}:{port}")
                }
            }
            Self::Unix { path } => f.write_str(&escape(path.as_bytes(), MAX_NAME)),
        }
    }
}

/// A path, or a name of RFC 1035.
const MAX_NAME: usize = 255;
