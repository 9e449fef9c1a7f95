//! What is said to a guard and what is made of its answers. Knows no channel and no clock.
//!
//! The node's output is never interpreted: of all that comes, greetings and worse, only lines that we foresaw mean something.
//! Before the guard has said hello that is the token, which nobody there could know, and one letter after it, at the end of
//! a line, or the letter and the name of the far session; after that it is the number of a beat that is owed, and behind it
//! session ids, or, once the guard was told to end everything, that it has.

use std::collections::VecDeque;
use std::str::FromStr;
use std::time::Duration;

use heartline_core::Moment;

use super::{Duty, Unguarded};
use crate::far::FarSession;

/// A talk with one guard.
#[derive(Debug)]
pub(super) struct Dialogue {
    token: String,
    duty: Duty,
    is_ready: bool,
    /// The end of the line that is coming in.
    line: Vec<u8>,
    /// Bytes since one of them meant something.
    idle: usize,
    /// The first that came, for a person.
    said: Vec<u8>,
    /// The number of the last beat.
    number: u64,
    /// When those that are owed were sent; the last is that of `number`.
    owed: VecDeque<Moment>,
    /// It was told to end everything, and has not answered.
    is_ending: bool,
}

/// What something that came meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// The guard holds the fuse.
    Ready(Hello),
    /// It answered a beat, after this long; sessions whose processes belong to the session that it guards.
    Echo(Duration, Vec<u32>),
    /// It has ended everything, but for so many processes that live still.
    Ended(u32),
    /// There is no use in it.
    Unfit(Unguarded),
}

/// What a guard says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) method: Method,
    /// Whose guard it is, where the node can tell.
    pub(super) far: Option<FarSession>,
}

/// How a guard holds the fuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// By `read -t`: it burns after the fuse.
    Timed,
    /// By a second shell that looks once a fuse: it burns after one to two of them.
    Signals,
}

impl Dialogue {
    /// Nothing was said yet.
    pub(super) fn new(token: String, duty: Duty) -> Self {
        Self {
            token,
            duty,
            is_ready: false,
            line: Vec::new(),
            idle: 0,
            said: Vec::new(),
            number: 0,
            owed: VecDeque::new(),
            is_ending: false,
        }
    }

    /// Whether the guard has said hello.
    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// What came before anything that was foreseen: the first of it, as one line.
    pub(super) fn said(&self) -> &[u8] {
        &self.said
    }

    /// What to send as the next beat; nothing, while too many are owed: then the shell hangs, and what it does not read
    /// would fill the channel's window.
    pub(super) fn beat(&mut self, now: Moment) -> Option<Vec<u8>> {
        if self.owed.len() >= MAX_OWED {
            return None;
        }
        self.number += 1;
        self.owed.push_back(now);
        Some(format!("{}\n", self.number).into_bytes())
    }

    /// When the oldest beat was sent that is owed an answer.
    pub(super) fn owed_since(&self) -> Option<Moment> {
        self.owed.front().copied()
    }

    /// What to send for everything to be signalled.
    pub(super) fn signal(name: &str) -> Vec<u8> {
        format!("s {name}\n").into_bytes()
    }

    /// What to send for everything to be ended.
    pub(super) fn end(&mut self) -> Vec<u8> {
        self.is_ending = true;
        b"end\n".to_vec()
    }

