//! `heartline check`.

use std::process::ExitCode;

use anyhow::Context;
use heartline_core::NodeState;
use heartline_watch::{Engine, NodeBrief};
use heartline_web::client;
use tokio::time::timeout;

use crate::asked::Asked;
use crate::cli::CheckArgs;
use crate::watch::{Ends, runtime, socket_path};
use crate::words;

/// Dials every line of the node, judges, ends.
pub(crate) fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(check(args))
}

async fn check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let mut ends = Ends::listen()?;
    if let Some(brief) = ask_watcher(&args).await {
        return show(args.json, &brief);
    }
    let CheckArgs {
        node,
        json,
        timeout: patience,
        ..
    } = args;
    let asked = Asked::new(vec![node.node], node.flags).without_fuse();
    let plan = asked.plan().await?;
    let mut engine = Engine::start(&plan)?;
    let settled = async {
        while !engine.is_settled() {
            engine.next().await;
        }
    };
    tokio::select! {
        _ = timeout(patience, settled) => {}
        () = ends.next() => {}
    }
    let brief = engine.snapshot().pop();
    engine.stop().await;
    show(json, &brief.context("no node to check")?)
}

/// What a running watcher knows of the node, if there is one and nothing says how to reach the node otherwise.
async fn ask_watcher(args: &CheckArgs) -> Option<NodeBrief> {
    if args.node.flags.say_how() {
        return None;
    }
    let path = socket_path(args.socket.as_ref())?;
    let known = client::get_nodes(&path).await?;
    known
        .into_iter()
        .find(|brief| *brief.node == *args.node.node)
}

fn show(json: bool, brief: &NodeBrief) -> anyhow::Result<ExitCode> {
    let text = if json {
        serde_json::to_string(brief)?
    } else {
        words::nagios(brief)
    };
    words::put_out(&(text + "\n"))?;
    Ok(ExitCode::from(code(brief)))
}

/// The code of a Nagios plugin.
pub(crate) fn code(brief: &NodeBrief) -> u8 {
    match brief.state {
        NodeState::Up => 0,
        NodeState::Degraded(_) | NodeState::Suspect(_) => 1,
        NodeState::Down(_) => 2,
        NodeState::Unknown(_) | NodeState::Paused => 3,
    }
}
