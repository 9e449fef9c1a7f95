//! The options before a key: which of them narrow, and what to.

use std::net::IpAddr;
use std::time::SystemTime;

use super::expiry::{self, ExpiryFault};
use super::source::{SourceFault, Sources};

/// What narrows the use of a key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// The key signs certificates and does not log in itself.
    pub(crate) cert_authority: bool,
    /// A certificate must name one of these instead of the user. `None`: the user.
    pub(crate) principals: Option<Vec<String>>,
    from: Option<Sources>,
    expiry: Option<SystemTime>,
}

impl Options {
    /// Reads a comma-separated list.
    pub(crate) fn parse(text: &str) -> Result<Self, OptionFault> {
        let mut options = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            let (name, value, after) = next_option(rest)?;
            options.take(&name.to_ascii_lowercase(), value.as_deref())?;
            rest = after;
        }
        if options.principals.is_some() && !options.cert_authority {
            return Err(OptionFault::PrincipalsWithoutAuthority);
        }
        Ok(options)
    }

    /// Whether the key may be used from `from` at `now`.
    pub(crate) fn permits(&self, from: IpAddr, now: SystemTime) -> bool {
        // sshd: expired from that second on (auth2-pubkeyfile.c, `auth_authorise_keyopts`).
        self.expiry.is_none_or(|end| now < end)
            && self
                .from
                .as_ref()
                .is_none_or(|allowed| allowed.permit(from))
    }

    fn take(&mut self, name: &str, value: Option<&str>) -> Result<(), OptionFault> {
        let given = |fault: &'static str| {
            value.ok_or(OptionFault::Malformed {
                option: name.to_owned(),
                fault,
            })
        };
        let once = |taken: bool| {
            if taken {
                return Err(OptionFault::Malformed {
                    option: name.to_owned(),
                    fault: "given twice",
                });
            }
            Ok(())
        };
        match name {
            "cert-authority" => self.cert_authority = true,
            "from" => {
                once(self.from.is_some())?;
                self.from = Some(Sources::parse_patterns(given(NEEDS_VALUE)?)?);
            }
            "expiry-time" => {
                let end = expiry::parse(given(NEEDS_VALUE)?)?;
                // As sshd: of several, the earliest counts.
                self.expiry = Some(self.expiry.map_or(end, |other| other.min(end)));
            }
            "principals" => {
                once(self.principals.is_some())?;
                let names = given(NEEDS_VALUE)?
                    .split(',')
                    .filter(|name| !name.is_empty());
                self.principals = Some(names.map(str::to_owned).collect());
            }
            _ if MEANINGLESS.contains(&name) => {}
            _ => {
                return Err(OptionFault::NotHonoured {
                    option: crate::printable::printable(name, 64),
                });
            }
        }
        Ok(())
    }
}

/// What is wrong with an option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionFault {
    /// It narrows in a way that is not honoured here, or is unknown.
    #[error("the option {option} is not honoured here, so the line is not used")]
    NotHonoured {
        /// Its name, escaped.
        option: String,
    },
    /// It is not written as sshd(8) says.
    #[error("the option {option} is malformed: {fault}")]
    Malformed {
        /// Its name, or what stands in its place, escaped.
        option: String,
        /// What is wrong.
        fault: &'static str,
    },
    /// `principals` only makes sense for certificates.
    #[error("the option principals needs cert-authority")]
    PrincipalsWithoutAuthority,
    /// A list of `from` that cannot be honoured.
    #[error("the option from: {0}")]
    From(#[from] SourceFault),
    /// A time of `expiry-time` that cannot be honoured.
    #[error("the option expiry-time: {0}")]
    Expiry(#[from] ExpiryFault),
}

/// Splits a line after its options: at the first blank outside quotes.
pub(crate) fn split(line: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b' ' | b'\t' if !quoted => return Some((line.get(..at)?, line.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

/// The first option of a list: its name, its value without quotes, and the list after it.
fn next_option(list: &str) -> Result<(&str, Option<String>, &str), OptionFault> {
    let malformed = |option: &str, fault| OptionFault::Malformed {
        option: crate::printable::printable(option, 64),
        fault,
    };
    let end = list.find(['=', ',']).unwrap_or(list.len());
    let (name, rest) = list.split_at(end);
    if name.is_empty() {
        return Err(malformed(list, "a name is missing"));
    }
    let Some(quoted) = rest.strip_prefix('=') else {
        return Ok((name, None, rest.strip_prefix(',').unwrap_or(rest)));
    };
    let quoted = quoted
        .strip_prefix('"')
        .ok_or_else(|| malformed(name, "its value is not in double quotes"))?;
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let after = quoted.get(at + 1..).unwrap_or_default();
                return match after.strip_prefix(',') {
                    Some(after) => Ok((name, Some(value), after)),
                    None if after.is_empty() => Ok((name, Some(value), after)),
                    None => Err(malformed(name, "something follows its value")),
                };
            }
            // Only a quote is ever escaped (misc.c, `opt_dequote`).
            '\\' if quoted
                .get(at + 1..)
                .is_some_and(|next| next.starts_with('"')) =>
            {
                value.push('"');
                chars.next();
            }
            _ => value.push(c),
        }
    }
    Err(malformed(name, "its value has no closing quote"))
}

const NEEDS_VALUE: &str = "it needs a value";

/// Options that allow or forbid what never happens here: commands, environments, terminals,
/// forwards, tunnels, touching a token (whose keys are not accepted at all).
const MEANINGLESS: [&str; 18] = [
    "agent-forwarding",
    "command",
    "environment",
    "no-agent-forwarding",
    "no-port-forwarding",
    "no-pty",
    "no-touch-required",
    "no-user-rc",
    "no-x11-forwarding",
    "permitlisten",
    "permitopen",
    "port-forwarding",
    "pty",
    "restrict",
    "touch-required",
    "tunnel",
    "user-rc",
    "x11-forwarding",
];
