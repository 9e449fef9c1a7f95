//! What is made of an inspector's output: by the rules of a guard's ([`crate::guard`]), only lines that we foresaw mean
//! something, and each of them begins or ends with the token.

use super::InspectError;
use crate::escape::escape;
use crate::guard::Unguarded;

/// What has come so far.
#[derive(Debug)]
pub(super) struct Answers {
    token: String,
    is_ready: bool,
    /// The end of the line that is coming in.
    line: Vec<u8>,
    /// Bytes since a line meant something.
    idle: usize,
    /// The end of the last line that meant nothing, for a person.
    last: Vec<u8>,
}

/// What a line meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It waits for questions.
    Hello,
    /// An answer to the question of this number.
    Answer { to: u64, count: usize },
    /// That session is none of the node's.
    Elsewhere { to: u64 },
    /// There is no use in it.
    Unfit(InspectError),
}

impl Answers {
    /// Nothing has come.
    pub(super) fn new(token: String) -> Self {
        Self {
            token,
            is_ready: false,
            line: Vec::new(),
            idle: 0,
            last: Vec::new(),
        }
    }

    /// Takes in standard output; says the last thing it meant. One question is asked at a time.
    pub(super) fn take_in(&mut self, bytes: &[u8]) -> Option<Said> {
        let mut said = None;
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                // Of a long line the end is enough.
                if self.line.len() >= MAX_LINE {
                    self.line.drain(..MAX_LINE / 2);
                }
                continue;
            }
            let meant = self.meaning();
            let line = std::mem::take(&mut self.line);
            if meant.is_some() {
                self.idle = 0;
                said = meant;
            } else if !line.is_empty() {
                self.last = line;
            }
        }
        self.waste(bytes.len()).or(said)
    }

    /// So much came that can mean nothing.
    pub(super) fn waste(&mut self, bytes: usize) -> Option<Said> {
        self.idle = self.idle.saturating_add(bytes);
        (self.idle > MAX_IDLE).then(|| Said::Unfit(Unguarded::TooMuch.into()))
    }

    /// What it means that nothing comes any more.
    pub(super) fn closed(&self) -> InspectError {
        if self.is_ready {
            return InspectError::Over;
        }
        let last = escape(self.last.trim_ascii(), MAX_LINE);
        let said = if last.is_empty() {
            last
        } else {
            format!("; it said: {last}")
        };
        let how = "no hello".to_owned();
        Unguarded::Ended { how, said }.into()
    }

    fn meaning(&mut self) -> Option<Said> {
        let line = &self.line;
        if self.is_ready {
            let text = std::str::from_utf8(line).ok()?;
            let words = text.strip_prefix(&self.token)?.strip_prefix(' ')?;
            let (to, count) = words.split_once(' ')?;
            let to = to.parse().ok()?;
            if count == "x" {
                return (format!("{to} x") == words).then_some(Said::Elsewhere { to });
            }
            let count = count.parse().ok()?;
            let is_plain = format!("{to} {count}") == words;
            return is_plain.then_some(Said::Answer { to, count });
        }
        let (rest, letter) = line.split_at_checked(line.len().checked_sub(2)?)?;
        if !rest.ends_with(self.token.as_bytes()) {
            return None;
        }
        match letter {
            b" i" => {
                self.is_ready = true;
                Some(Said::Hello)
            }
            b" n" => Some(Said::Unfit(InspectError::Blind)),
            _ => None,
        }
    }
}

/// Output that means nothing: more than any greeting.
const MAX_IDLE: usize = 64 * 1024;
/// A token, two numbers, and a greeting before them that ended without a new line.
const MAX_LINE: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "00112233445566778899aabbccddeeff";

    fn ready() -> Answers {
        let mut answers = Answers::new(TOKEN.to_owned());
        let greeting = format!("Welcome! {TOKEN} i\n");
        assert_eq!(answers.take_in(greeting.as_bytes()), Some(Said::Hello));
        answers
    }

    #[test]
    fn an_answer_is_the_token_and_two_numbers_and_nothing_else() {
        let mut answers = ready();
        for line in [
            "1 2",
            TOKEN,
            &format!("{TOKEN} 1"),
            &format!("{TOKEN} 1 "),
            &format!("{TOKEN} 1 -1"),
            &format!("{TOKEN} 1 02"),
            &format!("{TOKEN} 1 2 3"),
            &format!("{TOKEN} 01 x"),
            &format!("{TOKEN} 1 x "),
            &format!("x{TOKEN} 1 2"),
            &format!("{TOKEN} i"),
            &format!("{TOKEN} n"),
        ] {
            let line = format!("{line}\n");
            assert_eq!(answers.take_in(line.as_bytes()), None, "{line}");
        }
        let answer = answers.take_in(format!("x\n{TOKEN} 1 2\n").as_bytes());
        assert_eq!(answer, Some(Said::Answer { to: 1, count: 2 }));
        let answer = answers.take_in(format!("{TOKEN} 01 x\n{TOKEN} 2 x\n").as_bytes());
        assert_eq!(answer, Some(Said::Elsewhere { to: 2 }));
    }

    #[test]
    fn what_ends_before_a_hello_is_told_with_its_last_words() {
        let mut answers = Answers::new(TOKEN.to_owned());
        assert_eq!(answers.take_in(b"This account is not available.\n"), None);
        let said = answers.closed().to_string();
        assert!(
            said.ends_with("it said: This account is not available."),
            "{said}"
        );
        assert_eq!(ready().closed(), InspectError::Over);
        let blind = answers.take_in(format!("{TOKEN} n\n").as_bytes());
        assert_eq!(blind, Some(Said::Unfit(InspectError::Blind)));
    }

    proptest! {
        #[test]
        fn takes_any_bytes_in_any_pieces(pieces: Vec<Vec<u8>>) {
            for mut answers in [Answers::new(TOKEN.to_owned()), ready()] {
                for piece in &pieces {
                    prop_assert_eq!(answers.take_in(piece), None);
                    prop_assert!(answers.line.len() < MAX_LINE);
                }
            }
        }
    }
}
