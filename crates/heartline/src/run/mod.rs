//! `heartline run`: a command on a node, under a fuse.
//!
//! The guard is there before the command is started, so that there is no moment in which the command could outlive us. What
//! passes through is in [`streams`], the terminal in [`terminal`], what becomes of the command in [`fate`], and when contact
//! is lost in [`aftermath`].

mod aftermath;
mod args;
mod fate;
mod job;
mod signals;
mod streams;
mod terminal;

use std::process::ExitCode;

use anyhow::Context;
use heartline_core::Cause;
use heartline_watch::{LinePlan, Solo};

use crate::asked::Asked;
use crate::watch::runtime;
use crate::words;
use aftermath::Aftermath;
use fate::{Fate, NotBegun};
use job::{Job, Refusal};
use signals::Signals;
use streams::Streams;

pub(crate) use args::RunArgs;
pub(crate) use job::why_lost;

/// Runs the command; its own exit code.
pub(crate) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let runtime = runtime()?;
    let done = runtime.block_on(start(args));
    // A read of standard input that waits cannot be ended.
    runtime.shutdown_background();
    done
}

async fn start(args: RunArgs) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let asked = Asked::new(vec![args.node.node.clone()], args.node.flags.clone());
    let plan = tokio::select! {
        plan = asked.plan() => plan?,
        signal = signals.ends() => return Ok(signal.code()),
    };
    let node = plan.nodes.first().context("no node to run it on")?;
    let mut refusals = Vec::new();
    for line in &node.lines {
        let name = words::plain(&line.name);
        match on_line(&args, line, &node.lines, &mut signals).await? {
            Ok(code) => return Ok(code),
            Err(Refusal::Session(why)) => refusals.push(format!("{name}: {why}")),
            Err(Refusal::Command(why)) => {
                // The node was reached; another line leads to the same.
                words::complain(&anyhow::anyhow!("{}: {why}", words::plain(&node.name)));
                return Ok(ExitCode::from(FAILED));
            }
        }
    }
    let why = refusals.join("; ");
    words::complain(&anyhow::anyhow!(
        "{}: no session, nothing was run: {why}",
        words::plain(&node.name)
    ));
    Ok(ExitCode::from(FAILED))
}

/// Runs it over one line; the reason, if it was not even started there.
async fn on_line(
    args: &RunArgs,
    line: &LinePlan,
    lines: &[LinePlan],
    signals: &mut Signals,
) -> anyhow::Result<Result<ExitCode, Refusal>> {
    let streams = Streams::open().context("standard input, output or error")?;
    let mut solo = Solo::start(line);
    let guarded = tokio::select! {
        biased;
        guarded = job::guarded(line, &mut solo) => guarded,
        signal = signals.ends() => {
            solo.stop().await;
            return Ok(Ok(signal.code()));
        }
    };
    let guard = match guarded {
        Ok(guard) => guard,
        Err(refusal) => {
            solo.stop().await;
            return Ok(Err(refusal));
        }
    };
    // From here on it may run: over no other line is it started again, and no signal leaves it alone.
    let (fate, left) = match Job::start(args, line, guard, &mut solo).await {
        Ok(job) => job.run(streams, &mut solo, signals).await,
        Err(NotBegun::Lost(lost)) => {
            let (lost, left) = *lost;
            (Fate::Lost(Box::new(lost)), left)
        }
        Err(NotBegun::Refused(why)) => {
            solo.stop().await;
            return Ok(Err(Refusal::Command(why)));
        }
    };
    let code = match fate {
        Fate::Ended(code) => ExitCode::from(code),
        Fate::Lost(lost) => {
            let aftermath = Aftermath::new(args, lines, *lost, left);
            ExitCode::from(aftermath.find_out(signals).await)
        }
    };
    solo.stop().await;
    Ok(Ok(code))
}

/// What a cause and its details come to, for a person.
fn reason(cause: Option<Cause>, detail: Option<&str>) -> String {
    match (cause, detail) {
        (Some(cause), Some(detail)) => format!("{} ({cause}: {detail})", cause.sentence()),
        (Some(cause), None) => format!("{} ({cause})", cause.sentence()),
        (None, _) => "the session is over".to_owned(),
    }
}

/// As ssh: what failed was not the command.
const FAILED: u8 = 255;
