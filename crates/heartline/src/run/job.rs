//! One command on one session: started behind a guard, fed, drained, signalled, until one of the two is over.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use heartline_core::Fuse;
use heartline_ssh::{
    Duty, Ended, Ending, Exec, ExecError, ExecInput, ExecOutput, ExecRequest, FarSession, Guard,
    GuardRule, Part, Settled, Terminal, Unguarded,
};
use heartline_watch::{LinePlan, Lost, Solo};
use nix::sys::signal::Signal;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::args::RunArgs;
use super::signals::{Kind, Signals};
use super::streams::{self, Output};
use super::terminal::{self, Raw};
use super::{FAILED, reason};
use crate::words;

/// Why nothing was started.
pub(super) enum Refusal {
    /// There is no session over this line.
    Session(String),
    /// The node was reached, and it cannot be.
    Command(String),
}

/// What became of a command that was asked for and does not run.
pub(super) enum NotBegun {
    /// The node did not start it.
    Refused(String),
    /// Contact was lost before it was said to have begun; it may have.
    Lost(Box<(Lost, Left)>),
}

/// What became of it.
pub(super) enum Fate {
    /// It is over, and so is all that it started; the exit code.
    Ended(u8),
    /// Contact was lost.
    Lost(Lost),
}

/// What is known of the far end when contact is lost.
#[derive(Default)]
pub(super) struct Left {
    /// Who it is there.
    pub(super) far: Option<FarSession>,
    /// The fuse burns so long after the last beat; none: there is no fuse.
    pub(super) burns_within: Option<Duration>,
    /// The command itself had ended with this code before.
    pub(super) code: Option<u8>,
}

/// A command that runs.
pub(super) struct Job {
    guard: Option<Guard>,
    exec: Exec,
    /// It has a terminal.
    on_terminal: bool,
}

impl Job {
    /// Starts it, now that the fuse is held. Not to be dropped before it is done: the command may run by then.
    pub(super) async fn start(
        args: &RunArgs,
        line: &LinePlan,
        guard: Option<Guard>,
        solo: &mut Solo,
    ) -> Result<Self, NotBegun> {
        let terminal = terminal::wanted(args.terminal);
        let on_terminal = terminal.is_some();
        let request = request(args, terminal, line.timing.stage_timeout);
        let executing = solo.with(move |session| session.exec(request));
        let executing = async { Some(executing.await?.await) };
        let executed = tokio::select! {
            biased;
            executed = executing => executed.unwrap_or(Err(ExecError::Over)),
            lost = solo.ended() => return Err(NotBegun::Lost(Box::new((lost, left(guard.as_ref(), None))))),
        };
        match executed {
            Ok(exec) => {
                tell_refused(&exec);
                Ok(Self {
                    on_terminal: on_terminal && !exec.refused_terminal,
                    guard,
                    exec,
                })
            }
            Err(why) => Err(not_begun(why, guard.as_ref(), solo).await),
        }
    }

    /// Lets it run until it is over, or the session is.
    pub(super) async fn run(
        self,
        solo: &mut Solo,
        signals: &mut Signals,
    ) -> std::io::Result<(Fate, Left)> {
        let Self {
            mut guard,
            exec: Exec { input, output, .. },
            on_terminal,
        } = self;
        let raw = on_terminal.then(Raw::set).flatten();
        let input = Arc::new(input);
        let sending = tokio::spawn(carry_in(streams::input()?, Arc::clone(&input)));
        let (out, err) = (Output::stdout()?, Output::stderr()?);
        let mut draining = tokio::spawn(carry_out(output, out, err));
        let mut asked_to_end = None;
        let over = loop {
            tokio::select! {
                biased;
                drained = &mut draining => break Over::Drained(drained.unwrap_or(Drained::Closed(None))),
                lost = solo.ended() => break Over::Lost(lost),
                signal = signals.next() => match signal {
                    None => { let _ = input.resize(terminal::size()).await; }
                    // Who asks twice does not wait for a command that will not hear.
                    Some(kind) if kind.is_end() && asked_to_end.is_some() => break Over::Told(kind),
                    Some(kind) => {
                        asked_to_end = asked_to_end.or(kind.is_end().then_some(kind));
                        pass_on(kind, guard.as_ref(), &input).await;
                    }
                },
                why = poll_fn(|cx| unguarded(guard.as_mut(), cx)) => {
                    words::complain(&anyhow::anyhow!(
                        "the fuse is lost: {why}; the command goes on, and nothing would end it if contact were lost"
                    ));
                    guard = None;
                }
            }
        };
        sending.abort();
        let done = match over {
            Over::Drained(output) => drained(output, guard.as_ref(), solo).await,
            Over::Told(kind) => {
                draining.abort();
                end_all(guard.as_ref()).await;
                (Fate::Ended(kind.code_number()), Left::default())
            }
            Over::Lost(lost) => {
                let drained = last_words(draining).await;
                (Fate::Lost(lost), left(guard.as_ref(), drained.code()))
            }
        };
        drop(raw);
        Ok(done)
    }
}

