//! `RevokedHostKeys`: keys never to be taken, one a line (authfile.c `sshkey_in_file`, sshkey.c `sshkey_check_revoked`).
//!
//! Fails closed: a list we cannot read whole is an error. A binary KRL (`ssh-keygen -k`) is told by its magic and refused,
//! since no crate reads one.

use std::io;
use std::path::Path;

use russh::keys::ssh_key::Certificate;
use russh::keys::ssh_key::public::KeyData;

use super::error::HostKeyError;
use super::line;
use super::place::Place;
use super::read_bounded;

/// The revoked keys, each with the line it stands on.
#[derive(Debug, Default)]
pub(super) struct RevokedKeys(Vec<(KeyData, Place)>);

impl RevokedKeys {
    pub(super) fn load(path: Option<&Path>) -> Result<Self, HostKeyError> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let bytes = read_bounded(path)?.ok_or_else(|| HostKeyError::Unreadable {
            path: path.to_owned(),
            source: io::ErrorKind::NotFound.into(),
        })?;
        if bytes.starts_with(KRL_MAGIC) {
            return Err(HostKeyError::Krl {
                path: path.to_owned(),
            });
        }
        let mut keys = Vec::new();
        for (index, text) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let text = text.trim_ascii();
            if matches!(text.first(), None | Some(b'#')) {
                continue;
            }
            let place = Place::new(path.into(), index + 1);
            let Some(key) = listed_key(text) else {
                return Err(HostKeyError::RevokedLine { place });
            };
            keys.push((key, place));
        }
        Ok(Self(keys))
    }

    /// The line that revokes the key, if one does.
    pub(super) fn place_of(&self, key: &KeyData) -> Option<&Place> {
        let found = self.0.iter().find(|(revoked, _)| revoked == key);
        found.map(|(_, place)| place)
    }
}

/// A key, or the key inside a certificate: revoking a certificate's line revokes its key.
fn listed_key(text: &[u8]) -> Option<KeyData> {
    if let Ok(key) = line::public_key(text) {
        return Some(key);
    }
    if text.len() > MAX_CERTIFICATE {
        return None;
    }
    let certificate = Certificate::from_openssh(str::from_utf8(text).ok()?).ok()?;
    Some(certificate.public_key().clone())
}

/// The first bytes of a key revocation list (OpenSSH's PROTOCOL.krl).
const KRL_MAGIC: &[u8] = b"SSHKRL\n\0";

/// The longest certificate line, in bytes. ssh-key follows certificates within certificates without end.
const MAX_CERTIFICATE: usize = 32 * 1024;
