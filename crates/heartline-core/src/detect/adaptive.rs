//! Ours: silence that TCP would have broken by now.
//!
//! On SSH a beat is never lost, only late: TCP repeats it, 200, 400, 800 ms later. So what matters is to tell "being recovered" from
//! "dead", and the kernel knows most of that.
//!
//! * An answer is overdue after the kernel's patience: its round trip, and four times what round trips stray from it. Then another beat
//!   is asked for ([`Doubt::Probe`]), since a second segment lets TCP repair the first by its acknowledgement, in one round trip
//!   instead of one timeout; four at most, ever farther apart, and none while a repair is under way. Where no kernel can be asked, as
//!   through a jump host, nobody knows what is overdue, and none is sent.
//! * A silence counts from the last packet that the peer's *kernel* sent, and is deadly after the patience, one round trip more for
//!   the answer to the first probe, and a margin. A kernel that has acknowledged everything beside an sshd that says nothing has time
//!   until the bound, since a machine under load is not dead.
//! * The margin is learnt from how late this peer has been while it lived, for one mistake a day.
//! * The kernel is asked when something is overdue, every ten seconds, and after a silence at every beat until it has forgotten it:
//!   what it says of round trips is far too much then, and would be believed for as long as nobody asked again.
//!
//! It never says "dead" later than the bound, and a forged acknowledgement can put it off until then and no further.

mod margin;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::time::Moment;
use margin::Margin;

/// What our kernel knows of a connection, when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its smoothed round trip.
    pub round_trip: Duration,
    /// How far round trips stray from it, on average.
    pub variation: Duration,
    /// For how long it has had no packet that acknowledges something.
    pub last_ack: Duration,
    /// Whether the peer's kernel has acknowledged all that we have sent.
    pub all_acked: bool,
    /// Whether it repairs a loss already.
    pub recovers: bool,
}

/// What a silence asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// A beat is overdue: send another.
    Probe,
    /// The peer is taken for dead, until it is heard.
    Dead,
}

/// The detector of one session.
#[derive(Clone, Debug)]
pub struct Adaptive {
    bound: Duration,
    margin: Margin,
    /// The last sign of life, and when the beat after it leaves.
    life: Moment,
    due: Moment,
    /// How long an answer takes at most, as a rule, by what the kernel said last.
    patience: Duration,
    round_trip: Duration,
    /// From then on the kernel is asked at the next beat, silence or not.
    ask: Moment,
    extra: u32,
    silence: Option<Silence>,
    /// When to look again; none, once it has said that the peer is dead.
    look: Option<Moment>,
}

/// Something is overdue.
#[derive(Clone, Copy, Debug)]
struct Silence {
    /// Since when nothing has come of what is not acknowledged; none, if all is.
    since: Option<Moment>,
    patience: Duration,
    /// How much longer than the patience it has taken at worst, in those parts of it that are over.
    late: Duration,
}

impl Adaptive {
    /// Begins at a sign of life. `bound` is the latest end, from the last sign of life on; `next`, when the beat after it leaves.
    ///
    /// Its margin is learnt, for one mistake a day.
    pub fn new(bound: Duration, at: Moment, next: Moment) -> Self {
        let mut new = Self {
            bound,
            margin: Margin::learnt(at, Self::EVERY),
            life: at,
            due: next,
            patience: Duration::ZERO,
            round_trip: Duration::ZERO,
            ask: at,
            extra: 0,
            silence: None,
            look: None,
        };
        new.look = Some(new.next_look(at));
        new
    }

    /// With a margin that is not learnt.
    #[must_use]
    pub fn with_margin(self, margin: Duration) -> Self {
        let margin = Margin::Fixed(margin);
        Self { margin, ..self }
    }

    /// With a margin that is learnt anew, for one mistake in so much time; a second at least.
    #[must_use]
    pub fn with_mistakes_every(self, time: Duration) -> Self {
        let margin = Margin::learnt(self.life, time);
        Self { margin, ..self }
    }

    /// Begins anew on another connection to the same peer, with all that is learnt; `at` and `next` as in [`new`](Self::new). A peer that
    /// was taken for dead and is there again before the bound was not.
    #[must_use]
    pub fn renewed(mut self, at: Moment, next: Moment) -> Self {
        self.heard(at, next);
        self.patience = Duration::ZERO;
        self.round_trip = Duration::ZERO;
        self.ask = at;
        self.look = Some(self.next_look(at));
        self
    }

    /// The last sign of life, moved on by the time in which the watcher did not run.
    pub fn life(&self) -> Moment {
        self.life
    }

    /// From when on an answer is overdue.
    pub fn overdue(&self) -> Moment {
        self.soft()
    }

    /// What is waited beyond the patience that the kernel's round trips ask for.
    pub fn margin(&self) -> Duration {
        self.margin.value().min(self.bound)
    }

    /// A sign of life; the next beat leaves at `next`.
    pub fn heard(&mut self, at: Moment, next: Moment) {
        if at <= self.life {
            return;
        }
        let was_dead = self.look.is_none();
        if let Some(silence) = self.silence.take().filter(|_| at < self.life + self.bound) {
            self.margin.learn(at, silence.late_at(at), was_dead);
        }
        self.life = at;
        self.due = next.max(at);
        self.extra = 0;
        self.look = Some(self.next_look(at));
    }

