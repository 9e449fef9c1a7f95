//! One session, asked at each of its layers: round trips, what comes unasked, whether a guard can be had.

use std::time::Duration;

use bytes::Bytes;
use heartline_core::{Failure, Fuse, Moment};
use heartline_ssh::{
    Clock, Duty, Exec, ExecRequest, GuardRule, Part, Peer, Session, Settled, Unguarded,
};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::patience;
use super::reach::{Reached, Took, words};

/// What to ask.
#[derive(Clone, Copy)]
pub(super) struct Asking {
    pub(super) samples: u32,
    pub(super) listen: Duration,
    /// Of a guard; none: nothing is to be run there.
    pub(super) fuse: Option<Fuse>,
    /// The most that a stage of a dial may take, and so the first beat.
    pub(super) stage: Duration,
    pub(super) clock: Clock,
}

/// What it came to.
pub(super) struct Layers {
    pub(super) peer: Peer,
    pub(super) took: Took,
    /// As the kernel smooths it; none where the connection is not ours.
    pub(super) tcp: Vec<Duration>,
    pub(super) ssh: Vec<Duration>,
    /// Or why there is none.
    pub(super) shell: Result<Shell, String>,
    pub(super) unasked: Unasked,
    pub(super) guard: Guarded,
}

/// A command there.
pub(super) struct Shell {
    /// From the request to its first word.
    pub(super) starts: Duration,
    pub(super) echoes: Vec<Duration>,
}

/// What came while we said nothing.
#[derive(Default)]
pub(super) struct Unasked {
    pub(super) listened: Duration,
    /// Between two packets, the first after our last.
    pub(super) gaps: Vec<Duration>,
    /// An idle channel was closed after so long.
    pub(super) channel_closed: Option<Duration>,
    /// The session ended after so long.
    pub(super) ended: Option<(Duration, String)>,
}

/// Whether a guard can be had.
pub(super) enum Guarded {
    /// It burns within this.
    Holds(Duration),
    Cannot(Unguarded),
    /// The session was over before that was known.
    Over,
    NotAsked,
}

impl Layers {
    /// Of a session that stands; its end is not told, since each wait here has one.
    pub(super) async fn of(reached: Reached, asking: Asking) -> Result<Self, String> {
        let Reached {
            session: own,
            mut ended,
            took,
        } = reached;
        let session = own.as_ref();
        let peer = session.peer().clone();
        let (ssh, tcp) = beats(session, asking).await?;
        let patience = patience(&ssh);
        let (shell, exec) = match asking.fuse {
            None => (Err("--fuse 0: nothing is run there".to_owned()), None),
            Some(_) => match echoes(session, asking.samples, patience).await {
                Ok((shell, exec)) => (Ok(shell), Some(exec)),
                Err(why) => (Err(why), None),
            },
        };
        let unasked = listen(session, exec, &mut ended, asking).await;
        let guard = match asking.fuse {
            None => Guarded::NotAsked,
            Some(_) if unasked.ended.is_some() => Guarded::Over,
            Some(fuse) => guard(session, fuse, patience, asking.clock).await,
        };
        own.disconnect().await;
        Ok(Self {
            peer,
            took,
            tcp,
            ssh,
            shell,
            unasked,
            guard,
        })
    }
}

/// Beats, and what TCP reckons after each.
async fn beats(
    session: &dyn Session,
    asking: Asking,
) -> Result<(Vec<Duration>, Vec<Duration>), String> {
    let (mut ssh, mut tcp) = (Vec::new(), Vec::new());
    for number in 0..asking.samples.saturating_add(WARM_UP) {
        let beat = timeout(asking.stage, session.beat()).await;
        let beat = beat.map_err(|_| format!("a beat was not answered within {:?}", asking.stage));
        let beat = beat?.map_err(|failure| words(&failure))?;
        if number < WARM_UP {
            continue;
        }
        ssh.push(beat);
        if let Some(info) = session.tcp_evidence().filter(|_| session.is_direct()) {
            tcp.push(Duration::from_micros(info.rtt_us.into()));
        }
        sleep(PACE).await;
    }
    Ok((ssh, tcp))
}

/// Lines through `cat`.
async fn echoes(
    session: &dyn Session,
    samples: u32,
    patience: Duration,
) -> Result<(Shell, Exec), String> {
    let begun = Instant::now();
    let request = ExecRequest {
        command: b"exec cat".to_vec(),
        patience,
        ..ExecRequest::default()
    };
    let mut exec = session
        .exec(request)
        .await
        .map_err(|error| error.to_string())?;
    echo(&mut exec, 0, patience).await?;
    let starts = begun.elapsed();
    let mut echoes = Vec::new();
    for number in 1..=samples {
        sleep(PACE).await;
        echoes.push(echo(&mut exec, number, patience).await?);
    }
    Ok((Shell { starts, echoes }, exec))
}

