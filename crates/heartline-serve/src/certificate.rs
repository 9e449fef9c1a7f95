//! Whether a user certificate lets its owner in.
//!
//! The rules are OpenSSH's (PROTOCOL.certkeys; auth2-pubkey.c, `auth_check_authkey_line` and
//! `auth_authorise_keyopts`), the stricter reading where there are two: a certificate without
//! principals, which old releases took for everybody, is for nobody.

use std::net::IpAddr;
use std::time::SystemTime;

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg};

use crate::authorized_keys::{AuthorizedKeys, Sources, check_kind};

/// Why a certificate is not taken. Only ever logged: the peer learns nothing but "no".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateFault {
    #[error("it is a host certificate")]
    HostCertificate,
    #[error("the kind or size of its key is not accepted")]
    Kind,
    #[error("it is signed with SHA-1 or by a kind of key that is not accepted")]
    WeakSignature,
    #[error("it is not valid now")]
    NotNow,
    #[error("no cert-authority line trusts who signed it, here and now")]
    UnknownAuthority,
    #[error("none of its principals is allowed")]
    Principal,
    #[error("it may not be used from this address")]
    SourceAddress,
    #[error("it has a critical option that is not honoured here")]
    CriticalOption,
    #[error("its signature does not match")]
    Signature,
}

/// Whether the owner of `certificate`, who has proven to be that, may log in as `user`.
pub(crate) fn check(
    certificate: &Certificate,
    authorized: &AuthorizedKeys,
    user: &str,
    from: IpAddr,
    now: SystemTime,
) -> Result<(), CertificateFault> {
    if certificate.cert_type() != CertType::User {
        return Err(CertificateFault::HostCertificate);
    }
    check_kind(certificate.public_key()).map_err(|_| CertificateFault::Kind)?;
    let signed_with = certificate.signature().algorithm();
    if signed_with == (Algorithm::Rsa { hash: None })
        || check_kind(certificate.signature_key()).is_err()
    {
        return Err(CertificateFault::WeakSignature);
    }
    let mut authorities = authorized
        .authority(certificate.signature_key(), from, now)
        .peekable();
    if authorities.peek().is_none() {
        return Err(CertificateFault::UnknownAuthority);
    }
    let allowed = authorities.any(|options| match &options.principals {
        Some(names) => names
            .iter()
            .any(|name| certificate.valid_principals().contains(name)),
        None => certificate
            .valid_principals()
            .iter()
            .any(|name| name == user),
    });
    if !allowed {
        return Err(CertificateFault::Principal);
    }
    check_critical_options(certificate, from)?;
    // russh has checked both of these; a rule this important is not left to another's reading.
    let seconds = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_err(|_| CertificateFault::NotNow)?
        .as_secs();
    if seconds < certificate.valid_after() || seconds >= certificate.valid_before() {
        return Err(CertificateFault::NotNow);
    }
    let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
    certificate
        .validate_at(seconds, [&authority])
        .map_err(|_| CertificateFault::Signature)
}

/// A critical option that is not understood refuses the certificate (PROTOCOL.certkeys).
fn check_critical_options(certificate: &Certificate, from: IpAddr) -> Result<(), CertificateFault> {
    for (name, value) in certificate.critical_options().iter() {
        match name.as_str() {
            // No command is run at all, so no other one either.
            "force-command" => {}
            "source-address" => {
                let networks =
                    Sources::parse_networks(value).map_err(|_| CertificateFault::CriticalOption)?;
                if !networks.permit(from) {
                    return Err(CertificateFault::SourceAddress);
                }
            }
            _ => return Err(CertificateFault::CriticalOption),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
