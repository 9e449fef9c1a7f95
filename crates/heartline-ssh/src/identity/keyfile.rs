//! One identity file: private (OpenSSH, PKCS#1, SEC1, PKCS#8; encrypted or not) or the public half of a key that an agent
//! holds.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::getuid;
use russh::keys::decode_secret_key;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{PrivateKey, PublicKey};
use zeroize::Zeroizing;

use super::error::IdentityError;
use super::passphrase::Passphrase;

/// What a file holds.
#[derive(Clone)]
pub(super) enum KeyFile {
    /// A private key, open.
    Open(Arc<PrivateKey>),
    /// A private key that a passphrase opens; its public half where that is known.
    Locked(Option<KeyData>),
    /// A public key only.
    Public(KeyData),
}

/// Tells a file that was changed from one that was not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    file: (u64, u64),
    size: u64,
    changed: (i64, i64),
    mode: u32,
}

/// A file's bytes, and which file they are of.
pub(super) type Contents = (Zeroizing<Vec<u8>>, Stamp);

/// Reads a key file, or the `.pub` beside a private key that is not there; `None` where there is neither.
pub(super) fn load(path: &Path) -> Result<Option<(Stamp, KeyFile)>, IdentityError> {
    let Some((bytes, stamp)) = read(path)? else {
        let public = public_half(path)?;
        return Ok(public.map(|(stamp, key)| (stamp, KeyFile::Public(key))));
    };
    let malformed = |why: String| IdentityError::Malformed {
        path: path.to_owned(),
        why,
    };
    let text = str::from_utf8(&bytes).map_err(|_| malformed("not text".to_owned()))?;
    if !text.contains("PRIVATE KEY-----") {
        let key = public_line(text).ok_or_else(|| malformed("no key in it".to_owned()))?;
        return Ok(Some((stamp, KeyFile::Public(key))));
    }
    check_permissions(path, stamp)?;
    let parsed = PrivateKey::from_openssh(text.trim()).ok();
    let in_pem = text.contains("Proc-Type: 4,ENCRYPTED");
    if in_pem && !(text.contains("BEGIN RSA PRIVATE") && text.contains("DEK-Info: AES-128-CBC")) {
        return Err(IdentityError::OldCipher {
            path: path.to_owned(),
        });
    }
    let locked = parsed.as_ref().is_some_and(PrivateKey::is_encrypted);
    if locked || in_pem || text.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        let public = match parsed {
            Some(key) => Some(key.public_key().key_data().clone()),
            None => public_half(path).ok().flatten().map(|(_, key)| key),
        };
        return Ok(Some((stamp, KeyFile::Locked(public))));
    }
    let key = decode_secret_key(text, None).map_err(|error| malformed(error.to_string()))?;
    Ok(Some((stamp, usable(key))))
}

/// Opens a locked file; `None` where the passphrase is wrong (or the file broken: the two cannot be told apart).
pub(super) fn unlock(path: &Path, passphrase: &Passphrase) -> Option<KeyFile> {
    let (bytes, _) = read(path).ok()??;
    let text = str::from_utf8(&bytes).ok()?;
    let key = decode_secret_key(text, Some(passphrase.reveal())).ok()?;
    Some(usable(key))
}

/// The file's bytes, which are wiped when dropped; `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Contents>, IdentityError> {
    let unreadable = |source| IdentityError::Unreadable {
        path: path.to_owned(),
        source,
    };
    match std::fs::metadata(path) {
        // Opening a FIFO would wait for its writer without end.
        Ok(metadata) if metadata.file_type().is_fifo() => {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "not a file");
            return Err(unreadable(error));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    }
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let stamp = Stamp {
        file: (metadata.dev(), metadata.ino()),
        size: metadata.len(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
        mode: if metadata.uid() == getuid().as_raw() {
            metadata.mode() & 0o777
        } else {
            0
        },
    };
    // Room for all of it at once, so that growing leaves no copy behind.
    let room = usize::try_from(metadata.len().min(MAX_FILE)).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(IdentityError::TooLarge {
            path: path.to_owned(),
            limit: MAX_FILE,
        });
    }
    Ok(Some((bytes, stamp)))
}

/// authfile.c `sshkey_perm_ok`: a file of ours that anybody else may touch is no secret. Files of others are the business of
/// whoever gave them to us.
fn check_permissions(path: &Path, stamp: Stamp) -> Result<(), IdentityError> {
    let of_others = stamp.mode & 0o077;
    if of_others != 0 {
        return Err(IdentityError::Permissions {
            path: path.to_owned(),
            mode: stamp.mode,
        });
    }
    Ok(())
}

/// Hardware-backed keys come as a file too, but only an agent can sign with them here.
fn usable(key: PrivateKey) -> KeyFile {
    match key.key_data() {
        KeypairData::Ed25519(_) | KeypairData::Ecdsa(_) | KeypairData::Rsa(_) => {
            KeyFile::Open(Arc::new(key))
        }
        _ => KeyFile::Public(key.public_key().key_data().clone()),
    }
}

fn public_half(path: &Path) -> Result<Option<(Stamp, KeyData)>, IdentityError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    let Some((bytes, stamp)) = read(&PathBuf::from(beside))? else {
        return Ok(None);
    };
    let key = str::from_utf8(&bytes).ok().and_then(public_line);
    Ok(key.map(|key| (stamp, key)))
}

fn public_line(text: &str) -> Option<KeyData> {
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let key = PublicKey::from_openssh(line).ok()?;
    match key.key_data() {
        KeyData::Other(_) | KeyData::Certificate(_) => None,
        known => Some(known.clone()),
    }
}

/// The largest key file, in bytes; OpenSSH's `MAX_KEY_FILE_SIZE`.
const MAX_FILE: u64 = 1024 * 1024;