    /// The beat that was due left no sooner than this.
    pub fn left(&mut self, at: Moment) {
        self.due = self.due.max(at);
    }

    /// Whoever calls this is late by so much, lately: so may its sending and its reading be.
    pub fn delayed(&mut self, lag: Duration) {
        self.due = self.due + lag * 2;
    }

    /// A beat leaves now that was not due yet: from now on an answer is owed.
    pub fn sent(&mut self, at: Moment) {
        if at < self.due && self.silence.is_none() && self.look.is_some() {
            self.due = at;
            self.look = Some(self.soft());
        }
    }

    /// A sign of life after a silence that was our own side's: nothing is learnt of it.
    pub fn excused(&mut self, at: Moment, next: Moment) {
        self.silence = None;
        self.heard(at, next);
    }

    /// The watcher did not run for `lost`, which ended just now; it looks again no sooner than `look`, when what has come meanwhile is
    /// read.
    pub fn stalled(&mut self, lost: Duration, look: Moment) {
        self.life = self.life + lost;
        self.due = self.due + lost;
        if let Some(silence) = &mut self.silence {
            silence.since = silence.since.map(|since| since + lost);
        }
        self.look = self.look.map(|at| (at + lost).max(look));
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called; none, until the peer is heard again.
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.look
    }

    /// To be called then, with what the kernel knows at that moment; none, where there is no TCP connection of ours.
    pub fn handle_timeout(&mut self, now: Moment, kernel: Option<Kernel>) -> Option<Doubt> {
        if self.look.is_none_or(|look| now < look) {
            return None;
        }
        let since = kernel.and_then(|kernel| self.asked(now, kernel));
        let end = self.life + self.bound;
        let dead = since.map_or(end, |since| {
            since + self.patience + self.round_trip + self.margin()
        });
        let dead = dead.min(end);
        if now >= dead {
            self.look = None;
            return Some(Doubt::Dead);
        }
        let soft = self.soft();
        if now < soft {
            self.look = Some(soft.min(dead));
            return None;
        }
        let Some(kernel) = kernel else {
            self.look = Some(dead);
            return None;
        };
        let probes = !kernel.recovers && self.extra < Self::EXTRA;
        self.extra += u32::from(probes);
        // Half a round trip after the first, one after the second, two after the third: a burst of losses is outlived by one of them.
        let apart = self.round_trip / 2 * (1 << self.extra.saturating_sub(1));
        let again = now + apart.max(Self::APART);
        self.look = Some(again.min(dead));
        probes.then_some(Doubt::Probe)
    }

    /// Takes over what the kernel says; since when nothing has come of what is not acknowledged, if anything is not.
    fn asked(&mut self, now: Moment, kernel: Kernel) -> Option<Moment> {
        let before = self.patience;
        self.patience = kernel.round_trip + kernel.variation * 4;
        self.round_trip = kernel.round_trip;
        self.margin.elapsed(now);
        let acked = now - kernel.last_ack;
        let since = (!kernel.all_acked).then(|| self.due.max(acked));
        // What it said in a silence, or while it forgets one, is too much: it is asked again at the next beat.
        let forgets = self.patience + self.patience / 64 < before;
        let is_silent = self.silence.is_some() || now >= self.soft();
        self.ask = if forgets || is_silent {
            now
        } else {
            now + Self::ASKED
        };
        if is_silent {
            let late = self
                .silence
                .map_or(Duration::ZERO, |silence| silence.late_by(acked));
            self.silence = Some(Silence {
                since,
                patience: self.patience + self.round_trip,
                late,
            });
        }
        since
    }

    /// After a sign of life: when the next beat leaves, if the kernel is to be asked then, else when its answer is overdue.
    fn next_look(&self, at: Moment) -> Moment {
        if at >= self.ask {
            self.due
        } else {
            self.soft()
        }
    }

    fn soft(&self) -> Moment {
        self.due + self.patience + Self::SLACK
    }

    /// A mistake in so much time is what the margin is learnt for.
    const EVERY: Duration = Duration::from_hours(24);
    /// Between two times that the kernel is asked without need.
    const ASKED: Duration = Duration::from_secs(10);
    /// Beyond its patience, before it sends a beat out of turn.
    const SLACK: Duration = Duration::from_millis(4);
    /// Between two of those, at least.
    const APART: Duration = Duration::from_millis(10);
    /// Beats out of turn in one silence.
    const EXTRA: u32 = 4;
}

impl Silence {
    /// How late it was at worst, if the peer's kernel last acknowledged something at `acked`.
    fn late_by(&self, acked: Moment) -> Duration {
        self.since
            .filter(|since| acked > *since)
            .map_or(self.late, |_| self.late_at(acked))
    }

    /// How late it is at worst, if it ends `at` this moment.
    fn late_at(&self, at: Moment) -> Duration {
        let late = self
            .since
            .map(|since| at.saturating_since(since + self.patience));
        late.unwrap_or_default().max(self.late)
    }
}
