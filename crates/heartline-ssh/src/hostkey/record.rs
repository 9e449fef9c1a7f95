//! Writing a new key down (hostfile.c `add_host_to_hostfile`).
//!
//! Two lines of one node may meet an unknown key at the same moment. So this goes one at a time within the process and
//! looks at the file once more: the first to come is written, the second finds it or is refused.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use russh::keys::ssh_key::PublicKey;
use russh::keys::ssh_key::public::KeyData;

use super::check::{Compared, compare};
use super::error::{HostKeyError, KeyName};
use super::line::Marker;
use super::trust::Trust;
use super::{Verifier, hashed, read_entries};

/// Appends the key to the first user file. That it cannot be written is no refusal, as in ssh.
pub(super) fn record(verifier: &Verifier, key: &KeyData) -> Result<Trust, HostKeyError> {
    let shown = KeyName::of(key);
    let not_written = |why: String| Trust::NotWritten {
        shown: shown.clone(),
        why,
    };
    let Some(path) = verifier.user_files.first() else {
        return Ok(not_written("UserKnownHostsFile is none".to_owned()));
    };
    let _one_at_a_time = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = look_again(verifier, path, key)? {
        return Ok(found);
    }
    let added = line(verifier, key).and_then(|line| append(path, &line));
    Ok(match added {
        Ok(()) => Trust::Added {
            shown,
            path: path.clone(),
        },
        Err(error) => not_written(format!("{}: {error}", path.display())),
    })
}

/// What somebody wrote since the file was loaded.
fn look_again(
    verifier: &Verifier,
    path: &Path,
    key: &KeyData,
) -> Result<Option<Trust>, HostKeyError> {
    let (mut entries, mut notes) = (Vec::new(), Vec::new());
    read_entries(path, &verifier.wanted, &mut entries, &mut notes)?;
    let own = entries.iter().filter(|entry| entry.marker == Marker::Own);
    match compare(&verifier.wanted, &own.collect::<Vec<_>>(), key) {
        Compared::Nothing => Ok(None),
        Compared::Same(entry) => Ok(Some(Trust::Known {
            place: entry.place.clone(),
        })),
        Compared::Other(entry, name) => verifier.other(key, entry, name).map(Some),
    }
}

fn line(verifier: &Verifier, key: &KeyData) -> io::Result<String> {
    let name = &verifier.wanted.first().text;
    // Any of these would make it say something else.
    let breaks = |c: char| c.is_whitespace() || c.is_control() || ",#*?!|@".contains(c);
    if name.contains(breaks) {
        let why = "the host's name cannot stand in known_hosts";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let name = if verifier.hash_new {
        hashed::hash(name).ok_or_else(|| io::Error::other("no random bytes for a salt"))?
    } else {
        name.to_owned()
    };
    let key = PublicKey::from(key.clone());
    let key = key.to_openssh().map_err(io::Error::other)?;
    Ok(format!("{name} {key}\n"))
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        DirBuilder::new().mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let mut whole = String::with_capacity(line.len() + 1);
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            whole.push('\n');
        }
    }
    whole.push_str(line);
    // One write, so that O_APPEND keeps it whole beside another process's.
    file.write_all(whole.as_bytes())
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
