//! Host keys: loaded from OpenSSH files, or made in memory.
//!
//! A key made in memory is gone with the process, and every client's `known_hosts` with it: that is
//! for demonstrations and tests. A lasting endpoint loads the keys sshd uses, or its own.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

/// Reads an unencrypted private key in OpenSSH's format.
///
/// As sshd does (authfile.c, `sshkey_perm_ok`), a file that group or others may read is refused:
/// its secret is out.
pub fn load(path: &Path) -> Result<PrivateKey, HostKeyError> {
    let file = || path.to_owned();
    let read = |error| HostKeyError::Read {
        file: file(),
        error,
    };
    let opened = File::open(path).map_err(read)?;
    let about = opened.metadata().map_err(read)?;
    if !about.is_file() {
        return Err(HostKeyError::NotAFile { file: file() });
    }
    check_mode(path, &about)?;
    let mut text = String::new();
    opened
        .take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .map_err(read)?;
    if text.len() as u64 > MAX_FILE {
        return Err(HostKeyError::TooLarge { file: file() });
    }
    let key = PrivateKey::from_openssh(text).map_err(|error| HostKeyError::NotAKey {
        file: file(),
        error,
    })?;
    if key.is_encrypted() {
        return Err(HostKeyError::Encrypted { file: file() });
    }
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::Rsa { .. } => Ok(key),
        other => Err(HostKeyError::Unsupported {
            file: file(),
            kind: other.to_string(),
        }),
    }
}

/// A fresh ed25519 key that exists in memory alone.
pub fn generate() -> Result<PrivateKey, HostKeyError> {
    PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)
        .map_err(|error| HostKeyError::Generate { error })
}

/// Writes a private key in OpenSSH's format, for its owner's eyes alone. The file must not be there yet.
pub fn save(path: &Path, key: &PrivateKey) -> Result<(), HostKeyError> {
    let write = |error| HostKeyError::Write {
        file: path.to_owned(),
        error,
    };
    let text = key
        .to_openssh(LineEnding::LF)
        .map_err(|error| write(std::io::Error::other(error)))?;
    let mut open = OpenOptions::new();
    open.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    let mut file = open.open(path).map_err(write)?;
    file.write_all(text.as_bytes()).map_err(write)
}

/// Why there is no host key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostKeyError {
    /// The file could not be opened or read.
    #[error("cannot read the host key {}: {error}", file.display())]
    Read {
        /// The key file.
        file: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file could not be made or written.
    #[error("cannot write the key {}: {error}", file.display())]
    Write {
        /// The key file.
        file: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A directory, device or pipe.
    #[error("the host key {} is not a regular file", file.display())]
    NotAFile {
        /// The key file.
        file: PathBuf,
    },
    /// Others can read it.
    #[error(
        "the host key {} has mode {mode:04o}, expected 0600: others can read it; chmod 600 it",
        file.display()
    )]
    Permissions {
        /// The key file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// No private key is this long.
    #[error("the host key {} is longer than {MAX_FILE} bytes", file.display())]
    TooLarge {
        /// The key file.
        file: PathBuf,
    },
    /// Not OpenSSH's format.
    #[error(
        "{} is not a private key in OpenSSH's format: {error}; \
         an older one is converted by ssh-keygen -p -N '' -f FILE",
        file.display()
    )]
    NotAKey {
        /// The key file.
        file: PathBuf,
        /// What the reader said.
        error: russh::keys::ssh_key::Error,
    },
    /// A passphrase would be needed, and nobody is there to type it.
    #[error("the host key {} is encrypted; a host key has no passphrase", file.display())]
    Encrypted {
        /// The key file.
        file: PathBuf,
    },
    /// A kind of key no host proves itself with here.
    #[error("the host key {} is of kind {kind}, expected ed25519, ecdsa or rsa", file.display())]
    Unsupported {
        /// The key file.
        file: PathBuf,
        /// Its kind.
        kind: String,
    },
    /// The system gave no random bytes.
    #[error("cannot make a host key: {error}")]
    Generate {
        /// What the maker said.
        error: russh::keys::ssh_key::Error,
    },
}

#[cfg(unix)]
fn check_mode(path: &Path, about: &std::fs::Metadata) -> Result<(), HostKeyError> {
    use std::os::unix::fs::PermissionsExt;

    let mode = about.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(HostKeyError::Permissions {
            file: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &std::fs::Metadata) -> Result<(), HostKeyError> {
    Ok(())
}

/// An RSA key of 16384 bits takes 13 KiB.
const MAX_FILE: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use russh::keys::ssh_key::LineEnding;

    use super::{HostKeyError, generate, load};

    fn written(text: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_key_survives_its_file() {
        let key = generate().unwrap();
        let text = key.to_openssh(LineEnding::LF).unwrap();
        let (_folder, path) = written(&text, 0o600);
        assert_eq!(load(&path).unwrap().public_key(), key.public_key());
    }

    #[test]
    fn a_key_others_can_read_is_refused() {
        let text = generate().unwrap().to_openssh(LineEnding::LF).unwrap();
        let (_folder, path) = written(&text, 0o640);
        let error = load(&path).unwrap_err();
        assert!(matches!(
            error,
            HostKeyError::Permissions { mode: 0o640, .. }
        ));
        assert!(error.to_string().contains("chmod 600"));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let (_folder, path) = written("hello", 0o600);
        assert!(matches!(load(&path), Err(HostKeyError::NotAKey { .. })));
        let (_folder, path) = written(&"x".repeat(70_000), 0o600);
        assert!(matches!(load(&path), Err(HostKeyError::TooLarge { .. })));
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            load(folder.path()),
            Err(HostKeyError::NotAFile { .. })
        ));
        assert!(matches!(
            load(&folder.path().join("none")),
            Err(HostKeyError::Read { .. })
        ));
    }
}
