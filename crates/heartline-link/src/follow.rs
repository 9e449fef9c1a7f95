//! The thread that follows the kernel.
//!
//! ```text
//!  near tap ── interfaces, addresses ─→ Kernel ─┐
//!  far tap  ── routes, rules ─→ which ways? ─→ Ways ─→ judge ─→ Board
//!  asker    ── lists, look-ups ─────────────────┘
//! ```

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, warn};

use crate::LinkError;
use crate::Way;
use crate::ask::{Asker, Question};
use crate::board::{Board, Order};
use crate::heard::{Near, Peers, everybody};
use crate::judge::Answer;
use crate::kernel::{Change, Kernel};
use crate::pace::{Pace, STORM};
use crate::tap::{Drained, Tap};
use crate::ways::Ways;

/// Starts the thread; returns when it has read everything once.
pub(crate) async fn spawn(board: Arc<Board>) -> Result<(), LinkError> {
    let (ready, is_ready) = oneshot::channel();
    let body = move || {
        let ending = Ending(board);
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build();
        match runtime {
            Ok(runtime) => runtime.block_on(Follower::live(&ending.0, ready)),
            Err(error) => drop(ready.send(Err(LinkError::Unavailable(error)))),
        }
    };
    let thread = thread::Builder::new().name("heartline-link".to_owned());
    thread.spawn(body).map_err(LinkError::Unavailable)?;
    let what = "interfaces";
    let within = START;
    match timeout(START, is_ready).await {
        Ok(Ok(started)) => started,
        Ok(Err(_)) => Err(LinkError::Ended),
        Err(_) => Err(LinkError::Late { what, within }),
    }
}

/// Says that the thread is gone, also if it panics.
struct Ending(Arc<Board>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.fail(LinkError::Ended);
    }
}

struct Follower<'a> {
    board: &'a Board,
    near: Tap,
    far: Tap,
    asker: Asker,
    kernel: Kernel,
    ways: Ways,
    pace: Pace,
    /// Failures in a row.
    failures: u32,
}

