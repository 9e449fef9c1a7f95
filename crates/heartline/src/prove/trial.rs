//! One session, cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use heartline_core::{Cause, lease};
use heartline_ssh::{
    Cable, Duty, Exec, ExecInput, ExecRequest, Executing, FarSession, Guard, GuardRule, Heard,
    Naming, Part, Settled, Way, name_session,
};
use heartline_watch::{Lost, Solo};
use tokio::sync::{Barrier, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use super::Setting;
use super::observer::Seen;
use super::row::{Case, Remote};
use crate::run::why_lost;

/// Whether it has a fuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// With a guard of everything.
    Fused,
    /// As any client of SSH leaves it.
    Plain,
}

/// What came of it. Times count from the cut.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Why there was nothing to cut.
    pub(super) failed: Option<String>,
    /// Why its far end could not be measured as it should be.
    pub(super) unfit: Option<String>,
    /// When our end was gone; none: it was not.
    pub(super) ours: Option<Ours>,
    pub(super) far: Far,
    /// It was looked at for so long.
    pub(super) watched: Duration,
    /// The fuse burns within this.
    pub(super) burns_within: Option<Duration>,
}

/// Our end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ours {
    pub(super) after_cut: Duration,
    /// After the last sign of life.
    pub(super) after_life: Duration,
    /// It heard the node for so long after the cut.
    pub(super) heard_for: Duration,
    pub(super) cause: Option<Cause>,
}

/// The far end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Far {
    /// Nothing of it was left.
    pub(super) gone: Option<Duration>,
    /// Something of it lived still.
    pub(super) alive: Option<Duration>,
    /// Its sshd had closed the connection.
    pub(super) sshd_gone: Option<Duration>,
    /// Processes, at the last look.
    pub(super) left: Option<usize>,
}

/// A session that is ready to be cut.
struct Subject {
    heard: Arc<Heard>,
    far: Option<FarSession>,
    guard: Option<Guard>,
    unfit: Option<String>,
    remote: Option<Running>,
}

/// A remote command.
struct Running {
    _input: ExecInput,
    has_ended: Arc<AtomicBool>,
}

/// Sets one up, waits for the others, cuts, looks, ends what is left.
pub(super) async fn trial(setting: &Setting, case: Case, kind: Kind, go: &Barrier) -> Outcome {
    let cable = Arc::new(Cable::new());
    let mut solo = Solo::start_over(&setting.line, &cable);
    let ready = match prepare(setting, case, kind, &mut solo).await {
        Ok(subject) => match solo.beside(go.wait()).await {
            Ok(_) => Ok(subject),
            Err(lost) => Err(why_lost(&lost)),
        },
        Err(why) => {
            go.wait().await;
            Err(why)
        }
    };
    let subject = match ready {
        Ok(subject) => subject,
        Err(why) => {
            return Outcome {
                failed: Some(why),
                ..Outcome::default()
            };
        }
    };
    let burns_within = subject.guard.as_ref().map(Guard::burns_within);
    let limit = match kind {
        Kind::Plain => setting.patience,
        Kind::Fused => latest(setting, case.way, burns_within) + LATE,
    };
    let pace = match kind {
        Kind::Plain => SELDOM,
        Kind::Fused => OFTEN,
    };
    cable.cut(case.way);
    let cut = Instant::now();
    let deadline = cut + limit;
    let looking = setting
        .observer
        .watch(subject.far.as_ref(), &cable, pace, deadline);
    let (lost, seen) = if subject.guard.is_none() && kind == Kind::Fused {
        // There is nothing to look at.
        (
            timeout_at(deadline, solo.ended()).await.ok(),
            Seen::default(),
        )
    } else {
        let (lost, seen) = tokio::join!(timeout_at(deadline, solo.ended()), looking);
        (lost.ok(), seen)
    };
    let watched = cut.elapsed().min(limit);
    if let Some(far) = subject.far.as_ref().filter(|_| seen.gone.is_none()) {
        setting.observer.end(far).await;
    }
    Outcome {
        failed: None,
        unfit: subject.unfit,
        ours: lost.map(|lost| ours(&lost, &subject.heard, cut)),
        far: far(seen, cut),
        watched,
        burns_within,
    }
}