    /// Takes in what came on standard output.
    pub(super) fn take_in(&mut self, now: Moment, bytes: &[u8]) -> Vec<Meant> {
        let mut meant = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                self.push(*byte);
                continue;
            }
            let found = if self.is_ready {
                self.echo(now).or_else(|| self.ended())
            } else {
                self.hello()
            };
            self.line.clear();
            self.keep(b' ');
            if let Some(found) = found {
                self.idle = 0;
                meant.push(found);
            }
        }
        meant.extend(self.waste(bytes.len()));
        meant
    }

    /// So much came that can mean nothing, by itself or on standard error.
    pub(super) fn waste(&mut self, bytes: usize) -> Option<Meant> {
        self.idle = self.idle.saturating_add(bytes);
        (self.idle > MAX_IDLE).then_some(Meant::Unfit(Unguarded::TooMuch))
    }

    fn keep(&mut self, byte: u8) {
        if !self.is_ready && self.said.len() < MAX_SAID {
            self.said.push(byte);
        }
    }

    fn push(&mut self, byte: u8) {
        self.keep(byte);
        self.line.push(byte);
        // Of a long line the end is enough.
        if self.line.len() >= MAX_LINE {
            self.line.drain(..MAX_LINE / 2);
        }
    }

    fn hello(&mut self) -> Option<Meant> {
        let token = self.token.as_bytes();
        let begin = self.line.windows(token.len()).rposition(|at| at == token)?;
        let after = self.line.get(begin + token.len()..)?;
        let words = std::str::from_utf8(after).ok()?.strip_prefix(' ')?;
        let (letter, name) = match words.split_once(' ') {
            Some((letter, name)) => (letter, Some(name)),
            None => (words, None),
        };
        let far = name.map(str::parse).transpose().ok()?;
        let ready = |method, far| Meant::Ready(Hello { method, far });
        let meant = match (self.duty, letter, far) {
            (Duty::Session, "t", None) => ready(Method::Timed, None),
            (Duty::Session, "s", None) => ready(Method::Signals, None),
            (Duty::All, "T", far) => ready(Method::Timed, far),
            (Duty::All, "S", far) => ready(Method::Signals, far),
            (Duty::All, "g", None) => Meant::Unfit(Unguarded::Blind),
            (_, "n", None) => Meant::Unfit(Unguarded::NoServer),
            (_, "k", None) => Meant::Unfit(Unguarded::NotOurs),
            _ => return None,
        };
        self.is_ready = matches!(meant, Meant::Ready(_));
        self.said = Vec::new();
        Some(meant)
    }

    /// `e`, and how many are left.
    fn ended(&mut self) -> Option<Meant> {
        let text = std::str::from_utf8(&self.line).ok()?;
        let left = number(text.strip_prefix("e ")?)?;
        std::mem::take(&mut self.is_ending).then_some(Meant::Ended(left))
    }

    /// A number between the last that was answered and the last that was sent; those before it are answered by it too.
    /// Behind it session ids, which only a guard of everything tells.
    fn echo(&mut self, now: Moment) -> Option<Meant> {
        let text = std::str::from_utf8(&self.line).ok()?;
        let mut words = text.split(' ');
        let answered: u64 = number(words.next()?)?;
        let sessions = words.map(number).collect::<Option<Vec<u32>>>()?;
        if self.duty == Duty::Session && !sessions.is_empty() {
            return None;
        }
        let after = usize::try_from(self.number.checked_sub(answered)?).ok()?;
        let at = self.owed.len().checked_sub(after + 1)?;
        let sent = self.owed.get(at).copied()?;
        self.owed.drain(..=at);
        Some(Meant::Echo(now.saturating_since(sent), sessions))
    }
}

/// A number as a shell prints it.
fn number<T: FromStr + ToString>(text: &str) -> Option<T> {
    text.parse()
        .ok()
        .filter(|number: &T| number.to_string() == text)
}

