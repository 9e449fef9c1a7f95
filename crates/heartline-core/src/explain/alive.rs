//! Ends by probes of the SSH layer that nobody answers.

use std::time::Duration;

use super::banner::{Implementation, SshdRelease};
use super::ending::{Ending, Mechanism};
use super::model::{Clock, Model, Zero};
use super::scene::Scene;
use super::span::Span;
use super::sshd_loop::SshdLoop;

/// The rule that is in force.
pub(super) struct AliveRule<'a> {
    scene: &'a Scene,
    pub(super) model: Model,
    /// Between two ticks of the program's timer, as it was set; over zero.
    interval: Duration,
    count: u32,
}

impl<'a> AliveRule<'a> {
    /// `None` where no probes are set, or no rule is known.
    pub(super) fn of(scene: &'a Scene) -> Option<Self> {
        let pair = scene.pair();
        let model = Model::of(scene.software.implementation)?;
        if pair.interval == 0 || (model.zero == Zero::Refused && pair.count == 0) {
            return None;
        }
        Some(Self {
            scene,
            model,
            interval: Duration::from_secs(pair.interval.into()),
            count: pair.count,
        })
    }

    /// Between two probes of an idle connection.
    pub(super) fn period(&self) -> Duration {
        self.interval.saturating_mul(self.model.period)
    }

    /// How often a probe leaves while all is well; `None` where none ever leaves: what flows keeps it from that, or the
    /// first tick is the end.
    pub(super) fn probe_every(&self) -> Option<Duration> {
        self.tick_every().filter(|_| !self.kills_at_once())
    }

    /// Whether the first tick is the end.
    pub(super) fn kills_at_once(&self) -> bool {
        self.model.zero == Zero::Kills && self.count == 0
    }

    /// How often the timer comes to a tick while all is well; `None` where what flows keeps it from that.
    pub(super) fn tick_every(&self) -> Option<Duration> {
        if self.scene.software.implementation == Implementation::OpenSshClient {
            // Any byte puts the timer off, to a whole second: after data the tick comes in more than I - 1 seconds.
            let quiet = self.interval.saturating_sub(SECOND);
            let is_put_off = self.scene.peer_writes().is_some_and(|every| every <= quiet);
            return (!is_put_off).then(|| self.period());
        }
        let is_put_off = |every: Option<Duration>| every.is_some_and(|every| every < self.interval);
        if is_put_off(self.scene.peer_writes()) || self.is_starved() {
            return None;
        }
        Some(self.period())
    }

    /// How long after a fault the first probe leaves at the latest; `None`: never, the program's own output starves it.
    pub(super) fn first_probe_after_fault(&self) -> Option<Duration> {
        (!self.is_starved() || self.scene.traffic.remote_rate.is_some()).then(|| self.period())
    }

    /// Whether the program's own output keeps it from ever probing while all is well.
    pub(super) fn is_starved(&self) -> bool {
        let writes = self.scene.own_writes();
        self.model.is_starved_by_output && writes.is_some_and(|every| every <= self.interval)
    }

    /// When it ends; `None`: never.
    pub(super) fn ending(&self) -> Option<Ending> {
        let Implementation::Sshd(release) = self.scene.software.implementation else {
            return self.plain_ending(self.model.period);
        };
        let releases: &[SshdRelease] = match &release {
            // From the fastest to the slowest of them.
            SshdRelease::Unknown => &[
                SshdRelease::From82To91,
                SshdRelease::From92To94,
                SshdRelease::From97,
            ],
            known => std::slice::from_ref(known),
        };
        let mut all: Option<Ending> = None;
        for release in releases {
            let ending = self.sshd_ending(*release)?;
            all = Some(match all {
                None => ending,
                Some(all) => Ending::sure(
                    Mechanism::Alive,
                    all.after_last_data.hull(ending.after_last_data),
                    all.after_fault.hull(ending.after_fault),
                ),
            });
        }
        all
    }

    /// When the ticks after the last data come, in a plain case that lies within the ending: at most `most` of them,
    /// the one that ends it among them.
    pub(super) fn ticks(&self, most: u32) -> Vec<Duration> {
        if let Some(sshd) = self.sshd_loop(self.loop_release()) {
            return sshd.plain_ticks(most);
        }
        let ticks = 1..=most;
        ticks
            .map(|tick| self.period().saturating_mul(tick))
            .collect()
    }

    /// The tick that ends it.
    pub(super) fn last_tick(&self) -> Option<u32> {
        self.model.last_tick(self.count)
    }

