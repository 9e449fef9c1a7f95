//! What is wanted of a running watcher, and where those ask who are no part of it: by a Unix socket, of the same user.

use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

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
    /// What is not up at these nodes is dialed now, also what had given up.
    Redial {
        /// Their names; none: all.
        nodes: Vec<String>,
    },
    /// They no longer are, unless the configuration says so.
    Resume {
        /// Their names; none: all.
        nodes: Vec<String>,
    },
}

/// Of packaging/systemd/heartline.service.
const SERVICE: &str = "/run/heartline/heartline.sock";
