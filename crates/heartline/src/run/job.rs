//! One command on one session: started behind a guard, fed, drained, signalled, until one of the two is over.

use std::future::poll_fn;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use heartline_core::Fuse;
use heartline_ssh::{
    Duty, Exec, ExecError, ExecInput, ExecRequest, Guard, GuardRule, Settled, Terminal, Unguarded,
};
use heartline_watch::{LinePlan, Lost, Solo};
use tokio::sync::mpsc;

use super::args::RunArgs;
use super::fate::{self, Fate, Left, NotBegun};
use super::signals::{Kind, Signals};
use super::streams::{Drained, Streams};
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

/// A command that runs.
pub(super) struct Job {
    guard: Option<Guard>,
    exec: Exec,
    /// It has a terminal.
    on_terminal: bool,
}

/// How it came to an end here.
enum Over {
    Drained(Drained),
    Lost(Lost),
    /// Nobody here wants it any more; the exit code, and why, if that is to be said.
    Unwanted(u8, Option<String>),
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
            lost = solo.ended() => {
                return Err(NotBegun::Lost(Box::new((lost, Left::new(guard.as_ref(), None)))));
            }
        };
        match executed {
            Ok(exec) => {
                if let Some(guard) = &guard {
                    guard.started();
                }
                tell_refused(&exec);
                Ok(Self {
                    on_terminal: on_terminal && !exec.refused_terminal,
                    guard,
                    exec,
                })
            }
            Err(why) => Err(fate::not_begun(why, guard.as_ref(), solo).await),
        }
    }

    /// Lets it run until it is over, or the session is.
    pub(super) async fn run(
        self,
        streams: Streams,
        solo: &mut Solo,
        signals: &mut Signals,
    ) -> (Fate, Left) {
        let Self {
            mut guard,
            exec: Exec { input, output, .. },
            on_terminal,
        } = self;
        let raw = on_terminal.then(Raw::set).flatten();
        let input = Arc::new(input);
        let errands = errands(Arc::clone(&input));
        let (mut sending, mut draining) = match streams.carry(input, output) {
            Ok(tasks) => tasks,
            Err(error) => {
                let why = format!("no thread to read or write by: {error}");
                return fate::finish(FAILED, Some(why), guard.as_ref(), solo).await;
            }
        };
        let mut is_fed = false;
        let mut asked: Vec<Kind> = Vec::new();
        let over = loop {
            tokio::select! {
                biased;
                drained = &mut draining => break Over::Drained(drained.unwrap_or(Drained::Cut)),
                lost = solo.ended() => break Over::Lost(lost),
                signal = signals.next() => match signal {
                    None => { let _ = errands.try_send(Errand::Resize); }
                    // Who asks twice does not wait for a command that will not hear.
                    Some(kind) if asked.contains(&kind) => break Over::Unwanted(kind.code_number(), None),
                    Some(kind) => {
                        asked.extend(kind.is_end().then_some(kind));
                        pass_on(kind, guard.as_ref(), &errands);
                    }
                },
                fed = &mut sending, if !is_fed => match fed {
                    Ok(Err(error)) => {
                        let why = format!("standard input cannot be read: {error}");
                        break Over::Unwanted(FAILED, Some(why));
                    }
                    Ok(Ok(())) | Err(_) => is_fed = true,
                },
                why = poll_fn(|cx| unguarded(guard.as_mut(), cx)) => words::complain(&anyhow::anyhow!(
                    "the fuse is lost: {why}; the command goes on, and nothing would end it if contact were lost"
                )),
            }
        };
        sending.abort();
        let done = match over {
            Over::Drained(drained) => fate::drained(drained, guard.as_ref(), solo).await,
            Over::Lost(lost) => {
                let code = fate::last_words(draining, guard.as_ref()).await;
                (Fate::Lost(Box::new(lost)), Left::new(guard.as_ref(), code))
            }
            Over::Unwanted(code, why) => {
                // When it is gone nobody waits for the output any more, and the session hears again.
                draining.abort();
                let _ = draining.await;
                fate::finish(code, why, guard.as_ref(), solo).await
            }
        };
        drop(raw);
        done
    }
}

/// Waits for a session of which the fuse is held, if there is to be one.
pub(super) async fn guarded(line: &LinePlan, solo: &mut Solo) -> Result<Option<Guard>, Refusal> {
    match line.timing.fuse {
        Some(fuse) => hold(fuse, line, solo).await.map(Some),
        None => beside(solo, solo.with(|_| ())).await.map(|()| None),
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
    let words: Vec<_> = args.command.iter().map(|word| word.as_bytes()).collect();
    ExecRequest {
        command: words.join(&b' '),
        terminal,
        env: args.env.iter().filter_map(|text| variable(text)).collect(),
        patience,
    }
}

fn variable(text: &str) -> Option<(String, String)> {
    if let Some((name, value)) = text.split_once('=') {
        return Some((name.to_owned(), value.to_owned()));
    }
    let value = std::env::var_os(text)?.into_vec();
    let value = String::from_utf8(value);
    if value.is_err() {
        words::complain(&anyhow::anyhow!(
            "{} is not sent: its value is not UTF-8",
            words::plain(text)
        ));
    }
    Some((text.to_owned(), value.ok()?))
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

/// Something to be sent beside the input.
enum Errand {
    Resize,
    Signal(&'static str),
}

/// Sends them one by one. Nobody waits for that: a session that takes nothing more is not to hold up who waits for its end.
fn errands(input: Arc<ExecInput>) -> mpsc::Sender<Errand> {
    let (send, mut receive) = mpsc::channel(ERRANDS);
    tokio::spawn(async move {
        while let Some(errand) = receive.recv().await {
            let done = match errand {
                Errand::Resize => input.resize(terminal::size()).await,
                Errand::Signal(name) => input.signal(name).await,
            };
            if done.is_err() {
                return;
            }
        }
    });
    send
}

fn pass_on(kind: Kind, guard: Option<&Guard>, errands: &mpsc::Sender<Errand>) {
    match guard.filter(|guard| guard.holds()) {
        // sshd signals nothing for root; the guard does.
        Some(guard) => guard.signal(kind.name),
        None => {
            let _ = errands.try_send(Errand::Signal(kind.name));
        }
    }
}

fn unguarded(guard: Option<&mut Guard>, cx: &mut Context<'_>) -> Poll<Unguarded> {
    guard.map_or(Poll::Pending, |guard| guard.poll_end(cx))
}

/// More than that while none is taken say nothing new.
const ERRANDS: usize = 16;
