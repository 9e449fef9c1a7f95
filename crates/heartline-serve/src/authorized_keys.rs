//! Who may log in: the lines of an `authorized_keys` file.
//!
//! The format is sshd's (sshd(8), `AUTHORIZED_KEYS` FILE FORMAT). Options that allow something are
//! ignored, as there is nothing to allow; those that forbid something we never do are kept by doing
//! nothing; those that narrow *who* may log in (`from`, `expiry-time`, `principals`) are honoured.
//! An option that narrows in a way we cannot honour, or that we do not know, refuses its line and
//! says why ([`AuthorizedKeys::refused`]): a restriction is never dropped in silence.

mod expiry;
mod options;
mod source;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, PublicKey};

pub use expiry::ExpiryFault;
pub use options::OptionFault;
pub(crate) use options::Options;
pub use source::SourceFault;
pub(crate) use source::Sources;

/// The keys and certificate authorities that may log in, each with its restrictions.
#[derive(Clone, Debug, Default)]
pub struct AuthorizedKeys {
    entries: Vec<Entry>,
    refused: Vec<RefusedLine>,
}

impl AuthorizedKeys {
    /// Reads a file of at most 1 MiB.
    ///
    /// As sshd with `StrictModes` does, a file that group or others may write is refused: who can
    /// write it can log in. (sshd also looks at the folders above it; this does not.)
    pub fn load(path: &Path) -> Result<Self, AuthorizedKeysError> {
        let read = |error| AuthorizedKeysError::Read {
            file: path.to_owned(),
            error,
        };
        let opened = File::open(path).map_err(read)?;
        let about = opened.metadata().map_err(read)?;
        if !about.is_file() {
            return Err(AuthorizedKeysError::NotAFile {
                file: path.to_owned(),
            });
        }
        check_mode(path, &about)?;
        let mut bytes = Vec::new();
        opened
            .take(MAX_FILE + 1)
            .read_to_end(&mut bytes)
            .map_err(read)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(AuthorizedKeysError::TooLarge {
                file: path.to_owned(),
            });
        }
        Ok(Self::parse(&bytes))
    }

    /// Reads the text of such a file. Lines that cannot be used are in [`Self::refused`].
    pub fn parse(text: &[u8]) -> Self {
        let mut keys = Self::default();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            // A comment may be in any encoding; a key or an option is ASCII or faulty anyway.
            let line = String::from_utf8_lossy(line);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match Entry::parse(line) {
                Ok(entry) => keys.entries.push(entry),
                Err(fault) => keys.refused.push(RefusedLine {
                    line: index + 1,
                    fault,
                }),
            }
        }
        keys
    }

    /// Lets in the owners of these keys, from anywhere, for ever.
    pub fn from_keys(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        let entries = keys.into_iter().map(|key| Entry {
            key: key.key_data().clone(),
            options: Options::default(),
        });
        Self {
            entries: entries.collect(),
            refused: Vec::new(),
        }
    }

    /// Adds what another file allows.
    pub fn extend(&mut self, other: Self) {
        self.entries.extend(other.entries);
        self.refused.extend(other.refused);
    }

    /// How many usable lines there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody can log in.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The lines that were not used, and why. Nobody gets in by them.
    pub fn refused(&self) -> &[RefusedLine] {
        &self.refused
    }

    /// Whether some line trusts a certificate authority.
    pub(crate) fn has_authorities(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.options.cert_authority)
    }

    /// Whether the owner of `key` may log in from `from` at `now`.
    pub(crate) fn permits(&self, key: &KeyData, from: IpAddr, now: SystemTime) -> bool {
        self.entries.iter().any(|entry| {
            !entry.options.cert_authority && entry.key == *key && entry.options.permits(from, now)
        })
    }

    /// The options of every line by which certificates of `authority` may log in from `from` at
    /// `now`.
    pub(crate) fn authority<'a>(
        &'a self,
        authority: &'a KeyData,
        from: IpAddr,
        now: SystemTime,
    ) -> impl Iterator<Item = &'a Options> {
        self.entries
            .iter()
            .filter(|entry| entry.options.cert_authority && entry.key == *authority)
            .map(|entry| &entry.options)
            .filter(move |options| options.permits(from, now))
    }
}

