//! What is to be forwarded, as ssh takes it: `-L`, `-R`, `-D`, and the keywords of ssh_config.
//!
//! The rules are OpenSSH's (`parse_forward` in readconf.c): fields between colons, an address with colons in brackets, a
//! field that begins with `/` is the path of a Unix socket.

use std::fmt;

use thiserror::Error;

use crate::escape::escape;
use crate::forward::FarEnd;

/// One forward.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    /// Which side listens.
    pub side: Side,
    /// Where it listens.
    pub listen: Listen,
    /// What its connections lead to.
    pub to: Aim,
}

/// Which side listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Ours (`-L`, `-D`).
    Here,
    /// The node's (`-R`).
    There,
}

/// Where somebody listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Listen {
    /// A TCP port.
    Tcp {
        /// What was given: a name, an address, `*` or nothing for all; none, if it was left out.
        bind: Option<String>,
        /// The port; 0 at the far end: the node chooses.
        port: u16,
    },
    /// A Unix socket.
    Unix(String),
}

/// What connections lead to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Aim {
    /// There, seen from the side that does not listen.
    End(FarEnd),
    /// Wherever each asks by SOCKS.
    Socks,
}

/// Of which flag a forward is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flag {
    /// `-L`, `LocalForward`.
    Local,
    /// `-R`, `RemoteForward`.
    Remote,
    /// `-D`, `DynamicForward`.
    Dynamic,
}

/// That is no forward.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A bracket stands open, or something follows a closed one.
    #[error("brackets go around an address, as in [::1]:80")]
    Bracket,
    /// Too few fields, or too many.
    #[error("{0}")]
    Shape(&'static str),
    /// No port.
    #[error("{0:?} is no port: a number from 1 to 65535 is")]
    Port(String),
    /// A path that no socket can have.
    #[error("a path of a socket has 1 to 107 bytes")]
    Path,
}

impl Spec {
    /// What stands behind `-L`, `-R` or `-D`.
    pub fn parse(flag: Flag, text: &str) -> Result<Self, SpecError> {
        let fields = fields(text)?;
        let shape = SpecError::Shape(flag.shape());
        match (flag, fields.as_slice()) {
            (Flag::Dynamic, [port]) => Self::socks(Side::Here, None, port),
            (Flag::Dynamic, [bind, port]) => Self::socks(Side::Here, Some(bind), port),
            (Flag::Dynamic, _) => Err(shape),
            (Flag::Remote, [port]) if !port.is_path => Self::socks(Side::There, None, port),
            (_, [from, to]) if from.is_path && to.is_path => {
                Ok(Self::build(flag, from.path()?, to.end_of_path()?))
            }
            (_, [port, to]) if to.is_path => Ok(Self::build(
                flag,
                listen(flag, None, port)?,
                to.end_of_path()?,
            )),
            (Flag::Remote, [bind, port]) if !bind.is_path => {
                Self::socks(Side::There, Some(bind), port)
            }
            (_, [from, host, port]) if from.is_path => {
                Ok(Self::build(flag, from.path()?, end(host, port)?))
            }
            (_, [bind, port, to]) if to.is_path => Ok(Self::build(
                flag,
                listen(flag, Some(bind), port)?,
                to.end_of_path()?,
            )),
            (_, [port, host, to]) => {
                Ok(Self::build(flag, listen(flag, None, port)?, end(host, to)?))
            }
            (_, [bind, port, host, to]) => Ok(Self::build(
                flag,
                listen(flag, Some(bind), port)?,
                end(host, to)?,
            )),
            _ => Err(shape),
        }
    }

    /// A value of `LocalForward`, `RemoteForward` or `DynamicForward` as `ssh -G` prints it: two words, or one.
    pub fn parse_config(flag: Flag, value: &str) -> Result<Self, SpecError> {
        let mut words = value.split_ascii_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(from), None, None) => Self::parse(flag, from),
            // How -G prints a remote forward to wherever is asked for.
            (Some(from), Some("[socks]:0"), None) => Self::parse(Flag::Remote, from),
            (Some(from), Some(to), None) => Self::parse(flag, &format!("{from}:{to}")),
            _ => Err(SpecError::Shape(flag.shape())),
        }
    }

    fn build(flag: Flag, listen: Listen, to: FarEnd) -> Self {
        let side = match flag {
            Flag::Remote => Side::There,
            Flag::Local | Flag::Dynamic => Side::Here,
        };
        Self {
            side,
            listen,
            to: Aim::End(to),
        }
    }

    fn socks(side: Side, bind: Option<&Field>, port: &Field) -> Result<Self, SpecError> {
        let flag = match side {
            Side::Here => Flag::Dynamic,
            Side::There => Flag::Remote,
        };
        Ok(Self {
            side,
            listen: listen(flag, bind, port)?,
            to: Aim::Socks,
        })
    }

    /// By which flag it could be given.
    pub fn flag(&self) -> Flag {
        match (self.side, &self.to) {
            (Side::There, _) => Flag::Remote,
            (Side::Here, Aim::Socks) => Flag::Dynamic,
            (Side::Here, Aim::End(_)) => Flag::Local,
        }
    }
}

