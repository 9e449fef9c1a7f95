//! Where the journal is, and whose it is.

use std::env;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;

/// `journal.db` in the state directory: systemd's `$STATE_DIRECTORY`, else `$XDG_STATE_HOME/heartline`, else `/var/lib/heartline` for root, else
/// `~/.local/state/heartline`; none, where there is no home.
pub fn default_path() -> Option<PathBuf> {
    let folder = |name: &str| {
        let path = PathBuf::from(env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let state = folder("STATE_DIRECTORY");
    let state = state.or_else(|| Some(folder("XDG_STATE_HOME")?.join("heartline")));
    let root = || {
        geteuid()
            .is_root()
            .then(|| PathBuf::from("/var/lib/heartline"))
    };
    let home = || Some(folder("HOME")?.join(".local/state/heartline"));
    let state = state.or_else(root).or_else(home);
    state.map(|state| state.join("journal.db"))
}

/// A place for a journal that no other watcher writes to, for as long as this is kept.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    lock: Option<Flock<File>>,
}

impl Place {
    /// Takes it; an error, if another watcher has it. A disk that does not let us now is asked again when something is to be written.
    pub fn take(path: &Path) -> io::Result<Self> {
        let mut place = Self {
            path: path.to_owned(),
            lock: None,
        };
        match place.hold() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Ok(()) | Err(_) => Ok(place),
        }
    }

    /// Makes sure that nobody else has it. Its folder is made where there is none, for nobody else to see.
    pub(crate) fn hold(&mut self) -> io::Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        let path = &self.path;
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        let lock = beside(path, ".lock");
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).open(lock)?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        self.lock = Some(lock.map_err(|(_, errno)| io::Error::from(errno))?);
        Ok(())
    }

    /// The journal's file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The file of this name and more.
pub(crate) fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    name.into()
}
