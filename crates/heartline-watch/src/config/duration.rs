//! Durations as a person writes them: `5s`, `250ms`, `1m30s`; a bare number is seconds, as in ssh.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use thiserror::Error;

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DurationError {
    /// Below zero.
    #[error("{came} is negative; give a time like 5s, 250ms or 1m30s")]
    Negative {
        /// What was written.
        came: String,
    },
    /// More than any timer takes.
    #[error("{came} is too long; give at most 2147483647 seconds")]
    TooLong {
        /// What was written.
        came: String,
    },
    /// Not a duration at all.
    #[error("{came:?} is no time; give one like 5s, 250ms or 1m30s (a bare number is seconds)")]
    NoTime {
        /// What was written.
        came: String,
    },
}

/// Reads a duration.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let came = || text.chars().take(MAX_SHOWN).collect::<String>();
    let trimmed = text.trim();
    if trimmed.starts_with('-') {
        return Err(DurationError::Negative { came: came() });
    }
    let is_bare = trimmed.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && trimmed.chars().all(|c| c.is_ascii_digit() || c == '.');
    let duration = if is_bare {
        let seconds: f64 = trimmed
            .parse()
            .map_err(|_| DurationError::NoTime { came: came() })?;
        Duration::try_from_secs_f64(seconds).map_err(|_| DurationError::TooLong { came: came() })?
    } else {
        humantime::parse_duration(trimmed).map_err(|error| match error {
            humantime::DurationError::NumberOverflow => DurationError::TooLong { came: came() },
            _ => DurationError::NoTime { came: came() },
        })?
    };
    if duration > MAX {
        return Err(DurationError::TooLong { came: came() });
    }
    Ok(duration)
}

/// For serde: a string as above, or a number of seconds.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Duration>, D::Error> {
    struct Time;

    impl Visitor<'_> for Time {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a time like \"5s\", \"250ms\" or \"1m30s\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            parse_duration(text).map_err(E::custom)
        }

        fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
            self.visit_str(&seconds.to_string())
        }

        fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Duration, E> {
            self.visit_str(&seconds.to_string())
        }
    }

    from.deserialize_any(Time).map(Some)
}

const MAX: Duration = Duration::from_secs(i32::MAX as u64);
const MAX_SHOWN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_person_writes() {
        let ms = |text| parse_duration(text).unwrap().as_millis();
        assert_eq!(ms("5s"), 5_000);
        assert_eq!(ms("250ms"), 250);
        assert_eq!(ms("1m30s"), 90_000);
        assert_eq!(ms("15"), 15_000);
        assert_eq!(ms("0.5"), 500);
        assert_eq!(ms("0"), 0);
        assert_eq!(ms("2147483647"), 2_147_483_647_000);
    }

    #[test]
    fn refuses_the_rest_with_the_mend() {
        assert!(matches!(
            parse_duration("-1"),
            Err(DurationError::Negative { .. })
        ));
        assert!(matches!(
            parse_duration("-5s"),
            Err(DurationError::Negative { .. })
        ));
        assert!(matches!(
            parse_duration("2147483648"),
            Err(DurationError::TooLong { .. })
        ));
        assert!(matches!(
            parse_duration("99999999999999999999999"),
            Err(DurationError::TooLong { .. })
        ));
        for text in ["", "yes", "5x", "1..5", "s", "∞", "nan", "inf", "1e9"] {
            assert!(
                matches!(parse_duration(text), Err(DurationError::NoTime { .. })),
                "{text}"
            );
        }
    }
}
