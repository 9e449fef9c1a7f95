//! Values of the alive settings, read as ssh and sshd read them and refused in their own words.
//!
//! Intervals are times (`45`, `90s`, `1m30s`; OpenSSH misc.c, `convtime`), counts are plain numbers (`atoi_err`). The
//! texts were taken from `ssh` 9.2 and 10.5 and `sshd` 9.2 (facts/keepalive.md, section 1).

use thiserror::Error;

/// A setting with a time or a count as its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// ssh: seconds between probes; `none` leaves it unset.
    ServerAliveInterval,
    /// ssh: probes that may go unanswered.
    ServerAliveCountMax,
    /// sshd: seconds between probes.
    ClientAliveInterval,
    /// sshd: probes that may go unanswered.
    ClientAliveCountMax,
    /// sshd: how long a connection may stand without a channel; `none` turns it off.
    UnusedConnectionTimeout,
}

impl Keyword {
    /// Reads the value that follows the keyword; seconds, or a number. `None` for `none`, where that is a value.
    pub fn parse(self, text: &str) -> Result<Option<u32>, ValueError> {
        let error = |kind| ValueError {
            keyword: self,
            kind,
        };
        let mut words = text
            .split_ascii_whitespace()
            .take_while(|word| !word.starts_with('#'));
        let word = words
            .next()
            .ok_or_else(|| error(ValueErrorKind::NoArgument))?;
        if word == "none" && self.takes_none() {
            return Ok(None);
        }
        let value = if self.is_count() {
            count(word)
        } else {
            time(word).ok_or(ValueErrorKind::InvalidTime)
        };
        let value = value.map_err(error)?;
        match words.next() {
            None => Ok(Some(value)),
            Some(_) => Err(error(ValueErrorKind::Extra)),
        }
    }

    /// The keyword as the manual writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ServerAliveInterval => "ServerAliveInterval",
            Self::ServerAliveCountMax => "ServerAliveCountMax",
            Self::ClientAliveInterval => "ClientAliveInterval",
            Self::ClientAliveCountMax => "ClientAliveCountMax",
            Self::UnusedConnectionTimeout => "UnusedConnectionTimeout",
        }
    }

    /// Whether its value is a number rather than a time.
    pub const fn is_count(self) -> bool {
        matches!(self, Self::ServerAliveCountMax | Self::ClientAliveCountMax)
    }

    const fn takes_none(self) -> bool {
        matches!(
            self,
            Self::ServerAliveInterval | Self::UnusedConnectionTimeout
        )
    }

    const fn is_of_ssh(self) -> bool {
        matches!(self, Self::ServerAliveInterval | Self::ServerAliveCountMax)
    }
}

/// Why ssh or sshd refuses a value. Displays as the program prints it when the value is given with `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("command-line line 0: {}", self.said())]
pub struct ValueError {
    /// The setting.
    pub keyword: Keyword,
    /// What is wrong.
    pub kind: ValueErrorKind,
}

impl ValueError {
    fn said(self) -> String {
        // ssh names a keyword in lower case, sshd as it was typed.
        let name = self.keyword.name();
        let name = if self.keyword.is_of_ssh() {
            name.to_ascii_lowercase()
        } else {
            name.to_owned()
        };
        let integer = if self.keyword.is_of_ssh() {
            "integer".to_owned()
        } else {
            format!("{name} integer")
        };
        match self.kind {
            ValueErrorKind::NoArgument => format!("no argument after keyword \"{name}\""),
            ValueErrorKind::InvalidTime => "invalid time value.".to_owned(),
            ValueErrorKind::TooSmall => format!("{integer} value too small."),
            ValueErrorKind::TooLarge => format!("{integer} value too large."),
            ValueErrorKind::NoInteger => format!("{integer} value invalid."),
            ValueErrorKind::Extra => format!("keyword {name} extra arguments at end of line"),
        }
    }
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueErrorKind {
    /// Nothing there.
    NoArgument,
    /// No time from 0 to `INT_MAX` seconds.
    InvalidTime,
    /// A number below 0.
    TooSmall,
    /// A number above `INT_MAX`.
    TooLarge,
    /// No number.
    NoInteger,
    /// More than one word.
    Extra,
}

/// misc.c, `convtime`: parts of a number (`strtol`) and a unit; the whole at most `INT_MAX`.
pub(super) fn time(text: &str) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    let mut total: i32 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let unsigned = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at_checked(rest.len() - unsigned.len() + digits)?;
        let mut tail = tail.chars();
        let unit = match tail.next() {
            None | Some('s' | 'S') => 1,
            Some('m' | 'M') => 60,
            Some('h' | 'H') => 3_600,
            Some('d' | 'D') => 86_400,
            Some('w' | 'W') => 604_800,
            Some(_) => return None,
        };
        let number = number.parse::<i32>().ok().filter(|number| *number >= 0)?;
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = tail.as_str();
    }
    u32::try_from(total).ok()
}

