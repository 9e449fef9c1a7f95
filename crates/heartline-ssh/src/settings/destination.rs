//! A destination as it is typed: `[user@]host[:port]`, `[v6]:port`, a bare IPv6 address, or
//! `ssh://[user@]host[:port]`.
//!
//! A host or user that passed here can stand in an argument vector, in a log line and (through
//! `%h` and `%r`) in a `ProxyCommand`: what a shell or a terminal would act on is refused, by the
//! rules of OpenSSH (`ssh.c`: `valid_hostname`, `valid_ruser`). What the name means (`ssh_config`, DNS)
//! is not decided here.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use thiserror::Error;

use crate::escape;

/// Where to go, as somebody typed it: not yet looked up in `ssh_config`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl Destination {
    /// Builds one from its parts; the same rules hold as for a typed one.
    pub fn new(
        user: Option<&str>,
        host: &str,
        port: Option<u16>,
    ) -> Result<Self, DestinationError> {
        if let Some(user) = user {
            check_user(user)?;
        }
        check_host(host)?;
        // Written out, an address stands in brackets, which it must not close itself.
        if host.contains(':')
            && let Some(bracket) = host.chars().find(|c| "[]".contains(*c))
        {
            return Err(DestinationError::BadCharacter {
                part: "host",
                came: bracket.to_string(),
            });
        }
        if port == Some(0) {
            return Err(DestinationError::BadPort {
                came: "0".to_owned(),
            });
        }
        Ok(Self {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
        })
    }

    /// The user that was named, if one was.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The host as typed: a name or an address, without brackets. Never empty, never begins with `-`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port that was named, 1 to 65535, if one was.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    fn parse_uri(rest: &str) -> Result<Self, DestinationError> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !path.is_empty() {
            return Err(DestinationError::Path { came: shown(path) });
        }
        let (user, host_port) = match authority.rsplit_once('@') {
            // RFC 3986 user information may carry `;parameters`, which ssh ignores (misc.c: parse_uri).
            Some((user, rest)) => (Some(user.split(';').next().unwrap_or(user)), rest),
            None => (None, authority),
        };
        let (host, port) = split_port(host_port)?;
        let user = user.map(percent_decode).transpose()?;
        Self::new(user.as_deref(), &percent_decode(host)?, port)
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(DestinationError::Empty);
        }
        if text.len() > MAX_LEN {
            return Err(DestinationError::TooLong { came: text.len() });
        }
        if let Some(prefix) = text.get(..SCHEME.len())
            && prefix.eq_ignore_ascii_case(SCHEME)
        {
            return Self::parse_uri(text.get(SCHEME.len()..).unwrap_or_default());
        }
        // The last `@` divides, as in ssh: a user name may hold one.
        let (user, host_port) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, text),
        };
        let (host, port) = split_port(host_port)?;
        Self::new(user, host, port)
    }
}

