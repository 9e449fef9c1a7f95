//! The word that lets one in.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use subtle::ConstantTimeEq;
use thiserror::Error;

/// A secret that whoever comes by TCP must know. It is never printed.
#[derive(Clone)]
pub struct Token(Vec<u8>);

/// Why it is none.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Its file cannot be read.
    #[error("cannot read the token in {}: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read its file.
    #[error("the token in {} can be read by others: chmod 600 it", path.display())]
    Public {
        /// The path.
        path: PathBuf,
    },
    /// It could be guessed, or cannot be sent.
    #[error(
        "a token is {SHORTEST} to {LONGEST} visible ASCII characters; `head -c 24 /dev/urandom | base64` makes one"
    )]
    Unfit,
}

impl Token {
    /// From text; white space around it is not part of it.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let is_fit = (SHORTEST..=LONGEST).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_fit {
            Ok(Self(text.into()))
        } else {
            Err(TokenError::Unfit)
        }
    }

    /// From a file that its owner alone may read.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let unreadable = |source| TokenError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let about = file.metadata().map_err(unreadable)?;
        // As ssh does with keys: a file of somebody else's is theirs to guard. What systemd hands over is root's, with an ACL that looks like a group's right.
        let is_ours = about.uid() == geteuid().as_raw();
        let others = if is_ours { 0o077 } else { 0o007 };
        if about.is_file() && about.permissions().mode() & others != 0 {
            let path = path.to_owned();
            return Err(TokenError::Public { path });
        }
        let mut text = String::new();
        let most = u64::try_from(LONGEST * 2).unwrap_or(u64::MAX);
        file.take(most)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        Self::new(&text)
    }

    /// Whether this is it; takes as long where the first character differs as where the last does.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        self.0.as_slice().ct_eq(given).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

const SHORTEST: usize = 16;
const LONGEST: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn a_short_one_is_none_and_a_file_that_others_can_read_is_refused() {
        assert!(Token::new("short").is_err());
        assert!(Token::new("0123456789 abcdef").is_err());
        let token = Token::new(" 0123456789abcdef\n").unwrap();
        assert!(token.is(b"0123456789abcdef"));
        assert!(
            !token.is(b"0123456789abcdeF") && !token.is(b"") && !token.is(b"0123456789abcdef0")
        );
        assert_eq!(format!("{token:?}"), "Token");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(matches!(
            Token::read(&path),
            Err(TokenError::Unreadable { .. })
        ));
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Token::read(&path), Err(TokenError::Public { .. })));
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(Token::read(&path).unwrap().is(b"0123456789abcdef"));
    }
}
