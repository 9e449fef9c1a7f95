//! One line, held for somebody who uses its session: `run`, `prove`.
//!
//! The driver is the engine's own, so that a session in use ends by the same rule, for the same causes, as one that only
//! beats. What differs is that somebody gets at the session, and that one end is the end: nobody dials again.

use std::sync::Arc;
use std::time::Duration;

use heartline_core::{Detection, LineConfig, LineEvent, Moment, Prober, Timing};
use heartline_ssh::{Cable, Clock, Dialer, GOODBYE, Session};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::info;

use crate::driver::{self, Command, Driver, News};
use crate::lookout::Lookout;
use crate::pace::Pace;
use crate::plan::LinePlan;
use crate::pulse::Pulse;

/// A line with a user. Drain it by [`ended`](Self::ended); end it by [`stop`](Self::stop).
pub struct Solo {
    commands: mpsc::Sender<Command>,
    heard: mpsc::Receiver<driver::Told>,
    pulse: Pulse,
    clock: Clock,
    task: JoinHandle<()>,
    last: Option<LineEvent>,
}

/// A session is over, or a dial failed.
#[derive(Clone, Debug)]
pub struct Lost {
    /// The last that the line told: why, and since when.
    pub event: Option<LineEvent>,
    /// By when our end of it was gone.
    pub at: Moment,
    /// What that is counted by.
    pub clock: Clock,
}

impl Solo {
    /// Dials, on the runtime of the caller. Its timing's fuse is for the caller to see to.
    pub fn start(plan: &LinePlan) -> Self {
        Self::begin(plan, None)
    }

    /// The same over a cable, which somebody is going to cut.
    pub fn start_over(plan: &LinePlan, cable: &Arc<Cable>) -> Self {
        Self::begin(plan, Some(Arc::clone(cable)))
    }

    fn begin(plan: &LinePlan, cable: Option<Arc<Cable>>) -> Self {
        let clock = Clock::start();
        // One session computes for nobody but itself.
        let dialer = Arc::new(Dialer::new(clock, Handle::current()));
        let config = LineConfig {
            timing: Timing {
                fuse: None,
                // What uses a session is told of its end, not of a suspicion.
                detection: Detection::OpenSsh,
                ..plan.timing
            },
            seed: 0,
            prober: Prober::Session,
            grain: Duration::ZERO,
        };
        let lookout = Lookout::default();
        tokio::spawn(lookout.clone().run(clock));
        let (commands, told) = mpsc::channel(COMMANDS);
        let (tell, heard) = mpsc::channel(EVENTS);
        let target = Arc::clone(&plan.target);
        let pace = Pace::default();
        let driver = Driver::new(0, config, target, dialer, lookout, pace, tell);
        let task = tokio::spawn(driver.once().over(cable).run(told, false));
        Self {
            commands,
            heard,
            pulse: Pulse::start(),
            clock,
            task,
            last: None,
        }
    }

    /// What its moments are counted by.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Does something with the session, once one stands; none, when it is over before that.
    ///
    /// The line goes on only while somebody drains it: use this beside [`ended`](Self::ended).
    pub fn with<T, F>(&self, what: F) -> impl Future<Output = Option<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Session) -> T + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let commands = self.commands.clone();
        let done = Command::Use(Box::new(move |session| {
            let _ = tell.send(what(session));
        }));
        async move {
            commands.send(done).await.ok()?;
            told.await.ok()
        }
    }

    /// Waits for its end: our end of the session is gone then. Losing the future loses nothing.
    pub async fn ended(&mut self) -> Lost {
        loop {
            tokio::select! {
                heard = self.heard.recv() => match heard {
                    Some(driver::Told { news: News::Line(event), .. }) => self.last = Some(event),
                    Some(_) => {}
                    None => return Lost { event: self.last.clone(), at: self.clock.now(), clock: self.clock },
                },
                lost = self.pulse.beat() => {
                    if let Some(lost) = lost {
                        info!(?lost, "This process did not run for a while; no silence counts for that time.");
                        let _ = self.commands.try_send(Command::Stalled(lost));
                    }
                }
            }
        }
    }

    /// Does something, unless the session is over first.
    ///
    /// # Errors
    /// When it is.
    pub async fn beside<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Lost> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            lost = self.ended() => Err(lost),
        }
    }

    /// Ends the session cleanly, and returns when our end of it is gone, which [`GOODBYE`] and a little bounds.
    pub async fn quit(&mut self) -> Lost {
        // The driver is told by the last sender's end.
        self.commands = mpsc::channel(1).0;
        if let Ok(lost) = timeout(GOODBYE + MARGIN, self.ended()).await {
            return lost;
        }
        self.task.abort();
        self.ended().await
    }

    /// Ends the session cleanly, within [`GOODBYE`] and a little.
    pub async fn stop(mut self) {
        self.quit().await;
    }
}

const COMMANDS: usize = 8;
/// A line that is up changes seldom.
const EVENTS: usize = 64;
/// Beyond the goodbye itself.
const MARGIN: Duration = Duration::from_millis(500);
