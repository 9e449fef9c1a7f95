//! One line of `known_hosts`, read as hostfile.c `hostkeys_foreach_file` reads it.
//!
//! `ssh-key`'s own parser knows neither tabs nor runs of blanks and gives up on a file at its first bad line.

use russh::keys::ssh_key::PublicKey;
use russh::keys::ssh_key::public::KeyData;

use super::name::{Matched, Wanted};
use super::place::Place;

/// A line that speaks of the host we look for.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) marker: Marker,
    pub(super) matched: Matched,
    pub(super) key: KeyData,
    pub(super) place: Place,
}

/// What a line says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// The host's own key.
    Own,
    /// `@cert-authority`: signs the host's certificates.
    Authority,
    /// `@revoked`: never to be taken.
    Revoked,
}

/// What a line comes to.
pub(super) enum Line {
    /// Empty, a comment, or of other hosts.
    Elsewhere,
    /// Of our host.
    Entry {
        marker: Marker,
        matched: Matched,
        key: KeyData,
    },
    /// Of our host, or of nobody knows whom, and not to be read.
    Bad(&'static str),
}

/// Reads one line without its newline. The key is looked at only where the names match, as in OpenSSH: a file may hold
/// types we do not know, of hosts we do not ask for.
pub(super) fn parse(line: &[u8], wanted: &Wanted) -> Line {
    let line = line.trim_ascii();
    if matches!(line.first(), None | Some(b'#')) {
        return Line::Elsewhere;
    }
    let (marker, line) = match line.first() {
        Some(b'@') => match split(line) {
            (b"@cert-authority", rest) => (Marker::Authority, rest),
            (b"@revoked", rest) => (Marker::Revoked, rest),
            _ => return Line::Bad("unknown marker"),
        },
        _ => (Marker::Own, line),
    };
    if line.starts_with(b"@") {
        return Line::Bad("more than one marker");
    }
    let (names, rest) = split(line);
    let matched = match wanted.matched(names) {
        None => return Line::Bad("malformed hashed name"),
        Some(matched) if !matched.any() => return Line::Elsewhere,
        Some(matched) => matched,
    };
    match public_key(rest) {
        Ok(key) => Line::Entry {
            marker,
            matched,
            key,
        },
        Err(why) => Line::Bad(why),
    }
}

/// `type base64 [comment]`.
pub(super) fn public_key(text: &[u8]) -> Result<KeyData, &'static str> {
    let (kind, rest) = split(text);
    let (base64, _comment) = split(rest);
    if kind.is_empty() || base64.is_empty() {
        return Err("no key after the names");
    }
    // ssh-key follows certificates within certificates without end.
    if base64.len() > MAX_KEY {
        return Err("the key is too long");
    }
    let (Ok(kind), Ok(base64)) = (str::from_utf8(kind), str::from_utf8(base64)) else {
        return Err("the key is not text");
    };
    let key = PublicKey::from_openssh(&format!("{kind} {base64}"))
        .map_err(|_| "malformed key, or of an unknown type")?;
    match key.key_data() {
        KeyData::Other(_) | KeyData::Certificate(_) => Err("key of an unknown type"),
        known => Ok(known.clone()),
    }
}

/// The first word and what follows the blanks after it.
fn split(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    let end = text
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\t'))
        .unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, b""));
    (word, rest.trim_ascii_start())
}

/// The longest key, in bytes of base64: RSA of 16384 bits, OpenSSH's largest, has 2800.
const MAX_KEY: usize = 8192;
