//! What one line says against its node's settings: `--line ADDR[,dev=IF][,src=IP][,jump=HOST][,port=N][,name=X]`.
//!
//! A node is looked up in `ssh_config` once, by its own destination; each of its lines then goes
//! another way to it. An override therefore never changes which blocks of `ssh_config` match. It does
//! change what `%h` and `%p` stand for, and which host key is looked up first (see
//! [`HostKeySettings::also`](super::HostKeySettings::also)).

use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;

use super::destination::{Destination, DestinationError, parse_port, shown};
use super::jump::Jump;

/// One line's way to its node; every field left empty follows the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LineOverride {
    /// The address or name this line dials instead of the node's `HostName`.
    pub host: Option<String>,
    /// The TCP port this line dials, 1 to 65535.
    pub port: Option<u16>,
    /// `src`: the source address.
    pub bind_address: Option<IpAddr>,
    /// `dev`: the interface to leave by.
    pub bind_interface: Option<String>,
    /// `jump`: replaces `ProxyJump` and `ProxyCommand`; [`Jump::None`] takes the node's proxy away.
    pub jump: Option<Jump>,
    /// What people call the line; it changes nothing about the connection.
    pub name: Option<String>,
}

impl LineOverride {
    fn set(&mut self, key: &str, value: &str) -> Result<(), LineOverrideError> {
        if value.is_empty() {
            return Err(LineOverrideError::NoValue { key: shown(key) });
        }
        match key {
            "dev" => once(&mut self.bind_interface, key, interface(value)?),
            "src" => {
                let address = value
                    .parse()
                    .map_err(|_| LineOverrideError::BadSource { came: shown(value) })?;
                once(&mut self.bind_address, key, address)
            }
            "jump" => once(&mut self.jump, key, value.parse()?),
            "port" => once(&mut self.port, key, parse_port(value)?),
            "name" => once(&mut self.name, key, name(value)?),
            _ => Err(LineOverrideError::UnknownKey { came: shown(key) }),
        }
    }
}

impl FromStr for LineOverride {
    type Err = LineOverrideError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut line = Self::default();
        for (i, part) in text.split(',').enumerate() {
            match part.split_once('=') {
                Some((key, value)) => line.set(key, value)?,
                None if i == 0 => {
                    let address: Destination = part.parse()?;
                    if let Some(user) = address.user() {
                        return Err(LineOverrideError::User { came: shown(user) });
                    }
                    line.host = Some(address.host().to_owned());
                    line.port = address.port();
                }
                None => return Err(LineOverrideError::NoValue { key: shown(part) }),
            }
        }
        Ok(line)
    }
}

/// Why a text is no line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LineOverrideError {
    /// The address, the port or the jump host is broken.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// A key nobody knows.
    #[error("a line has no `{came}`, expected dev, src, jump, port or name")]
    UnknownKey {
        /// The key, escaped.
        came: String,
    },
    /// A key without a value, or a second address.
    #[error("`{key}` has no value, expected ADDR[,dev=IF][,src=IP][,jump=HOST][,port=N][,name=X]")]
    NoValue {
        /// The key, escaped.
        key: String,
    },
    /// The same key twice, or a port both in the address and as `port=`.
    #[error("`{key}` is given twice")]
    Twice {
        /// The key.
        key: String,
    },
    /// A user in the address: all lines of a node log in as the node's user.
    #[error("a line's address names the user `{came}`, put it before the node's name instead")]
    User {
        /// The user, escaped.
        came: String,
    },
    /// `src` is not an address.
    #[error("src is `{came}`, expected an IP address")]
    BadSource {
        /// What stood there, escaped.
        came: String,
    },
    /// `dev` cannot be the name of an interface.
    #[error("dev is `{came}`, expected an interface name of at most {MAX_INTERFACE} bytes")]
    BadInterface {
        /// What stood there, escaped.
        came: String,
    },
    /// `name` has a control character or is too long.
    #[error("name is `{came}`, expected at most {MAX_NAME} bytes without control characters")]
    BadName {
        /// What stood there, escaped.
        came: String,
    },
}

fn once<T>(slot: &mut Option<T>, key: &str, value: T) -> Result<(), LineOverrideError> {
    if slot.is_some() {
        return Err(LineOverrideError::Twice {
            key: key.to_owned(),
        });
    }
    *slot = Some(value);
    Ok(())
}

/// Linux `dev_valid_name`: no slash, no colon, no white space, not `.` or `..`.
fn interface(text: &str) -> Result<String, LineOverrideError> {
    let bad = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if text.len() > MAX_INTERFACE || text == "." || text == ".." || text.contains(bad) {
        return Err(LineOverrideError::BadInterface { came: shown(text) });
    }
    Ok(text.to_owned())
}

fn name(text: &str) -> Result<String, LineOverrideError> {
    if text.len() > MAX_NAME || text.contains(char::is_control) {
        return Err(LineOverrideError::BadName { came: shown(text) });
    }
    Ok(text.to_owned())
}

/// `IFNAMSIZ` less its end.
const MAX_INTERFACE: usize = 15;

/// A name is a column in a table and a label in a metric.
const MAX_NAME: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read() {
        let line: LineOverride =
            "[fe80::1%eth1]:2222,dev=eth1,src=10.0.2.1,jump=u@gate,name=second"
                .parse()
                .unwrap();
        assert_eq!(line.host.as_deref(), Some("fe80::1%eth1"));
        assert_eq!(line.port, Some(2222));
        assert_eq!(line.bind_interface.as_deref(), Some("eth1"));
        assert_eq!(line.bind_address, Some("10.0.2.1".parse().unwrap()));
        assert_eq!(line.jump, Some("u@gate".parse().unwrap()));
        assert_eq!(line.name.as_deref(), Some("second"));

        let line: LineOverride = "dev=eth1,port=23,jump=none".parse().unwrap();
        assert_eq!((line.host, line.port), (None, Some(23)));
        assert_eq!(line.jump, Some(Jump::None));
    }

    #[test]
    fn what_is_refused_and_why() {
        use LineOverrideError as E;
        let error = |text: &str| text.parse::<LineOverride>().unwrap_err();
        assert!(matches!(error("h,eth0"), E::NoValue { .. }));
        assert!(matches!(error("h,dev="), E::NoValue { .. }));
        assert!(matches!(error("h,via=x"), E::UnknownKey { .. }));
        assert!(matches!(error("h:22,port=23"), E::Twice { .. }));
        assert!(matches!(error("h,dev=a,dev=b"), E::Twice { .. }));
        assert!(matches!(error("u@h"), E::User { .. }));
        assert!(matches!(error("h,src=eth0"), E::BadSource { .. }));
        for dev in ["a/b", "sixteen-letters-", "a b", ".."] {
            assert!(
                matches!(error(&format!("h,dev={dev}")), E::BadInterface { .. }),
                "{dev}"
            );
        }
        assert!(matches!(error("h,name=a\u{1b}b"), E::BadName { .. }));
        assert!(matches!(
            error("h,port=0"),
            E::Destination(DestinationError::BadPort { .. })
        ));
        assert!(matches!(error(""), E::Destination(DestinationError::Empty)));
        assert!(matches!(
            error("-x"),
            E::Destination(DestinationError::LeadingDash { .. })
        ));
    }
}
