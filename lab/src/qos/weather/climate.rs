//! Kinds of weather.
//!
//! LAN and WAN are made after recorded traces, from the median of the reply times to their longest; LTE, for want of one, so that the
//! fixed timeout needs 1.5 s at 24 mistakes a day and 3.1 s at one. Where detectors are compared, their order should not hang on
//! any figure here: it is to be tried with others.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use heartline_core::Moment;

use super::chance::Spread;
use super::{Effect, Kind, Spells, Weather};

/// Where a watcher and its peer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Climate {
    /// Half a millisecond apart: losses are rare, and so are full queues.
    Lan,
    /// A hundred milliseconds apart, by routes that change twice a day; queues, and 0.1 % of losses, a part of them in bursts.
    Wan,
    /// By radio: jitter, handovers that hold back everything or lose it, bursts of losses.
    Lte,
    /// A WAN, and a watcher that does not always run.
    Stall,
    /// A WAN whose routes change twice an hour, with an outage each time.
    Route,
}

impl Climate {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Lan, Self::Wan, Self::Lte, Self::Stall, Self::Route];

    /// Its word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Wan => "wan",
            Self::Lte => "lte",
            Self::Stall => "stall",
            Self::Route => "route",
        }
    }

    pub(in crate::qos) fn weather(self, seed: u64) -> Weather {
        match self {
            Self::Lan => lan(seed),
            Self::Wan | Self::Stall => wan(seed, hours(12.0), Spread::millis(30.0, 1.0)),
            Self::Route => wan(seed, hours(0.5), Spread::millis(400.0, 0.8)),
            Self::Lte => lte(seed),
        }
    }

    /// When the watcher does not run, if that happens.
    pub(in crate::qos) fn stalls(self, seed: u64) -> Option<Spells> {
        let length = Spread::millis(450.0, 1.2);
        let apart = Duration::from_mins(10);
        (self == Self::Stall).then(|| Spells::new(seed ^ 0x57a1, apart, length, NOTHING))
    }
}

impl fmt::Display for Climate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Climate {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|climate| climate.name() == word);
        found.ok_or_else(|| format!("no climate {word:?}: lan, wan, lte, stall or route"))
    }
}

fn lan(seed: u64) -> Weather {
    let mut weather = calm(seed, [0.15, 0.15], Spread::millis(0.012, 1.0), 1.5e-5);
    let queue = (
        minutes(13.0),
        Spread::millis(800.0, 0.7),
        Spread::millis(0.7, 0.7),
    );
    weather.each(Kind::Queue(0.0), queue, 1);
    // A switch whose queue is full.
    let burst = (hours(2.0), Spread::millis(8.0, 0.8), NOTHING);
    weather.each(Kind::Loss(0.5), burst, 2);
    weather
}

fn wan(seed: u64, routes: Duration, outage: Spread) -> Weather {
    let mut weather = calm(seed, [50.0, 50.0], Spread::millis(0.9, 0.7), 0.001);
    let route = (
        Duration::ZERO,
        spread(routes, 0.6),
        Spread::millis(7.0, 0.6),
    );
    weather.both(Kind::Route(outage), route, 1);
    let queue = (
        minutes(25.0),
        Spread::millis(11_000.0, 0.5),
        Spread::millis(50.0, 0.3),
    );
    weather.both(Kind::Queue(0.006), queue, 2);
    let burst = (minutes(5.0), Spread::millis(15.0, 0.8), NOTHING);
    weather.each(Kind::Loss(0.6), burst, 3);
    weather
}

fn lte(seed: u64) -> Weather {
    let mut weather = calm(seed, [48.0, 44.0], Spread::millis(9.0, 0.7), 0.001);
    let queue = (
        minutes(10.0),
        Spread::millis(20_000.0, 0.8),
        Spread::millis(80.0, 0.8),
    );
    weather.both(Kind::Queue(0.005), queue, 1);
    let handover = (minutes(4.0), Spread::millis(200.0, 0.6), NOTHING);
    weather.both(Kind::Hold, handover, 2);
    let fading = (minutes(4.0), Spread::millis(400.0, 0.5), NOTHING);
    weather.both(Kind::Loss(0.95), fading, 3);
    let burst = (Duration::from_secs(40), Spread::millis(40.0, 0.8), NOTHING);
    weather.each(Kind::Loss(0.6), burst, 4);
    weather
}

/// Time between spells, their length and their size.
type Habit = (Duration, Spread, Spread);

impl Weather {
    /// The same spells for both ways.
    fn both(&mut self, kind: Kind, habit: Habit, salt: u64) {
        let spells = vec![self.spells(habit, salt)];
        self.effects.push(Effect { kind, spells });
    }

    /// Spells for each way.
    fn each(&mut self, kind: Kind, habit: Habit, salt: u64) {
        let spells = vec![self.spells(habit, salt), self.spells(habit, salt + 100)];
        self.effects.push(Effect { kind, spells });
    }

    fn spells(&self, (apart, length, size): Habit, salt: u64) -> Spells {
        Spells::new(self.seed ^ (salt << 32), apart, length, size)
    }
}

/// Delays in milliseconds.
fn calm(seed: u64, delays: [f64; 2], jitter: Spread, loss: f64) -> Weather {
    Weather {
        seed,
        delay: delays.map(|millis| Duration::from_secs_f64(millis / 1e3)),
        jitter,
        loss,
        effects: Vec::new(),
        last: [Moment::START; 2],
    }
}

fn spread(median: Duration, deviation: f64) -> Spread {
    Spread { median, deviation }
}

fn minutes(minutes: f64) -> Duration {
    Duration::from_secs_f64(minutes * 60.0)
}

fn hours(hours: f64) -> Duration {
    minutes(hours * 60.0)
}

const NOTHING: Spread = Spread {
    median: Duration::ZERO,
    deviation: 0.0,
};
