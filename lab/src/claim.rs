//! A lab's claim on the machine: its unique id, its folder, and the proof that its owner lives.
//!
//! The owner holds a lock on a file in the folder. The kernel drops it when the process dies,
//! however it dies, so the next lab on this machine can tell leftovers from a lab at work and
//! clears them: a test that was killed leaves nothing for longer than that.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::namespace;

#[derive(Debug)]
pub(crate) struct Claim {
    id: String,
    dir: PathBuf,
    // Held for its lock alone.
    _owner: File,
}

impl Claim {
    /// Clears what dead labs left, then claims a fresh id and folder.
    pub(crate) fn new(test: &str) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let _turn = turn()?;
        sweep()?;
        let id = format!(
            "hl-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let dir = Path::new(BASE).join(&id);
        fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
        // sshd refuses authorized_keys below a folder others may write to, and its user must be
        // able to read them: whatever the umask is, 0755.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
        let mut owner = File::create(dir.join(OWNER))?;
        writeln!(owner, "{test}")?;
        owner.lock()?;
        Ok(Self {
            id,
            dir,
            _owner: owner,
        })
    }

    /// `hl-PID-N`; the names of all its namespaces start with this and a dash.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// `/run/heartline-lab/ID`, owned by root.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Err(why) = clear(&self.id, &self.dir) {
            eprintln!(
                "lab: {} not cleared (the next lab will try again): {why:#}",
                self.id
            );
        }
    }
}

/// One process at a time makes or sweeps claims, makes the test user, and makes namespaces for the
/// first time (`ip` sets up `/run/netns` then). Released when dropped.
pub(crate) fn turn() -> Result<File> {
    fs::create_dir_all(BASE).context(BASE)?;
    fs::set_permissions(BASE, fs::Permissions::from_mode(0o755))?;
    let path = Path::new(BASE).join("turn");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .context("the lab's turn")?;
    let deadline = Instant::now() + TURN_CEILING;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(why) => bail!("{} stays locked: {why}", path.display()),
        }
    }
}

/// Clears every claim whose owner is dead. The caller has the turn.
fn sweep() -> Result<()> {
    for entry in fs::read_dir(BASE).context(BASE)?.flatten() {
        let Ok(id) = entry.file_name().into_string() else {
            continue;
        };
        let dir = entry.path();
        if !id.starts_with("hl-") {
            continue;
        }
        let held = File::open(dir.join(OWNER)).is_ok_and(|file| file.try_lock().is_err());
        if !held {
            // One leftover that resists must not stop every later test.
            if let Err(why) = clear(&id, &dir) {
                eprintln!("lab: leftover {id} not cleared: {why:#}");
            }
        }
    }
    Ok(())
}

/// Ends the processes, then the namespaces, then the folder: in this order a failure half way
/// leaves the folder, by which the next sweep finds the rest.
fn clear(id: &str, dir: &Path) -> Result<()> {
    let names = namespace::named(&format!("{id}-"));
    for name in &names {
        namespace::kill_all(name)?;
    }
    for name in &names {
        namespace::remove(name)?;
    }
    fs::remove_dir_all(dir).with_context(|| dir.display().to_string())
}

/// Root's alone, and every folder above too: sshd's `StrictModes` asks for that.
const BASE: &str = "/run/heartline-lab";
/// The file whose lock shows that the owner lives; it says which test that is.
const OWNER: &str = "owner";
/// A turn lasts as long as one sweep or one `useradd`.
const TURN_CEILING: Duration = Duration::from_mins(2);