/// `[user@]host[:port]`, in the form ssh's `-J` takes: an IPv6 address stands in brackets.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// Why a text is no destination.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// Nothing was given.
    #[error("the destination is empty, expected [user@]host[:port]")]
    Empty,
    /// Nothing stands where the host should.
    #[error("the destination names no host, expected [user@]host[:port]")]
    NoHost,
    /// An `@` with nothing before it.
    #[error("nothing before the `@`, expected [user@]host[:port]")]
    NoUser,
    /// Longer than any name can be.
    #[error("the destination has {came} bytes, at most {MAX_LEN} are allowed")]
    TooLong {
        /// Its length in bytes.
        came: usize,
    },
    /// It begins with a dash: a program it is handed to would take it for an option.
    #[error("the {part} `{came}` begins with `-`")]
    LeadingDash {
        /// `host` or `user`.
        part: &'static str,
        /// The offending part, escaped.
        came: String,
    },
    /// A character that a shell or a terminal would act on.
    #[error("the {part} contains `{came}`, which is not allowed there")]
    BadCharacter {
        /// `host` or `user`.
        part: &'static str,
        /// The offending character, escaped.
        came: String,
    },
    /// The port is not a number from 1 to 65535.
    #[error("the port is `{came}`, expected 1 to 65535")]
    BadPort {
        /// What stood there, escaped.
        came: String,
    },
    /// More than one colon, yet not an IPv6 address.
    #[error("`{came}` is neither host:port nor an IPv6 address (write [address]:port)")]
    BadAddress {
        /// What stood there, escaped.
        came: String,
    },
    /// An `ssh://` address with a path.
    #[error("an ssh:// destination has no path, came `/{came}`")]
    Path {
        /// The path, escaped.
        came: String,
    },
    /// An `ssh://` address with a broken `%xx`.
    #[error("`{came}` has a `%` that two hexadecimal digits of UTF-8 text do not follow")]
    BadPercent {
        /// The part, escaped.
        came: String,
    },
    /// A jump list with an empty entry or `none` among others.
    #[error("the jump list `{came}` is broken, expected host[,host...] or none")]
    BadJumpList {
        /// The list, escaped.
        came: String,
    },
    /// A jump list longer than anybody needs.
    #[error("{came} jump hosts, at most {max} are allowed", max = super::jump::MAX_HOPS)]
    TooManyHops {
        /// How many there were.
        came: usize,
    },
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`, or a bare `v6`.
fn split_port(text: &str) -> Result<(&str, Option<u16>), DestinationError> {
    if let Some(rest) = text.strip_prefix('[') {
        let bad = || DestinationError::BadAddress { came: shown(text) };
        let (host, after) = rest.split_once(']').ok_or_else(bad)?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(parse_port(port)?))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(bad()),
        };
    }
    match text.split_once(':') {
        None => Ok((text, None)),
        Some((host, port)) if !port.contains(':') => Ok((host, Some(parse_port(port)?))),
        Some(_) => {
            // A scope (`%eth0`) is not part of what the address parser takes.
            let address = text.split('%').next().unwrap_or(text);
            match address.parse::<Ipv6Addr>() {
                Ok(_) => Ok((text, None)),
                Err(_) => Err(DestinationError::BadAddress { came: shown(text) }),
            }
        }
    }
}

/// A port in decimal digits, 1 to 65535.
pub(super) fn parse_port(text: &str) -> Result<u16, DestinationError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(DestinationError::BadPort { came: shown(text) }),
    }
}

/// OpenSSH `ssh.c`: `valid_hostname`; and no `@`, which no host has and which would be taken for a user's end.
pub(super) fn check_host(host: &str) -> Result<(), DestinationError> {
    if host.is_empty() {
        return Err(DestinationError::NoHost);
    }
    if host.len() > MAX_LEN {
        return Err(DestinationError::TooLong { came: host.len() });
    }
    check(host, "host", |c| {
        c.is_whitespace() || c.is_control() || "'`\"$\\;&<>|(){}@".contains(c)
    })
}

/// OpenSSH `ssh.c`: `valid_ruser`, and no control characters.
pub(super) fn check_user(user: &str) -> Result<(), DestinationError> {
    if user.is_empty() {
        return Err(DestinationError::NoUser);
    }
    if user.len() > MAX_LEN {
        return Err(DestinationError::TooLong { came: user.len() });
    }
    check(user, "user", |c| {
        c.is_control() || "'`\";&<>|(){}".contains(c)
    })?;
    let bad = |came: &str| DestinationError::BadCharacter {
        part: "user",
        came: came.to_owned(),
    };
    if user.ends_with('\\') {
        return Err(bad("\\"));
    }
    // Where a command line is split into words, ` -x` would become an option.
    let mut after_space = false;
    for c in user.chars() {
        if after_space && c == '-' {
            return Err(bad(" -"));
        }
        after_space = c.is_whitespace();
    }
    Ok(())
}

fn check(
    text: &str,
    part: &'static str,
    refused: impl Fn(char) -> bool,
) -> Result<(), DestinationError> {
    if text.starts_with('-') {
        return Err(DestinationError::LeadingDash {
            part,
            came: shown(text),
        });
    }
    match text.chars().find(|c| refused(*c)) {
        Some(c) => Err(DestinationError::BadCharacter {
            part,
            came: shown(c.encode_utf8(&mut [0; 4])),
        }),
        None => Ok(()),
    }
}

fn percent_decode(text: &str) -> Result<String, DestinationError> {
    let bad = || DestinationError::BadPercent { came: shown(text) };
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(bad());
        };
        out.push(u8::try_from(high * 16 + low).map_err(|_| bad())?);
    }
    String::from_utf8(out).map_err(|_| bad())
}

/// Typed text fit for an error message: escaped, and not longer than a line.
pub(super) fn shown(text: &str) -> String {
    const MAX_SHOWN: usize = 80;
    escape(text.as_bytes(), MAX_SHOWN)
}

const SCHEME: &str = "ssh://";

