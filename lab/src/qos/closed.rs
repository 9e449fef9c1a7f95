//! Our detector in its loop: what it sends changes what comes, so it cannot be replayed.

use std::time::Duration;

use heartline_core::Moment;
use heartline_core::detect::Adaptive;

use super::score::{Detection, Quality, WARM_UP, golden};
use super::session::{Session, Setup, Verdict};

/// Runs a session for as many of its intervals under `detector`, and lets its peer crash in as many of a thousand intervals as
/// `crashes` says, each time in a world of its own.
pub fn closed(setup: Setup, detector: Adaptive, intervals: u32, crashes: u32) -> Quality {
    let mut session = Session::new(setup, Some(detector));
    let begin = Moment::START + setup.interval * u32::from(WARM_UP);
    let end = begin + setup.interval * intervals;
    let apart = setup.interval * 1_000 / crashes.max(1);
    let mut tally = Tally::default();
    let mut count = 0;
    let mut crash = begin;
    loop {
        let at = session.next_at();
        while crash < at && crash < end {
            tally.times.push(tally.detection(&session, crash));
            count += 1;
            crash = begin + apart * count + setup.interval.mul_f64(golden(count));
        }
        if at >= end {
            break;
        }
        if at < begin {
            session.step();
            tally.before = session.beats();
        } else {
            let verdict = session.step();
            tally.heard(verdict, session.now());
        }
    }
    tally.quality(&session, end.saturating_since(begin))
}

#[derive(Default)]
struct Tally {
    mistakes: u32,
    wrong: Duration,
    /// Since when it has been wrong.
    since: Option<Moment>,
    times: Vec<Duration>,
    before: (u64, u64),
}

impl Tally {
    fn heard(&mut self, verdict: Option<Verdict>, now: Moment) {
        match verdict {
            Some(Verdict::Dead) => {
                self.mistakes += 1;
                self.since = Some(now);
            }
            Some(Verdict::Alive) => {
                let since = self.since.take().unwrap_or(now);
                self.wrong += now.saturating_since(since);
            }
            None => {}
        }
    }

    /// From a crash until the peer is taken for dead and nothing shows otherwise any more.
    fn detection(&self, session: &Session, crash: Moment) -> Duration {
        let mut session = session.clone();
        session.crash();
        let mut dead = self.since;
        while dead.is_none() || !session.is_settled() {
            match session.step() {
                Some(Verdict::Dead) => dead = Some(session.now()),
                Some(Verdict::Alive) => dead = None,
                None => {}
            }
        }
        dead.map_or(Duration::ZERO, |dead| dead.saturating_since(crash))
    }

    fn quality(self, session: &Session, period: Duration) -> Quality {
        let (beats, extra) = session.beats();
        let (beats, extra) = (beats - self.before.0, extra - self.before.1);
        Quality {
            mistakes: self.mistakes.into(),
            period,
            mistake_duration: self.wrong / self.mistakes.max(1),
            right: 1.0 - self.wrong.as_secs_f64() / period.as_secs_f64().max(f64::MIN_POSITIVE),
            detection: Detection::of(self.times),
            extra: share(extra, beats - extra),
        }
    }
}

fn share(part: u64, whole: u64) -> f64 {
    let float = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    float(part) / float(whole).max(1.0)
}
