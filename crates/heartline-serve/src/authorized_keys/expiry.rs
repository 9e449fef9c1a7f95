//! The time of `expiry-time=`: `YYYYMMDDZ`, `YYYYMMDDHHMMZ` or `YYYYMMDDHHMMSSZ`.
//!
//! sshd(8) reads a time without `Z` in the system's time zone. That is refused here: a restriction
//! whose moment depends on the machine it is read on is not one we can promise to keep.

use std::time::{Duration, SystemTime};

/// What is wrong with a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpiryFault {
    /// No time zone: it would mean another moment on another machine.
    #[error("'{came}' has no time zone, expected UTC: append a Z")]
    LocalTime {
        /// What stands there, escaped.
        came: String,
    },
    /// Not a time at all, or one that never comes.
    #[error("'{came}' is not a time, expected YYYYMMDD[HHMM[SS]]Z from 1970 on")]
    NotATime {
        /// What stands there, escaped.
        came: String,
    },
}

/// The moment from which the key is expired.
pub(super) fn parse(text: &str) -> Result<SystemTime, ExpiryFault> {
    let came = || crate::printable::printable(text, 32);
    let digits = match text.strip_suffix(['Z', 'z']) {
        Some(digits) => digits,
        None if text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            return Err(ExpiryFault::LocalTime { came: came() });
        }
        None => return Err(ExpiryFault::NotATime { came: came() }),
    };
    moment(digits).ok_or_else(|| ExpiryFault::NotATime { came: came() })
}

fn moment(digits: &str) -> Option<SystemTime> {
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| match digits.get(from..to) {
        Some(part) => part.parse::<u64>().ok(),
        None => Some(0),
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1970 || !(1..=last).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = ((days(year, month, day)? * 24 + hour) * 60 + minute) * 60 + second;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. The year is taken to begin in March,
/// so that the leap day is its last.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let before = year * 365 + year / 4 - year / 100 + year / 400;
    (before + (153 * month + 2) / 5 + day - 1).checked_sub(DAYS_TO_1970)
}

/// From 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::{ExpiryFault, parse};

    fn unix(text: &str) -> u64 {
        let moment = parse(text).unwrap();
        moment
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs()
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(unix("19700101Z"), 0);
        assert_eq!(unix("20000229Z"), 951_782_400);
        assert_eq!(unix("20261121031845Z"), 1_795_231_125);
        assert_eq!(unix("202611210318z"), 1_795_231_080);
        assert_eq!(unix("99991231235959Z"), 253_402_300_799);
    }

    #[test]
    fn a_local_time_is_refused_by_name() {
        assert!(matches!(
            parse("20270101"),
            Err(ExpiryFault::LocalTime { .. })
        ));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "Z",
            "never",
            "20270229Z",
            "20271301Z",
            "20270100Z",
            "2027010124Z",
            "202701012400Z",
            "20270101000060Z",
            "19691231Z",
            "+0270101Z",
            "2027-01-01",
            "２０２７０１０１Z",
        ] {
            assert!(
                matches!(parse(text), Err(ExpiryFault::NotATime { .. })),
                "{text}"
            );
        }
    }
}
