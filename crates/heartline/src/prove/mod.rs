//! `heartline prove`: what is promised, measured on a real node.
//!
//! A [`trial`] cuts one session and times both of its ends: ours by the engine's own driver, the far one by the
//! [`observer`], over a connection of its own. Each [`row`] is a cut, once with the fuse and once without; what it
//! comes to is judged there and printed by [`text`] or as [`json`].

mod args;
mod ends;
mod json;
mod observer;
mod punctual;
mod row;
mod text;
mod trial;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::future::join_all;
use heartline_core::Fuse;
use heartline_ssh::Peer;
use heartline_watch::LinePlan;
use tokio::sync::Barrier;

use crate::asked::Asked;
use crate::watch::runtime;
use crate::words;
pub(crate) use ends::{End, Ends};
use observer::Observer;
use punctual::Punctual;
use row::{CASES, Report, Row, Verdict};
use trial::{Kind, trial};

pub(crate) use args::ProveArgs;

/// What all trials share.
struct Setting {
    line: LinePlan,
    fuse: Fuse,
    patience: Duration,
    observer: Observer,
    punctual: Punctual,
}

/// Measures; whether all of it was within the bounds.
pub(crate) fn run(args: ProveArgs) -> anyhow::Result<ExitCode> {
    let runtime = runtime()?;
    let done = runtime.block_on(start(args));
    // Goodbyes into a line that is cut are not waited for.
    runtime.shutdown_background();
    done
}

async fn start(args: ProveArgs) -> anyhow::Result<ExitCode> {
    let mut ends = Ends::listen()?;
    let asked = Asked::new(vec![args.node.node.clone()], args.node.flags.clone());
    let plan = tokio::select! {
        plan = asked.plan() => plan?,
        end = ends.next() => return Ok(end.code()),
    };
    let node = plan.nodes.first().context("no node to prove it on")?;
    let line = node.lines.first().context("no line to the node")?.clone();
    let fuse = line
        .timing
        .fuse
        .context("without a fuse there is no bound at the far end; leave --fuse 0 out")?;
    let name = words::plain(&node.name);
    let observing = tokio::select! {
        observing = Observer::start(&line) => observing,
        end = ends.next() => return Ok(end.code()),
    };
    let (observer, peer) = match observing {
        Ok(found) => found,
        Err(why) => {
            if args.json {
                println!("{}", json::unreached(&name, &line, &why));
            }
            words::complain(&anyhow::anyhow!(
                "{name}: no session, nothing was measured: {why}"
            ));
            return Ok(ExitCode::from(Verdict::NotTold.code()));
        }
    };
    let setting = Setting {
        line,
        fuse,
        patience: args.patience,
        observer,
        punctual: Punctual::start(),
    };
    if !args.json {
        let is_one_of = node.lines.len() > 1;
        let head = text::head(&name, &peer, &setting, is_one_of);
        io::stdout().write_all(head.as_bytes())?;
    }
    let measured = tokio::select! {
        biased;
        end = ends.next() => Err(end),
        rows = measure(&setting, usize::from(args.sessions)) => Ok(rows),
    };
    let left = tokio::select! {
        left = setting.observer.stop() => left,
        // Who asks again does not wait.
        end = ends.next() => return Ok(end.code()),
    };
    if left > 0 {
        words::complain(&anyhow::anyhow!(
            "{name}: what {left} of the sessions there have started could not be ended, and may live on for some minutes"
        ));
    }
    let rows = match measured {
        Ok(rows) => rows,
        Err(end) => return Ok(End::code(end)),
    };
    tell(&args, &name, &peer, &setting, rows)
}

fn tell(
    args: &ProveArgs,
    name: &str,
    peer: &Peer,
    setting: &Setting,
    rows: Vec<Row>,
) -> anyhow::Result<ExitCode> {
    let report = Report::new(rows, setting);
    let text = if args.json {
        format!("{}\n", json::of(name, peer, setting, &report))
    } else {
        text::table(&report, setting, words::is_coloured())
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::from(report.verdict().code()))
}

/// Every case with a fuse and without, so many sessions at a time. Those are cut together, once all of them stand: nobody
/// measures while another one logs in.
async fn measure(setting: &Setting, at_once: usize) -> Vec<Row> {
    let each = |case| [(case, Kind::Fused), (case, Kind::Plain)];
    let all: Vec<_> = CASES.into_iter().flat_map(each).collect();
    let mut outcomes = Vec::new();
    for wave in all.chunks(at_once.max(1)) {
        let go = Arc::new(Barrier::new(wave.len()));
        let trials = wave
            .iter()
            .map(|(case, kind)| trial(setting, *case, *kind, &go));
        outcomes.extend(join_all(trials).await);
    }
    let mut outcomes = outcomes.into_iter();
    let mut rows = Vec::new();
    for case in CASES {
        if let (Some(fused), Some(plain)) = (outcomes.next(), outcomes.next()) {
            rows.push(Row { case, fused, plain });
        }
    }
    rows
}
