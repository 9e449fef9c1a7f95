//! The search for the silence that kills: rounds of silent connections, as [`Search`] wants them.
//!
//! Connections that survived a round serve in the next one. After a round in which one has died a new connection is made: if that
//! cannot be, the path is down, and nothing was learnt of it.

use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use heartline_core::idle::{Death, Finding, Search, Trial, tolerance};
use heartline_ssh::{FarSession, name_session};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::graves::Graves;
use super::progress::Progress;
use super::reach::Reacher;
use super::silent::{Silent, Told};

/// What is to be searched.
#[derive(Clone, Copy)]
pub(super) struct Wish {
    pub(super) at_most: Duration,
    pub(super) connections: u32,
    /// How long an answer is waited for.
    pub(super) patience: Duration,
    /// Whether sessions are asked for their names, so that what is left of them can be ended.
    pub(super) names: bool,
}

/// What it came to.
pub(super) struct Outcome {
    /// Or why there is none.
    pub(super) finding: Result<Finding, String>,
    /// How long each was to be silent, and what became of it.
    pub(super) tries: Vec<(Duration, Trial)>,
    /// Where connections are ended for their silence: whether one that beats is, too.
    pub(super) beaten: Option<Beaten>,
    /// Something came unasked after silences of these lengths.
    pub(super) unasked: Vec<Duration>,
    pub(super) logins: u32,
    /// Far ends that nobody could end.
    pub(super) left: usize,
    pub(super) took: Duration,
}

/// What became of a connection with beats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beaten {
    /// It outlived the others.
    Lives,
    /// It did not.
    Ends,
}

/// A search under way.
pub(super) struct Searcher<'a> {
    pub(super) reacher: &'a Reacher,
    pub(super) graves: &'a Graves,
    pub(super) progress: &'a Progress,
    pub(super) wish: Wish,
    pool: Vec<Silent>,
    /// Those that did not answer, by the silence they were to have.
    suspects: Vec<(Duration, Silent)>,
    /// Far ends that are to be ended.
    dead: Vec<FarSession>,
    tries: Vec<(Duration, Trial)>,
    unasked: Vec<Duration>,
    logins: u32,
    /// Forgotten connections whose far ends have no name.
    nameless: usize,
}

impl<'a> Searcher<'a> {
    pub(super) fn new(
        reacher: &'a Reacher,
        graves: &'a Graves,
        progress: &'a Progress,
        wish: Wish,
    ) -> Self {
        Self {
            reacher,
            graves,
            progress,
            wish,
            pool: Vec::new(),
            suspects: Vec::new(),
            dead: Vec::new(),
            tries: Vec::new(),
            unasked: Vec::new(),
            logins: 0,
            nameless: 0,
        }
    }

    /// To its end.
    pub(super) async fn run(mut self) -> Outcome {
        let begun = Instant::now();
        let finding = self.find().await;
        let beaten = match &finding {
            Ok(finding @ Finding::Ends { after, .. }) => {
                self.progress.beating(finding.interval());
                self.beat(finding.interval(), *after + tolerance(*after))
                    .await
            }
            _ => None,
        };
        if !self.dead.is_empty() {
            let _ = self.check().await;
        }
        let pool = std::mem::take(&mut self.pool);
        join_all(pool.into_iter().map(|silent| self.leave(silent))).await;
        Outcome {
            finding,
            beaten,
            left: self.graves.all().len() + self.nameless,
            tries: self.tries,
            unasked: self.unasked,
            logins: self.logins,
            took: begun.elapsed(),
        }
    }

    async fn find(&mut self) -> Result<Finding, String> {
        let mut search = Search::new(self.wish.at_most);
        let mut voids = 0;
        loop {
            if let Some(finding) = search.finding() {
                return Ok(finding);
            }
            let wanted = search.next(self.wish.connections).len();
            self.open(wanted).await?;
            let stand = u32::try_from(self.pool.len()).unwrap_or(u32::MAX);
            let silences = search.next(stand);
            // An answer is waited for twice.
            let left = search.left(stand, self.wish.patience * 2);
            let mut told = self.round(&silences, left).await;
            told.sort_by_key(|(silence, _)| *silence);
            let is_alarm = told.iter().any(|(_, told)| {
                matches!(told.trial, Trial::Died { how, .. } if !matches!(how, Death::Closed))
            });
            if is_alarm || !self.dead.is_empty() || told.is_empty() {
                let alive = self.check().await?;
                for (_, told) in told
                    .iter_mut()
                    .filter(|(silence, _)| alive.contains(silence))
                {
                    told.revive();
                }
            }
            voids = if told.is_empty() { voids + 1 } else { 0 };
            if voids >= TRIES {
                return Err("connections do not live long enough to be left silent".to_owned());
            }
            for (silence, told) in told {
                search.handle(silence, told.trial);
                self.tries.push((silence, told.trial));
                self.unasked.extend(told.unasked);
            }
            search.end_round();
        }
    }

    /// As many connections as are wanted, or as can be had.
    async fn open(&mut self, wanted: usize) -> Result<(), String> {
        let missing = wanted.saturating_sub(self.pool.len());
        let opened = join_all((0..missing).map(|_| self.one())).await;
        let mut why = None;
        for one in opened {
            match one {
                Ok(silent) => {
                    self.logins += 1;
                    self.pool.push(silent);
                }
                Err(reason) => why = Some(reason),
            }
        }
        match why {
            Some(why) if self.pool.is_empty() => Err(format!("no connection: {why}")),
            Some(why) => {
                self.progress.fewer(self.pool.len(), wanted, &why);
                Ok(())
            }
            None => Ok(()),
        }
    }

