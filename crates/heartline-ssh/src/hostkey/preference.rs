//! Which host key algorithms to offer, and in which order.

use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{Algorithm, EcdsaCurve, HashAlg};

use super::error::HostKeyError;
use super::line::{Entry, Marker};
use super::name::Wanted;

/// Plain algorithms and those to offer as certificates, best first.
pub(super) fn order(
    listed: Option<&[String]>,
    wanted: &Wanted,
    entries: &[Entry],
) -> Result<(Vec<Algorithm>, Vec<Algorithm>), HostKeyError> {
    let Some(listed) = listed else {
        return Ok(ours(wanted, entries));
    };
    let plain: Vec<_> = listed.iter().filter_map(|name| plain(name)).collect();
    let certificates: Vec<_> = listed.iter().filter_map(|name| certificate(name)).collect();
    if plain.is_empty() && certificates.is_empty() {
        return Err(HostKeyError::NoAlgorithm {
            listed: listed.join(","),
        });
    }
    Ok((plain, certificates))
}

/// Our list, with the types of the keys we know first (sshconnect2.c `order_hostkeyalgs`), since a host that shows us
/// another type than the known one is refused.
fn ours(wanted: &Wanted, entries: &[Entry]) -> (Vec<Algorithm>, Vec<Algorithm>) {
    let of = |marker| entries.iter().filter(move |entry| entry.marker == marker);
    let mut ranks = wanted.names().map(|(rank, _)| rank);
    let deciding = ranks.find(|rank| of(Marker::Own).any(|entry| entry.matched.has(*rank)));
    let is_known = |algorithm: &Algorithm| {
        let matches = |entry: &Entry| deciding.is_some_and(|rank| entry.matched.has(rank));
        of(Marker::Own).any(|entry| matches(entry) && same_type(&entry.key, algorithm))
    };
    let (mut plain, rest): (Vec<_>, Vec<_>) = DEFAULT.iter().cloned().partition(is_known);
    plain.extend(rest);
    let certificates = match of(Marker::Authority).next() {
        Some(_) => DEFAULT.to_vec(),
        None => Vec::new(),
    };
    (plain, certificates)
}

/// Whether the key is of the algorithm's type; RSA is one type whatever the hash.
pub(super) fn same_type(key: &KeyData, algorithm: &Algorithm) -> bool {
    match (key.algorithm(), algorithm) {
        (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
        (of_key, algorithm) => of_key == *algorithm,
    }
}

fn plain(name: &str) -> Option<Algorithm> {
    Algorithm::new(name).ok().filter(can_verify)
}

fn certificate(name: &str) -> Option<Algorithm> {
    Algorithm::new_certificate(name).ok().filter(can_verify)
}

/// DSA is not built in; what ssh-key has no name for it cannot verify.
fn can_verify(algorithm: &Algorithm) -> bool {
    !matches!(algorithm, Algorithm::Dsa | Algorithm::Other(_))
}

/// OpenSSH's default without the hardware-backed types; `ssh-rsa` (SHA-1) only where the owner lists it.
const DEFAULT: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
];