async fn echo(exec: &mut Exec, number: u32, patience: Duration) -> Result<Duration, String> {
    let line = format!("heartline probe {} {number}\n", std::process::id()).into_bytes();
    let begun = Instant::now();
    let echoed = async {
        let sent = exec.input.write(Bytes::from(line.clone())).await;
        sent.map_err(|error| error.to_string())?;
        let mut said = Vec::new();
        while let Some(part) = exec.output.next().await {
            match part {
                Part::Out(bytes) => said.extend_from_slice(&bytes),
                Part::Err(_) => {}
                Part::Ended(_) | Part::Closed => break,
            }
            if said.windows(line.len()).any(|at| at == line) {
                return Ok(begun.elapsed());
            }
            if said.len() > MOST_SAID {
                return Err("the login prints more than 64 KiB beside it".to_owned());
            }
        }
        Err("what the login runs has ended: no shell, or a forced command".to_owned())
    };
    let late =
        || format!("`cat` echoed nothing within {patience:?}: no shell, or a forced command");
    timeout(patience, echoed)
        .await
        .unwrap_or_else(|_| Err(late()))
}

/// Says nothing, beside an idle channel if there is one.
async fn listen(
    session: &dyn Session,
    exec: Option<Exec>,
    ended: &mut oneshot::Receiver<Failure>,
    asking: Asking,
) -> Unasked {
    let mut unasked = Unasked::default();
    let mut exec = exec;
    // What is on its way comes first.
    sleep(PACE).await;
    let begun = Instant::now();
    let mut ear = Listening::from_now(asking.clock);
    while begun.elapsed() < asking.listen {
        let closed = async {
            match &mut exec {
                Some(exec) => {
                    while !matches!(exec.output.next().await, Some(Part::Closed) | None) {}
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            failure = &mut *ended => {
                let why = failure.map_or_else(|_| "it ended".to_owned(), |failure| words(&failure));
                unasked.ended = Some((begun.elapsed(), why));
                break;
            }
            () = closed => {
                unasked.channel_closed = Some(begun.elapsed());
                exec = None;
                // Its close is no news of the other kind.
                sleep(PACE).await;
                ear = Listening::from_now(asking.clock);
            }
            () = sleep(LOOK) => {}
        }
        if let Some(gap) = ear.look(session) {
            unasked.gaps.push(gap);
        }
        if unasked.gaps.len() > MOST_GAPS {
            break;
        }
    }
    unasked.listened = begun.elapsed();
    unasked
}

/// When a session was last heard.
pub(super) struct Listening(Moment);

impl Listening {
    pub(super) fn from_now(clock: Clock) -> Self {
        Self(clock.now())
    }

    /// What has come since the last look came after so long a silence.
    pub(super) fn look(&mut self, session: &dyn Session) -> Option<Duration> {
        let heard = session.heard().last();
        // A packet is marked when the next one is waited for, at the time it came.
        let gap = heard.saturating_since(self.0);
        (gap > AT_ONCE).then(|| {
            self.0 = heard;
            gap
        })
    }

    /// How long it has been silent since.
    pub(super) fn silent(&self, clock: Clock) -> Duration {
        clock.now().saturating_since(self.0)
    }
}

/// For a moment.
async fn guard(session: &dyn Session, fuse: Fuse, patience: Duration, clock: Clock) -> Guarded {
    let guard = session.guard(GuardRule {
        fuse,
        duty: Duty::Session,
        patience,
        clock,
    });
    match timeout(patience * 3, guard.settled()).await {
        Ok(Settled::Holds) => Guarded::Holds(guard.burns_within()),
        Ok(Settled::Cannot(why)) => Guarded::Cannot(why),
        Ok(Settled::Over) | Err(_) => Guarded::Over,
    }
}

/// Between two questions, so that none waits for the other.
const PACE: Duration = Duration::from_millis(40);
/// Beats that do not count. The first waits for what the server says after a login (Nagle there, an acknowledgement that is put off
/// here: 40 ms), and what the kernel smooths has the login in it.
const WARM_UP: u32 = 10;
/// How often a silent session is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// What comes so soon belongs to what was before.
const AT_ONCE: Duration = Duration::from_millis(20);
const MOST_SAID: usize = 64 * 1024;
const MOST_GAPS: usize = 1_000;
