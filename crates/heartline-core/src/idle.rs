//! After how long a silence something on the path forgets a connection: which silences to try next, what the answers come
//! to, and how often to beat then.
//!
//! Many connections are left silent at once, each for a time of its own, and then asked. The first round's times grow
//! geometrically up to the longest that is of interest; the next ones divide what lies between the longest silence that was
//! survived and the shortest that was not. A death counts once it was seen twice: one connection may die of something else.
//!
//! Who leaves them silent, asks them and takes the time is not here. Nothing here knows a clock.

use std::time::Duration;

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It answered.
    Survived {
        /// The longest silence it had: shorter than it was to be where something came unasked.
        silent: Duration,
    },
    /// It did not.
    Died {
        /// After so long a silence.
        silent: Duration,
        /// How that was told.
        how: Death,
    },
}

/// How the death of a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// It was asked, and nothing came back.
    Dropped,
    /// It was asked, and reset or closed for that.
    Reset,
    /// Unasked, it was reset.
    ResetUnasked,
    /// Unasked, it was closed in order.
    Closed,
}

impl Death {
    /// Whether it came by itself: then it was seen when it came, and not when somebody asked.
    pub const fn is_unasked(self) -> bool {
        matches!(self, Self::ResetUnasked | Self::Closed)
    }

    /// The word in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Reset => "reset",
            Self::ResetUnasked => "reset_unasked",
            Self::Closed => "closed",
        }
    }
}

/// What was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A silence between these two kills a connection.
    Forgets {
        /// The longest that was survived; zero where none was.
        survived: Duration,
        /// The shortest that was not.
        died: Duration,
        /// How that was told.
        how: Death,
    },
    /// Connections are ended after so long a silence, unasked.
    Ends {
        /// So long.
        after: Duration,
        /// How.
        how: Death,
    },
    /// The longest silence of interest was survived.
    Nothing {
        /// That long.
        survived: Duration,
    },
    /// No connection is ever silent for longer than this: something comes by itself.
    Held {
        /// So often.
        every: Duration,
    },
    /// What was found contradicts itself again and again.
    Unsteady,
}

impl Finding {
    /// The longest silence that is known to do no harm.
    pub const fn harmless(self) -> Duration {
        match self {
            Self::Forgets { survived, .. } | Self::Nothing { survived } => survived,
            Self::Ends { after, .. } => after,
            Self::Held { every } => every,
            Self::Unsteady => Duration::ZERO,
        }
    }

    /// The silence that kills, as well as it is known: the middle between what was survived and what was not.
    pub fn limit(self) -> Option<Duration> {
        match self {
            Self::Forgets { survived, died, .. } => Some((survived + died) / 2),
            Self::Ends { after, .. } => Some(after),
            _ => None,
        }
    }

    /// How often to beat then, in whole seconds: so that a beat that is late, or lost and sent again, still comes in time,
    /// three fifths of [`harmless`](Self::harmless); 1 s at least, and [`OFTEN`](Self::OFTEN) at most, which costs nothing.
    pub fn interval(self) -> Duration {
        let seconds = (self.harmless() * 3 / 5).as_secs();
        Duration::from_secs(seconds.max(1)).min(Self::OFTEN)
    }

    /// A minute.
    pub const OFTEN: Duration = Duration::from_mins(1);
}

/// How exact it is to be about this long a silence: a second, or a twentieth of it.
pub fn tolerance(silence: Duration) -> Duration {
    (silence / 20).max(Duration::from_secs(1))
}

/// The search. Ask [`next`](Self::next) which silences to try, tell [`handle`](Self::handle) what became of each that was
/// seen to its end, and [`end_round`](Self::end_round); until there is a [`finding`](Self::finding).
#[derive(Clone, Debug)]
pub struct Search {
    at_most: Duration,
    /// None of these is as long as any of the deaths.
    survived: Vec<Duration>,
    /// Ascending.
    died: Vec<(Duration, Death)>,
    held: Option<Duration>,
    contradictions: u32,
    rounds: u32,
}

impl Search {
    /// No silence longer than `at_most` is tried; one of a millisecond at least is.
    pub fn new(at_most: Duration) -> Self {
        Self {
            at_most: at_most.max(Duration::from_millis(1)),
            survived: Vec::new(),
            died: Vec::new(),
            held: None,
            contradictions: 0,
            rounds: 0,
        }
    }

    /// The silences to try in the next round, ascending and all different, for so many connections at most; one at least,
    /// while there is no finding.
    pub fn next(&self, connections: u32) -> Vec<Duration> {
        if self.finding().is_some() {
            return Vec::new();
        }
        let connections = connections.max(1);
        let mut times = match self.died.first() {
            None => self.growing(connections),
            Some((died, _)) => self.between(*died, connections),
        };
        times.dedup();
        times
    }