/// Beats owed at a time.
const MAX_OWED: usize = 64;
/// Output that means nothing: more than any greeting.
const MAX_IDLE: usize = 64 * 1024;
/// Twice a token, a letter and a far session, which may follow a greeting that ended without a new line.
const MAX_LINE: usize = 640;
/// How much of the first words is kept.
const MAX_SAID: usize = 120;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "00112233445566778899aabbccddeeff";
    const FAR: &str =
        "4711 123 6c2ea14c-4f6d-4d9c-8a52-0f6f1e6c5a11.4026531836.7 10.77.1.1 51234 10.77.1.2 22";

    fn at(ms: u64) -> Moment {
        Moment::at(Duration::from_millis(ms))
    }

    fn hello(method: Method, far: Option<&str>) -> Meant {
        let far = far.map(|far| far.parse().unwrap());
        Meant::Ready(Hello { method, far })
    }

    fn new(duty: Duty) -> Dialogue {
        Dialogue::new(TOKEN.to_owned(), duty)
    }

    fn ready() -> Dialogue {
        let mut talk = new(Duty::Session);
        let meant = talk.take_in(at(0), format!("\n{TOKEN} t\n").as_bytes());
        assert_eq!(meant, [hello(Method::Timed, None)]);
        talk
    }

    #[test]
    fn a_greeting_is_passed_over_whatever_it_says() {
        let mut talk = new(Duty::Session);
        let greeting = format!("Welcome!\r\n\x1b[2J1\n2\n{} t\n", TOKEN.replace('0', "1"));
        assert_eq!(talk.take_in(at(0), greeting.as_bytes()), []);
        assert_eq!(talk.take_in(at(0), &vec![b'x'; 40_000]), []);
        let (first, second) = TOKEN.split_at(7);
        assert_eq!(talk.take_in(at(0), first.as_bytes()), []);
        let meant = talk.take_in(at(0), format!("{second} s\n").as_bytes());
        assert_eq!(meant, [hello(Method::Signals, None)]);
    }

    #[test]
    fn a_node_that_says_too_much_is_not_listened_to() {
        let mut talk = new(Duty::Session);
        let mut last = Vec::new();
        for _ in 0..65 {
            last = talk.take_in(at(0), &[b'y'; 1024]);
        }
        assert_eq!(last, [Meant::Unfit(Unguarded::TooMuch)]);
        assert!(talk.line.len() < MAX_LINE && talk.said().len() <= MAX_SAID);
    }

    #[test]
    fn an_echo_answers_its_beat_and_those_before() {
        let mut talk = ready();
        assert_eq!(talk.beat(at(0)).unwrap(), b"1\n");
        assert_eq!(
            talk.take_in(at(3), b"1\n"),
            [Meant::Echo(Duration::from_millis(3), Vec::new())]
        );
        for beat in 0..MAX_OWED as u64 {
            assert!(talk.beat(at(100 + beat)).is_some());
        }
        assert_eq!(talk.beat(at(200)), None, "a shell that hangs");
        let meant = talk.take_in(at(201), b"2\n64\n");
        let echo = |ms| Meant::Echo(Duration::from_millis(ms), Vec::new());
        assert_eq!(meant, [echo(101), echo(39)]);
        assert!(talk.beat(at(300)).is_some());
    }

    #[test]
    fn nothing_but_the_number_of_a_beat_that_is_owed_is_an_echo() {
        let mut talk = ready();
        let _ = (talk.beat(at(0)), talk.beat(at(0)));
        for line in [
            "",
            "0",
            "3",
            "01",
            "+1",
            " 1",
            "1 ",
            "1\r",
            "٣",
            "18446744073709551616",
            "1 7",
        ] {
            assert_eq!(
                talk.take_in(at(1), format!("{line}\n").as_bytes()),
                [],
                "{line}"
            );
        }
        assert_eq!(talk.take_in(at(1), format!("{TOKEN} k\n").as_bytes()), []);
        assert_eq!(talk.take_in(at(1), b"2\n").len(), 1);
        assert_eq!(talk.take_in(at(1), b"2\n1\n"), [], "answered already");
    }

    #[test]
    fn a_hello_may_name_the_far_session() {
        let mut talk = new(Duty::All);
        let greeting = "x".repeat(10_000);
        let line = format!("{greeting}{TOKEN}{TOKEN} S {FAR}\n");
        let meant = talk.take_in(at(0), line.as_bytes());
        assert_eq!(meant, [hello(Method::Signals, Some(FAR))]);
    }

    #[test]
    fn the_longest_far_session_is_found_behind_any_greeting() {
        let address = "f".repeat(64);
        let far = format!(
            "4294967295 18446744073709551615 6c2ea14c-4f6d-4d9c-8a52-0f6f1e6c5a11.4294967295.18446744073709551615 \
             {address} 65535 {address} 65535"
        );
        for length in 0..MAX_LINE * 2 {
            let mut talk = new(Duty::All);
            let line = format!("{}{TOKEN} T {far}\n", "y".repeat(length));
            let meant = talk.take_in(at(0), line.as_bytes());
            assert_eq!(meant, [hello(Method::Timed, Some(&far))], "{length}");
        }
    }

    #[test]
    fn a_hello_with_anything_else_behind_it_is_none() {
        for after in [
            "",
            "t",
            " ",
            " x",
            " T ",
            " T  ",
            "  T",
            " t",
            " s",
            &format!(" t {FAR}"),
            " T\r",
            " T 1",
            &format!(" T {FAR} "),
            &format!(" T {FAR} 1"),
            &format!(" T  {FAR}"),
            &format!(" n {FAR}"),
            &format!(" k {FAR}"),
            &format!(" T {}", FAR.replace("4711", "$$")),
        ] {
            let mut talk = new(Duty::All);
            let meant = talk.take_in(at(0), format!("{TOKEN}{after}\n").as_bytes());
            assert_eq!(meant, [], "{after:?}");
            assert!(!talk.is_ready());
        }
    }

    #[test]
    fn an_echo_of_a_guard_of_everything_may_name_sessions() {
        let mut talk = new(Duty::All);
        talk.take_in(at(0), format!("{TOKEN} T\n").as_bytes());
        let _ = talk.beat(at(0));
        for line in [
            "1 ",
            "1  7",
            "1 07",
            "1 -7",
            "1 4294967296",
            "1 7 x",
            "1 7\r",
        ] {
            assert_eq!(
                talk.take_in(at(1), format!("{line}\n").as_bytes()),
                [],
                "{line:?}"
            );
        }
        let echo = Meant::Echo(Duration::from_millis(1), vec![7, 4_294_967_295]);
        assert_eq!(talk.take_in(at(1), b"1 7 4294967295\n"), [echo]);
    }

    #[test]
    fn an_end_is_told_once_and_only_to_who_asked() {
        let mut talk = ready();
        assert_eq!(talk.take_in(at(0), b"e 0\n"), []);
        assert_eq!(talk.end(), b"end\n");
        assert_eq!(
            talk.take_in(at(0), b"e\ne \ne 01\ne -1\ne 4294967296\n"),
            []
        );
        assert_eq!(talk.take_in(at(0), b"e 3\ne 0\n"), [Meant::Ended(3)]);
    }

    proptest! {
        #[test]
        fn only_a_far_session_is_taken_for_one(after in "( [ -~]{0,80})|( [TSnk]( .{0,80})?)") {
            let mut talk = new(Duty::All);
            for meant in talk.take_in(at(0), format!("{TOKEN}{after}\n").as_bytes()) {
                if let Meant::Ready(Hello { far: Some(far), .. }) = meant {
                    prop_assert!(after.ends_with(&far.to_string()));
                }
            }
        }

        #[test]
        fn takes_any_bytes_in_any_pieces(pieces: Vec<Vec<u8>>) {
            let mut talks = [new(Duty::Session), ready()];
            for talk in &mut talks {
                for piece in &pieces {
                    let _ = talk.beat(at(0));
                    talk.take_in(at(1), piece);
                    prop_assert!(talk.line.len() < MAX_LINE && talk.owed.len() <= MAX_OWED);
                }
            }
        }
    }
}
