//! Our end: everything that a watcher has for its dials, and what a test wants to know of one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use heartline_core::{Failure, Interval, Stage, Timing};
use heartline_ssh::identity::{Asker, Keyring, Passphrases, Require};
use heartline_ssh::settings::{Invocation, Resolver};
use heartline_ssh::{
    Clock, Dialer, Established, PrepareError, Preparer, Progress, Session, Target,
};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::bed::{Bed, CEILING, within};

/// A dialer with a runtime of its own for what computes long, as a watcher has it.
pub(crate) struct Client {
    pub(crate) dialer: Arc<Dialer>,
    heavy: Option<Runtime>,
}

/// A dial in a task of its own, and when it came to each stage.
pub(crate) struct Dialing {
    pub(crate) stages: Stages,
    task: JoinHandle<(Result<Established, Failure>, Instant)>,
}

/// When a dial came to each stage.
#[derive(Clone, Default)]
pub(crate) struct Stages(Arc<Mutex<Vec<(Stage, Instant)>>>);

impl Client {
    pub(crate) fn new() -> Self {
        let heavy = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self {
            dialer: Arc::new(Dialer::new(Clock::start(), heavy.handle().clone())),
            heavy: Some(heavy),
        }
    }

    /// One that has none: whatever computes long does so on the runtime of the caller.
    pub(crate) fn careless() -> Self {
        Self {
            dialer: Arc::new(Dialer::new(Clock::start(), Handle::current())),
            heavy: None,
        }
    }

    /// Tasks of ours that live: on the runtime of the caller, and on that for what computes long.
    pub(crate) fn tasks(&self) -> usize {
        let heavy = self.heavy.as_ref();
        let heavy = heavy.map_or(0, |runtime| runtime.metrics().num_alive_tasks());
        Handle::current().metrics().num_alive_tasks() + heavy
    }

    /// Begins to dial in a task of its own.
    pub(crate) fn begin(&self, target: &Arc<Target>) -> Dialing {
        let (dialer, target) = (Arc::clone(&self.dialer), Arc::clone(target));
        let stages = Stages::default();
        let progress: Arc<dyn Progress> = Arc::new(stages.clone());
        let task = tokio::spawn(async move {
            let result = dialer.dial(&target, &progress).await;
            (result, Instant::now())
        });
        Dialing { stages, task }
    }

    pub(crate) async fn try_dial(&self, target: &Arc<Target>) -> Result<Established, Failure> {
        let (result, _) = self.begin(target).end().await;
        result
    }

    /// Dials, insists on a session, and says it is well by a first beat.
    pub(crate) async fn dial(&self, target: &Arc<Target>) -> Established {
        let established = self.try_dial(target).await.unwrap();
        beat(&*established.session).await;
        established
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Joining it here would block the runtime that the test runs on.
        if let Some(heavy) = self.heavy.take() {
            heavy.shutdown_background();
        }
    }
}

impl Dialing {
    /// What became of it, and when.
    pub(crate) async fn end(self) -> (Result<Established, Failure>, Instant) {
        within("the dial ends", self.task).await.unwrap()
    }

    /// Drops it where it is.
    pub(crate) async fn abandon(self) -> Instant {
        self.task.abort();
        let dropped = Instant::now();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()));
        dropped
    }
}

impl Stages {
    pub(crate) fn at(&self, stage: Stage) -> Option<Instant> {
        let seen = self.0.lock().unwrap();
        let found = seen.iter().find(|(reached, _)| *reached == stage);
        found.map(|(_, at)| *at)
    }
}

impl Progress for Stages {
    fn reached(&self, stage: Stage) {
        self.0.lock().unwrap().push((stage, Instant::now()));
    }
}

/// One beat that must be answered: how long it took.
pub(crate) async fn beat(session: &dyn Session) -> Duration {
    within("a beat is answered", session.beat()).await.unwrap()
}

/// No stage of a dial ends one, and a session does not beat by itself as long as a test may last.
pub(crate) fn patient() -> Timing {
    Timing {
        interval: Interval::new(CEILING * 10).unwrap(),
        stage_timeout: CEILING,
        ..Timing::default()
    }
}

/// The same, and the session beats by itself as fast as this.
pub(crate) fn beating(interval: Duration) -> Timing {
    Timing {
        interval: Interval::new(interval).unwrap(),
        ..patient()
    }
}

/// Makes a destination at this address ready by the bed's `config`. `options` are `-o`s.
pub(crate) async fn target(
    bed: &Bed,
    addr: SocketAddr,
    timing: Timing,
    options: &[&str],
) -> Arc<Target> {
    let asker = Asker::new(None, Require::Never, false);
    prepare(bed, addr, timing, options, Arc::new(asker))
        .await
        .unwrap()
}

/// The same, with somebody to ask for passphrases.
pub(crate) async fn prepare(
    bed: &Bed,
    addr: SocketAddr,
    timing: Timing,
    options: &[&str],
    asker: Arc<dyn Passphrases>,
) -> Result<Arc<Target>, PrepareError> {
    let mut invocation = Invocation::new(addr.ip().to_string().parse().unwrap());
    invocation.port = Some(addr.port());
    invocation.config_file = Some(bed.path("config"));
    invocation.options = options.iter().copied().map(str::to_owned).collect();
    let preparer = Preparer::new(Resolver::with_parser(), Arc::new(Keyring::default()), asker);
    let settings = preparer.resolve(&invocation).await.unwrap();
    preparer.prepare(&invocation, settings, timing).await
}
