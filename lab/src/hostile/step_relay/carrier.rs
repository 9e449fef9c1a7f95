//! One connection through a [`StepRelay`](super::StepRelay).

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::epoll::EpollFlags;

use super::super::cleartext::Watch;
use super::super::door::{TICK, ready, reset_on_close};
use super::super::held::is_held;
use super::super::peer::is_nothing;
use super::super::visit::{Departure, How, Log};
use super::{Control, RelayVisit, lock};

/// Carries the bytes of one connection, in a thread of its own.
pub(super) struct Carrier<'a> {
    control: &'a Mutex<Control>,
    log: &'a Log<RelayVisit>,
    at: usize,
    client: Side,
    server: Side,
    watch: Watch,
    /// The thaws at the time when it froze at the step.
    stuck: Option<u64>,
    /// The step was found: what is behind it must wait.
    reached: bool,
    last_look: Instant,
}

impl<'a> Carrier<'a> {
    /// Until both ends have left, or the relay stops.
    pub(super) fn carry(
        client: TcpStream,
        addr: SocketAddr,
        target: SocketAddr,
        control: &'a Mutex<Control>,
        log: &'a Log<RelayVisit>,
        stopping: &AtomicBool,
    ) {
        let Some(at) = log.add(visit(addr)) else {
            return;
        };
        let Ok(server) = dial(target) else {
            reset_on_close(&client);
            log.update(at, |visit| {
                visit.server_left = Some(Departure::now(How::Reset));
                visit.client_left = Some(Departure::now(How::ByUs));
            });
            return;
        };
        let watch = Watch::new(lock(control).step);
        let mut carrier = Self {
            control,
            log,
            at,
            client: Side::new(client),
            server: Side::new(server),
            reached: watch.is_reached_at_once(),
            watch,
            stuck: None,
            last_look: Instant::now(),
        };
        while !stopping.load(Ordering::Relaxed) && !carrier.is_over() {
            carrier.turn();
        }
        carrier.finish();
    }

    /// Waits for a moment and does what can be done.
    fn turn(&mut self) {
        let flow = self.flow();
        let found = ready(
            [
                self.client
                    .wanted(flow.to_server, flow.to_client, &self.server),
                self.server
                    .wanted(flow.to_client, flow.to_server, &self.client),
            ],
            TICK,
        );
        {
            // Held while bytes move, so that nothing moves once `freeze` has returned.
            let held = self.control;
            let control = lock(held);
            let flow = self.flow_under(&control);
            self.forward(&control, flow);
        }
        let [client, server] = found;
        self.notice(client, server);
        self.look_for_orphan();
    }

    fn flow(&self) -> Flow {
        let held = self.control;
        self.flow_under(&lock(held))
    }

    fn flow_under(&self, control: &Control) -> Flow {
        let stuck = self.stuck.is_some_and(|thaws| thaws == control.thaws);
        Flow {
            to_server: control.to_server && !stuck,
            to_client: control.to_client && !stuck,
        }
    }

    fn forward(&mut self, control: &Control, flow: Flow) {
        if self.reached && self.stuck.is_some_and(|thaws| thaws != control.thaws) {
            // Thawed: what waited behind the step may pass.
            self.reached = false;
            self.server.may_pass = self.server.pending.len();
        }
        if flow.to_client {
            if !self.reached {
                let watch = &mut self.watch;
                let reached = &mut self.reached;
                self.server.read(|bytes| {
                    let (may_pass, now_reached) = watch.pass(bytes);
                    *reached = now_reached;
                    may_pass
                });
            }
            let given = self.server.give(&mut self.client);
            self.log.update(self.at, |visit| visit.to_client += given);
            if self.reached && self.stuck.is_none() && self.server.may_pass == 0 {
                self.stuck = Some(control.thaws);
                let now = Some(Instant::now());
                self.log.update(self.at, |visit| visit.at_step = now);
                return;
            }
        }
        if flow.to_server {
            self.client.read(<[u8]>::len);
            let given = self.client.give(&mut self.server);
            self.log.update(self.at, |visit| visit.to_server += given);
        }
    }

    /// Notes who has left, as far as the sockets tell without being read.
    fn notice(&mut self, client: EpollFlags, server: EpollFlags) {
        self.client.notice(client);
        self.server.notice(server);
        let (client, server) = (self.client.left, self.server.left);
        self.log.update(self.at, |visit| {
            visit.client_left = visit.client_left.or(client);
            visit.server_left = visit.server_left.or(server);
        });
    }

    /// A client that closes behind bytes we do not take can send neither FIN nor RST.
    fn look_for_orphan(&mut self) {
        if self.client.left.is_some() || self.last_look.elapsed() < LOOK_EVERY {
            return;
        }
        self.last_look = Instant::now();
        let (Ok(near), Ok(far)) = (
            self.client.stream.local_addr(),
            self.client.stream.peer_addr(),
        ) else {
            return;
        };
        if matches!(is_held(far, near), Ok(false)) {
            // The kernel sends FIN before it lets go: if one could come, it is here now.
            let wanted = EpollFlags::EPOLLRDHUP;
            let [found] = ready([Some((&self.client.stream, wanted))], Duration::ZERO);
            self.notice(found, EpollFlags::empty());
            if self.client.left.is_none() {
                self.client.left = Some(Departure::now(How::Orphaned));
                self.notice(EpollFlags::empty(), EpollFlags::empty());
            }
        }
    }