/// misc.c, `atoi_err`: `strtonum(text, 0, INT_MAX)`.
fn count(text: &str) -> Result<u32, ValueErrorKind> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ValueErrorKind::NoInteger);
    }
    let is_zero = digits.bytes().all(|byte| byte == b'0');
    match digits.parse::<i32>() {
        _ if is_zero => Ok(0),
        _ if text.starts_with('-') => Err(ValueErrorKind::TooSmall),
        Ok(number) => u32::try_from(number).map_err(|_| ValueErrorKind::TooSmall),
        Err(_) => Err(ValueErrorKind::TooLarge),
    }
}

#[cfg(test)]
mod tests {
    use super::Keyword::{
        ClientAliveCountMax, ClientAliveInterval, ServerAliveCountMax, ServerAliveInterval,
        UnusedConnectionTimeout,
    };
    use super::*;

    fn refused(keyword: Keyword, text: &str) -> String {
        keyword.parse(text).unwrap_err().to_string()
    }

    /// Each line was printed by ssh 9.2p1 (Debian) given the value with -o.
    #[test]
    fn ssh_refuses_in_these_words() {
        for value in [
            "-1",
            "yes",
            "no",
            "1.5",
            "5x",
            "2147483648",
            "0x10",
            "s",
            "-",
        ] {
            let said = refused(ServerAliveInterval, value);
            assert_eq!(said, "command-line line 0: invalid time value.", "{value}");
        }
        for (value, said) in [
            ("-1", "integer value too small."),
            ("-99999999999999999999", "integer value too small."),
            ("2147483648", "integer value too large."),
            ("99999999999999999999", "integer value too large."),
            ("yes", "integer value invalid."),
            ("1m", "integer value invalid."),
            ("none", "integer value invalid."),
            ("1.5", "integer value invalid."),
            ("0x3", "integer value invalid."),
            ("", "no argument after keyword \"serveralivecountmax\""),
            (
                "3 4",
                "keyword serveralivecountmax extra arguments at end of line",
            ),
        ] {
            let expected = format!("command-line line 0: {said}");
            assert_eq!(refused(ServerAliveCountMax, value), expected, "{value}");
        }
        assert_eq!(
            refused(ServerAliveInterval, ""),
            "command-line line 0: no argument after keyword \"serveraliveinterval\""
        );
        assert_eq!(
            refused(ServerAliveInterval, "5 6"),
            "command-line line 0: keyword serveraliveinterval extra arguments at end of line"
        );
    }

    /// Each line was printed by sshd 9.2p1 (Debian) given the value with -o.
    #[test]
    fn sshd_refuses_in_these_words() {
        for value in ["-1", "yes", "no", "1.5", "5x", "2147483648", "none"] {
            let said = refused(ClientAliveInterval, value);
            assert_eq!(said, "command-line line 0: invalid time value.", "{value}");
        }
        for (value, what) in [
            ("-1", "too small"),
            ("2147483648", "too large"),
            ("yes", "invalid"),
            ("1m", "invalid"),
            ("none", "invalid"),
        ] {
            let expected =
                format!("command-line line 0: ClientAliveCountMax integer value {what}.");
            assert_eq!(refused(ClientAliveCountMax, value), expected, "{value}");
        }
        assert_eq!(
            refused(ClientAliveInterval, ""),
            "command-line line 0: no argument after keyword \"ClientAliveInterval\""
        );
        assert_eq!(
            refused(UnusedConnectionTimeout, "-1"),
            "command-line line 0: invalid time value."
        );
    }

    #[test]
    fn takes_what_ssh_takes() {
        for (value, seconds) in [
            ("0", 0),
            ("1m30s", 90),
            ("1M", 60),
            ("+5", 5),
            (" 5", 5),
            ("5 #x", 5),
            ("1w", 604_800),
            ("3550w", 2_147_040_000),
            ("2147483647", 2_147_483_647),
        ] {
            assert_eq!(
                ServerAliveInterval.parse(value),
                Ok(Some(seconds)),
                "{value}"
            );
        }
        assert_eq!(ServerAliveInterval.parse("none"), Ok(None));
        assert_eq!(UnusedConnectionTimeout.parse("none"), Ok(None));
        for (value, number) in [
            ("+3", 3),
            (" 3", 3),
            ("-0", 0),
            ("2147483647", 2_147_483_647),
        ] {
            assert_eq!(
                ServerAliveCountMax.parse(value),
                Ok(Some(number)),
                "{value}"
            );
        }
    }
}