/// After a cut the far end is gone by this. What it still hears of us is our beats, until our end is gone.
pub(super) fn latest(setting: &Setting, way: Way, burns_within: Option<Duration>) -> Duration {
    let ours = setting.line.timing.bound().as_duration();
    match (burns_within, way) {
        (None, _) => ours,
        (Some(burns), Way::ToUs) => ours + burns + lease::END,
        (Some(burns), Way::Both | Way::ToNode) => burns + lease::END,
    }
}

fn ours(lost: &Lost, heard: &Heard, cut: Instant) -> Ours {
    let at = lost.clock.instant(lost.at);
    let last = lost.clock.instant(heard.last());
    Ours {
        after_cut: at.saturating_duration_since(cut),
        after_life: at.saturating_duration_since(last),
        heard_for: last.saturating_duration_since(cut),
        cause: lost.event.as_ref().and_then(|event| event.to.cause()),
    }
}

fn far(seen: Seen, cut: Instant) -> Far {
    let after = |at: Option<Instant>| at.map(|at| at.saturating_duration_since(cut));
    Far {
        gone: after(seen.gone),
        alive: after(seen.alive),
        sshd_gone: after(seen.sshd_gone),
        left: seen.left,
    }
}

/// A session that stands, its guard if it is to have one, and the remote command; or why there is no session.
async fn prepare(
    setting: &Setting,
    case: Case,
    kind: Kind,
    solo: &mut Solo,
) -> Result<Subject, String> {
    let heard = solo.with(|session| Arc::clone(session.heard()));
    let mut subject = Subject {
        heard: stand(solo, heard).await?,
        far: None,
        guard: None,
        unfit: setting.observer.blind().map(str::to_owned),
        remote: None,
    };
    if subject.unfit.is_none() {
        match kind {
            Kind::Fused => guard(setting, &mut subject, solo).await?,
            Kind::Plain => name_it(setting, &mut subject, solo).await?,
        }
    }
    if let Some(far) = &subject.far {
        setting.observer.begun(far);
    }
    if kind == Kind::Plain && case.remote == Remote::Nothing {
        // Its sshd is all there is of it, and that ends the connection when it goes.
        subject.unfit = None;
    }
    // Whatever is started is ended by a guard, or by who can name it.
    let is_ended = subject.guard.is_some() || subject.far.is_some();
    match command(setting, case) {
        Some(command) if is_ended => match start(setting, case.remote, command, solo).await? {
            Ok(running) => subject.remote = Some(running),
            Err(why) => subject.unfit = Some(why),
        },
        Some(_) if kind == Kind::Plain => {
            let why = || "nothing can be started there that could be ended again".to_owned();
            subject.unfit = Some(subject.unfit.unwrap_or_else(why));
        }
        _ => {}
    }
    // Some beats, so that nothing is measured of the beginning.
    within(solo, sleep(SETTLE)).await?;
    let has_ended = |running: &Running| running.has_ended.load(Ordering::Acquire);
    if subject.remote.as_ref().is_some_and(has_ended) {
        subject.unfit = Some("the remote command ended before the cut".to_owned());
    }
    Ok(subject)
}

async fn guard(setting: &Setting, subject: &mut Subject, solo: &mut Solo) -> Result<(), String> {
    let rule = GuardRule {
        fuse: setting.fuse,
        duty: Duty::All,
        patience: setting.line.timing.stage_timeout,
        clock: solo.clock(),
    };
    let guarding = solo.with(move |session| session.guard(rule));
    let guard = stand(solo, guarding).await?;
    match within(solo, guard.settled()).await? {
        Settled::Holds => {
            subject.far = guard.far();
            subject.guard = Some(guard);
            if subject.far.is_none() {
                subject.unfit = Some("the node cannot tell one process from another".to_owned());
            }
        }
        Settled::Cannot(why) => subject.unfit = Some(why.to_string()),
        Settled::Over => return Err(why_lost(&solo.ended().await)),
    }
    Ok(())
}

