//! What is to be said of a row.

use std::fmt;

use super::judge::NOTHING;

/// The words that are true of what was done.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The cause for which a node is first not up: one of these, of which the first is the usual one. None: nothing at all
    /// is to be told of a node.
    pub(crate) first: Words,
    /// What a node is in the end.
    pub(crate) settled: Settled,
    /// Further causes that lead nobody astray on the way there.
    pub(crate) between: Words,
    /// Whether a node may be called down on the way.
    pub(crate) falls: bool,
    /// Whether it passes: what comes after it was told once is not judged.
    pub(crate) passes: bool,
    /// What the watcher says of itself, once.
    pub(crate) watcher: Option<&'static str>,
}

/// Some causes.
pub(crate) type Words = &'static [&'static str];

/// What a node is in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    Up,
    Down(&'static str),
    Unknown(&'static str),
}

impl Wanted {
    /// It is down, for this cause in the end.
    pub(crate) fn down(first: Words, cause: &'static str) -> Self {
        let falls = true;
        Self {
            falls,
            ..Self::new(first, Settled::Down(cause))
        }
    }

    /// Nobody can tell, for this cause in the end; it is never called down.
    pub(crate) fn unknown(first: Words, cause: &'static str) -> Self {
        Self::new(first, Settled::Unknown(cause))
    }

    /// It is up again by itself, or was never anything else; it is never called down.
    pub(crate) fn up(first: Words) -> Self {
        Self::new(first, Settled::Up)
    }

    /// These causes may come between.
    pub(crate) fn by(self, between: Words) -> Self {
        Self { between, ..self }
    }

    /// It may be down on the way.
    pub(crate) fn falling(self) -> Self {
        let falls = true;
        Self { falls, ..self }
    }

    /// What comes after it is another matter.
    pub(crate) fn passing(self) -> Self {
        let passes = true;
        Self { passes, ..self }
    }

    /// The watcher says so of itself, once.
    pub(crate) fn and_watcher(self, cause: &'static str) -> Self {
        let watcher = Some(cause);
        Self { watcher, ..self }
    }

    /// Whether a cause is true of it, at any time.
    pub(crate) fn allows(&self, cause: &str) -> bool {
        let settled = self.settled.cause();
        settled == cause || self.first.contains(&cause) || self.between.contains(&cause)
    }

    fn new(first: Words, settled: Settled) -> Self {
        Self {
            first,
            settled,
            between: &[],
            falls: false,
            passes: false,
            watcher: None,
        }
    }
}

impl Settled {
    /// The word of the state.
    pub(crate) const fn state(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down(_) => "down",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The cause; empty, if there is none.
    pub(crate) const fn cause(self) -> &'static str {
        match self {
            Self::Up => "",
            Self::Down(cause) | Self::Unknown(cause) => cause,
        }
    }

    /// Its name in the matrix.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down(cause) | Self::Unknown(cause) => cause,
        }
    }
}

impl fmt::Display for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("up"),
            Self::Down(cause) | Self::Unknown(cause) => write!(f, "{}({cause})", self.state()),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first {
            [] => f.write_str(NOTHING)?,
            [first, ..] if *first == self.settled.cause() => write!(f, "{}", self.settled)?,
            [first, ..] => write!(f, "{first}, {}", self.settled)?,
        }
        self.watcher
            .map_or(Ok(()), |cause| write!(f, "; watcher {cause}"))
    }
}
