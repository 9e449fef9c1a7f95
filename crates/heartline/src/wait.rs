//! `heartline wait`.

use std::process::ExitCode;

use heartline_core::NodeState;
use heartline_watch::Engine;
use tokio::time::{Instant, sleep_until};

use crate::asked::Asked;
use crate::cli::{Until, WaitArgs};
use crate::watch::{Ends, runtime};

/// Watches until the verdict is as wanted.
pub(crate) fn run(args: WaitArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(wait(args))
}

async fn wait(args: WaitArgs) -> anyhow::Result<ExitCode> {
    let mut ends = Ends::listen()?;
    let end = args.timeout.map(|time| Instant::now() + time);
    let asked = Asked::new(vec![args.node.node], args.node.flags);
    let plan = asked.plan().await?;
    let mut engine = Engine::start(&plan)?;
    let reached = loop {
        if is_reached(&engine, args.until) {
            break true;
        }
        tokio::select! {
            biased;
            () = ends.next() => break false,
            _ = engine.next() => {}
            () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => break false,
        }
    };
    if args.json {
        println!("{}", serde_json::to_string(&engine.snapshot().pop())?);
    }
    engine.stop().await;
    Ok(if reached {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(TIMED_OUT)
    })
}

fn is_reached(engine: &Engine, until: Until) -> bool {
    engine.snapshot().iter().all(|node| match until {
        Until::Up => matches!(node.state, NodeState::Up | NodeState::Degraded(_)),
        Until::Down => matches!(node.state, NodeState::Down(_)),
    })
}

const TIMED_OUT: u8 = 1;
