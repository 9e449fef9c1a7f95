//! User certificates from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::ssh_key::Certificate;
use russh::keys::ssh_key::certificate::CertType;

use super::UserCertificate;
use super::error::IdentityError;
use super::keyfile::read;

/// A `CertificateFile`; `None` where there is no such file.
pub(super) fn load(path: &Path) -> Result<Option<UserCertificate>, IdentityError> {
    let Some((bytes, _)) = read(path)? else {
        return Ok(None);
    };
    let not_one = |why: &str| IdentityError::NotCertificate {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let text = str::from_utf8(&bytes).map_err(|_| not_one("not text"))?;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let line = line.ok_or_else(|| not_one("it is empty"))?;
    let certificate =
        Certificate::from_openssh(line).map_err(|error| not_one(&error.to_string()))?;
    if certificate.cert_type() != CertType::User {
        return Err(not_one("it is a host certificate"));
    }
    Ok(Some(UserCertificate {
        path: path.to_owned(),
        certificate: Arc::new(certificate),
    }))
}

/// Where the certificate of a key is looked for: `KEY-cert.pub`.
pub(super) fn beside(key: &Path) -> PathBuf {
    let key = key.to_string_lossy();
    let stem = key.strip_suffix(".pub").unwrap_or(&key);
    PathBuf::from(format!("{stem}-cert.pub"))
}
