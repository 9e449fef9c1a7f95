//! Threads that tasks run on, each a single-threaded runtime.
//!
//! One runtime over several threads costs half as much again per beat (facts/russh.md, section 2), so lines are dealt out
//! to runtimes of one thread each. Handshakes that compute for 70 ms in one piece, and the rekeys of such sessions, have
//! a thread where nothing beats that must not wait.

use std::io;
use std::num::NonZeroUsize;
use std::thread;

use heartline_ssh::{Clock, Dialer};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::lookout::Lookout;
use crate::pace::Pace;

/// A thread with a runtime. Dropping it ends the thread once what runs there has yielded.
#[derive(Debug)]
pub(crate) struct Lane {
    handle: Handle,
    lookout: Lookout,
    _stop: oneshot::Sender<()>,
}

impl Lane {
    /// Starts the thread; it wakes whenever something is due, and lets those that beat go first.
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        Self::build(name, &mut Builder::new_current_thread(), BEHIND)
    }

    /// Starts the thread; it keeps this pace.
    pub(crate) fn start_at(pace: &Pace, dialer: &Dialer, name: &str) -> io::Result<Self> {
        let rest = pace.rest(dialer.is_conversing());
        Self::build(name, Builder::new_current_thread().on_thread_park(rest), 0)
    }

    fn build(name: &str, builder: &mut Builder, niceness: i32) -> io::Result<Self> {
        let runtime = builder
            .enable_all()
            .max_blocking_threads(MAX_BLOCKING)
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name(name.into()).spawn(move || {
            // Of this thread alone, on Linux. Where it is refused nothing is worse than without.
            if niceness > 0 {
                let _ = rustix::process::nice(niceness);
            }
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self {
            handle,
            lookout: Lookout::default(),
            _stop: stop,
        })
    }

    /// Begins to look at sessions.
    pub(crate) fn look_out(&self, clock: Clock) {
        self.handle.spawn(self.lookout.clone().run(clock));
    }

    /// Who looks at the sessions of those who were spawned there.
    pub(crate) fn lookout(&self) -> &Lookout {
        &self.lookout
    }

    /// Where to spawn.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// How many threads so many lines beat on.
pub(crate) fn beating_lanes(lines: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    lines.div_ceil(LINES_PER_LANE).clamp(1, cores)
}

/// The niceness of what may wait. On a machine with a core or two a few long handshakes would hold up every beat.
const BEHIND: i32 = 5;
/// At one beat a second each, so many lines use about a tenth of a core.
const LINES_PER_LANE: usize = 4_000;
/// Name look-ups at a time; the resolver of the C library blocks a thread each.
const MAX_BLOCKING: usize = 32;
