//! Numbers that grow with each verdict, also over a restart: whoever acts on one can see whether it is still the last.

use jiff::Timestamp;

use super::Engine;

/// The last that was given.
#[derive(Debug, Default)]
pub(super) struct Tokens(u64);

impl Tokens {
    /// The next: the wall clock's milliseconds, and more than the last, so that a clock that was set back does no harm while this process lives.
    pub(super) fn next(&mut self, t: Timestamp) -> u64 {
        let now = u64::try_from(t.as_millisecond()).unwrap_or_default();
        self.0 = now.max(self.0 + 1);
        self.0
    }
}

impl Engine {
    /// Those from now on are greater than this one, which somebody has seen before: so a clock that was set back between two runs does no harm either.
    pub fn begin_after(&mut self, token: u64) {
        self.tokens.0 = self.tokens.0.max(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_grow_whatever_the_clock_does() {
        let mut tokens = Tokens::default();
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        assert_eq!(tokens.next(at(1_000)), 1_000);
        assert_eq!(tokens.next(at(1_000)), 1_001);
        assert_eq!(tokens.next(at(10)), 1_002);
        assert_eq!(tokens.next(at(-10)), 1_003);
        assert_eq!(tokens.next(at(5_000)), 5_000);
    }
}
