//! Hashed names of `known_hosts`: `|1|base64 salt|base64 HMAC-SHA1(salt, name)` (hostfile.c `host_hash`).
//!
//! SHA-1 hides names from a casual reader here; nothing rests on its strength.

use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::known_hosts::HostPatterns;
use sha1::Sha1;

/// Whether the field is the hash of `name`; `None` where it is no hash at all.
pub(super) fn is(field: &[u8], name: &str) -> Option<bool> {
    let text = str::from_utf8(field).ok()?;
    let Ok(HostPatterns::HashedName { salt, hash }) = HostPatterns::from_str(text) else {
        return None;
    };
    (salt.len() == SALT).then(|| hash_of(&salt, name).is_some_and(|of| of == hash))
}

/// `name` hashed under a fresh salt; `None` where the system gives no random bytes.
pub(super) fn hash(name: &str) -> Option<String> {
    let mut salt = [0; SALT];
    getrandom::fill(&mut salt).ok()?;
    let hash = hash_of(&salt, name)?;
    let salt = salt.to_vec();
    Some(HostPatterns::HashedName { salt, hash }.to_string())
}

fn hash_of(salt: &[u8], name: &str) -> Option<[u8; 20]> {
    let mut mac = Hmac::<Sha1>::new_from_slice(salt).ok()?;
    mac.update(name.as_bytes());
    Some(mac.finalize().into_bytes().into())
}

/// OpenSSH's salts are as long as the hash, and it takes no other.
const SALT: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_found_again_and_no_other() {
        let field = hash("[host]:2222").unwrap();
        assert_eq!(is(field.as_bytes(), "[host]:2222"), Some(true));
        assert_eq!(is(field.as_bytes(), "host"), Some(false));
        assert_ne!(field, hash("[host]:2222").unwrap());
    }

    #[test]
    fn what_is_no_hash_is_told_apart() {
        for field in [
            "|",
            "|1|",
            "|1|AAAA|AAAA",
            "|2|JfKTdBh7rNbXkVAQCRp4OQoPfmI=|USECr3SWf1JUPsms5AqfD5QfxkM=",
        ] {
            assert_eq!(is(field.as_bytes(), "host"), None, "{field}");
        }
    }
}
