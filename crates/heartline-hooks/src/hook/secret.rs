//! Secrets in files: read once, at the start, and shown to nobody.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::str::Utf8Error;

use nix::unistd::geteuid;
use zeroize::Zeroizing;

use super::error::{HookError, MAX_SECRET};

/// What a file held, without the line end behind it; wiped when it is dropped.
pub(crate) struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Reads it from a file that is nobody else's to read.
    pub(super) fn read(hook: &str, path: &Path) -> Result<Self, HookError> {
        let unreadable = |source| HookError::Unreadable {
            hook: hook.to_owned(),
            path: path.to_owned(),
            source,
        };
        let no_secret = |what| HookError::NoSecret {
            hook: hook.to_owned(),
            path: path.to_owned(),
            what,
        };
        // Opening a FIFO would wait for its writer without end.
        if path.metadata().map_err(unreadable)?.file_type().is_fifo() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "not a file");
            return Err(unreadable(error));
        }
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        // As ssh does with keys: a file of somebody else's is theirs to guard. What systemd hands over is root's, with an ACL that looks like a group's right.
        let is_ours = metadata.uid() == geteuid().as_raw();
        let others = if is_ours { 0o077 } else { 0o007 };
        if metadata.mode() & others != 0 {
            return Err(HookError::Permissions {
                hook: hook.to_owned(),
                path: path.to_owned(),
                mode: metadata.mode() & 0o777,
            });
        }
        // Room for all of it at once, so that growing leaves no copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 1));
        let most = MAX_SECRET as u64 + 1;
        file.take(most)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() > MAX_SECRET {
            return Err(no_secret("is too large"));
        }
        while bytes
            .last()
            .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
        {
            bytes.pop();
        }
        if bytes.is_empty() {
            return Err(no_secret("is empty"));
        }
        Ok(Self(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn text(&self) -> Result<&str, Utf8Error> {
        str::from_utf8(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
