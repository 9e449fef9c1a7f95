//! Values of `ssh_config`: flags, numbers, times, closed sets. Source: OpenSSH `readconf.c`, `misc.c`.

use crate::settings::destination::shown;
use crate::settings::{Family, Flag, Spec, Strict};

use super::error::ParseErrorKind;

/// The words after one keyword, taken one after another.
pub(super) struct Values<'a> {
    pub(super) keyword: &'a str,
    words: std::vec::IntoIter<String>,
}

impl<'a> Values<'a> {
    pub(super) fn new(keyword: &'a str, words: Vec<String>) -> Self {
        Self {
            keyword,
            words: words.into_iter(),
        }
    }

    /// The next word; an error if there is none, or an empty one.
    pub(super) fn one(&mut self) -> Result<String, ParseErrorKind> {
        self.words
            .next()
            .filter(|word| !word.is_empty())
            .ok_or_else(|| self.missing())
    }

    /// All words that are left; `none` must stand alone.
    pub(super) fn list(&mut self, limit: usize) -> Result<Vec<String>, ParseErrorKind> {
        let words: Vec<String> = self.words.by_ref().collect();
        if words.is_empty() || words.iter().any(String::is_empty) {
            return Err(self.missing());
        }
        if words.len() > limit {
            return Err(ParseErrorKind::TooMany {
                keyword: self.keyword.to_owned(),
                limit,
            });
        }
        if words.len() > 1 && words.iter().any(|word| word.eq_ignore_ascii_case("none")) {
            return Err(self.bad("`none` alone, or file names", "none"));
        }
        Ok(words)
    }

    /// A forward: two words at most.
    pub(super) fn forward(&mut self, flag: Flag) -> Result<Spec, ParseErrorKind> {
        let mut words = vec![self.one()?];
        words.extend(self.words.by_ref().take(1));
        let value = words.join(" ");
        Spec::parse_config(flag, &value).map_err(|_| self.bad("a forward", &value))
    }

    /// As of umask(2).
    pub(super) fn octal(&mut self) -> Result<u32, ParseErrorKind> {
        let word = self.one()?;
        u32::from_str_radix(&word, 8)
            .ok()
            .filter(|mask| *mask <= 0o777)
            .ok_or_else(|| self.bad("an octal number up to 0777", &word))
    }

    /// Whatever is left does not matter.
    pub(super) fn skip(&mut self) {
        self.words.by_ref().for_each(drop);
    }

    /// An error if words are left.
    pub(super) fn end(&mut self) -> Result<(), ParseErrorKind> {
        match self.words.next() {
            None => Ok(()),
            Some(word) => Err(ParseErrorKind::Extra {
                keyword: self.keyword.to_owned(),
                came: shown(&word),
            }),
        }
    }

    pub(super) fn flag(&mut self) -> Result<bool, ParseErrorKind> {
        let word = self.one()?;
        match word.to_ascii_lowercase().as_str() {
            "yes" | "true" => Ok(true),
            "no" | "false" => Ok(false),
            _ => Err(self.bad("yes or no", &word)),
        }
    }

    /// `Compression` takes no `true`.
    pub(super) fn compression(&mut self) -> Result<bool, ParseErrorKind> {
        let word = self.one()?;
        match word.to_ascii_lowercase().as_str() {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err(self.bad("yes or no", &word)),
        }
    }

    /// `PubkeyAuthentication`: which form of it is not our concern, only whether.
    pub(super) fn pubkey(&mut self) -> Result<bool, ParseErrorKind> {
        let word = self.one()?;
        match word.to_ascii_lowercase().as_str() {
            "yes" | "true" | "unbound" | "host-bound" => Ok(true),
            "no" | "false" => Ok(false),
            _ => Err(self.bad("yes, no, unbound or host-bound", &word)),
        }
    }

    pub(super) fn strict(&mut self) -> Result<Strict, ParseErrorKind> {
        let word = self.one()?;
        match word.to_ascii_lowercase().as_str() {
            "yes" | "true" | "ask" => Ok(Strict::Yes),
            "accept-new" => Ok(Strict::AcceptNew),
            "no" | "false" | "off" => Ok(Strict::No),
            _ => Err(self.bad("yes, ask, accept-new, no or off", &word)),
        }
    }

