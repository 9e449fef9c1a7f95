//! The first bytes of an SSH conversation, exchanged by us before russh sees them.
//!
//! RFC 4253 section 4.2 (identification) and 7.1 (KEXINIT). Reading them ourselves gives each its own deadline and
//! bound, names a peer that turns us away before it has said hello, and tells, before any arithmetic is done, whether
//! the key exchange that will be chosen is one that would keep a beating thread busy (facts/russh.md, section 2).
//! russh then gets a [`Conversation`], on which it finds what we read.

use std::io;
use std::sync::Arc;

use heartline_core::Cause;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::arrival::Arrival;
use crate::clock::Clock;
use crate::conversation::{Conversation, Heard};
use crate::escape::escape;

/// What we call ourselves on the wire.
pub(crate) const IDENT: &str = concat!("SSH-2.0-heartline_", env!("CARGO_PKG_VERSION"));

/// Why there was no SSH there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum PreambleError {
    /// Something before the identification says that we are turned away.
    #[error("turned away: {said}")]
    TurnedAway {
        /// What was said, escaped.
        said: String,
    },
    /// The peer closed.
    #[error("closed before it said hello{}", said_suffix(.said))]
    Closed {
        /// What was said before, escaped.
        said: String,
    },
    /// More before the identification than RFC 4253 and OpenSSH allow.
    #[error("more than {limit} bytes and no SSH identification")]
    Endless {
        /// The limit in bytes.
        limit: usize,
    },
    /// An identification of another protocol.
    #[error("not SSH 2: {said}")]
    NotSsh {
        /// What was said, escaped.
        said: String,
    },
    /// The first packet is not a KEXINIT of a sane length.
    #[error("malformed first packet ({what})")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl PreambleError {
    /// The cause that a line goes down with.
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::TurnedAway { .. } => Cause::Penalty,
            Self::Endless { .. } | Self::NotSsh { .. } => Cause::NotSsh,
            Self::Malformed { .. } => Cause::KexFailed,
            Self::Io(error) if error.kind() == io::ErrorKind::ConnectionReset => Cause::Reset,
            Self::Io(_) | Self::Closed { .. } => Cause::ClosedByPeer,
        }
    }
}

fn said_suffix(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(" (it said: {said})")
    }
}

/// A stream, and all that was heard on it so far.
pub(crate) struct Ear<S> {
    stream: S,
    heard: Vec<u8>,
    /// How much of it is understood.
    done: usize,
    /// How much came before the identification.
    before: usize,
    /// Where the identification ends in what was heard.
    ident_end: usize,
}

impl<S: AsyncRead + AsyncWrite + Arrival + Unpin> Ear<S> {
    /// Nothing heard yet.
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            heard: Vec::new(),
            done: 0,
            before: 0,
            ident_end: 0,
        }
    }

    /// Sends our identification and reads the peer's, which comes back escaped and without its line end. The deadline is
    /// the caller's.
    pub(crate) async fn exchange_idents(&mut self) -> Result<String, PreambleError> {
        self.stream.write_all(IDENT_LINE.as_bytes()).await?;
        self.stream.flush().await?;
        loop {
            let line = self.next_line().await?;
            if line.starts_with(b"SSH-2.0-") || line.starts_with(b"SSH-1.99-") {
                self.ident_end = self.done;
                return Ok(escape(&line, MAX_IDENT));
            }
            let said = escape(&line, MAX_IDENT);
            if line.starts_with(b"SSH-") {
                return Err(PreambleError::NotSsh { said });
            }
            if is_turning_away(&line) {
                return Err(PreambleError::TurnedAway { said });
            }
            // Lines before the identification are not for russh: it would read them, but they are understood.
            self.before += self.done;
            self.heard.drain(..self.done);
            self.done = 0;
            if self.before > MAX_BEFORE_IDENT {
                let limit = MAX_BEFORE_IDENT;
                return Err(PreambleError::Endless { limit });
            }
        }
    }

    /// Reads the peer's KEXINIT packet whole: the names of the key exchanges it offers.
    pub(crate) async fn read_kexinit(&mut self) -> Result<Vec<String>, PreambleError> {
        let mut wanted = 4;
        loop {
            let rest = self.heard.get(self.done..).unwrap_or_default();
            if let Some((length, body)) = rest.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if !(MIN_KEXINIT..=MAX_KEXINIT).contains(&length) {
                    let what = "impossible length";
                    return Err(PreambleError::Malformed { what });
                }
                if let Some(body) = body.get(..length) {
                    let what = "not a KEXINIT";
                    return kex_names(body).ok_or(PreambleError::Malformed { what });
                }
                wanted = 4 + length;
            }
            if rest.len() < wanted && !self.hear_more().await? {
                let said = String::new();
                return Err(PreambleError::Closed { said });
            }
        }
    }

    /// The stream for russh, on which all that was heard is heard again.
    pub(crate) fn into_conversation(self, clock: Clock, heard: Arc<Heard>) -> Conversation<S> {
        Conversation::new(self.stream, self.heard, self.ident_end, clock, heard)
    }

    /// The next line, without its end.
    async fn next_line(&mut self) -> Result<Vec<u8>, PreambleError> {
        loop {
            let rest = self.heard.get(self.done..).unwrap_or_default();
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = rest
                    .get(..end)
                    .unwrap_or_default()
                    .trim_ascii_end()
                    .to_vec();
                self.done += end + 1;
                if line.starts_with(b"SSH-") && line.len() > MAX_IDENT {
                    let said = escape(&line, MAX_IDENT);
                    return Err(PreambleError::NotSsh { said });
                }
                return Ok(line);
            }
            if rest.starts_with(b"SSH-") && rest.len() > MAX_IDENT {
                let said = escape(rest, MAX_IDENT);
                return Err(PreambleError::NotSsh { said });
            }
            if self.before + rest.len() > MAX_BEFORE_IDENT {
                let limit = MAX_BEFORE_IDENT;
                return Err(PreambleError::Endless { limit });
            }
            if !self.hear_more().await? {
                let rest = self.heard.get(self.done..).unwrap_or_default();
                let said = escape(rest.trim_ascii_end(), MAX_IDENT);
                return Err(if is_turning_away(rest) {
                    PreambleError::TurnedAway { said }
                } else {
                    PreambleError::Closed { said }
                });
            }
        }
    }

    /// Whether anything more came; `false` at the end of the stream.
    async fn hear_more(&mut self) -> io::Result<bool> {
        let mut chunk = [0_u8; CHUNK];
        let count = self.stream.read(&mut chunk).await?;
        self.heard.extend(chunk.iter().take(count));
        Ok(count > 0)
    }
}