/// A line of `authorized_keys` that lets nobody in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedLine {
    /// Counted from 1.
    pub line: usize,
    /// Why.
    pub fault: LineFault,
}

impl fmt::Display for RefusedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fault)
    }
}

/// Why a line of `authorized_keys` lets nobody in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineFault {
    /// Longer than sshd reads (8 KiB there, since 7.2; RSA keys of 16384 bits fit).
    #[error("it is {came} bytes long, expected at most {MAX_LINE}")]
    TooLong {
        /// Its length.
        came: usize,
    },
    /// There is no key where one is expected.
    #[error("there is no public key in it that can be read")]
    NoKey,
    /// A key we do not take.
    #[error("a key of kind {kind} is not accepted, expected ed25519, ecdsa or rsa")]
    Kind {
        /// Its kind.
        kind: String,
    },
    /// An RSA key that can be broken.
    #[error("the rsa key has {came} bits, expected at least {MIN_RSA_BITS}")]
    WeakRsa {
        /// Its size in bits.
        came: u32,
    },
    /// An option that is faulty, unknown, or cannot be honoured.
    #[error(transparent)]
    Option(#[from] OptionFault),
}

/// Why an `authorized_keys` file was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizedKeysError {
    /// It could not be opened or read.
    #[error("cannot read {}: {error}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A directory, device or pipe.
    #[error("{} is not a regular file", file.display())]
    NotAFile {
        /// The file.
        file: PathBuf,
    },
    /// Others can write it, and so let themselves in.
    #[error(
        "{} has mode {mode:04o}: others can write it, and so log in; chmod go-w it",
        file.display()
    )]
    Permissions {
        /// The file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Too long to be what it says.
    #[error("{} is longer than {MAX_FILE} bytes", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
}

/// Whether an RSA key is long enough, and the kind of the key one we check completely.
///
/// Keys on security tokens (`sk-…`) are left out: sshd demands that the token was touched unless
/// the line says otherwise, and the verifier at hand does not look at that flag.
pub(crate) fn check_kind(key: &KeyData) -> Result<(), LineFault> {
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => Ok(()),
        Algorithm::Rsa { .. } => match key
            .rsa()
            .map_or(0, russh::keys::ssh_key::public::RsaPublicKey::key_size)
        {
            bits if bits >= MIN_RSA_BITS => Ok(()),
            came => Err(LineFault::WeakRsa { came }),
        },
        other => Err(LineFault::Kind {
            kind: other.to_string(),
        }),
    }
}

#[derive(Clone, Debug)]
struct Entry {
    key: KeyData,
    options: Options,
}

impl Entry {
    /// A line has a key, or options and a key, as sshd tries them (auth2-pubkeyfile.c,
    /// `auth_check_authkey_line`).
    fn parse(line: &str) -> Result<Self, LineFault> {
        if line.len() > MAX_LINE {
            return Err(LineFault::TooLong { came: line.len() });
        }
        if let Some(key) = parse_key(line) {
            check_kind(&key)?;
            return Ok(Self {
                key,
                options: Options::default(),
            });
        }
        let (options, rest) = options::split(line).ok_or(LineFault::NoKey)?;
        let key = parse_key(rest).ok_or(LineFault::NoKey)?;
        let options = Options::parse(options)?;
        check_kind(&key)?;
        Ok(Self { key, options })
    }
}

/// `kind base64 [comment]`, with any blanks between.
fn parse_key(text: &str) -> Option<KeyData> {
    let mut words = text.split_ascii_whitespace();
    let (kind, base64) = (words.next()?, words.next()?);
    let key = PublicKey::from_openssh(&format!("{kind} {base64}")).ok()?;
    Some(key.key_data().clone())
}

#[cfg(unix)]
fn check_mode(path: &Path, about: &std::fs::Metadata) -> Result<(), AuthorizedKeysError> {
    use std::os::unix::fs::PermissionsExt;

    let mode = about.permissions().mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(AuthorizedKeysError::Permissions {
            file: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &std::fs::Metadata) -> Result<(), AuthorizedKeysError> {
    Ok(())
}

const MAX_FILE: u64 = 1024 * 1024;
const MAX_LINE: usize = 16 * 1024;
/// NIST SP 800-131A: shorter ones are disallowed for signatures.
const MIN_RSA_BITS: u32 = 2048;

#[cfg(test)]
mod tests;
