//! Where a key may be used from: the pattern list of `from=`, the networks of `source-address`.
//!
//! As in sshd(8): a comma-separated list of addresses, networks (`10.0.0.0/8`) and wildcards (`*`,
//! `?`), each denied by a leading `!`. A match of a denied one refuses, whatever else matches.
//! Names of hosts are refused: a name is what the peer's own name server says it is, so it narrows
//! nothing, and with `UseDNS no` sshd does not look it up either.

use std::net::IpAddr;

/// A list of places.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    patterns: Vec<Pattern>,
}

impl Sources {
    /// Reads the value of `from=`.
    pub(crate) fn parse_patterns(list: &str) -> Result<Self, SourceFault> {
        let patterns: Result<Vec<_>, _> = list.split(',').map(Pattern::parse).collect();
        Ok(Self {
            patterns: patterns?,
        })
    }

    /// Reads the value of a certificate's `source-address`: networks alone, none denied
    /// (PROTOCOL.certkeys).
    pub(crate) fn parse_networks(list: &str) -> Result<Self, SourceFault> {
        let patterns: Result<Vec<_>, _> = list
            .split(',')
            .map(|text| {
                let text = text.trim();
                let place = Place::network(text)?
                    .ok_or_else(|| SourceFault::NotAnAddress { came: shown(text) })?;
                Ok(Pattern {
                    denied: false,
                    place,
                })
            })
            .collect();
        Ok(Self {
            patterns: patterns?,
        })
    }

    /// Whether this address is among them and not denied.
    pub(crate) fn permit(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        let matching = |denied: bool| {
            self.patterns
                .iter()
                .any(|pattern| pattern.denied == denied && pattern.place.contains(addr))
        };
        !matching(true) && matching(false)
    }
}

/// What is wrong with a place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceFault {
    /// A name, or nothing at all.
    #[error("'{came}' is not an address, a network or a wildcard; names are not looked up")]
    NotAnAddress {
        /// What stands there, escaped.
        came: String,
    },
    /// A prefix that is no number, too long, or shorter than the address before it.
    #[error("'{came}' is not a network: expected ADDRESS/LENGTH with no bit set after LENGTH")]
    NotANetwork {
        /// What stands there, escaped.
        came: String,
    },
}

#[derive(Clone, Debug)]
struct Pattern {
    denied: bool,
    place: Place,
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, SourceFault> {
        let text = text.trim();
        let (denied, text) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if let Some(place) = Place::network(text)? {
            return Ok(Self { denied, place });
        }
        let wild = |c: char| c.is_ascii_hexdigit() || ".:*?".contains(c);
        if text.contains(['*', '?']) && text.chars().all(wild) {
            let place = Place::Wildcard(text.to_ascii_lowercase());
            return Ok(Self { denied, place });
        }
        Err(SourceFault::NotAnAddress { came: shown(text) })
    }
}

#[derive(Clone, Debug)]
enum Place {
    Network { first: IpAddr, length: u32 },
    Wildcard(String),
}

impl Place {
    /// An address or a network; `None` if it looks like neither.
    fn network(text: &str) -> Result<Option<Self>, SourceFault> {
        let fault = || SourceFault::NotANetwork { came: shown(text) };
        let (addr, length) = match text.split_once('/') {
            Some((addr, length)) => (addr, Some(length)),
            None => (text, None),
        };
        let Ok(first) = addr.parse::<IpAddr>() else {
            return length.map_or(Ok(None), |_| Err(fault()));
        };
        let width = if first.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => width,
            Some(length) => length.parse().map_err(|_| fault())?,
        };
        if length > width || masked(first, length) != bits(first) {
            return Err(fault());
        }
        Ok(Some(Self::Network { first, length }))
    }

    fn contains(&self, addr: IpAddr) -> bool {
        match self {
            Self::Network { first, length } => {
                first.is_ipv4() == addr.is_ipv4() && masked(addr, *length) == bits(*first)
            }
            Self::Wildcard(pattern) => matches(pattern.as_bytes(), addr.to_string().as_bytes()),
        }
    }
}

/// An address as a number, with its first bit first also for IPv4.
fn bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => u128::from(addr.to_bits()) << 96,
        IpAddr::V6(addr) => addr.to_bits(),
    }
}

/// Its first `length` bits; the others are 0.
fn masked(addr: IpAddr, length: u32) -> u128 {
    bits(addr) & u128::MAX.checked_shl(128 - length).unwrap_or(0)
}

/// `*` is any run, `?` any one byte. Linear in both but for one step back per byte.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || text.get(t) == Some(c) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((star_p, star_t)) => {
                    star = Some((star_p, star_t + 1));
                    p = star_p + 1;
                    t = star_t + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == b'*')
}

fn shown(text: &str) -> String {
    crate::printable::printable(text, 64)
}

#[cfg(test)]
mod tests {
    use super::Sources;

    fn permit(list: &str, addr: &str) -> bool {
        Sources::parse_patterns(list)
            .unwrap()
            .permit(addr.parse().unwrap())
    }

    #[test]
    fn addresses_networks_and_wildcards() {
        assert!(permit("10.0.0.1", "10.0.0.1"));
        assert!(!permit("10.0.0.1", "10.0.0.2"));
        assert!(permit("10.0.0.0/8", "10.200.3.4"));
        assert!(!permit("10.0.0.0/8", "11.0.0.1"));
        assert!(permit("0.0.0.0/0", "1.2.3.4"));
        assert!(!permit("0.0.0.0/0", "::1"));
        assert!(permit("2001:db8::/32", "2001:db8::7"));
        assert!(!permit("2001:db8::/32", "2001:db9::7"));
        assert!(permit("192.168.*.?", "192.168.17.4"));
        assert!(!permit("192.168.*.?", "192.168.17.40"));
        assert!(permit("*", "2001:db8::1"));
        assert!(permit("10.0.0.1", "::ffff:10.0.0.1"));
    }

    #[test]
    fn a_denied_one_wins_and_alone_allows_nobody() {
        assert!(!permit("10.0.0.0/8,!10.0.0.7", "10.0.0.7"));
        assert!(!permit("!10.0.0.7,10.0.0.0/8", "10.0.0.7"));
        assert!(permit("!10.0.0.7,10.0.0.0/8", "10.0.0.8"));
        assert!(!permit("!10.0.0.7", "10.0.0.8"));
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        for list in [
            "",
            "host.example.org",
            "*.example.org",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/x",
            "10.0.0.1,",
            "!",
            "2001:db8::/129",
        ] {
            assert!(Sources::parse_patterns(list).is_err(), "{list:?}");
        }
        for list in ["10.*", "!10.0.0.0/8", ""] {
            assert!(Sources::parse_networks(list).is_err(), "{list:?}");
        }
    }

    #[test]
    fn a_hostile_wildcard_does_not_explode() {
        let pattern = "*1".repeat(2000);
        assert!(!permit(&pattern, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
    }
}