/// Waits for a session of which the fuse is held, if there is to be one.
pub(super) async fn guarded(line: &LinePlan, solo: &mut Solo) -> Result<Option<Guard>, Refusal> {
    match line.timing.fuse {
        Some(fuse) => hold(fuse, line, solo).await.map(Some),
        None => beside(solo, solo.with(|_| ())).await.map(|()| None),
    }
}

async fn not_begun(why: ExecError, guard: Option<&Guard>, solo: &mut Solo) -> NotBegun {
    let may_run = !matches!(why, ExecError::NoChannel { .. } | ExecError::Refused);
    if may_run
        && end_all(guard).await == End::Unknown
        && let Ok(lost) = timeout(A_MOMENT, solo.ended()).await
    {
        return NotBegun::Lost(Box::new((lost, left(guard, None))));
    }
    NotBegun::Refused(format!("nothing was run: {why}"))
}

/// How it came to an end here.
enum Over {
    Drained(Drained),
    Lost(Lost),
    Told(Kind),
}

/// What became of its output.
enum Drained {
    /// Its channel was closed, after it had ended so.
    Closed(Option<Ending>),
    /// Nobody reads ours.
    Broken,
}

impl Drained {
    fn code(&self) -> Option<u8> {
        match self {
            Self::Closed(ending) => ending.as_ref().map(code),
            Self::Broken => Some(signal_code(Signal::SIGPIPE)),
        }
    }
}

/// Its output is over: so is the command, or the session.
async fn drained(drained: Drained, guard: Option<&Guard>, solo: &mut Solo) -> (Fate, Left) {
    let code = drained.code();
    // The channel goes when the session does; what says so comes a moment later.
    if code.is_none()
        && let Ok(lost) = timeout(A_MOMENT, solo.ended()).await
    {
        return (Fate::Lost(lost), left(guard, None));
    }
    if end_all(guard).await == End::Unknown {
        if let Ok(lost) = timeout(A_MOMENT, solo.ended()).await {
            return (Fate::Lost(lost), left(guard, code));
        }
        words::complain(&anyhow::anyhow!(
            "the guard does not say that all the command left behind is over; its fuse ends that"
        ));
    }
    if code.is_none() {
        words::complain(&anyhow::anyhow!(
            "the node closed the command's channel without saying how it ended; it is over"
        ));
    }
    (Fate::Ended(code.unwrap_or(FAILED)), Left::default())
}

/// What came of ending all that it had started.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    /// The session was over, or is in trouble.
    Unknown,
}

async fn end_all(guard: Option<&Guard>) -> End {
    let Some(guard) = guard else {
        return End::Done;
    };
    match guard.end(END_PATIENCE).await {
        Ended::Done { left: 0 } => End::Done,
        Ended::Done { left } => {
            words::complain(&anyhow::anyhow!(
                "{left} of the processes it started cannot be ended by this user, and live on"
            ));
            End::Done
        }
        Ended::Over | Ended::Unanswered => End::Unknown,
    }
}

fn left(guard: Option<&Guard>, code: Option<u8>) -> Left {
    Left {
        far: guard.and_then(Guard::far),
        burns_within: guard.map(Guard::burns_within),
        code,
    }
}

/// A guard that holds, so that nothing is started without.
async fn hold(fuse: Fuse, line: &LinePlan, solo: &mut Solo) -> Result<Guard, Refusal> {
    let rule = GuardRule {
        fuse,
        duty: Duty::All,
        patience: line.timing.stage_timeout,
        clock: solo.clock(),
    };
    let guarding = solo.with(move |session| session.guard(rule));
    let guard = beside(solo, guarding).await?;
    let refused = |why: String| {
        Refusal::Command(format!(
            "no fuse, so nothing was run: {why}; --fuse 0 runs it without"
        ))
    };
    match beside(solo, async { Some(guard.settled().await) }).await? {
        Settled::Holds => Ok(guard),
        Settled::Cannot(why) => Err(refused(why.to_string())),
        Settled::Over => {
            let lost = solo.ended().await;
            Err(refused(why_lost(&lost)))
        }
    }
}

