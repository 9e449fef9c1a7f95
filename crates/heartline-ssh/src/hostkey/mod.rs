//! Is the host the one we know? OpenSSH's `known_hosts` rules, whole.
//!
//! [`Verifier`] is what `known_hosts`, `RevokedHostKeys` and the settings say of one destination: it orders the host key
//! algorithms to offer ([`Verifier::preference`]) and judges what the host shows ([`Verifier::check`]). The order of
//! judgement is OpenSSH's (sshconnect.c `verify_host_key`, `check_host_key`; hostfile.c `check_hostkeys_by_key_or_type`):
//! revoked beats all, then certificates, then plain keys. A certificate that does not hold falls back to its plain key.
//!
//! Where we are stricter than OpenSSH, on purpose: a revoked key is refused under every `StrictHostKeyChecking`, also when
//! the revoking line names the host without its port; a host certificate without principals is never valid (as OpenSSH
//! from 10.3 on); a key of a type we did not offer is refused.
//!
//! Not here: the proof that the host holds the key (key exchange, russh), asking anybody (nobody is there to answer),
//! `VerifyHostKeyDNS`, `KnownHostsCommand`, `UpdateHostKeys`, `CheckHostIP`. A binary KRL is refused, not ignored.

mod certificate;
mod check;
mod error;
mod hashed;
mod line;
mod name;
mod place;
mod preference;
mod record;
mod revoked;
mod trust;

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::ssh_key::Algorithm;

pub use self::certificate::CertificateFault;
pub use self::error::{HostKeyError, KeyName};
pub use self::place::{Note, Place};
pub use self::trust::Trust;

use self::line::{Entry, Line};
use self::name::Wanted;
use self::revoked::RevokedKeys;
use crate::settings::{HostKeySettings, Strict};

/// What is known of one destination's host keys, read once: load it anew for each dial, as ssh does.
#[derive(Debug)]
pub struct Verifier {
    wanted: Wanted,
    port: Option<u16>,
    strict: Strict,
    hash_new: bool,
    user_files: Vec<PathBuf>,
    entries: Vec<Entry>,
    revoked: RevokedKeys,
    plain: Vec<Algorithm>,
    certificates: Vec<Algorithm>,
    ca_algorithms: Option<Vec<String>>,
    notes: Vec<Note>,
}

impl Verifier {
    /// Reads the known hosts and revoked keys that `settings` names. Blocking, as small local files are; each
    /// hashed line costs an HMAC for each name looked up.
    ///
    /// A `known_hosts` that does not exist is empty. Lines that cannot be read are left out with a [`Note`], as ssh does.
    ///
    /// # Errors
    /// A file that exists and cannot be read, is over 64 MiB or no file; a `RevokedHostKeys` that is missing, malformed or
    /// a binary KRL; a `HostKeyAlgorithms` of which we can do none.
    pub fn load(settings: &HostKeySettings) -> Result<Self, HostKeyError> {
        let wanted = Wanted::new(&settings.name, settings.port, &settings.also);
        let mut entries = Vec::new();
        let mut notes = Vec::new();
        for path in settings.user_files.iter().chain(&settings.global_files) {
            read_entries(path, &wanted, &mut entries, &mut notes)?;
        }
        let revoked = RevokedKeys::load(settings.revoked.as_deref())?;
        let (plain, certificates) =
            preference::order(settings.algorithms.as_deref(), &wanted, &entries)?;
        Ok(Self {
            wanted,
            port: settings.port,
            strict: settings.strict,
            hash_new: settings.hash_new,
            user_files: settings.user_files.clone(),
            entries,
            revoked,
            plain,
            certificates,
            ca_algorithms: settings.ca_algorithms.clone(),
            notes,
        })
    }

    /// The host key algorithms to offer, best first: plain ones (russh's `Preferred::key`), then those to offer as
    /// certificates (`Preferred::host_key_certificates`, which russh offers before all plain ones).
    ///
    /// The owner's `HostKeyAlgorithms` in the owner's order; else ours, with the types a key is known of first (OpenSSH's
    /// `order_hostkeyalgs`), and certificates only where a `@cert-authority` line names this host.
    pub fn preference(&self) -> (Vec<Algorithm>, Vec<Algorithm>) {
        (self.plain.clone(), self.certificates.clone())
    }

    /// The lines that were left out and why, at most [`MAX_NOTES`].
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }
}

/// Notes kept of one load; more bad lines than that are left out unnoted.
pub const MAX_NOTES: usize = 100;

fn read_entries(
    path: &Path,
    wanted: &Wanted,
    entries: &mut Vec<Entry>,
    notes: &mut Vec<Note>,
) -> Result<(), HostKeyError> {
    let Some(bytes) = read_bounded(path)? else {
        return Ok(());
    };
    let path: Arc<Path> = Arc::from(path);
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let place = || Place::new(Arc::clone(&path), index + 1);
        match line::parse(line, wanted) {
            Line::Entry {
                marker,
                matched,
                key,
            } => entries.push(Entry {
                marker,
                matched,
                key,
                place: place(),
            }),
            Line::Bad(why) if notes.len() < MAX_NOTES => notes.push(Note::new(place(), why)),
            Line::Elsewhere | Line::Bad(_) => {}
        }
    }
    Ok(())
}

/// The whole file; `None` where there is none. A line needs no bound of its own: the file has one, and leaving out a long
/// line could leave out a `@revoked` one.
fn read_bounded(path: &Path) -> Result<Option<Vec<u8>>, HostKeyError> {
    let unreadable = |source| HostKeyError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let kind = match fs::metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    // Opening a FIFO would wait for its writer without end; a character device is how /dev/null is named.
    if !kind.is_file() && !kind.is_char_device() {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "not a file");
        return Err(unreadable(error));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(HostKeyError::TooLarge {
            path: path.to_owned(),
            limit: MAX_FILE,
        });
    }
    Ok(Some(bytes))
}

/// The largest `known_hosts` or `RevokedHostKeys` we read, in bytes: some 500 000 hosts.
const MAX_FILE: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod differential;
#[cfg(test)]
pub(crate) mod testbed;
#[cfg(test)]
mod tests;
