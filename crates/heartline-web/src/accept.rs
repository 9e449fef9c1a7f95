//! Lets connections in, a bounded number in all and from one address, each with a bound on how long it may keep us waiting.

mod crowd;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_io_timeout::TimeoutStream;

use crowd::{Crowd, Place};

/// A door that somebody stands at.
pub(crate) enum Listening {
    Tcp {
        listener: TcpListener,
        routes: Router,
    },
    Unix {
        listener: UnixListener,
        routes: Router,
    },
}

/// Who asks; none by the Unix socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) Option<IpAddr>);

/// What a connection takes up, until it ends.
struct Room {
    _permit: OwnedSemaphorePermit,
    /// None by the Unix socket.
    _place: Option<Place>,
}

impl Peer {
    /// The address that stands for all that whoever has it may have: whoever has one of IPv6 has 2^64 of them.
    pub(crate) fn network(self) -> Option<IpAddr> {
        self.0.map(|address| match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() >> 64 << 64).into(),
        })
    }
}

impl Listening {
    /// Lets in as many as there is room for. One too many waits in the system's queue, since one of the others will be done; of one address, it is let go at once.
    pub(crate) async fn run(self) {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let crowd = Crowd::new(OF_ONE);
        loop {
            let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
                return;
            };
            let taken = match &self {
                Self::Tcp { listener, routes } => listener.accept().await.map(|(stream, from)| {
                    let peer = Peer(Some(from.ip().to_canonical()));
                    let Some(place) = crowd.enter(peer) else {
                        return;
                    };
                    // An event is not to wait for the acknowledgement of the one before it.
                    let _ = stream.set_nodelay(true);
                    let room = Room {
                        _permit: permit,
                        _place: Some(place),
                    };
                    tokio::spawn(serve(stream, peer, routes.clone(), room));
                }),
                Self::Unix { listener, routes } => listener.accept().await.map(|(stream, _)| {
                    let room = Room {
                        _permit: permit,
                        _place: None,
                    };
                    tokio::spawn(serve(stream, Peer(None), routes.clone(), room));
                }),
            };
            if taken.is_err() {
                // Out of descriptors, say: those who wait are still there a little later.
                sleep(REST).await;
            }
        }
    }
}

/// One connection, until it ends. Whoever takes nothing for [`STALL`] is let go.
async fn serve<S>(stream: S, peer: Peer, routes: Router, room: Room)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STALL));
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        hyper::service::Service::call(&routes, request)
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(MAX_HEADERS)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .await;
    drop(room);
}

/// Connections at a time through one door.
const CONNECTIONS: usize = 256;
/// Of these, from one address.
const OF_ONE: usize = 32;
/// From one answer to the next request's last header.
const HEADERS: Duration = Duration::from_secs(5);
const STALL: Duration = Duration::from_secs(10);
/// A name of a thousand characters, each written as `%xx`, fits.
const MAX_HEADERS: usize = 64 * 1024;
const REST: Duration = Duration::from_millis(200);