/// Does it, unless the session is over first.
async fn beside<T>(solo: &mut Solo, work: impl Future<Output = Option<T>>) -> Result<T, Refusal> {
    let done = tokio::select! {
        biased;
        done = work => done,
        lost = solo.ended() => return Err(Refusal::Session(why_lost(&lost))),
    };
    match done {
        Some(done) => Ok(done),
        None => Err(Refusal::Session(why_lost(&solo.ended().await))),
    }
}

/// Why a session is over, for a person.
pub(crate) fn why_lost(lost: &Lost) -> String {
    let event = lost.event.as_ref();
    let detail = event.and_then(|event| event.evidence.ssh.detail.as_deref());
    reason(event.and_then(|event| event.to.cause()), detail)
}

fn request(args: &RunArgs, terminal: Option<Terminal>, patience: Duration) -> ExecRequest {
    let variable = |text: &String| match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.clone(), std::env::var(text).ok()?)),
    };
    ExecRequest {
        command: args.command.join(" ").into_bytes(),
        terminal,
        env: args.env.iter().filter_map(variable).collect(),
        patience,
    }
}

fn tell_refused(exec: &Exec) {
    if exec.refused_terminal {
        words::complain(&anyhow::anyhow!(
            "the node gives the command no terminal; it runs without"
        ));
    }
    if !exec.refused_env.is_empty() {
        let names = words::plain(&exec.refused_env.join(", "));
        words::complain(&anyhow::anyhow!(
            "the node does not take {names} (AcceptEnv in its sshd_config); `-- env NAME=VALUE CMD` sets it there all the same"
        ));
    }
}

async fn pass_on(kind: Kind, guard: Option<&Guard>, input: &ExecInput) {
    match guard {
        // sshd signals nothing for root; the guard does.
        Some(guard) => guard.signal(kind.name),
        None => {
            let _ = input.signal(kind.name).await;
        }
    }
}

async fn carry_in(mut pieces: mpsc::Receiver<bytes::Bytes>, input: Arc<ExecInput>) {
    while let Some(piece) = pieces.recv().await {
        if input.write(piece).await.is_err() {
            return;
        }
    }
    let _ = input.end().await;
}

async fn carry_out(mut output: ExecOutput, out: Output, err: Output) -> Drained {
    let mut ending = None;
    while let Some(part) = output.next().await {
        let taken = match part {
            Part::Out(bytes) => out.write(bytes).await,
            Part::Err(bytes) => err.write(bytes).await,
            Part::Ended(how) => {
                ending = Some(how);
                true
            }
        };
        if !taken {
            return Drained::Broken;
        }
    }
    let written = (out.finish().await, err.finish().await);
    match written {
        (Ok(()), Ok(())) => Drained::Closed(ending),
        _ => Drained::Broken,
    }
}

/// What had come before contact was lost is written, as far as it is taken soon.
async fn last_words(draining: JoinHandle<Drained>) -> Drained {
    let drained = timeout(A_MOMENT, draining).await;
    drained
        .ok()
        .and_then(Result::ok)
        .unwrap_or(Drained::Closed(None))
}

fn unguarded(
    guard: Option<&mut Guard>,
    cx: &mut std::task::Context<'_>,
) -> std::task::Poll<Unguarded> {
    guard.map_or(std::task::Poll::Pending, |guard| guard.poll_end(cx))
}

/// As a shell shows it.
fn code(ending: &Ending) -> u8 {
    match ending {
        // Its lowest byte is all that a system has for it.
        Ending::Status(status) => u8::try_from(status & 0xff).unwrap_or(FAILED),
        Ending::Signal(name) => format!("SIG{name}").parse().map_or(FAILED, signal_code),
    }
}

fn signal_code(signal: Signal) -> u8 {
    u8::try_from(128 + signal as i32).unwrap_or(FAILED)
}

/// Longer than any two things that happen at once are apart.
const A_MOMENT: Duration = Duration::from_secs(1);
/// The guard's own second, and the way there and back.
const END_PATIENCE: Duration = Duration::from_secs(3);