/// The longest text taken, in bytes: `NI_MAXHOST` less its end, far over any DNS name.
const MAX_LEN: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (Option<String>, String, Option<u16>) {
        let d: Destination = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        (d.user, d.host, d.port)
    }

    fn owned(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn every_form_of_the_command_line() {
        assert_eq!(parts("db1"), (None, "db1".into(), None));
        assert_eq!(parts("db1:2222"), (None, "db1".into(), Some(2222)));
        assert_eq!(parts("ann@db1"), (Some(owned("ann")), "db1".into(), None));
        assert_eq!(
            parts("a@b@db1:1"),
            (Some(owned("a@b")), "db1".into(), Some(1))
        );
        assert_eq!(parts("[::1]:22"), (None, "::1".into(), Some(22)));
        assert_eq!(parts("[::1]"), (None, "::1".into(), None));
        assert_eq!(parts("::1"), (None, "::1".into(), None));
        assert_eq!(
            parts("u@fe80::1%eth0"),
            (Some(owned("u")), "fe80::1%eth0".into(), None)
        );
        assert_eq!(parts("ssh://db1"), (None, "db1".into(), None));
        assert_eq!(
            parts("SSH://u@db1:2/"),
            (Some(owned("u")), "db1".into(), Some(2))
        );
        assert_eq!(
            parts("ssh://a%20b;x=y@[fe80::1%25eth0]:7"),
            (Some(owned("a b")), "fe80::1%eth0".into(), Some(7))
        );
    }

    #[test]
    fn display_is_read_back() {
        for text in ["db1", "u@db1:22", "[::1]:22", "u@[fe80::1%eth0]", "a@b@c"] {
            let d: Destination = text.parse().unwrap();
            assert_eq!(d.to_string(), text);
        }
    }

    #[test]
    fn what_is_refused_and_why() {
        use DestinationError as E;
        let error = |text: &str| text.parse::<Destination>().unwrap_err();
        assert_eq!(error(""), E::Empty);
        assert_eq!(error("@db1"), E::NoUser);
        assert_eq!(error("u@"), E::NoHost);
        assert_eq!(error(":22"), E::NoHost);
        assert_eq!(error("[]:22"), E::NoHost);
        assert!(matches!(
            error("-oProxyCommand=x"),
            E::LeadingDash { part: "host", .. }
        ));
        assert!(matches!(error("u@-x"), E::LeadingDash { part: "host", .. }));
        assert!(matches!(error("-l@x"), E::LeadingDash { part: "user", .. }));
        assert!(matches!(
            error("ssh://%2dx"),
            E::LeadingDash { part: "host", .. }
        ));
        for bad in [
            "a b",
            "a;b",
            "a$(b)",
            "a\u{1b}[2J",
            "a\nb",
            "ssh://a%0ab",
            "a|b",
            "a\u{85}",
        ] {
            assert!(
                matches!(error(bad), E::BadCharacter { part: "host", .. }),
                "{bad:?}"
            );
        }
        for bad in ["a;b@h", "a -b@h", "a\\@h", "a\u{7}@h", "`a`@h"] {
            assert!(
                matches!(error(bad), E::BadCharacter { part: "user", .. }),
                "{bad:?}"
            );
        }
        for bad in ["a:", "a:0", "a:65536", "a:+22", "a:22x", "a:ssh", "[::1]:"] {
            assert!(matches!(error(bad), E::BadPort { .. }), "{bad:?}");
        }
        for bad in ["a:b:c", "1::2::3", "[::1", "[::1]22", "::1:x"] {
            assert!(matches!(error(bad), E::BadAddress { .. }), "{bad:?}");
        }
        assert!(matches!(error("ssh://h/path"), E::Path { .. }));
        assert!(matches!(error("ssh://h%zz"), E::BadPercent { .. }));
        assert!(matches!(error("ssh://h%ff"), E::BadPercent { .. }));
        assert!(matches!(
            error(&"x".repeat(5000)),
            E::TooLong { came: 5000 }
        ));
    }

    #[test]
    fn an_error_shows_no_raw_control_character() {
        let message = "h\u{1b}]0;x\u{7}:y"
            .parse::<Destination>()
            .unwrap_err()
            .to_string();
        assert!(!message.chars().any(char::is_control), "{message:?}");
        let message = "[\u{1b}[2J".parse::<Destination>().unwrap_err().to_string();
        assert!(!message.chars().any(char::is_control), "{message:?}");
    }
}