    /// So a connection that was silent for `asked` did. One that was given up before is not told.
    pub fn handle(&mut self, asked: Duration, trial: Trial) {
        match trial {
            Trial::Survived { silent } => {
                if silent + tolerance(silent) < asked {
                    self.held = self.held.max(Some(silent));
                }
                let silent = silent.min(asked);
                let had = self.died.len();
                self.died.retain(|(died, _)| *died > silent);
                self.contradictions += u32::from(self.died.len() < had);
                self.survived.push(silent);
            }
            Trial::Died { silent, how } => {
                let had = self.survived.len();
                self.survived.retain(|survived| *survived < silent);
                self.contradictions += u32::from(self.survived.len() < had);
                let at = self.died.partition_point(|(died, _)| *died <= silent);
                self.died.insert(at, (silent, how));
            }
        }
    }

    /// All of a round was told.
    pub fn end_round(&mut self) {
        self.rounds += 1;
    }

    /// What was found out, if it was.
    pub fn finding(&self) -> Option<Finding> {
        if self.contradictions > MOST_CONTRADICTIONS || self.rounds >= MOST_ROUNDS {
            return Some(Finding::Unsteady);
        }
        let survived = self.longest();
        let Some((died, how)) = self.died.first().copied() else {
            if survived >= self.at_most {
                return Some(Finding::Nothing { survived });
            }
            return self.held.map(|every| Finding::Held { every });
        };
        // One that was asked in the very moment of its end is reset, too; those beside it say what it was.
        let near = died + tolerance(died);
        let unasked = self.died.iter().copied();
        let unasked = unasked.filter(|(other, how)| *other <= near && how.is_unasked());
        if let Some((after, how)) = unasked.clone().next()
            && unasked.count() >= SEEN
        {
            return Some(Finding::Ends { after, how });
        }
        let is_exact = died.saturating_sub(survived) <= tolerance(died);
        (is_exact && self.seen(died, |_| true) >= SEEN).then_some(Finding::Forgets {
            survived,
            died,
            how,
        })
    }

    /// How long it may still take from the beginning of a round, where an answer is waited for by `patience`: as if what is
    /// sought were just above what was survived, where most rounds are needed, and each took as long as the next one may.
    /// Before anything has died that is the longest silence; if one does, it takes longer.
    pub fn left(&self, connections: u32, patience: Duration) -> Duration {
        let next = self.next(connections);
        let Some(longest) = next.last() else {
            return Duration::ZERO;
        };
        let each = longest.saturating_add(patience);
        if self.died.is_empty() {
            return each;
        }
        let mut world = self.clone();
        let mut rounds = 0;
        while world.finding().is_none() {
            for silent in world.next(connections) {
                let how = Death::Dropped;
                world.handle(silent, Trial::Died { silent, how });
            }
            world.end_round();
            rounds += 1;
        }
        each.saturating_mul(rounds)
    }

    /// How many such deaths there were after that silence, or hardly longer ones.
    fn seen(&self, died: Duration, is_such: impl Fn(Death) -> bool) -> usize {
        let near = died + tolerance(died);
        let near = self.died.iter().filter(|(other, _)| *other <= near);
        near.filter(|(_, how)| is_such(*how)).count()
    }

    fn longest(&self) -> Duration {
        self.survived.iter().max().copied().unwrap_or_default()
    }

    /// Nothing has died yet.
    fn growing(&self, connections: u32) -> Vec<Duration> {
        let longest = self.longest();
        if connections == 1 {
            return vec![FIRST.max(longest * 2).min(self.at_most)];
        }
        let (first, steps) = if longest.is_zero() {
            (FIRST.min(self.at_most / 2), connections - 1)
        } else {
            (longest, connections)
        };
        let ratio = self.at_most.as_secs_f64() / first.as_secs_f64().max(f64::MIN_POSITIVE);
        let from = u32::from(!longest.is_zero());
        let step = |at: u32| {
            let grown = ratio.powf(f64::from(at) / f64::from(steps));
            milliseconds(first.mul_f64(grown)).min(self.at_most)
        };
        (from..steps).map(step).chain([self.at_most]).collect()
    }

    /// Something has. Where that was seen once it is tried again, beside the others: while one of those dies nobody waits
    /// for it.
    fn between(&self, died: Duration, connections: u32) -> Vec<Duration> {
        let survived = self.longest();
        let gap = died.saturating_sub(survived);
        // What is exact enough for the shortest of them is for all.
        let exact = tolerance(survived);
        let again = (self.seen(died, |_| true) < SEEN).then_some(died);
        let free = if again.is_some() && connections > 1 {
            connections - 1
        } else {
            connections
        };
        let enough = (1..free)
            .find(|parts| gap / (parts + 1) <= exact)
            .unwrap_or(free);
        let parts = if gap <= tolerance(died) { 0 } else { enough };
        let mut times: Vec<_> = (1..=parts)
            .map(|at| milliseconds(survived + gap * at / (parts + 1)))
            .collect();
        if parts == 0 || connections > 1 {
            times.extend(again);
        }
        times
    }
}

fn milliseconds(time: Duration) -> Duration {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis.max(1))
}

/// The shortest silence of the first round: what is shorter hardly anybody forgets after.
const FIRST: Duration = Duration::from_secs(4);
/// A death counts once it was seen so often.
const SEEN: usize = 2;
/// A path that loses a connection now and then may be searched; one that does again and again may not.
const MOST_CONTRADICTIONS: u32 = 6;
/// A single connection needs about twenty from a second to a day.
const MOST_ROUNDS: u32 = 64;

#[cfg(test)]
mod tests;
