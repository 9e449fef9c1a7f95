//! A time as a person says it.

use std::time::Duration;

/// `0.25 s`, `45 s`, `15 min 24.6 s`, `2 h 11 min`, `24.8 days`, `68 years`, `1e11 years`: exact where a person would care.
pub fn spoken(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 2.0 * MINUTE {
        return format!("{} s", trimmed(seconds, 2));
    }
    if seconds < HOUR {
        let minutes = (seconds / MINUTE).floor();
        let rest = seconds - minutes * MINUTE;
        return joined(
            &format!("{minutes:.0} min"),
            &format!("{} s", trimmed(rest, 1)),
        );
    }
    if seconds < 2.0 * DAY {
        let hours = (seconds / HOUR).floor();
        let rest = ((seconds - hours * HOUR) / MINUTE).floor();
        return joined(&format!("{hours:.0} h"), &format!("{rest:.0} min"));
    }
    if seconds < 2.0 * YEAR {
        return format!("{} days", trimmed(seconds / DAY, 1));
    }
    let years = seconds / YEAR;
    if years < 1e6 {
        format!("{years:.0} years")
    } else {
        format!("{years:.0e} years")
    }
}

/// The second part is left out where it is nothing.
fn joined(first: &str, second: &str) -> String {
    if second.starts_with("0 ") {
        first.to_owned()
    } else {
        format!("{first} {second}")
    }
}

fn trimmed(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() { "0" } else { text }.to_owned()
}

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;
const YEAR: f64 = 365.25 * DAY;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_times_as_a_person_does() {
        let said = |seconds| spoken(Duration::from_secs_f64(seconds));
        assert_eq!(said(0.0), "0 s");
        assert_eq!(said(0.25), "0.25 s");
        assert_eq!(said(10.0), "10 s");
        assert_eq!(said(52.5), "52.5 s");
        assert_eq!(said(119.5), "119.5 s");
        assert_eq!(said(120.0), "2 min");
        assert_eq!(said(924.6), "15 min 24.6 s");
        assert_eq!(said(7_875.0), "2 h 11 min");
        assert_eq!(said(2_147_483.647), "24.9 days");
        assert_eq!(said(2_147_483_647.0), "68 years");
        assert_eq!(said(4.611_686e18), "1e11 years");
    }
}