    /// Both have said their last, or one is gone and the other may hear of it, or nobody is left.
    fn is_over(&self) -> bool {
        let flow = self.flow();
        let both_told = self.client.is_told && self.server.is_told;
        let both_left = self.client.left.is_some() && self.server.left.is_some();
        both_told
            || (self.server.is_gone && flow.to_client)
            || (self.client.is_gone && flow.to_server)
            || (both_left && !(flow.to_client && flow.to_server))
    }

    fn finish(self) {
        if self.client.is_gone || self.server.is_gone {
            reset_on_close(&self.client.stream);
            reset_on_close(&self.server.stream);
        }
        let by_us = Departure::now(How::ByUs);
        self.log.update(self.at, |visit| {
            visit.client_left = visit.client_left.or(Some(by_us));
            visit.server_left = visit.server_left.or(Some(by_us));
        });
    }
}

/// Which way bytes may go.
#[derive(Clone, Copy, Debug)]
struct Flow {
    to_server: bool,
    to_client: bool,
}

/// One end of the connection, and what came from it and waits.
struct Side {
    stream: TcpStream,
    pending: Vec<u8>,
    /// How much of it may be given to the other side.
    may_pass: usize,
    /// It has said that nothing more comes, and all of it has been read.
    is_at_end: bool,
    /// The other's end has been passed on to it.
    is_told: bool,
    /// It sent RST, or cannot be written to.
    is_gone: bool,
    left: Option<Departure>,
}

impl Side {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            pending: Vec::new(),
            may_pass: 0,
            is_at_end: false,
            is_told: false,
            is_gone: false,
            left: None,
        }
    }

    /// What to wait for: bytes of it if they may go on, room in it for the other's.
    fn wanted(
        &self,
        outward: bool,
        inward: bool,
        other: &Self,
    ) -> Option<(&TcpStream, EpollFlags)> {
        let mut wanted = EpollFlags::empty();
        if outward && self.pending.is_empty() && !self.is_at_end {
            wanted |= EpollFlags::EPOLLIN;
        }
        if inward && other.may_pass > 0 {
            wanted |= EpollFlags::EPOLLOUT;
        }
        if self.left.is_none() {
            wanted |= EpollFlags::EPOLLRDHUP;
        }
        // A socket that has ended would be ready at once for ever.
        (!self.is_gone && !wanted.is_empty()).then_some((&self.stream, wanted))
    }

    /// Reads once, if nothing waits. `admit` says how much of it may pass.
    fn read(&mut self, admit: impl FnOnce(&[u8]) -> usize) {
        if !self.pending.is_empty() || self.is_at_end || self.is_gone {
            return;
        }
        let mut buffer = vec![0; BUFFER];
        match self.stream.read(&mut buffer) {
            Ok(0) => {
                self.is_at_end = true;
                self.leave(How::Eof);
            }
            Ok(read) => {
                buffer.truncate(read);
                self.may_pass = admit(&buffer);
                self.pending = buffer;
            }
            Err(error) if is_nothing(error.kind()) => {}
            Err(_) => self.lose(),
        }
    }

    /// Gives the other side what may pass, then word of the end. How many bytes it was.
    fn give(&mut self, other: &mut Self) -> u64 {
        if other.is_gone {
            return 0;
        }
        let mut given = 0;
        if let Some(bytes) = self.pending.get(..self.may_pass)
            && !bytes.is_empty()
        {
            match other.stream.write(bytes) {
                Ok(written) => {
                    self.pending.drain(..written);
                    self.may_pass -= written;
                    given = u64::try_from(written).unwrap_or(u64::MAX);
                }
                Err(error) if is_nothing(error.kind()) => {}
                Err(_) => other.lose(),
            }
        }
        if self.is_at_end && self.pending.is_empty() && !other.is_told {
            // Fails only on a socket that is gone already.
            let _ = other.stream.shutdown(Shutdown::Write);
            other.is_told = true;
        }
        given
    }

    fn notice(&mut self, found: EpollFlags) {
        if found.contains(EpollFlags::EPOLLERR) {
            self.lose();
        } else if found.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP) {
            self.leave(How::Eof);
        }
    }

    fn lose(&mut self) {
        self.is_gone = true;
        self.leave(How::Reset);
    }

    fn leave(&mut self, how: How) {
        self.left.get_or_insert(Departure::now(how));
    }
}

fn visit(client: SocketAddr) -> RelayVisit {
    RelayVisit {
        client,
        opened: Instant::now(),
        at_step: None,
        client_left: None,
        server_left: None,
        to_server: 0,
        to_client: 0,
    }
}

fn dial(target: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target, DIAL)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

const BUFFER: usize = 16 * 1024;
const DIAL: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);