impl Flag {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Local, Self::Remote, Self::Dynamic];

    /// Of ssh_config, in lower case.
    pub(super) fn keyword(self) -> &'static str {
        match self {
            Self::Local => "localforward",
            Self::Remote => "remoteforward",
            Self::Dynamic => "dynamicforward",
        }
    }

    fn shape(self) -> &'static str {
        match self {
            Self::Local => {
                "give [bind:]port:host:hostport, or a path for either side: [bind:]port:/socket"
            }
            Self::Remote => {
                "give [bind:]port:host:hostport, a path for either side, or [bind:]port for SOCKS"
            }
            Self::Dynamic => "give [bind:]port",
        }
    }

    /// Its letter.
    pub fn letter(self) -> char {
        match self {
            Self::Local => 'L',
            Self::Remote => 'R',
            Self::Dynamic => 'D',
        }
    }
}

/// What stands between two colons.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    text: String,
    is_path: bool,
}

impl Field {
    fn path(&self) -> Result<Listen, SpecError> {
        self.socket().map(Listen::Unix)
    }

    fn end_of_path(&self) -> Result<FarEnd, SpecError> {
        Ok(FarEnd::Unix {
            path: self.socket()?,
        })
    }

    fn socket(&self) -> Result<String, SpecError> {
        let is_one = !self.text.contains('\0') && self.text.len() <= MAX_PATH;
        is_one.then(|| self.text.clone()).ok_or(SpecError::Path)
    }

    fn port(&self, least: u16) -> Result<u16, SpecError> {
        let is_number = self.text.bytes().all(|byte| byte.is_ascii_digit());
        let port: Option<u16> = self.text.parse().ok().filter(|_| is_number);
        port.filter(|port| *port >= least)
            .ok_or_else(|| SpecError::Port(self.text.clone()))
    }
}

fn fields(text: &str) -> Result<Vec<Field>, SpecError> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, left) = field(rest)?;
        fields.push(field);
        match left {
            Some(left) => rest = left,
            None => return Ok(fields),
        }
    }
}

/// The first field, and what follows its colon.
fn field(text: &str) -> Result<(Field, Option<&str>), SpecError> {
    if let Some(inner) = text.strip_prefix('[') {
        let (address, left) = inner.split_once(']').ok_or(SpecError::Bracket)?;
        let left = match left.strip_prefix(':') {
            None if left.is_empty() => None,
            None => return Err(SpecError::Bracket),
            left => left,
        };
        let field = Field {
            text: address.to_owned(),
            is_path: address.starts_with('/'),
        };
        return Ok((field, left));
    }
    let (field, left) = match text.split_once(':') {
        Some((field, left)) => (field, Some(left)),
        None => (text, None),
    };
    let field = Field {
        text: field.to_owned(),
        is_path: field.starts_with('/'),
    };
    Ok((field, left))
}

fn listen(flag: Flag, bind: Option<&Field>, port: &Field) -> Result<Listen, SpecError> {
    // The node may choose one; on our side nobody could learn of it.
    let least = u16::from(flag != Flag::Remote);
    Ok(Listen::Tcp {
        bind: bind.map(|bind| bind.text.clone()),
        port: port.port(least)?,
    })
}

fn end(host: &Field, port: &Field) -> Result<FarEnd, SpecError> {
    if host.text.is_empty() {
        return Err(SpecError::Shape("give the host that it leads to"));
    }
    Ok(FarEnd::Tcp {
        host: host.text.clone(),
        port: port.port(1)?,
    })
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-{} {}", self.flag().letter(), self.listen)?;
        match &self.to {
            Aim::End(end) => write!(f, ":{end}"),
            Aim::Socks => Ok(()),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => f.write_str(&escape(path.as_bytes(), MAX_PATH)),
            Self::Tcp { bind: None, port } => write!(f, "{port}"),
            Self::Tcp {
                bind: Some(bind),
                port,
            } => {
                let bind = escape(bind.as_bytes(), MAX_NAME);
                if bind.contains(':') {
                    write!(f, "[{bind}]:{port}")
                } else {
                    write!(f, "{bind}:{port}")
                }
            }
        }
    }
}

