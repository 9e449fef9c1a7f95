//! The hash a signature is made with: fixed by the key's type, but for RSA (RFC 8332).

use russh::keys::ssh_key::HashAlg;

/// The hash a signature is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    /// The one that belongs to the key's type.
    Own,
    /// RSA under `rsa-sha2-512`.
    Sha512,
    /// RSA under `rsa-sha2-256`.
    Sha256,
    /// RSA under `ssh-rsa`.
    Sha1,
}

/// What the host says of RSA (`server-sig-algs`, RFC 8308).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostTakes {
    /// Nothing; it may be old.
    Unsaid,
    /// No better than this.
    Best(Hash),
}

impl Hash {
    /// Those of RSA, best first.
    pub(super) const RSA: [Self; 3] = [Self::Sha512, Self::Sha256, Self::Sha1];

    /// As russh names it.
    pub(super) fn alg(self) -> Option<HashAlg> {
        match self {
            Self::Own | Self::Sha1 => None,
            Self::Sha512 => Some(HashAlg::Sha512),
            Self::Sha256 => Some(HashAlg::Sha256),
        }
    }

    fn of_rsa(alg: Option<HashAlg>) -> Self {
        match alg {
            Some(HashAlg::Sha512) => Self::Sha512,
            Some(_) => Self::Sha256,
            None => Self::Sha1,
        }
    }

    /// The best for RSA that the owner accepts and the host takes; `None` where there is none. A host that does not say is
    /// shown `ssh-rsa` where the owner lists it (as ssh does), else SHA-2 on trust.
    pub(super) fn for_rsa(host: HostTakes, is_accepted: impl Fn(Self) -> bool) -> Option<Self> {
        let mut candidates = Self::RSA.into_iter();
        match host {
            HostTakes::Unsaid if is_accepted(Self::Sha1) => Some(Self::Sha1),
            HostTakes::Unsaid => candidates.find(|hash| is_accepted(*hash)),
            HostTakes::Best(best) => candidates
                .skip_while(|hash| *hash != best)
                .find(|hash| is_accepted(*hash)),
        }
    }
}

impl HostTakes {
    /// From russh's `best_supported_rsa_hash`.
    #[expect(clippy::option_option, reason = "russh's own type")]
    pub(super) fn from_russh(best: Option<Option<HashAlg>>) -> Self {
        best.map_or(Self::Unsaid, |alg| Self::Best(Hash::of_rsa(alg)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rsa_is_signed_with_the_best_hash_both_take() {
        use Hash::{Sha1, Sha256, Sha512};
        let hosts = [
            HostTakes::from_russh(None),
            HostTakes::from_russh(Some(Some(HashAlg::Sha512))),
            HostTakes::from_russh(Some(Some(HashAlg::Sha256))),
            HostTakes::from_russh(Some(None)),
        ];
        // By what the owner accepts; for each what comes of each host.
        let table: [(&[Hash], [Option<Hash>; 4]); 5] = [
            (
                &[Sha512, Sha256],
                [Some(Sha512), Some(Sha512), Some(Sha256), None],
            ),
            (&[Sha256], [Some(Sha256), Some(Sha256), Some(Sha256), None]),
            (
                &Hash::RSA,
                [Some(Sha1), Some(Sha512), Some(Sha256), Some(Sha1)],
            ),
            (&[Sha1], [Some(Sha1), Some(Sha1), Some(Sha1), Some(Sha1)]),
            (&[], [None, None, None, None]),
        ];
        for (accepted, expected) in table {
            let came = hosts.map(|host| Hash::for_rsa(host, |hash| accepted.contains(&hash)));
            assert_eq!(came, expected, "{accepted:?}");
        }
    }
}
