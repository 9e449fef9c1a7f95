//! A server that plays an [`Act`] for everybody who connects.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::epoll::EpollFlags;

use super::act::{Act, Script};
use super::door::{Door, TICK, ready, reset_on_close};
use super::visit::{Departure, How, Log, Visit};

/// A hostile server on a port of 127.0.0.1, until it is dropped.
#[derive(Debug)]
pub struct Peer {
    door: Door,
    visits: Arc<Log<Visit>>,
}

impl Peer {
    /// Begins to play.
    pub fn start(act: Act) -> Result<Self> {
        let visits = Arc::new(Log::new());
        let log = Arc::clone(&visits);
        let door = Door::open("hostile peer", None, move |stream, client, stopping| {
            if let Some(at) = log.add(Visit::new(client)) {
                let left = Player::new(act, stream, &log, at).play(stopping);
                log.update(at, |visit| visit.left = Some(left));
            }
        })?;
        Ok(Self { door, visits })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// Everybody who has come so far, in the order of coming.
    pub fn visits(&self) -> Vec<Visit> {
        self.visits.all()
    }

    /// Waits until at least `count` clients have come.
    pub fn wait_for_visits(&self, count: usize, ceiling: Duration) -> Result<Vec<Visit>> {
        let what = format!("{count} clients have come");
        self.visits
            .wait(&what, ceiling, |visits| visits.len() >= count)
    }

    /// Waits until at least `count` clients have come and all who came have left.
    pub fn wait_until_left(&self, count: usize, ceiling: Duration) -> Result<Vec<Visit>> {
        let what = format!("{count} clients have come and left");
        self.visits.wait(&what, ceiling, |visits| {
            visits.len() >= count && visits.iter().all(|visit| visit.left.is_some())
        })
    }
}

/// One connection's part of the play.
struct Player<'a> {
    act: Act,
    stream: TcpStream,
    log: &'a Log<Visit>,
    at: usize,
    pending: Vec<u8>,
    again: Option<(Vec<u8>, Duration)>,
    next: Instant,
}

impl<'a> Player<'a> {
    fn new(act: Act, stream: TcpStream, log: &'a Log<Visit>, at: usize) -> Self {
        let Script { first, again } = act.script();
        Self {
            act,
            stream,
            log,
            at,
            pending: first,
            again,
            next: Instant::now(),
        }
    }

    /// Until the client has left or the play is stopped.
    fn play(mut self, stopping: &AtomicBool) -> Departure {
        match self.act {
            Act::CloseAtOnce => return Departure::now(How::ByUs),
            Act::ResetAtOnce => {
                reset_on_close(&self.stream);
                return Departure::now(How::ByUs);
            }
            _ => {}
        }
        while !stopping.load(Ordering::Relaxed) {
            let how = self.turn();
            if let Some(how) = how {
                return Departure::now(how);
            }
        }
        Departure::now(How::ByUs)
    }

    /// Says and hears what is due; how the client left, if it did.
    fn turn(&mut self) -> Option<How> {
        let now = Instant::now();
        if let Some((chunk, every)) = &self.again
            && self.pending.is_empty()
            && now >= self.next
        {
            self.pending.clone_from(chunk);
            self.next = now + *every;
        }
        let mut wanted = EpollFlags::EPOLLIN;
        let mut most = TICK;
        if !self.pending.is_empty() {
            wanted |= EpollFlags::EPOLLOUT;
        } else if self.again.is_some() {
            most = self.next.saturating_duration_since(now);
        }
        let [found] = ready([Some((&self.stream, wanted))], most);
        if found.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP)
            && let Some(how) = self.hear()
        {
            return Some(how);
        }
        if found.contains(EpollFlags::EPOLLOUT) {
            return self.say();
        }
        None
    }

    fn hear(&mut self) -> Option<How> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => Some(How::Eof),
            Ok(read) => {
                let read = u64::try_from(read).unwrap_or(u64::MAX);
                self.log.update(self.at, |visit| visit.received += read);
                None
            }
            Err(error) if is_nothing(error.kind()) => None,
            Err(_) => Some(How::Reset),
        }
    }

    fn say(&mut self) -> Option<How> {
        match self.stream.write(&self.pending) {
            Ok(written) => {
                self.pending.drain(..written);
                None
            }
            Err(error) if is_nothing(error.kind()) => None,
            Err(_) => Some(How::Reset),
        }
    }
}

pub(super) fn is_nothing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
