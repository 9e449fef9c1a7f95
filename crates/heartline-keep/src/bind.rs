//! Sockets on our side on which connections come in.
//!
//! Where one listens follows ssh's rules (`channel_fwd_bind_addr` in channels.c): loopback unless `GatewayPorts` or an
//! address says otherwise; nothing and `*` stand for all addresses. They are bound once and stay so, whatever becomes of the
//! lines.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, lookup_host};
use tokio::time::timeout;

use heartline_ssh::settings::Listen;

/// What ssh_config says of sockets on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindRules {
    /// `GatewayPorts`: a port without an address is bound to all of them.
    pub gateway_ports: bool,
    /// `StreamLocalBindUnlink`: a socket that is there is removed before.
    pub unlink: bool,
    /// `StreamLocalBindMask`: what may not be done to a Unix socket, as of umask(2).
    pub mask: u32,
}

impl Default for BindRules {
    fn default() -> Self {
        Self {
            gateway_ports: false,
            unlink: false,
            mask: 0o177,
        }
    }
}

/// Why nobody listens.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// Somebody else does.
    #[error("{at} is in use{}", by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default())]
    InUse {
        /// Where.
        at: String,
        /// Which process, if we may know.
        by: Option<String>,
    },
    /// Ports below 1024 need a right.
    #[error("{at} is a privileged port; take one from 1024 on, or grant CAP_NET_BIND_SERVICE")]
    Privileged {
        /// Where.
        at: String,
    },
    /// No such name or address here.
    #[error("{at} is no address of this machine")]
    NoAddress {
        /// What was given.
        at: String,
    },
    /// Whatever the system says.
    #[error("cannot listen on {at}: {source}")]
    Io {
        /// Where.
        at: String,
        /// What it says.
        source: io::Error,
    },
}

/// Where connections come in.
#[derive(Debug)]
pub(crate) enum Listener {
    /// One, or two where both IPv4 and IPv6 are meant.
    Tcp(Vec<TcpListener>),
    /// A Unix socket, removed in the end.
    Unix {
        listener: UnixListener,
        _removed: Removed,
    },
}

/// A connection that came in.
#[derive(Debug)]
pub(crate) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// A path that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Listens there.
pub(crate) async fn bind(listen: &Listen, rules: BindRules) -> Result<Listener, BindError> {
    match listen {
        Listen::Tcp { bind, port } => tcp(bind.as_deref(), *port, rules.gateway_ports).await,
        Listen::Unix(path) => unix(path, rules),
    }
}

impl Listener {
    /// The next that comes in. Losing the future loses nothing.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok(Accepted::Unix(stream))
            }
            Self::Tcp(listeners) => {
                let (stream, from) = std::future::poll_fn(|cx| {
                    let mut come = listeners.iter().map(|listener| listener.poll_accept(cx));
                    come.find(std::task::Poll::is_ready)
                        .unwrap_or(std::task::Poll::Pending)
                })
                .await?;
                // As ssh: what is typed through a tunnel is not to wait for more.
                let _ = stream.set_nodelay(true);
                Ok(Accepted::Tcp(stream, from))
            }
        }
    }
}

async fn tcp(bind: Option<&str>, port: u16, gateway: bool) -> Result<Listener, BindError> {
    let any = [
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    ];
    let loopback = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    let addresses = match bind {
        Some("" | "*") => any.to_vec(),
        None if gateway => any.to_vec(),
        None | Some("localhost") => loopback.to_vec(),
        Some(name) => resolve(name).await?,
    };
    let mut listeners = Vec::new();
    let mut refused = None;
    for address in addresses {
        let at = SocketAddr::new(address, port);
        match listen(at) {
            Ok(listener) => listeners.push(listener),
            // A machine without the other family has it not. That somebody else has the port there is another thing, and unlike
            // with ssh it fails: who connects to localhost would find now us, now them.
            Err(error) => {
                let is_other_family = address.is_ipv6()
                    && matches!(
                        error.kind(),
                        ErrorKind::Unsupported | ErrorKind::AddrNotAvailable
                    );
                if !is_other_family || refused.is_none() {
                    refused = refused.or(Some((at, error)));
                }
            }
        }
    }
    match refused {
        Some((at, error)) if listeners.is_empty() || error.kind() == ErrorKind::AddrInUse => {
            Err(why(at.to_string(), Some(port), error))
        }
        _ => Ok(Listener::Tcp(listeners)),
    }
}

async fn resolve(name: &str) -> Result<Vec<IpAddr>, BindError> {
    let none = || BindError::NoAddress {
        at: heartline_ssh::escape(name.as_bytes(), MAX_NAME),
    };
    let found = timeout(RESOLVE, lookup_host((name, 0))).await;
    let found = found.map_err(|_| none())?.map_err(|_| none())?;
    let addresses: Vec<_> = found.map(|address| address.ip()).collect();
    if addresses.is_empty() {
        return Err(none());
    }
    Ok(addresses)
}

fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM.nonblocking(), None)?;
    // One that was held a moment ago, by us before a restart, may be had again.
    socket.set_reuse_address(true)?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&SockAddr::from(at))?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn unix(path: &str, rules: BindRules) -> Result<Listener, BindError> {
    let at = heartline_ssh::escape(path.as_bytes(), MAX_NAME);
    if rules.unlink && is_socket(Path::new(path)) {
        let _ = std::fs::remove_file(path);
    }
    let bound = || -> io::Result<UnixListener> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        // Before it has a name: there is no moment in which others may use it.
        let mode = Mode::from_bits_truncate(0o777 & !rules.mask);
        fchmod(socket.as_fd(), mode)?;
        socket.bind(&SockAddr::unix(path)?)?;
        socket.listen(BACKLOG)?;
        UnixListener::from_std(socket.into())
    };
    let listener = bound().map_err(|error| why(at, None, error))?;
    Ok(Listener::Unix {
        listener,
        _removed: Removed(path.into()),
    })
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    path.symlink_metadata()
        .is_ok_and(|found| found.file_type().is_socket())
}

fn why(at: String, port: Option<u16>, source: io::Error) -> BindError {
    match source.kind() {
        ErrorKind::AddrInUse => BindError::InUse {
            at,
            by: port.and_then(holder),
        },
        ErrorKind::PermissionDenied if port.is_some_and(|port| port < 1_024) => {
            BindError::Privileged { at }
        }
        ErrorKind::AddrNotAvailable => BindError::NoAddress { at },
        _ => BindError::Io { at, source },
    }
}

/// Which process listens there; none, if that is not for us to know.
fn holder(port: u16) -> Option<String> {
    let process = listeners::get_process_by_port(port, listeners::Protocol::TCP).ok()?;
    let name = heartline_ssh::escape(process.name.as_bytes(), MAX_NAME);
    Some(format!("{name} (process {})", process.pid))
}

/// Connections that may wait to be taken; the kernel's own bound is net.core.somaxconn.
const BACKLOG: i32 = 4_096;
/// For a name of this machine.
const RESOLVE: Duration = Duration::from_secs(5);
const MAX_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn at(bind: Option<&str>, port: u16) -> Listen {
        Listen::Tcp {
            bind: bind.map(str::to_owned),
            port,
        }
    }

    async fn addresses(bind: Option<&str>, gateway: bool) -> Vec<String> {
        let rules = BindRules {
            gateway_ports: gateway,
            ..BindRules::default()
        };
        let Listener::Tcp(listeners) = super::bind(&at(bind, 0), rules).await.unwrap() else {
            panic!("no TCP")
        };
        let of = |listener: &TcpListener| listener.local_addr().unwrap().ip().to_string();
        listeners.iter().map(of).collect()
    }

    #[tokio::test]
    async fn loopback_unless_asked_otherwise() {
        let (near, all) = ("127.0.0.1".to_owned(), "0.0.0.0".to_owned());
        assert_eq!(addresses(None, false).await[0], near);
        assert_eq!(addresses(Some("localhost"), true).await[0], near);
        assert_eq!(addresses(None, true).await[0], all);
        for any in ["", "*"] {
            assert_eq!(addresses(Some(any), false).await[0], all);
        }
        assert_eq!(addresses(Some("127.0.0.5"), true).await, ["127.0.0.5"]);
    }

    #[tokio::test]
    async fn who_holds_a_port_is_named() {
        let held = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = held.local_addr().unwrap().port();
        let refused = bind(&at(None, port), BindRules::default()).await;
        let said = refused.unwrap_err().to_string();
        let us = std::process::id().to_string();
        assert!(
            said.contains("is in use by") && said.contains(&us),
            "{said}"
        );
        let refused = bind(&at(Some("192.0.2.1"), 0), BindRules::default()).await;
        assert!(
            matches!(refused, Err(BindError::NoAddress { .. })),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn a_unix_socket_is_ours_alone_and_goes_with_us() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listen = Listen::Unix(path.display().to_string());
        let listener = bind(&listen, BindRules::default()).await.unwrap();
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let again = bind(&listen, BindRules::default()).await;
        assert!(matches!(again, Err(BindError::InUse { .. })), "{again:?}");
        drop(listener);
        assert!(!path.exists());
        std::fs::write(&path, "no socket").unwrap();
        let unlinking = BindRules {
            unlink: true,
            ..BindRules::default()
        };
        assert!(bind(&listen, unlinking).await.is_err());
        assert!(path.exists(), "a file was removed");
        std::fs::remove_file(&path).unwrap();
        let stale = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(stale);
        bind(&listen, unlinking).await.unwrap();
    }
}
