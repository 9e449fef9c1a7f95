//! `heartline probe`: what a path is like.
//!
//! One session is asked at each layer ([`layers`]); with `--idle` others are left silent until they are forgotten
//! ([`idle`], by the search in `heartline_core::idle`). All of them are sessions that say nothing by themselves ([`reach`]),
//! and what a forgotten one leaves on the node is ended there ([`graves`]). Printed by [`text`], or as [`json`].

mod args;
mod graves;
mod idle;
mod json;
mod layers;
mod progress;
mod reach;
mod silent;
mod spread;
mod text;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use heartline_core::idle::Finding;
use heartline_watch::LinePlan;
use tokio::time::timeout;

use crate::asked::Asked;
use crate::prove::Ends;
use crate::watch::runtime;
use crate::words;
use graves::Graves;
use idle::{Outcome, Searcher, Wish};
use layers::{Asking, Layers};
use progress::Progress;
use reach::Reacher;

pub(crate) use args::ProbeArgs;

/// Measures.
pub(crate) fn run(args: ProbeArgs) -> anyhow::Result<ExitCode> {
    let runtime = runtime()?;
    let done = runtime.block_on(start(args));
    // Goodbyes into a path that forgets are not waited for.
    runtime.shutdown_background();
    done
}

async fn start(args: ProbeArgs) -> anyhow::Result<ExitCode> {
    let mut ends = Ends::listen()?;
    let asked = Asked::new(vec![args.node.node.clone()], args.node.flags.clone());
    let plan = tokio::select! {
        plan = asked.plan() => plan?,
        end = ends.next() => return Ok(end.code()),
    };
    let node = plan.nodes.first().context("no node to probe")?;
    let line = node.lines.first().context("no line to the node")?;
    let path = Path {
        node: words::plain(&node.name),
        line,
        is_one_of: node.lines.len() > 1,
    };
    let reacher = Reacher::new(line);
    let graves = Graves::default();
    let probed = tokio::select! {
        biased;
        end = ends.next() => Err(end),
        code = probe(&args, &path, &reacher, &graves) => Ok(code),
    };
    match probed {
        Ok(code) => code,
        Err(end) => {
            tokio::select! {
                () = clear(&reacher, &graves) => {}
                // Who asks again does not wait.
                _ = ends.next() => {}
            }
            Ok(end.code())
        }
    }
}

/// What is probed.
struct Path<'a> {
    node: String,
    line: &'a LinePlan,
    /// The node has others.
    is_one_of: bool,
}

async fn probe(
    args: &ProbeArgs,
    path: &Path<'_>,
    reacher: &Reacher,
    graves: &Graves,
) -> anyhow::Result<ExitCode> {
    let layers = match layers(args, path.line, reacher).await {
        Ok(layers) => layers,
        Err(why) => {
            if args.json {
                println!("{}", json::unreached(path, &why));
            }
            words::complain(&anyhow::anyhow!(
                "{}: nothing was measured: {why}",
                path.node
            ));
            return Ok(ExitCode::from(NOT_TOLD));
        }
    };
    if !args.json {
        io::stdout().write_all(text::layers(path, &layers).as_bytes())?;
    }
    let outcome = if args.idle {
        Some(search(args, path, reacher, graves, &layers).await)
    } else {
        None
    };
    if args.json {
        println!("{}", json::of(path, &layers, outcome.as_ref()));
    } else if let Some(outcome) = &outcome {
        io::stdout().write_all(text::idle(path, outcome, args).as_bytes())?;
    }
    let Some(outcome) = outcome else {
        return Ok(ExitCode::SUCCESS);
    };
    if outcome.left > 0 {
        words::complain(&anyhow::anyhow!(
            "{}: {} forgotten sessions could not be ended on the node; they stay until its own TCP gives up (heartline ghosts lists them)",
            path.node,
            outcome.left
        ));
    }
    Ok(match &outcome.finding {
        Ok(Finding::Unsteady) => ExitCode::from(NOT_TOLD),
        Ok(_) => ExitCode::SUCCESS,
        Err(why) => {
            words::complain(&anyhow::anyhow!("{}: could not tell: {why}", path.node));
            ExitCode::from(NOT_TOLD)
        }
    })
}

async fn layers(args: &ProbeArgs, line: &LinePlan, reacher: &Reacher) -> Result<Layers, String> {
    let asking = Asking {
        samples: args.samples,
        listen: args.listen,
        fuse: line.timing.fuse,
        stage: line.timing.stage_timeout,
        clock: reacher.clock(),
    };
    Layers::of(reacher.reach().await?, asking).await
}

async fn search(
    args: &ProbeArgs,
    path: &Path<'_>,
    reacher: &Reacher,
    graves: &Graves,
    layers: &Layers,
) -> Outcome {
    let progress = Progress {
        name: path.node.clone(),
        is_quiet: args.node.flags.verbosity() < 0,
    };
    let wish = Wish {
        at_most: args.at_most,
        connections: args.connections,
        patience: patience(&layers.ssh),
        names: path.line.timing.fuse.is_some(),
    };
    Searcher::new(reacher, graves, &progress, wish).run().await
}

/// Interrupted: ends on the node whatever may have been forgotten.
async fn clear(reacher: &Reacher, graves: &Graves) {
    let all = graves.all();
    if all.is_empty() {
        return;
    }
    let burying = async {
        if let Ok(fresh) = reacher.reach().await {
            graves.bury(fresh.session.as_ref(), &all, LEAST).await;
            fresh.session.disconnect().await;
        }
    };
    let _ = timeout(CLEARING, burying).await;
}

/// How long an answer is waited for, by the round trips so far.
fn patience(round_trips: &[Duration]) -> Duration {
    let longest = round_trips.iter().max().copied().unwrap_or_default();
    LEAST.max(longest * 10)
}

/// Longer than TCP needs to repair a loss or two.
const LEAST: Duration = Duration::from_secs(3);
const CLEARING: Duration = Duration::from_secs(10);
/// Nothing was found out.
const NOT_TOLD: u8 = 3;
