//! What a running watcher knows and can be told, for other processes of the same user: a Unix socket.
//!
//! One connection: one JSON object that says what is wanted ([`Request`]), up to 64 KiB and the end of what is written; one JSON array of
//! [`NodeBrief`](crate::NodeBrief)s, as things are after that; end. Who says nothing for a quarter of a second wants to know, and no more. The
//! socket's mode lets in its owner alone, and who asks looks at the owner first.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::engine::Snapshot;

/// `heartline.sock` in `$XDG_RUNTIME_DIR`, or in `/run` for root; systemd's `$RUNTIME_DIRECTORY` before both; `None` where there is no folder that only its
/// user can write to.
pub fn default_path() -> Option<PathBuf> {
    let folder = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let folder = folder("RUNTIME_DIRECTORY").or_else(|| folder("XDG_RUNTIME_DIR"));
    let folder = folder.or_else(|| geteuid().is_root().then(|| PathBuf::from("/run")));
    folder.map(|folder| folder.join("heartline.sock"))
}

/// Where a watcher is to be asked: as [`default_path`]; for root, where nothing is there, the socket of heartline.service.
pub fn asked_path() -> Option<PathBuf> {
    let own = default_path();
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    if geteuid().is_root() && !own.as_deref().is_some_and(is_there) && is_there(Path::new(SERVICE))
    {
        return Some(PathBuf::from(SERVICE));
    }
    own
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

/// What is wanted of a running watcher.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// To know.
    #[default]
    Status,
    /// These nodes are under maintenance: nobody dials them.
    Pause {
        /// Their names; none: all.
        nodes: Vec<String>,
        /// For so many milliseconds; none: until somebody says otherwise.
        for_ms: Option<u64>,
    },
    /// They no longer are, unless the configuration says so.
    Resume {
        /// Their names; none: all.
        nodes: Vec<String>,
    },
    /// What is not up at these nodes is dialed now, also what had given up.
    Redial {
        /// Their names; none: all.
        nodes: Vec<String>,
    },
}

/// Listens for those who ask. The file goes with it.
#[derive(Debug)]
pub struct StatusSocket {
    path: PathBuf,
    asked: Mutex<mpsc::Receiver<Asker>>,
    accepting: JoinHandle<()>,
}

/// Somebody who asks.
#[derive(Debug)]
pub struct Asker {
    stream: UnixStream,
    /// What for.
    pub request: Request,
    _permit: OwnedSemaphorePermit,
}

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
        let (tell, asked) = mpsc::channel(MAX_ASKING);
        Ok(Self {
            path: path.to_owned(),
            asked: Mutex::new(asked),
            accepting: tokio::spawn(accept(listener, tell)),
        })
    }

    /// The next who asks, with what for. Losing the future loses nobody.
    pub async fn asked(&self) -> Asker {
        match self.asked.lock().await.recv().await {
            Some(asker) => asker,
            None => std::future::pending().await,
        }
    }

    /// Says it, beside everything else; whoever does not listen is dropped.
    pub fn answer(&self, asker: Asker, snapshot: &Snapshot) {
        let Ok(text) = serde_json::to_vec(snapshot) else {
            return;
        };
        tokio::spawn(async move {
            let mut asker = asker;
            let _ = timeout(PATIENCE, asker.stream.write_all(&text)).await;
        });
    }
}

/// Lets in as many as there is room for; one too many is dropped.
async fn accept(listener: UnixListener, tell: mpsc::Sender<Asker>) {
    let asking = Arc::new(Semaphore::new(MAX_ASKING));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, say: those who wait are still there a little later.
            tokio::time::sleep(REST).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&asking).try_acquire_owned() else {
            continue;
        };
        let tell = tell.clone();
        tokio::spawn(async move {
            let mut stream = stream;
            if let Some(request) = read_request(&mut stream).await {
                let asker = Asker {
                    stream,
                    request,
                    _permit: permit,
                };
                let _ = tell.send(asker).await;
            }
        });
    }
}

/// None, if it is none that we know.
async fn read_request(stream: &mut UnixStream) -> Option<Request> {
    let mut text = Vec::new();
    let mut limited = stream.take(MAX_REQUEST);
    let read = timeout(SILENCE, limited.read_to_end(&mut text)).await;
    match read {
        Ok(Ok(0)) => Some(Request::Status),
        Ok(Ok(_)) => serde_json::from_slice(&text).ok(),
        Err(_) if text.is_empty() => Some(Request::Status),
        Ok(Err(_)) | Err(_) => None,
    }
}

impl Drop for StatusSocket {
    fn drop(&mut self) {
        self.accepting.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What the watcher at `path` knows, once it has done what is wanted; `None` if none answers there.
pub async fn ask(path: &Path, request: &Request) -> Option<Snapshot> {
    if !is_ours(path) {
        return None;
    }
    let heard = async {
        let mut stream = UnixStream::connect(path).await.ok()?;
        stream
            .write_all(&serde_json::to_vec(request).ok()?)
            .await
            .ok()?;
        stream.shutdown().await.ok()?;
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
/// Who has said nothing for so long wants nothing but to know.
const SILENCE: Duration = Duration::from_millis(250);
/// A thousand names fit.
const MAX_REQUEST: u64 = 64 * 1024;
/// A hundred thousand lines fit.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;
/// Of packaging/systemd/heartline.service.
const SERVICE: &str = "/run/heartline/heartline.sock";
