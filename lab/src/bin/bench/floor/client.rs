//! The floor's beating side.

use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::sealed::Sealed;
use super::{CONNECTED, INTERVAL};
use crate::arguments::FloorArguments;

/// Connects, says so, and beats until standard input ends.
pub(crate) fn run(of: &FloorArguments) -> Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let mut connections = Vec::with_capacity(usize::try_from(of.n)?);
    for number in 0..of.n {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, of.port))?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, number.into());
        epoll.add(&stream, event)?;
        let port = stream.local_addr()?.port();
        connections.push(Sealed::new(stream, port, true)?);
    }
    println!("{CONNECTED}");
    epoll.add(
        std::io::stdin(),
        EpollEvent::new(EpollFlags::EPOLLIN, STDIN),
    )?;
    let tick = Duration::from_millis(of.tick.into());
    beat(&epoll, &mut connections, tick)
}

fn beat(epoll: &Epoll, connections: &mut [Sealed], tick: Duration) -> Result<()> {
    let mut events = [EpollEvent::empty(); EVENTS];
    let mut ticks = Ticks::new(tick, connections.len());
    loop {
        let count = match epoll.wait(&mut events, ticks.left()?) {
            Err(Errno::EINTR) => continue,
            count => count?,
        };
        for event in events.iter().take(count) {
            if event.data() == STDIN {
                return Ok(());
            }
            let connection = connections.get_mut(usize::try_from(event.data())?);
            if let Some(connection) = connection
                && !connection.receive()?
            {
                bail!("the peer closed {:?}", connection.stream());
            }
        }
        if ticks.is_due() {
            let due = connections.iter_mut().skip(ticks.slot);
            for connection in due.step_by(ticks.slots) {
                connection.send()?;
            }
            ticks.advance();
        }
    }
}

/// When to wake next: an interval is divided in slots of one tick, the connections are dealt out to
/// them, and slots without one are slept through.
struct Ticks {
    tick: Duration,
    due: Instant,
    slot: usize,
    slots: usize,
    used: usize,
}

impl Ticks {
    fn new(tick: Duration, connections: usize) -> Self {
        let slots = INTERVAL.as_millis() / tick.as_millis().max(1);
        let slots = usize::try_from(slots).unwrap_or_default().max(1);
        Self {
            tick,
            due: Instant::now() + tick,
            slot: 0,
            slots,
            used: connections.min(slots),
        }
    }

    fn left(&self) -> Result<EpollTimeout> {
        let left = self.due.saturating_duration_since(Instant::now());
        // Up to the next whole millisecond, lest the last of them be spent in a loop.
        let milliseconds = left.as_micros().div_ceil(1_000);
        Ok(EpollTimeout::try_from(u32::try_from(milliseconds)?)?)
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    fn advance(&mut self) {
        self.slot += 1;
        self.due += self.tick;
        while self.slot >= self.used && self.slot < self.slots {
            self.slot += 1;
            self.due += self.tick;
        }
        self.slot %= self.slots;
    }
}

const STDIN: u64 = u64::MAX;
const EVENTS: usize = 256;
