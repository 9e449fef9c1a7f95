//! A session as its node knows it: which processes are its, and its name there for as long as the node runs.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;

use thiserror::Error;

mod members;
mod naming;

pub(crate) use members::{MEMBERS, PLACE};
pub use naming::{Naming, name_session};

/// A session at its far end. No two that the node ever has are equal, but that a connection between the same two ports
/// may come again: then the start of the server tells them apart.
///
/// Written and read as words with a blank between them: process id of the session's sshd, its start (field 22 of
/// `/proc/PID/stat`), what the node is, the four words of `SSH_CONNECTION`.
///
/// What the node is: its boot id, the inode of the PID namespace, since containers of one machine share the boot id (no digits: a
/// kernel without), and the start of the first process in it (no digits: hidden), with dots between. Behind one address there may be
/// now this machine, now that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FarSession {
    pid: NonZeroU32,
    start: NonZeroU64,
    place: Place,
    connection: Connection,
}

/// These are not the words of a far session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a process, its start, a boot id with a namespace, and two addresses with a port each")]
pub struct NotFarSession;

/// Which processes can be seen there: `/proc/sys/kernel/random/boot_id`, the number in `/proc/self/ns/pid`, field 22 of `/proc/1/stat`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place(String);

/// Client's address and port, server's address and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Connection(String);

impl FarSession {
    /// The process of the session's sshd.
    pub fn pid(&self) -> u32 {
        self.pid.get()
    }

    /// Client's address and port, server's address and port, as the node sees them.
    pub fn connection(&self) -> &str {
        &self.connection.0
    }
}

impl fmt::Display for FarSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pid,
            start,
            place,
            connection,
        } = self;
        write!(f, "{pid} {start} {} {}", place.0, connection.0)
    }
}

impl FromStr for FarSession {
    type Err = NotFarSession;

    fn from_str(text: &str) -> Result<Self, NotFarSession> {
        let mut words = text.splitn(4, ' ');
        let mut word = || words.next().ok_or(NotFarSession);
        Ok(Self {
            pid: number(word()?)?,
            start: number(word()?)?,
            place: Place::new(word()?)?,
            connection: Connection::new(word()?)?,
        })
    }
}

impl Place {
    fn new(word: &str) -> Result<Self, NotFarSession> {
        let mut parts = word.split('.');
        let mut part = || parts.next().ok_or(NotFarSession);
        let (boot, namespace, first) = (part()?, part()?, part()?);
        if parts.next().is_some() {
            return Err(NotFarSession);
        }
        for digits in [namespace, first] {
            if !digits.is_empty() {
                let _: u64 = number(digits)?;
            }
        }
        let is_uuid = boot.len() == UUID.len()
            && boot
                .bytes()
                .zip(UUID.bytes())
                .all(|(byte, like)| match like {
                    b'-' => byte == b'-',
                    _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
                });
        is_uuid.then(|| Self(word.to_owned())).ok_or(NotFarSession)
    }
}

impl Connection {
    fn new(text: &str) -> Result<Self, NotFarSession> {
        let words: Vec<_> = text.splitn(5, ' ').collect();
        let [from, from_port, to, to_port] = words.as_slice() else {
            return Err(NotFarSession);
        };
        for address in [from, to] {
            let of_address = |byte: u8| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'%' | b'-' | b'_')
            };
            if address.is_empty() || address.len() > MAX_ADDRESS || !address.bytes().all(of_address)
            {
                return Err(NotFarSession);
            }
        }
        for port in [from_port, to_port] {
            let _: u16 = number(port)?;
        }
        Ok(Self(text.to_owned()))
    }
}

/// A number as a shell prints it.
fn number<T: FromStr + ToString>(word: &str) -> Result<T, NotFarSession> {
    let number: T = word.parse().map_err(|_| NotFarSession)?;
    if number.to_string() == word {
        Ok(number)
    } else {
        Err(NotFarSession)
    }
}

/// An IPv6 address and its scope, an interface's name.
const MAX_ADDRESS: usize = 64;
const UUID: &str = "00000000-0000-0000-0000-000000000000";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOOT: &str = "6c2ea14c-4f6d-4d9c-8a52-0f6f1e6c5a11.4026531836.7";

    fn parse(text: &str) -> Result<FarSession, NotFarSession> {
        text.parse()
    }

    #[test]
    fn what_is_written_is_read_again() {
        for connection in [
            "10.77.1.1 51234 10.77.1.2 22",
            "fe80::1%eth0 51234 fe80::2%eth0 22",
        ] {
            assert!(
                parse(&format!(
                    "1 1 {} {connection}",
                    BOOT.replace("4026531836", "").replace(".7", ".")
                ))
                .is_ok()
            );
            let text = format!("4711 123456 {BOOT} {connection}");
            let far = parse(&text).unwrap();
            assert_eq!(far.to_string(), text);
            assert_eq!((far.pid(), far.connection()), (4711, connection));
        }
    }

    #[test]
    fn nothing_else_is_taken() {
        let good = "10.77.1.1 51234 10.77.1.2 22";
        for text in [
            format!("0 1 {BOOT} {good}"),
            format!("01 1 {BOOT} {good}"),
            format!("+1 1 {BOOT} {good}"),
            format!("4294967296 1 {BOOT} {good}"),
            format!("1 0 {BOOT} {good}"),
            format!("1  1 {BOOT} {good}"),
            format!("1 1 {} {good}", BOOT.to_uppercase()),
            format!("1 1 {} {good}", BOOT.replace('-', "0")),
            format!("1 1 {} {good}", BOOT.replace('.', "-")),
            format!("1 1 {} {good}", BOOT.replace(".7", "")),
            format!("1 1 {BOOT}. {good}"),
            format!("1 1 {} {good}", BOOT.replace(".402", ".0")),
            format!("1 1 {} {good}", BOOT.replace(".7", ".07")),
            format!("1 1 {BOOT} {good} "),
            format!("1 1 {BOOT} {good} 1"),
            format!("1 1 {BOOT} 10.77.1.1 51234 10.77.1.2"),
            format!("1 1 {BOOT} 10.77.1.1 65536 10.77.1.2 22"),
            format!("1 1 {BOOT} $(x) 1 10.77.1.2 22"),
            format!("1 1 {BOOT} a;b 1 10.77.1.2 22"),
            format!("1 1 {BOOT}  1 10.77.1.2 22"),
            format!("1 1 {BOOT} {} 1 10.77.1.2 22", "1".repeat(65)),
            format!("1 1 {BOOT} 10.77.1.1\n 1 10.77.1.2 22"),
            String::new(),
        ] {
            assert_eq!(parse(&text), Err(NotFarSession), "{text:?}");
        }
    }

    proptest! {
        /// It goes into a shell's `read` as it is.
        #[test]
        fn what_is_taken_is_one_line_of_plain_words(
            text in prop_oneof![
                any::<String>(),
                "[1-9]{1,11} [1-9]{1,21} 6c2ea14c-4f6d-4d9c-8a52-0f6f1e6c5a11[.][0-9]{0,11}[.][0-9]{0,21} .{1,70} [0-9]{1,6} .{1,70} [0-9]{1,6}",
            ],
        ) {
            if let Ok(far) = parse(&text) {
                prop_assert_eq!(&far.to_string(), &text);
                let plain = |c: char| c.is_ascii_alphanumeric() || " .:%-_".contains(c);
                prop_assert!(text.len() < 256 && text.chars().all(plain));
            }
        }
    }
}
