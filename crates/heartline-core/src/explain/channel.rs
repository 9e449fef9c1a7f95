//! sshd's `ChannelTimeout` and `UnusedConnectionTimeout`, which no keepalive holds off.
//!
//! facts/keepalive.md, section 6. Both count whole seconds: a channel is closed up to a second early, a connection up to
//! a second late.

use std::time::Duration;

use thiserror::Error;

use super::banner::{Implementation, SshdRelease};
use super::ending::{Ending, Mechanism};
use super::scene::{Scene, Side};
use super::span::Span;
use super::value::time;

/// The value of `ChannelTimeout`: patterns of channel types, each with seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelTimeouts {
    entries: Vec<(String, u32)>,
}

impl ChannelTimeouts {
    /// Reads `type=time …` or `none`.
    pub fn parse(text: &str) -> Result<Self, ChannelTimeoutsError> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        if words.is_empty() {
            return Err(ChannelTimeoutsError::NoArgument);
        }
        if words == ["none"] {
            return Ok(Self::default());
        }
        if words.len() > MOST_ENTRIES {
            return Err(ChannelTimeoutsError::TooMany { came: words.len() });
        }
        let entry = |word: &&str| {
            let bad = || ChannelTimeoutsError::Invalid {
                came: word
                    .chars()
                    .take(MOST_SHOWN)
                    .flat_map(char::escape_debug)
                    .collect(),
            };
            let (kind, seconds) = word.split_once('=').ok_or_else(bad)?;
            let seconds = time(seconds).ok_or_else(bad)?;
            Ok((kind.to_owned(), seconds))
        };
        let entries = words.iter().map(entry).collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    /// Whether something stands here that was meant for sessions and has no effect.
    pub fn is_misspelt(&self) -> bool {
        self.entries.iter().any(|(kind, _)| kind == "session")
    }

    /// After how long an idle session is closed by this sshd.
    fn session(&self, release: SshdRelease) -> Option<Duration> {
        let knows_global = matches!(release, SshdRelease::From97 | SshdRelease::Unknown);
        let of = |wanted: fn(&str) -> bool| {
            let mut entries = self.entries.iter();
            entries.find(|(kind, _)| wanted(kind))
        };
        // The last word on a session is that of the first pattern that its full name (session:command, session:shell)
        // fits.
        let session = of(|kind| {
            ["session:command", "session:shell"]
                .iter()
                .any(|name| fits(kind.as_bytes(), name.as_bytes()))
        });
        let global = of(|kind| kind == "global").filter(|_| knows_global);
        let seconds = [session, global].into_iter().flatten();
        let seconds = seconds
            .map(|(_, seconds)| *seconds)
            .filter(|seconds| *seconds > 0);
        seconds
            .min()
            .map(|seconds| Duration::from_secs(seconds.into()))
    }
}

/// Why a value of `ChannelTimeout` is refused. The first two display as sshd prints them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChannelTimeoutsError {
    /// Nothing there.
    #[error("command-line line 0: no argument after keyword \"ChannelTimeout\"")]
    NoArgument,
    /// Not `type=time`.
    #[error("command-line line 0: invalid channel timeout {came}")]
    Invalid {
        /// What stood there, escaped and cut.
        came: String,
    },
    /// More than anybody needs.
    #[error("{came} channel timeouts, at most {MOST_ENTRIES} are taken")]
    TooMany {
        /// How many.
        came: usize,
    },
}

/// When an idle session's channel is closed, while all is well or after a fault; `None`: never.
pub(super) fn session_close(scene: &Scene) -> Option<Span> {
    let Implementation::Sshd(release) = scene.software.implementation else {
        return match scene.side {
            // At the client's end nothing is known of the server's release.
            Side::Client => close(scene, SshdRelease::Unknown),
            Side::Server => None,
        };
    };
    close(scene, release)
}

fn close(scene: &Scene, release: SshdRelease) -> Option<Span> {
    let timeout = scene.channel_timeouts.session(release)?;
    let is_held_off = |every: Option<Duration>| every.is_some_and(|every| every < timeout);
    let remote = scene.traffic.remote_writes;
    (scene.has_session && !is_held_off(remote))
        .then(|| Span::new(timeout.saturating_sub(SECOND), timeout))
}

