//! What a running watcher knows, for other processes of the same user: a Unix socket that says it and closes.
//!
//! One connection, one JSON array of [`NodeBrief`](crate::NodeBrief)s, end. Nothing is read from whoever connects. The
//! socket's mode lets in its owner alone, and who asks looks at the owner first.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::geteuid;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::engine::Snapshot;

/// `heartline.sock` in `$XDG_RUNTIME_DIR`, or in `/run` for root; `None` where there is no folder that only its user can
/// write to.
pub fn default_path() -> Option<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let folder = runtime.filter(|path| path.is_absolute());
    let folder = folder.or_else(|| geteuid().is_root().then(|| PathBuf::from("/run")));
    folder.map(|folder| folder.join("heartline.sock"))
}

/// Why there is no socket.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SocketError {
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
    /// The system refuses.
    #[error("cannot listen on {}: {source}", path.display())]
    Listen {
        /// The path.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Listens for those who ask. The file goes with it.
#[derive(Debug)]
pub struct StatusSocket {
    listener: UnixListener,
    path: PathBuf,
    asking: Arc<Semaphore>,
}

/// Somebody who asks.
#[derive(Debug)]
pub struct Asker(UnixStream);

impl StatusSocket {
    /// Listens at `path`. A socket that a dead watcher left behind is replaced.
    pub async fn listen(path: &Path) -> Result<Self, SocketError> {
        let failed = |source| SocketError::Listen {
            path: path.to_owned(),
            source,
        };
        if path.symlink_metadata().is_ok() {
            if !is_ours(path) {
                let path = path.to_owned();
                return Err(SocketError::Foreign { path });
            }
            if UnixStream::connect(path).await.is_ok() {
                let path = path.to_owned();
                return Err(SocketError::Taken { path });
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).map_err(failed)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            asking: Arc::new(Semaphore::new(MAX_ASKING)),
        })
    }

    /// The next who asks. Losing the future loses nobody.
    pub async fn asked(&self) -> Asker {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return Asker(stream),
                // Out of descriptors, say: those who wait are still there a little later.
                Err(_) => tokio::time::sleep(REST).await,
            }
        }
    }

    /// Says it, beside everything else; whoever does not listen is dropped, and so is one too many.
    pub fn answer(&self, asker: Asker, snapshot: &Snapshot) {
        let Ok(permit) = Arc::clone(&self.asking).try_acquire_owned() else {
            return;
        };
        let Ok(text) = serde_json::to_vec(snapshot) else {
            return;
        };
        tokio::spawn(async move {
            let Asker(mut stream) = asker;
            let _ = timeout(PATIENCE, stream.write_all(&text)).await;
            drop(permit);
        });
    }
}

impl Drop for StatusSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What the watcher at `path` knows; `None` if none answers there.
pub async fn ask(path: &Path) -> Option<Snapshot> {
    if !is_ours(path) {
        return None;
    }
    let heard = async {
        let stream = UnixStream::connect(path).await.ok()?;
        let mut text = Vec::new();
        let mut limited = stream.take(MAX_ANSWER);
        limited.read_to_end(&mut text).await.ok()?;
        serde_json::from_slice(&text).ok()
    };
    timeout(PATIENCE, heard).await.ok().flatten()
}

/// Whether it is a socket, and nobody but this user or root made it.
fn is_ours(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|about| {
        let owner = about.uid();
        about.file_type().is_socket() && (owner == geteuid().as_raw() || owner == 0)
    })
}

/// Answers being said at a time.
const MAX_ASKING: usize = 32;
/// The longest wait for whoever asks to listen, or for a watcher to answer.
const PATIENCE: Duration = Duration::from_secs(2);
const REST: Duration = Duration::from_millis(200);
/// A hundred thousand lines fit.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;