/// The first name-list of a KEXINIT: padding length (1), message number (1), cookie (16), then the list.
fn kex_names(body: &[u8]) -> Option<Vec<String>> {
    if *body.get(1)? != SSH_MSG_KEXINIT {
        return None;
    }
    let list = body.get(18..)?;
    let (length, rest) = list.split_first_chunk::<4>()?;
    let names = rest.get(..u32::from_be_bytes(*length) as usize)?;
    let names = std::str::from_utf8(names).ok()?;
    Some(names.split(',').map(str::to_owned).collect())
}

/// What sshd says instead of an identification when it turns somebody away: MaxStartups (sshd.c, `drop_connection`) and
/// PerSourcePenalties (srclimit.c).
fn is_turning_away(line: &[u8]) -> bool {
    [
        &b"Exceeded MaxStartups"[..],
        b"Not allowed at this time",
        b"Exceeded PerSourceMaxStartups",
    ]
    .into_iter()
    .any(|words| line.starts_with(words))
}

/// The same, as a line.
pub(crate) const IDENT_LINE: &str =
    concat!("SSH-2.0-heartline_", env!("CARGO_PKG_VERSION"), "\r\n");
const SSH_MSG_KEXINIT: u8 = 20;
/// RFC 4253 section 4.2.
const MAX_IDENT: usize = 255;
const CHUNK: usize = 2048;
/// OpenSSH's kex.c, `SSH_MAX_PRE_BANNER_LINES` 1024 lines; 8 KiB holds any greeting that is one.
const MAX_BEFORE_IDENT: usize = 8 * 1024;
/// Padding length, number, cookie, ten empty lists, a flag and a reserved word.
const MIN_KEXINIT: usize = 1 + 1 + 16 + 10 * 4 + 1 + 4;
/// RFC 4253 section 6.1: a packet of 35 000 bytes must be taken.
const MAX_KEXINIT: usize = 35_000;

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    async fn heard(said: &[u8]) -> Result<String, PreambleError> {
        let (ours, mut theirs) = duplex(64 * 1024);
        theirs.write_all(said).await.unwrap();
        theirs.shutdown().await.unwrap();
        Ear::new(ours).exchange_idents().await
    }

    #[tokio::test]
    async fn takes_an_ident_after_other_lines_and_escapes_it() {
        assert_eq!(
            heard(b"hello\r\nSSH-2.0-x\x1b[2J y\r\n").await.unwrap(),
            "SSH-2.0-x\\x1b[2J y"
        );
    }

    #[tokio::test]
    async fn names_what_turns_us_away() {
        for (said, cause) in [
            (&b"Exceeded MaxStartups\r\n"[..], Cause::Penalty),
            (b"Not allowed at this time\r\n", Cause::Penalty),
            (b"Not allowed at this time", Cause::Penalty),
            (b"", Cause::ClosedByPeer),
            (b"SSH-1.5-old\n", Cause::NotSsh),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", Cause::ClosedByPeer),
        ] {
            assert_eq!(heard(said).await.unwrap_err().cause(), cause, "{said:?}");
        }
    }

    #[tokio::test]
    async fn an_endless_greeting_is_cut() {
        let error = heard(&b"junk junk\n".repeat(2_000)).await.unwrap_err();
        assert!(matches!(error, PreambleError::Endless { .. }));
        let error = heard(&b"x".repeat(20_000)).await.unwrap_err();
        assert!(matches!(error, PreambleError::Endless { .. }));
        let error = heard(&[b"SSH-2.0-".to_vec(), vec![b'x'; 300]].concat()).await;
        assert!(matches!(error, Err(PreambleError::NotSsh { .. })));
    }

    #[tokio::test]
    async fn a_four_gigabyte_packet_is_refused_unread() {
        let (ours, mut theirs) = duplex(1024);
        theirs.write_all(&[0xff; 32]).await.unwrap();
        let error = Ear::new(ours).read_kexinit().await.unwrap_err();
        assert_eq!(error.cause(), Cause::KexFailed);
    }
}