    async fn one(&self) -> Result<Silent, String> {
        let reached = self.reacher.reach().await?;
        let session = reached.session;
        let far = if self.wish.names {
            name_session(session.as_ref(), self.wish.patience).await
        } else {
            None
        };
        if let Some(far) = &far {
            self.graves.begun(far);
        }
        Ok(Silent::new(session, reached.ended, far))
    }

    /// What became of each that was seen to its end. Who survived goes back into the pool, and is kept alive there. Soon after
    /// the first death the rest is given up: they would die too.
    async fn round(&mut self, silences: &[Duration], left: Duration) -> Vec<(Duration, Told)> {
        let begun = Instant::now();
        self.progress.round(silences, left);
        let (patience, clock) = (self.wish.patience, self.reacher.clock());
        // Who has no part in this round stays in the pool.
        let part = silences.len().min(self.pool.len());
        let lying: Vec<Silent> = self.pool.drain(..part).collect();
        let mut names: Vec<_> = lying
            .iter()
            .map(|silent| Some(silent.far.clone()))
            .collect();
        let mut lying: FuturesUnordered<_> = lying
            .into_iter()
            .zip(silences)
            .enumerate()
            .map(|(at, (mut silent, silence))| async move {
                let told = silent.lie(*silence, patience, clock).await;
                (at, *silence, silent, told)
            })
            .collect();
        let mut done = Vec::new();
        let mut over: Option<Instant> = None;
        let (mut tick, mut beat) = (begun + TICK, begun + KEEP);
        loop {
            tokio::select! {
                next = lying.next() => {
                    let Some((at, silence, silent, told)) = next else { break };
                    if let Some(name) = names.get_mut(at) {
                        *name = None;
                    }
                    match told.as_ref().map(|told| told.trial) {
                        Some(Trial::Survived { .. }) => self.pool.push(silent),
                        Some(Trial::Died { silent: after, how }) => {
                            over.get_or_insert_with(|| Instant::now() + tolerance(after));
                            if how == Death::Dropped {
                                self.suspects.push((silence, silent));
                            } else {
                                self.buries(silent.far, how);
                            }
                        }
                        None => self.give_up(silent.far),
                    }
                    if let Some(told) = told {
                        self.progress.told(silence, &told, left.saturating_sub(begun.elapsed()));
                        done.push((silence, told));
                    }
                }
                () = sleep_until(over.unwrap_or(tick)), if over.is_some() => break,
                () = sleep_until(beat) => {
                    beat += KEEP;
                    for silent in &self.pool {
                        tokio::spawn(timeout(patience, silent.session.beat()));
                    }
                }
                () = sleep_until(tick) => {
                    tick += TICK;
                    self.progress.left(left.saturating_sub(begun.elapsed()));
                }
            }
        }
        drop(lying);
        for name in names.into_iter().flatten() {
            self.give_up(name);
        }
        done
    }

    /// A connection was dropped, which resets it; whether that comes there nobody knows.
    fn give_up(&mut self, far: Option<FarSession>) {
        match far {
            Some(far) => self.dead.push(far),
            None => self.nameless += usize::from(self.wish.names),
        }
    }

    /// The same of one that died: whom the server closed, it has no session of any more.
    fn buries(&mut self, far: Option<FarSession>, how: Death) {
        match far {
            Some(far) if how == Death::Closed => self.graves.is_over(&far),
            None if how == Death::Closed => {}
            far => self.give_up(far),
        }
    }

    /// Whether a new connection can be made; by it, what was left is ended. Who did not answer is asked once more then, since the
    /// network may have been gone for a while; which of the silences were survived after all is the answer.
    async fn check(&mut self) -> Result<Vec<Duration>, String> {
        let mut tries = 0;
        let fresh = loop {
            tries += 1;
            match self.one().await {
                Ok(fresh) => break fresh,
                Err(why) if tries >= TRIES => {
                    return Err(format!("a new connection cannot be made either: {why}"));
                }
                Err(_) => sleep(PAUSE).await,
            }
        };
        self.logins += 1;
        let patience = self.wish.patience;
        let suspects = std::mem::take(&mut self.suspects);
        let asked = suspects
            .into_iter()
            .map(|(silence, mut silent)| async move {
                let answer = silent.ask(patience).await;
                (silence, silent, answer.is_ok())
            });
        let mut alive = Vec::new();
        for (silence, silent, is_alive) in join_all(asked).await {
            if is_alive {
                self.progress.revived(silence);
                self.pool.push(silent);
                alive.push(silence);
            } else {
                self.give_up(silent.far);
            }
        }
        let dead = std::mem::take(&mut self.dead);
        let session = fresh.session.as_ref();
        self.graves.bury(session, &dead, self.wish.patience).await;
        self.pool.push(fresh);
        Ok(alive)
    }

    /// Whether a connection with beats lives for so long.
    async fn beat(&mut self, interval: Duration, until: Duration) -> Option<Beaten> {
        let mut one = self.one().await.ok()?;
        self.logins += 1;
        let end = Instant::now() + until + interval;
        while Instant::now() < end {
            let wait = interval.min(end - Instant::now());
            let how = match timeout(wait, one.ended()).await {
                Ok(how) => how,
                Err(_) => match one.ask(self.wish.patience).await {
                    Ok(()) => continue,
                    Err(how) => how,
                },
            };
            self.buries(one.far, how);
            return Some(Beaten::Ends);
        }
        self.leave(one).await;
        Some(Beaten::Lives)
    }

    /// In order.
    async fn leave(&self, silent: Silent) {
        silent.session.disconnect().await;
        if let Some(far) = &silent.far {
            self.graves.is_over(far);
        }
    }
}

/// How often those are asked that wait for the next round.
const KEEP: Duration = Duration::from_secs(1);
/// How often the time left is told while nothing happens.
const TICK: Duration = Duration::from_secs(30);
/// A dial may fail where many are made.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(2);
