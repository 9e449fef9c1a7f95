//! Why a host key is refused, or what is known of it cannot be read.

use std::fmt;
use std::io;
use std::path::PathBuf;

use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{Algorithm, Fingerprint, HashAlg};

use super::certificate::CertificateFault;
use super::place::Place;
use crate::escape::escape;

/// A key as a person compares it: type and SHA-256 fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName(Box<(Algorithm, Fingerprint)>);

impl KeyName {
    pub(crate) fn of(key: &KeyData) -> Self {
        let fingerprint = key.fingerprint(HashAlg::Sha256);
        Self(Box::new((key.algorithm(), fingerprint)))
    }

    /// The key's type; RSA without a hash.
    pub fn algorithm(&self) -> &Algorithm {
        &self.0.0
    }

    /// `SHA256:…`.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.0.1
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = escape(self.0.0.as_str().as_bytes(), MAX_ALGORITHM);
        write!(f, "{algorithm} {}", self.0.1)
    }
}

/// Why a host key is refused, or what is known of it cannot be read.
///
/// The first six come of [`Verifier::load`](super::Verifier::load) and mean a mistake in files or settings; the others of
/// [`Verifier::check`](super::Verifier::check) and speak of the host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostKeyError {
    /// A file exists (or must) and cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than any we read.
    #[error("{} is over {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most we read, in bytes.
        limit: u64,
    },
    /// A line of `RevokedHostKeys` is no key.
    #[error("{place}: not a public key; RevokedHostKeys must be readable whole")]
    RevokedLine {
        /// The line.
        place: Place,
    },
    /// `RevokedHostKeys` is a binary list.
    #[error("{} is a binary key revocation list, which is not supported: list the keys one a line", path.display())]
    Krl {
        /// The file.
        path: PathBuf,
    },
    /// `HostKeyAlgorithms` lists nothing we can do.
    #[error("none of HostKeyAlgorithms {listed} is supported")]
    NoAlgorithm {
        /// What it lists.
        listed: String,
    },
    /// Nothing is known of this host.
    #[error("the host key of {name} is not known: it shows {shown}{}; compare that on the host, then add it: {mend}", also(certificate.as_ref()))]
    Unknown {
        /// The name looked up.
        name: String,
        /// The key shown.
        shown: KeyName,
        /// Why the certificate it came in was not taken.
        certificate: Option<CertificateFault>,
        /// A command that adds the key.
        mend: String,
    },
    /// Another key of the same type is known.
    #[error(
        "the host key of {name} has CHANGED: {place} says {known}, it shows {shown}; somebody may stand in between. If the host was made anew: {mend}"
    )]
    Changed {
        /// The name looked up.
        name: String,
        /// The key shown.
        shown: KeyName,
        /// The key known.
        known: KeyName,
        /// Where it stands.
        place: Place,
        /// A command that forgets the known key.
        mend: String,
    },
    /// Only keys of other types are known. OpenSSH treats this as a changed key, and so do we.
    #[error(
        "{name} shows {shown}, and only keys of other types are known: {known} in {place}; somebody may stand in between. If the host was made anew: {mend}"
    )]
    OtherType {
        /// The name looked up.
        name: String,
        /// The key shown.
        shown: KeyName,
        /// One key known.
        known: KeyName,
        /// Where it stands.
        place: Place,
        /// A command that forgets the known keys.
        mend: String,
    },
    /// The key, or the authority that signed for it, is revoked.
    #[error("the host key of {name} is REVOKED: {revoked} by {place}")]
    Revoked {
        /// The name looked up.
        name: String,
        /// The key that is revoked: the host's or its authority's.
        revoked: KeyName,
        /// The line that revokes it.
        place: Place,
    },
    /// An RSA key too short to mean anything.
    #[error("the host key of {name} is RSA with {bits} bits; at least {least} are needed")]
    ShortRsa {
        /// The name looked up.
        name: String,
        /// The bits it has.
        bits: u32,
        /// The bits it needs: 1024, OpenSSH's default `RequiredRSASize`.
        least: u32,
    },
    /// A key of a type that was not offered.
    #[error("{name} shows {shown}, a type that was not offered")]
    NotOffered {
        /// The name looked up.
        name: String,
        /// The key shown.
        shown: KeyName,
    },
}

fn also(fault: Option<&CertificateFault>) -> String {
    fault.map_or_else(String::new, |fault| {
        format!(" (its certificate was not taken: {fault})")
    })
}

/// OpenSSH's default `RequiredRSASize`, in bits.
pub(super) const MIN_RSA_BITS: u32 = 1024;

/// An SSH algorithm name has at most 64 bytes (RFC 4251, section 6).
const MAX_ALGORITHM: usize = 64;