/// How these two end a connection on which all is well.
pub(super) fn healthy_ending(scene: &Scene) -> Option<Ending> {
    if !scene.has_session {
        let unused = unused(scene)?;
        let by = Mechanism::UnusedConnectionTimeout;
        return Some(Ending::sure(by, unused, unused));
    }
    let client_writes = scene.traffic.client_writes;
    let close = session_close(scene)?;
    if client_writes.is_some_and(|every| every < close.max()) {
        return None;
    }
    Some(Ending::sure(Mechanism::ChannelTimeout, close, close))
}

/// How these two end sshd's side after a fault: the channel closes, and a connection without channels ends.
pub(super) fn ending_after_fault(scene: &Scene) -> Option<Ending> {
    if !matches!(scene.software.implementation, Implementation::Sshd(_)) {
        return None;
    }
    let unused = unused(scene)?;
    let by = Mechanism::UnusedConnectionTimeout;
    if !scene.has_session {
        return Some(Ending::sure(
            by,
            unused,
            Span::new(Duration::ZERO, unused.max()),
        ));
    }
    let close = session_close(scene)?;
    let total = Span::new(
        close.min().saturating_add(unused.min()),
        close.max().saturating_add(unused.max()),
    );
    // How old the client's last data is at a fault: as old as the channel may grow, where the client is idle.
    let age = scene.traffic.client_writes.unwrap_or(close.max());
    let after_fault = Span::new(total.min().saturating_sub(age), total.max());
    Some(Ending::sure(by, total, after_fault))
}

fn unused(scene: &Scene) -> Option<Span> {
    let seconds = scene
        .unused_connection_timeout
        .filter(|seconds| *seconds > 0)?;
    let timeout = Duration::from_secs(seconds.into());
    Some(Span::new(timeout, timeout.saturating_add(SECOND)))
}

/// match.c, `match_pattern`: `*` and `?`. Linear but for one step back to the last `*`.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut star) = ((0, 0), None);
    loop {
        let (in_pattern, in_name) = at;
        match (pattern.get(in_pattern), name.get(in_name)) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                star = Some((in_pattern + 1, in_name));
                at = (in_pattern + 1, in_name);
            }
            (Some(wanted), Some(came)) if wanted == came || *wanted == b'?' => {
                at = (in_pattern + 1, in_name + 1);
            }
            _ => match star {
                Some((after, taken)) if taken < name.len() => {
                    star = Some((after, taken + 1));
                    at = (after, taken + 1);
                }
                _ => return false,
            },
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MOST_ENTRIES: usize = 64;
const MOST_SHOWN: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    fn session(text: &str, release: SshdRelease) -> Option<u64> {
        let timeouts = ChannelTimeouts::parse(text).unwrap();
        timeouts.session(release).map(|time| time.as_secs())
    }

    #[test]
    fn the_first_pattern_that_fits_a_session_counts() {
        let release = SshdRelease::From97;
        for (text, seconds) in [
            ("session:*=4", Some(4)),
            ("session:comm?nd=1m", Some(60)),
            ("*=7 session:*=4", Some(7)),
            ("direct-tcpip=3 session:*=1m30s", Some(90)),
            ("session:*=0", None),
            ("session=4", None),
            ("global=4", Some(4)),
            ("global=4 session:*=2", Some(2)),
            ("none", None),
        ] {
            assert_eq!(session(text, release), seconds, "{text}");
        }
        assert_eq!(session("global=4", SshdRelease::From92To94), None);
        assert!(ChannelTimeouts::parse("session=4").unwrap().is_misspelt());
        assert!(!ChannelTimeouts::parse("session:*=4").unwrap().is_misspelt());
    }

    /// Printed by sshd 9.2p1 (Debian).
    #[test]
    fn sshd_refuses_in_these_words() {
        for value in ["x", "session=x", "session:*=-1", "session:*"] {
            let said = ChannelTimeouts::parse(value).unwrap_err().to_string();
            let expected = format!("command-line line 0: invalid channel timeout {value}");
            assert_eq!(said, expected);
        }
        assert_eq!(
            ChannelTimeouts::parse("").unwrap_err().to_string(),
            "command-line line 0: no argument after keyword \"ChannelTimeout\""
        );
    }
}