impl<'a> Follower<'a> {
    /// Opens, says so, and follows to the end.
    async fn live(board: &'a Board, ready: oneshot::Sender<Result<(), LinkError>>) {
        match Self::open(board).await {
            Ok(mut follower) => {
                if ready.send(Ok(())).is_err() {
                    return;
                }
                if let Err(error) = follower.follow().await {
                    debug!(%error, "The kernel is not followed any more.");
                    board.fail(error);
                }
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    }

    async fn open(board: &'a Board) -> Result<Self, LinkError> {
        let (near, far) = taps().map_err(LinkError::Unavailable)?;
        let mut asker = Asker::open().map_err(LinkError::Unavailable)?;
        let kernel = loop {
            match asker.everything().await? {
                Some(kernel) => break kernel,
                // The deadline is the caller's.
                None if board.orders().is_none() => return Err(LinkError::Ended),
                None => sleep(TORN).await,
            }
        };
        Ok(Self {
            board,
            near,
            far,
            asker,
            kernel,
            ways: Ways::default(),
            pace: Pace::new(Instant::now()),
            failures: 0,
        })
    }

    async fn follow(&mut self) -> Result<(), LinkError> {
        loop {
            self.wait().await;
            let Some(orders) = self.board.orders() else {
                return Ok(());
            };
            if !orders.is_empty() {
                self.pace.want_peeks(Instant::now());
            }
            for (way, order) in orders {
                match order {
                    Order::Follow => self.ways.follow(way),
                    Order::Forget => self.ways.forget(&way),
                }
            }
            let now = Instant::now();
            if self.pace.near_is_open(now) {
                self.hear_near()?;
            }
            if self.pace.far_is_open(now) {
                self.hear_far()?;
            }
            if self.pace.begin_reread(now) {
                self.reread().await?;
            }
            if self.pace.begin_peek(now) {
                self.peek().await?;
            }
            if self.pace.judging_is_due(now) {
                self.judge();
            }
            if !self.ways.is_in_round() && self.pace.begin_round(now) {
                self.ways.begin_round();
            }
            if self.ways.is_in_round() {
                self.look_up().await?;
            }
        }
    }

    /// Waits until there is something to do.
    async fn wait(&mut self) {
        if self.ways.is_in_round() {
            return;
        }
        let is_near_open = !self.pace.near_is_resting();
        let is_far_open = !self.pace.far_is_resting();
        let next = self.pace.next();
        tokio::select! {
            biased;
            () = self.board.ordered() => {}
            () = self.near.ready(), if is_near_open => {}
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            () = self.far.ready(), if is_far_open => {}
        }
    }

    /// Takes in what there is about interfaces and addresses.
    fn hear_near(&mut self) -> Result<(), LinkError> {
        let mut heard = Vec::new();
        let drained = self
            .near
            .drain(NEAR_AT_ONCE, |message| heard.extend(message.near()));
        if !heard.is_empty() {
            self.pace.near_has_told(Instant::now());
        }
        self.take_in(heard)?;
        match drained {
            Ok(Drained::Overrun) => self.pace.want_reread(),
            Ok(Drained::Dry | Drained::Wet) => {}
            Err(error) => self.reopen(error)?,
        }
        Ok(())
    }

    fn take_in(&mut self, heard: Vec<Near>) -> Result<(), LinkError> {
        let mut changes = BTreeSet::new();
        for heard in heard {
            let is_late = matches!(&heard, Near::Link(_, link) if !link.is_prompt);
            let change = self.kernel.hear(heard)?;
            if change == Change::Nothing {
                continue;
            }
            changes.insert(change);
            self.pace.want_judging();
            if is_late {
                self.pace.want_peeks(Instant::now());
            }
        }
        for change in &changes {
            self.ways.concern(change);
        }
        self.want_round();
        Ok(())
    }

    /// Looks at the interfaces of which the kernel may hold news back.
    async fn peek(&mut self) -> Result<(), LinkError> {
        let indices = self.ways.unprompt(&self.kernel, PEEKS);
        match self.asker.links(indices).await {
            // What was said meanwhile is newer, and is heard after this.
            Ok(links) => {
                self.failures = 0;
                self.take_in(links)
            }
            Err(error) => self.asker_failed(error).await,
        }
    }

    /// Takes in what there is about routes.
    fn hear_far(&mut self) -> Result<(), LinkError> {
        let mut concerned: HashSet<Peers> = HashSet::new();
        let mut events = 0;
        let drained = self.far.drain(FAR_AT_ONCE, |message| {
            if let Some(peers) = message.far() {
                events += 1;
                concerned.insert(peers);
            }
        });
        match drained {
            Ok(Drained::Overrun) => {
                concerned.clear();
                concerned.insert(everybody());
                events = STORM;
            }
            Ok(Drained::Dry | Drained::Wet) => {}
            Err(error) => self.reopen(error)?,
        }
        self.pace.far_has_told(Instant::now(), events);
        for peers in &concerned {
            self.ways.concern_peers(peers);
        }
        self.want_round();
        Ok(())
    }

    fn want_round(&mut self) {
        if self.ways.is_stale() {
            self.pace.want_round(Instant::now());
        }
    }

    fn judge(&mut self) {
        let news = self.ways.judge_all(&self.kernel);
        self.board.tell(news);
        self.pace.end_judging(Instant::now());
    }

    /// Looks the next ways of the round up.
    async fn look_up(&mut self) -> Result<(), LinkError> {
        let began = Instant::now();
        let ways = self.ways.next(LOOK_UPS);
        let mut asked = Vec::with_capacity(ways.len());
        let mut questions = Vec::with_capacity(ways.len());
        let mut news = Vec::new();
        for way in &ways {
            match self.question(way) {
                Ok(question) => {
                    asked.push(Arc::clone(way));
                    questions.push(question);
                }
                Err(answer) => news.extend(self.ways.answered(way, answer, &self.kernel)),
            }
        }
        match self.asker.routes(&questions).await {
            Ok(answers) => {
                self.failures = 0;
                // What the kernel said of interfaces before it answered comes first.
                self.hear_near()?;
                for (way, answer) in asked.iter().zip(answers) {
                    news.extend(self.ways.answered(way, answer, &self.kernel));
                }
            }
            Err(error) => {
                self.ways.put_back(asked);
                self.asker_failed(error).await?;
            }
        }
        if self.pace.wants_judging() {
            self.judge();
        }
        self.board.tell(news);
        self.pace.spend(began.elapsed());
        if !self.ways.is_in_round() {
            self.pace.end_round(Instant::now());
        }
        Ok(())
    }

    /// What to ask about a way, or the answer if there is nothing to ask.
    fn question(&self, way: &Way) -> Result<Question, Answer> {
        let peer = way.peer.to_canonical();
        let index = match &way.device {
            Some(device) => Some(self.kernel.named(device).ok_or(Answer::None)?.0),
            // Every interface has a network of that name.
            None if is_link_local(peer) => return Err(Answer::Unknown),
            None => None,
        };
        // IPv4 refuses to look anything up from an address that is not ours, and that is told anyway.
        let local = way.local.map(|local| local.to_canonical());
        let local =
            local.filter(|local| local.is_ipv4() == peer.is_ipv4() && self.kernel.has(*local));
        Ok(Question { peer, local, index })
    }

    /// Reads all interfaces and addresses anew.
    async fn reread(&mut self) -> Result<(), LinkError> {
        let began = Instant::now();
        let everything = self.asker.everything().await;
        self.pace.end_reread(Instant::now(), began.elapsed());
        match everything {
            Ok(Some(kernel)) => {
                self.failures = 0;
                self.kernel = kernel;
                self.ways.concern_peers(&everybody());
                self.want_round();
                self.pace.want_judging();
                self.pace.want_peeks(Instant::now());
                Ok(())
            }
            // Torn: what we have is as good.
            Ok(None) => {
                self.pace.want_reread();
                Ok(())
            }
            Err(error) => {
                self.pace.want_reread();
                self.asker_failed(error).await
            }
        }
    }

    /// Opens the asker anew, or gives up.
    async fn asker_failed(&mut self, error: LinkError) -> Result<(), LinkError> {
        self.failures += 1;
        if self.failures >= MOST_FAILURES || matches!(error, LinkError::TooMany { .. }) {
            return Err(error);
        }
        warn!(%error, "The kernel is asked again.");
        sleep(RETRY).await;
        self.asker = Asker::open().map_err(LinkError::Socket)?;
        Ok(())
    }

    /// Opens both taps anew after a failure, or gives up.
    fn reopen(&mut self, error: io::Error) -> Result<(), LinkError> {
        self.failures += 1;
        if self.failures >= MOST_FAILURES {
            return Err(LinkError::Socket(error));
        }
        warn!(%error, "Netlink is opened anew.");
        let (near, far) = taps().map_err(LinkError::Socket)?;
        self.near = near;
        self.far = far;
        self.pace.want_reread();
        Ok(())
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn taps() -> io::Result<(Tap, Tap)> {
    Ok((Tap::open(&NEAR)?, Tap::open(&FAR)?))
}

/// The groups that tell of interfaces and addresses.
const NEAR: [u32; 3] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV6_IFADDR,
];
/// The groups that tell of routes.
const FAR: [u32; 5] = [
    libc::RTNLGRP_IPV4_ROUTE,
    libc::RTNLGRP_IPV6_ROUTE,
    libc::RTNLGRP_IPV4_RULE,
    libc::RTNLGRP_IPV6_RULE,
    libc::RTNLGRP_NEXTHOP,
];
/// Interfaces looked at.
const PEEKS: usize = 64;
/// How long the start may take.
const START: Duration = Duration::from_secs(5);
/// Before a list that was torn at the start is read again.
const TORN: Duration = Duration::from_millis(5);
/// Before an asker that has failed is opened anew.
const RETRY: Duration = Duration::from_secs(1);
const MOST_FAILURES: u32 = 3;
/// Datagrams read in one go.
const NEAR_AT_ONCE: usize = 1024;
const FAR_AT_ONCE: usize = 1024;
/// Ways looked up in one go.
const LOOK_UPS: usize = 64;

#[cfg(test)]
mod tests;