/// What `struct sockaddr_un` holds, and an end of it.
const MAX_PATH: usize = 107;
/// RFC 1035.
const MAX_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tcp(host: &str, port: u16) -> Aim {
        Aim::End(FarEnd::Tcp {
            host: host.to_owned(),
            port,
        })
    }

    fn at(bind: Option<&str>, port: u16) -> Listen {
        Listen::Tcp {
            bind: bind.map(str::to_owned),
            port,
        }
    }

    fn unix(path: &str) -> Aim {
        Aim::End(FarEnd::Unix {
            path: path.to_owned(),
        })
    }

    /// The shapes of ssh(1).
    #[test]
    fn every_shape_that_ssh_takes() {
        let path = |path: &str| Listen::Unix(path.to_owned());
        let rows: [(Flag, &str, Listen, Aim); 14] = [
            (Flag::Local, "80:db:5432", at(None, 80), tcp("db", 5432)),
            (
                Flag::Local,
                "*:80:db:5432",
                at(Some("*"), 80),
                tcp("db", 5432),
            ),
            (
                Flag::Local,
                ":80:db:5432",
                at(Some(""), 80),
                tcp("db", 5432),
            ),
            (
                Flag::Local,
                "[::1]:80:[fe80::1]:22",
                at(Some("::1"), 80),
                tcp("fe80::1", 22),
            ),
            (
                Flag::Local,
                "80:/run/a.sock",
                at(None, 80),
                unix("/run/a.sock"),
            ),
            (
                Flag::Local,
                "b:80:/run/a",
                at(Some("b"), 80),
                unix("/run/a"),
            ),
            (
                Flag::Local,
                "/run/a:db:5432",
                path("/run/a"),
                tcp("db", 5432),
            ),
            (Flag::Local, "/run/a:/run/b", path("/run/a"), unix("/run/b")),
            (Flag::Remote, "0:db:22", at(None, 0), tcp("db", 22)),
            (Flag::Remote, "/run/a:db:22", path("/run/a"), tcp("db", 22)),
            (Flag::Remote, "1080", at(None, 1080), Aim::Socks),
            (Flag::Remote, "b:1080", at(Some("b"), 1080), Aim::Socks),
            (Flag::Dynamic, "1080", at(None, 1080), Aim::Socks),
            (Flag::Dynamic, "[::]:1080", at(Some("::"), 1080), Aim::Socks),
        ];
        for (flag, text, listen, to) in rows {
            let spec = Spec::parse(flag, text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (spec.flag(), spec.listen, spec.to),
                (flag, listen, to),
                "{text}"
            );
        }
    }

    #[test]
    fn what_ssh_refuses_is_refused_and_said() {
        for (flag, text) in [
            (Flag::Local, ""),
            (Flag::Local, "80"),
            (Flag::Local, "80:db"),
            (Flag::Local, "0:db:22"),
            (Flag::Local, "80:db:0"),
            (Flag::Local, "80::22"),
            (Flag::Local, "80:db:70000"),
            (Flag::Local, "80:db:+22"),
            (Flag::Local, "a:b:c:d:e"),
            (Flag::Local, "[::1:80:db:22"),
            (Flag::Local, "[::1]80:db:22"),
            (Flag::Dynamic, "0"),
            (Flag::Dynamic, "a:b:c"),
            (Flag::Remote, "/run/a"),
            (Flag::Remote, "x"),
        ] {
            let error = Spec::parse(flag, text).unwrap_err();
            assert!(!error.to_string().is_empty(), "{text}");
        }
        let long = format!("/{}:db:22", "x".repeat(108));
        assert_eq!(Spec::parse(Flag::Local, &long), Err(SpecError::Path));
    }

    #[test]
    fn what_ssh_prints_of_its_configuration_is_taken() {
        for (flag, value, spec) in [
            (Flag::Local, "8080 [db]:80", "-L 8080:db:80"),
            (
                Flag::Local,
                "[127.0.0.1]:8080 [::1]:80",
                "-L 127.0.0.1:8080:[::1]:80",
            ),
            (Flag::Local, "/run/a /run/b", "-L /run/a:/run/b"),
            (Flag::Remote, "9000 [socks]:0", "-R 9000"),
            (Flag::Remote, "[*]:9000 [db]:80", "-R *:9000:db:80"),
            (Flag::Dynamic, "1080", "-D 1080"),
        ] {
            assert_eq!(Spec::parse_config(flag, value).unwrap().to_string(), spec);
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_shown_is_read_again(text in "\\PC{0,40}|[0-9a-z:\\[\\]/*]{0,30}") {
            for flag in [Flag::Local, Flag::Remote, Flag::Dynamic] {
                if let Ok(spec) = Spec::parse(flag, &text) {
                    let shown = spec.to_string();
                    let again = Spec::parse(spec.flag(), &shown[3..]);
                    // What is escaped for a person is not.
                    prop_assert!(shown.contains('\\') || again == Ok(spec), "{shown}");
                }
            }
        }
    }
}