    /// From the first probe to the end, where only the timer counts; `None`: no probe, or no end.
    pub(super) fn least_after_first_probe(&self) -> Option<Duration> {
        let ticks = self
            .last_tick()?
            .checked_sub(1)
            .filter(|ticks| *ticks > 0)?;
        Some(self.period().saturating_mul(ticks))
    }

    fn loop_release(&self) -> SshdRelease {
        match self.scene.software.implementation {
            Implementation::Sshd(release) if release != SshdRelease::Unknown => release,
            _ => SshdRelease::From97,
        }
    }

    fn sshd_ending(&self, release: SshdRelease) -> Option<Ending> {
        match self.sshd_loop(release) {
            None => {
                let model = Model::of(Implementation::Sshd(release))?;
                self.plain_ending(model.period)
            }
            Some(sshd) => {
                let (after_last_data, after_fault) =
                    sshd.spans(self.last_tick()?, self.known_age())?;
                Some(Ending::sure(Mechanism::Alive, after_last_data, after_fault))
            }
        }
    }

    /// For sshd with a remote command that writes.
    fn sshd_loop(&self, release: SshdRelease) -> Option<SshdLoop> {
        if !matches!(self.scene.software.implementation, Implementation::Sshd(_)) {
            return None;
        }
        let writes = self.scene.own_writes()?;
        let window = self.scene.traffic.remote_rate.map(|rate| {
            let fills = |bytes| Duration::from_secs_f64(bytes / per_second(rate));
            Span::new(fills(WINDOW - WINDOW_SLACK), fills(WINDOW))
        });
        Some(SshdLoop::new(release, self.interval, writes, window))
    }

    fn plain_ending(&self, period: u32) -> Option<Ending> {
        let period = self.interval.saturating_mul(period);
        let total = period.saturating_mul(self.last_tick()?);
        let age = self.known_age().map_or(period, |age| age.min(period));
        let (after_last_data, least_after_fault) = match self.clock() {
            Clock::WholeSecond => {
                let least = total.saturating_sub(SECOND);
                let most = total.saturating_add(self.until_it_looks());
                (Span::new(least, most), least.saturating_sub(age))
            }
            Clock::Exact => (Span::exact(total), total.saturating_sub(age)),
            Clock::Late(least, most) => {
                let total = Span::new(total.saturating_add(least), total.saturating_add(most));
                (total, total.min().saturating_sub(age))
            }
        };
        // The first tick after a fault comes one period after the data before it, or later.
        let least_after_fault = least_after_fault.max(total.saturating_sub(period));
        let after_fault = Span::new(least_after_fault, after_last_data.max());
        Some(Ending::sure(Mechanism::Alive, after_last_data, after_fault))
    }

    fn clock(&self) -> Clock {
        // dropbear counts whole seconds too, but sleeps whole ones as long as nothing else wakes it.
        let is_woken = self.scene.own_writes().is_some();
        match self.scene.software.implementation {
            Implementation::Dropbear if is_woken => Clock::WholeSecond,
            _ => self.model.clock,
        }
    }

    /// How late a whole second may be seen: dropbear looks when something wakes it, its own output here, and else an
    /// interval after it looked last.
    fn until_it_looks(&self) -> Duration {
        let writes = self.scene.own_writes().unwrap_or_default();
        match self.scene.software.implementation {
            Implementation::Dropbear => writes.min(self.interval),
            _ => Duration::ZERO,
        }
    }

    /// How old the last data may be at the moment of a fault, where something else than probes makes the other end
    /// speak.
    fn known_age(&self) -> Option<Duration> {
        // A client makes room in the window as soon as a part of it is used up.
        let adjusts = self
            .scene
            .traffic
            .remote_rate
            .filter(|_| self.scene.side == super::scene::Side::Server)
            .map(|rate| Duration::from_secs_f64(WINDOW_SLACK / per_second(rate)));
        let known = [self.scene.peer_writes(), adjusts];
        known.into_iter().flatten().min()
    }
}

fn per_second(rate: u64) -> f64 {
    // Only a rate over 2^52 bytes a second would lose anything.
    Duration::from_secs(rate.max(1)).as_secs_f64()
}

const SECOND: Duration = Duration::from_secs(1);
/// `CHAN_SES_WINDOW_DEFAULT`, in bytes.
const WINDOW: f64 = 2_097_152.0;
/// channels.c, `channel_check_window`: a client makes room once three packets' worth is used.
const WINDOW_SLACK: f64 = 98_304.0;