    pub(super) fn family(&mut self) -> Result<Family, ParseErrorKind> {
        let word = self.one()?;
        match word.to_ascii_lowercase().as_str() {
            "any" => Ok(Family::Any),
            "inet" => Ok(Family::V4),
            "inet6" => Ok(Family::V6),
            _ => Err(self.bad("any, inet or inet6", &word)),
        }
    }

    /// `CanonicalizeHostname`: whether at all.
    pub(super) fn canonicalize(&mut self) -> Result<bool, ParseErrorKind> {
        let word = self.one()?;
        match word.to_ascii_lowercase().as_str() {
            "yes" | "true" | "always" => Ok(true),
            "no" | "false" => Ok(false),
            _ => Err(self.bad("yes, no or always", &word)),
        }
    }

    /// 1 to 65535, or `ssh` (the only name of a service that can be meant).
    pub(super) fn port(&mut self) -> Result<u16, ParseErrorKind> {
        let word = self.one()?;
        if word == "ssh" {
            return Ok(22);
        }
        match crate::settings::destination::parse_port(&word) {
            Ok(port) => Ok(port),
            Err(_) => Err(self.bad("1 to 65535", &word)),
        }
    }

    pub(super) fn count(&mut self) -> Result<u32, ParseErrorKind> {
        let word = self.one()?;
        match word.parse::<i32>().map(u32::try_from) {
            Ok(Ok(count)) => Ok(count),
            _ => Err(self.bad("0 to 2147483647", &word)),
        }
    }

    /// Seconds. `none` is as if it were not there: a later line may still speak.
    pub(super) fn seconds(&mut self) -> Result<Option<u32>, ParseErrorKind> {
        let word = self.one()?;
        if word == "none" {
            return Ok(None);
        }
        match time(&word) {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(self.bad("a time (45, 90s, 1m30s) up to 2147483647 s", &word)),
        }
    }

    pub(super) fn bad(&self, expected: &'static str, came: &str) -> ParseErrorKind {
        ParseErrorKind::BadValue {
            keyword: self.keyword.to_owned(),
            expected,
            came: shown(came),
        }
    }

    pub(super) fn missing(&self) -> ParseErrorKind {
        ParseErrorKind::NoValue {
            keyword: self.keyword.to_owned(),
        }
    }
}

/// `sshd_config(5)`, TIME FORMATS: numbers with s, m, h, d or w behind them, the last may go without.
fn time(text: &str) -> Option<u32> {
    let mut total: i32 = 0;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (digits, tail) = rest.split_at(end);
        let mut tail = tail.chars();
        let unit = match tail.next() {
            None | Some('s' | 'S') => 1,
            Some('m' | 'M') => 60,
            Some('h' | 'H') => 3600,
            Some('d' | 'D') => 86_400,
            Some('w' | 'W') => 604_800,
            Some(_) => return None,
        };
        let part = digits.parse::<i32>().ok()?.checked_mul(unit)?;
        total = total.checked_add(part)?;
        rest = tail.as_str();
    }
    u32::try_from(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time("0"), Some(0));
        assert_eq!(time("90"), Some(90));
        assert_eq!(time("1m30s"), Some(90));
        assert_eq!(time("1h2m3"), Some(3723));
        assert_eq!(time("1W1D"), Some(691_200));
        assert_eq!(time("2147483647"), Some(2_147_483_647));
        for text in [
            "",
            "s",
            "-1",
            "1.5",
            "5x",
            "2147483648",
            "4000w",
            "1m 2",
            "+1",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn counts_and_ports() {
        let values = |word: &str| Values::new("k", vec![word.to_owned()]);
        assert_eq!(values("2147483647").count(), Ok(2_147_483_647));
        assert_eq!(values("ssh").port(), Ok(22));
        for word in ["-1", "2147483648", "1m", "yes", ""] {
            assert!(values(word).count().is_err(), "{word}");
        }
        for word in ["0", "65536", "x", ""] {
            assert!(values(word).port().is_err(), "{word}");
        }
    }
}
