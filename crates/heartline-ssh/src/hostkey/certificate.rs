//! Whether a host certificate holds (sshkey.c `sshkey_cert_check_host`, `sshkey_cert_check_authority`).
//!
//! That its signer is a known authority and that nothing in it is revoked is the business of the caller.

use std::time::{SystemTime, UNIX_EPOCH};

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::{Certificate, HashAlg};

use super::name::like;
use crate::escape::escape;

/// Why a host certificate was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// Made for users.
    #[error("it is not a host certificate")]
    NotHost,
    /// Its time has not come.
    #[error("it is valid only from {from} s after 1970-01-01 on")]
    NotYetValid {
        /// Unix time in seconds.
        from: u64,
    },
    /// Its time is over.
    #[error("it expired {until} s after 1970-01-01")]
    Expired {
        /// Unix time in seconds.
        until: u64,
    },
    /// It names no host at all. OpenSSH before 10.3 took that for every host.
    #[error("it lists no host name")]
    NoPrincipal,
    /// It names other hosts.
    #[error("it is for {listed}, not for {wanted}")]
    OtherPrincipal {
        /// The name we asked for.
        wanted: String,
        /// The names it lists, escaped and cut to 200 bytes.
        listed: String,
    },
    /// It asks for something critical; there are no such options for hosts.
    #[error("it carries the critical option {option}, which is unknown")]
    CriticalOption {
        /// The first option's name, escaped.
        option: String,
    },
    /// Its authority signs with an algorithm that `CASignatureAlgorithms` does not list.
    #[error("its authority signed with {came}, which CASignatureAlgorithms does not list")]
    SignatureAlgorithm {
        /// The algorithm's name, escaped.
        came: String,
    },
    /// The authority did not sign this.
    #[error("its signature is wrong")]
    Signature,
}

/// Checks everything inside the certificate, `allowed` being `CASignatureAlgorithms` (`None`: ssh's default).
pub(super) fn check(
    certificate: &Certificate,
    wanted: &str,
    allowed: Option<&[String]>,
    now: SystemTime,
) -> Result<(), CertificateFault> {
    if certificate.cert_type() != CertType::Host {
        return Err(CertificateFault::NotHost);
    }
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
    if now < certificate.valid_after() {
        return Err(CertificateFault::NotYetValid {
            from: certificate.valid_after(),
        });
    }
    if now >= certificate.valid_before() {
        return Err(CertificateFault::Expired {
            until: certificate.valid_before(),
        });
    }
    check_principals(certificate.valid_principals(), wanted)?;
    if let Some((option, _)) = certificate.critical_options().iter().next() {
        return Err(CertificateFault::CriticalOption {
            option: escape(option.as_bytes(), MAX_SHOWN),
        });
    }
    check_signature(certificate, allowed, now)
}

fn check_principals(principals: &[String], wanted: &str) -> Result<(), CertificateFault> {
    if principals.is_empty() {
        return Err(CertificateFault::NoPrincipal);
    }
    let names = |principal: &String| like(principal.as_bytes(), wanted.as_bytes());
    if principals.iter().any(names) {
        return Ok(());
    }
    Err(CertificateFault::OtherPrincipal {
        wanted: wanted.to_owned(),
        listed: escape(principals.join(", ").as_bytes(), MAX_SHOWN),
    })
}

fn check_signature(
    certificate: &Certificate,
    allowed: Option<&[String]>,
    now: u64,
) -> Result<(), CertificateFault> {
    let algorithm = certificate.signature().algorithm();
    let is_allowed = match allowed {
        Some(listed) => listed.iter().any(|name| name == algorithm.as_str()),
        None => DEFAULT_CA_ALGORITHMS.contains(&algorithm.as_str()),
    };
    if !is_allowed {
        return Err(CertificateFault::SignatureAlgorithm {
            came: escape(algorithm.as_str().as_bytes(), MAX_SHOWN),
        });
    }
    let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
    certificate
        .validate_at(now, [&authority])
        .map_err(|_| CertificateFault::Signature)
}

/// How much of a peer's text an error shows, in bytes.
const MAX_SHOWN: usize = 200;

/// `CASignatureAlgorithms` of `ssh_config(5)`: no SHA-1.
const DEFAULT_CA_ALGORITHMS: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];