async fn name_it(setting: &Setting, subject: &mut Subject, solo: &mut Solo) -> Result<(), String> {
    let patience = setting.line.timing.stage_timeout;
    let naming = solo.with(move |session| name_session(session, patience));
    let naming: Naming = stand(solo, naming).await?;
    subject.far = within(solo, naming).await?;
    if subject.far.is_none() {
        subject.unfit = Some("the node does not say which session it is".to_owned());
    }
    Ok(())
}

/// Starts a remote command and waits until it runs; the inner error: there can be none.
async fn start(
    setting: &Setting,
    remote: Remote,
    command: String,
    solo: &mut Solo,
) -> Result<Result<Running, String>, String> {
    let patience = setting.line.timing.stage_timeout;
    let request = ExecRequest {
        command: command.into_bytes(),
        patience,
        ..ExecRequest::default()
    };
    let executing = solo.with(move |session| session.exec(request));
    let executing: Executing = stand(solo, executing).await?;
    let exec = match within(solo, executing).await? {
        Ok(exec) => exec,
        Err(why) => return Ok(Err(why.to_string())),
    };
    let Exec {
        input, mut output, ..
    } = exec;
    let has_ended = Arc::new(AtomicBool::new(false));
    let (tell, first) = oneshot::channel();
    let mut tell = Some(tell);
    let ended = Arc::clone(&has_ended);
    tokio::spawn(async move {
        while let Some(part) = output.next().await {
            match part {
                Part::Out(_) => {
                    if let Some(tell) = tell.take() {
                        let _ = tell.send(());
                    }
                }
                Part::Err(_) => {}
                Part::Ended(_) | Part::Closed => break,
            }
        }
        ended.store(true, Ordering::Release);
        // What comes after its end is taken too.
        while output.next().await.is_some() {}
    });
    if remote == Remote::Writing {
        let by = Instant::now() + patience;
        if !matches!(within(solo, timeout_at(by, first)).await?, Ok(Ok(()))) {
            return Ok(Err("the remote command does not write".to_owned()));
        }
    }
    Ok(Ok(Running {
        _input: input,
        has_ended,
    }))
}

/// What runs there. It ends by itself some time after everything, should nobody be there to end it.
fn command(setting: &Setting, case: Case) -> Option<String> {
    let burns = setting.fuse.as_duration() * 2;
    let longest = latest(setting, Way::ToUs, Some(burns)).max(setting.patience);
    let seconds = longest.saturating_add(BEYOND).as_secs();
    match case.remote {
        Remote::Nothing => None,
        Remote::Quiet => Some(format!("exec sleep {seconds}")),
        // Five lines a second: more often than any sshd looks, and slower than any window fills.
        Remote::Writing => Some(format!(
            "exec sh -c 'i=0;while [ $i -lt {} ];do echo .;sleep .2 2>/dev/null||sleep 1;i=$((i+1));done'",
            seconds.saturating_mul(5)
        )),
    }
}

/// What the session gives; the error says why it is over.
async fn stand<T>(solo: &mut Solo, work: impl Future<Output = Option<T>>) -> Result<T, String> {
    match within(solo, work).await? {
        Some(done) => Ok(done),
        None => Err(why_lost(&solo.ended().await)),
    }
}

async fn within<T>(solo: &mut Solo, work: impl Future<Output = T>) -> Result<T, String> {
    solo.beside(work).await.map_err(|lost| why_lost(&lost))
}

/// From the last thing that is set up to the cut.
pub(super) const SETTLE: Duration = Duration::from_secs(1);
/// So long after its bound a far end is looked at.
pub(super) const LATE: Duration = Duration::from_secs(3);
/// Between two looks at one that may go at a moment that is known.
const OFTEN: Duration = Duration::from_millis(250);
/// Between two looks at a plain one.
const SELDOM: Duration = Duration::from_millis(500);
/// How much longer than anything here a remote command may live.
const BEYOND: Duration = Duration::from_mins(2);
