//! One row, carried out: log in, wait a while, let it happen, see which ends go away and when.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use heartline_core::explain::Side;
use lab::{Direction, End, Fault, Running, Signal, Span};
use nix::sys::signal::kill;

use super::bench::{Bench, Place};
use super::judge::{Observed, Verdict};
use super::row::{Asks, Data, Happens, Judged, Remote, Row};
use super::session::Session;
use super::{CEILING, Predicted};

/// What came of carrying a row out.
pub(crate) struct Attempt {
    /// One for each end that is judged.
    pub(crate) verdicts: Vec<Verdict>,
    /// By how much the machine was late meanwhile.
    pub(crate) late: Duration,
}

impl Attempt {
    /// Whether it failed, and the machine may be to blame.
    pub(crate) fn deserves_another(&self) -> bool {
        self.late >= LATE && !self.verdicts.iter().all(Verdict::is_good)
    }
}

/// A row, where it takes place.
#[derive(Clone, Copy)]
pub(crate) struct Trial<'a> {
    pub(crate) row: &'a Row,
    pub(crate) place: &'a Place,
    pub(crate) bench: &'a Bench,
}

impl Trial<'_> {
    /// Carries it out.
    pub(crate) fn run(self, dice: &mut fastrand::Rng) -> Attempt {
        let begun = Instant::now();
        let judged = &self.row.judged;
        let verdicts = match self.attempt(dice) {
            Ok(verdicts) => verdicts,
            Err(why) => judged
                .iter()
                .map(|judged| Verdict::failed(judged, &why))
                .collect(),
        };
        let late = self.bench.watchman.latest_since(begun);
        Attempt { verdicts, late }
    }

    /// Makes it possible to carry it out again.
    pub(crate) fn clear(self) -> Result<()> {
        self.place.cable.heal().map(drop)
    }

    fn attempt(self, dice: &mut fastrand::Rng) -> Result<Vec<Verdict>> {
        let predicted = self.predict()?;
        let observed = self.observe(dice, &predicted)?;
        let judge = |(judged, observed): (&Judged, &Observed)| {
            // What flowed in fact.
            let judged = match observed.rate {
                Some(rate) => judged.at_rate(rate),
                None => judged.clone(),
            };
            let predicted = Predicted::of(&judged, &self.bench.peer(self.row, judged.side)?);
            Ok(Verdict::of(&judged, &predicted, observed))
        };
        self.row.judged.iter().zip(&observed).map(judge).collect()
    }

    fn predict(self) -> Result<Vec<Predicted>> {
        // One program after another.
        let _turn = self.bench.login_turn();
        let predict = |judged: &Judged| {
            let peer = self.bench.peer(self.row, judged.side)?;
            Ok(Predicted::of(judged, &peer))
        };
        self.row.judged.iter().map(predict).collect()
    }

    fn observe(self, dice: &mut fastrand::Rng, predicted: &[Predicted]) -> Result<Vec<Observed>> {
        let Self { row, place, bench } = self;
        let mut session = Session::start(row, place, bench)?;
        let mut begun = session.ready;
        if !matches!(row.happens, Happens::Nothing | Happens::LoginStalls(_)) {
            let phase = Duration::from_secs_f64(row.phase * dice.f64());
            session.live(session.ready + SETTLES + phase, |_| false);
            begun = Instant::now();
        }
        let fault = self.happen(&session)?;
        let patience = |predicted: &Predicted| {
            let latest = predicted.latest();
            latest.map_or(STAYS, |latest| latest + PATIENCE)
        };
        let horizon = begun + predicted.iter().map(patience).max().unwrap_or(STAYS);
        session.live(horizon, |session| {
            let mut sides = row.judged.iter().map(|judged| judged.side);
            sides.all(|side| session.is_gone(side, bench))
        });
        let looked_until = Instant::now();
        let of = |judged: &Judged| {
            let ended = session.ended(judged.side, bench);
            let until = ended.unwrap_or(looked_until);
            Observed {
                fault,
                ended,
                heard: self.heard(judged, session.ready, fault, until),
                rate: fault.and_then(|fault| self.rate(session.ready, fault)),
                looked_for: looked_until - begun,
                exit_code: ended.and_then(|_| session.exit_code()),
                says: session.last_words(),
            }
        };
        Ok(row.judged.iter().map(of).collect())
    }

    /// Makes it happen; between which two instants it did.
    fn happen(self, session: &Session) -> Result<Option<Span>> {
        let _turn = self.bench.fault_turn();
        let cable = &self.place.cable;
        let holder = || {
            session
                .server
                .first()
                .copied()
                .context("no process of sshd")
        };
        let signal = |pid, signal| kill(pid, signal).context("no signal");
        let (begun, mut known) = (Instant::now(), None);
        match self.row.happens {
            Happens::Nothing | Happens::LoginStalls(_) => return Ok(None),
            Happens::Cut(way) => known = Some(cable.inject(Fault::Silent(way))?),
            Happens::IsRejected => known = Some(cable.inject(Fault::Reset)?),
            Happens::Freezes(Side::Client) => session.client().stop()?,
            Happens::Freezes(Side::Server) => signal(holder()?, Signal::SIGSTOP)?,
            Happens::Dies(Side::Client) => session.client().signal(Signal::SIGKILL)?,
            Happens::Dies(Side::Server) => signal(holder()?, Signal::SIGKILL)?,
            Happens::CommandHangs => {
                signal(session.command.context("no command")?, Signal::SIGSTOP)?;
            }
            Happens::IsReset => {
                let mut command = self.bench.node().command("ss");
                command.args(["--kill", "--tcp", "--no-header", "src"]);
                command.arg(cable.v4().to_string());
                Running::spawn(command)?.finish(CEILING)?.success()?;
            }
        }
        let complete = Instant::now();
        let span = known.unwrap_or(Span { begun, complete });
        self.bench.watchman.note(span.complete - span.begun);
        Ok(Some(span))
    }

    /// Bytes a second that a remote command wrote until the fault, where it writes much.
    fn rate(self, ready: Instant, fault: Span) -> Option<u64> {
        self.row.remote.filter(|remote| *remote == Remote::Floods)?;
        let cable = &self.place.cable;
        let (near, far) = (cable.end(End::Watcher).v4, cable.v4());
        let segments = self.bench.capture(self.place).segments(far, near);
        let flowed = segments
            .iter()
            .filter(|segment| segment.at > ready && segment.at <= fault.begun);
        let bytes: usize = flowed.map(|segment| segment.payload).sum();
        let took = fault
            .begun
            .saturating_duration_since(ready)
            .as_millis()
            .max(1);
        u64::try_from(bytes as u128 * 1_000 / took).ok()
    }

    /// The moments at which an end may have heard the last of the other: two, where something came while the cable was
    /// being cut.
    fn heard(
        self,
        judged: &Judged,
        ready: Instant,
        fault: Option<Span>,
        until: Instant,
    ) -> Vec<Instant> {
        let least = match judged.data {
            _ if matches!(judged.asks, Asks::Login | Asks::Nothing) => return vec![ready],
            Data::Channel => return vec![ready],
            Data::None => return Vec::new(),
            Data::Segments => 1,
            Data::AllSegments => 0,
        };
        let cable = &self.place.cable;
        let (near, far) = (cable.end(End::Watcher).v4, cable.v4());
        let (from, to, lost_by) = match judged.side {
            Side::Client => (far, near, Direction::ToWatcher),
            Side::Server => (near, far, Direction::ToNode),
        };
        let faults = cable.faults();
        let ways = [lost_by, Direction::Both];
        let is_lost = ways.iter().any(|way| faults.contains(&Fault::Silent(*way)));
        let limits = match fault.filter(|_| is_lost) {
            Some(fault) => vec![fault.begun, fault.complete],
            None => vec![until],
        };
        let segments = self.bench.capture(self.place).segments(from, to);
        let last_before = |limit: Instant| {
            let mut heard = segments.iter().filter(|segment| segment.payload >= least);
            Some(heard.rfind(|segment| segment.at <= limit)?.at)
        };
        let mut times: Vec<Instant> = limits.into_iter().filter_map(last_before).collect();
        times.dedup();
        times
    }
}

/// After the login, until nothing of it flows any more.
const SETTLES: Duration = Duration::from_millis(500);
/// How long an end may be late and is still waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long one must be there that stays.
const STAYS: Duration = Duration::from_secs(12);
/// From this on a failure may be the machine's.
const LATE: Duration = Duration::from_millis(100);
