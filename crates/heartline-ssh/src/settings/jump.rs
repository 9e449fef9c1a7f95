//! A jump list: `-J host[,host...]`, `ProxyJump`, or `none`.

use std::fmt;
use std::str::FromStr;

use super::destination::{Destination, DestinationError, shown};

/// What lies between us and a destination, as `-J` and `ProxyJump` say it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Jump {
    /// `none`: nothing, whatever a configuration file says.
    None,
    /// Through these, nearest to us first. Never empty.
    Through(Vec<Destination>),
}

impl FromStr for Jump {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case(NONE) {
            return Ok(Self::None);
        }
        let mut hops = Vec::new();
        for (i, hop) in text.split(',').enumerate() {
            if hop.is_empty() || hop.eq_ignore_ascii_case(NONE) {
                return Err(DestinationError::BadJumpList { came: shown(text) });
            }
            if i >= MAX_HOPS {
                let came = text.split(',').count();
                return Err(DestinationError::TooManyHops { came });
            }
            hops.push(hop.parse()?);
        }
        Ok(Self::Through(hops))
    }
}

/// The form `-J` takes.
impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Through(hops) = self else {
            return f.write_str(NONE);
        };
        for (i, hop) in hops.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{hop}")?;
        }
        Ok(())
    }
}

/// The most hops one list may name. Nobody needs that many; an endless list is a mistake.
pub(super) const MAX_HOPS: usize = 16;

const NONE: &str = "none";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_written() {
        for text in ["none", "a", "u@a:22,b", "[::1]:33,c"] {
            assert_eq!(text.parse::<Jump>().unwrap().to_string(), text);
        }
        let uri: Jump = "ssh://u@[::1]:33,NONEsuch".parse().unwrap();
        assert_eq!(uri.to_string(), "u@[::1]:33,NONEsuch");
    }

    #[test]
    fn broken_lists_are_refused() {
        for text in ["", ",", "a,", ",a", "a,,b", "a,none", "none,a"] {
            let error = text.parse::<Jump>().unwrap_err();
            assert!(
                matches!(error, DestinationError::BadJumpList { .. }),
                "{text}"
            );
        }
        assert!(matches!(
            "a,-x".parse::<Jump>().unwrap_err(),
            DestinationError::LeadingDash { .. }
        ));
        let long = vec!["h"; MAX_HOPS + 1].join(",");
        assert_eq!(
            long.parse::<Jump>().unwrap_err(),
            DestinationError::TooManyHops { came: MAX_HOPS + 1 }
        );
    }
}
