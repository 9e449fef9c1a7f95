//! Where a server listens. A door is opened before anything else is started, so that what is wrong with it is said at once.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, fchmod};
use nix::unistd::geteuid;
use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;

use crate::access::Token;

/// An open door.
#[derive(Debug)]
pub struct Door(pub(crate) Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    Tcp {
        listener: TcpListener,
        address: SocketAddr,
        token: Option<Token>,
    },
    Unix {
        listener: UnixListener,
        path: PathBuf,
    },
}

/// Why a door cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DoorError {
    /// Others than this machine could come in, and nothing would stop them.
    #[error(
        "{address} can be reached from elsewhere, so it needs a token: give --token-file, or listen on 127.0.0.1"
    )]
    NoToken {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The system refuses an address.
    #[error("cannot listen on {address}: {source}")]
    Tcp {
        /// Where it was to listen.
        address: SocketAddr,
        /// What it said.
        source: io::Error,
    },
    /// Another watcher answers there.
    #[error("another watcher answers on {}", path.display())]
    Taken {
        /// The path.
        path: PathBuf,
    },
    /// Something there is not a socket of ours.
    #[error("{} is not a socket of this user", path.display())]
    Foreign {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses a path.
    #[error("cannot listen on {}: {source}", path.display())]
    Unix {
        /// The path.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl Door {
    /// Listens on an address: without a token on loopback alone, for reading alone. Port 0 lets the system choose.
    pub fn tcp(address: SocketAddr, token: Option<Token>) -> Result<Self, DoorError> {
        if token.is_none() && !is_loopback(address.ip()) {
            return Err(DoorError::NoToken { address });
        }
        let opened = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        });
        match opened {
            Ok((listener, address)) => Ok(Self(Kind::Tcp {
                listener,
                address,
                token,
            })),
            Err(source) => Err(DoorError::Tcp { address, source }),
        }
    }

    /// Listens at a path, for its owner alone and for everything. A socket that a dead watcher left behind is replaced.
    pub fn unix(path: &Path) -> Result<Self, DoorError> {
        let failed = |source| DoorError::Unix {
            path: path.to_owned(),
            source,
        };
        let path = path.to_owned();
        if path.symlink_metadata().is_ok() {
            if !is_ours(&path) {
                return Err(DoorError::Foreign { path });
            }
            if UnixStream::connect(&path).is_ok() {
                return Err(DoorError::Taken { path });
            }
            std::fs::remove_file(&path).map_err(failed)?;
        }
        let listener = bind_private(&path).map_err(failed)?;
        Ok(Self(Kind::Unix { listener, path }))
    }

    /// Where it listens, if that is an address: with the port that the system chose.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp { address, .. } => Some(*address),
            Kind::Unix { .. } => None,
        }
    }
}

/// Its mode is given before it has a name: there is no moment in which others may open it.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    fchmod(socket.as_fd(), Mode::from_bits_truncate(0o600))?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Where a file's mode does not come from the socket, it has it before anybody can connect.
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether this machine alone reaches it.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether root asks a service that runs as somebody else: the socket is in a folder of its owner's, where nobody else may put one.
pub(crate) fn is_of_a_service(path: &Path) -> bool {
    let about = path.symlink_metadata().ok();
    let folder = path.parent().and_then(|folder| folder.metadata().ok());
    about.zip(folder).is_some_and(|(about, folder)| {
        let is_socket = about.file_type().is_socket();
        let is_one_s = about.uid() == folder.uid() && folder.mode() & 0o022 == 0;
        geteuid().is_root() && is_socket && is_one_s
    })
}

/// Whether it is a socket, and nobody but this user or root made it.
pub(crate) fn is_ours(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|about| {
        let owner = about.uid();
        about.file_type().is_socket() && (owner == geteuid().as_raw() || owner == 0)
    })
}

/// Who may wait to be let in.
const BACKLOG: i32 = 128;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn what_others_can_reach_needs_a_token_before_anything_is_bound() {
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
            let opened = Door::tcp(address.parse().unwrap(), None);
            let error = opened.unwrap_err();
            assert!(matches!(error, DoorError::NoToken { .. }), "{error}");
            assert!(error.to_string().contains("--token-file"), "{error}");
        }
        let token = Token::new("0123456789abcdef").unwrap();
        let door = Door::tcp("0.0.0.0:0".parse().unwrap(), Some(token)).unwrap();
        assert_ne!(door.address().unwrap().port(), 0);
        assert!(Door::tcp("127.0.0.1:0".parse().unwrap(), None).is_ok());
    }

    #[test]
    fn a_dead_socket_is_replaced_and_one_that_answers_or_is_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heartline.sock");
        let first = Door::unix(&path).unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(Door::unix(&path), Err(DoorError::Taken { .. })));
        drop(first);
        assert!(Door::unix(&path).is_ok());

        let file = folder.path().join("file");
        std::fs::write(&file, "mine").unwrap();
        assert!(matches!(Door::unix(&file), Err(DoorError::Foreign { .. })));
        assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    }

    #[test]
    fn there_is_no_moment_in_which_others_may_open_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heartline.sock");
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| {
                let mut seen = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    if let Ok(about) = path.symlink_metadata() {
                        seen.push(about.mode() & 0o777);
                        seen.dedup();
                    }
                }
                seen
            });
            for _ in 0..2_000 {
                drop(Door::unix(&path).unwrap());
            }
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(looking.join().unwrap(), [0o600]);
        });
    }
}
