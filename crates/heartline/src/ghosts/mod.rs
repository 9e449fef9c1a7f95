//! `heartline ghosts`: the user's own sessions on a node, and the end of those that nobody holds.
//!
//! What a node knows of them and the judgement are in `heartline_ssh` (its `survey`); here is when it is asked, whom it is
//! asked to end ([`ending`]), and what a person or a program is told ([`table`]).

mod args;
mod ending;
mod table;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use heartline_core::Stage;
use heartline_ssh::{
    Clock, Dialer, Established, Here, Progress, Session, Standing, Survey, SurveyError,
};
use heartline_watch::{LinePlan, NodePlan};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::asked::Asked;
use crate::watch::runtime;
use crate::words;
use ending::Ended;

pub(crate) use args::GhostsArgs;

/// Lists, or ends.
pub(crate) fn run(args: GhostsArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(start(args))
}

async fn start(args: GhostsArgs) -> anyhow::Result<ExitCode> {
    let asked = Asked::new(vec![args.node.node.clone()], args.node.flags.clone()).without_fuse();
    let plan = asked.plan().await?;
    let node = plan.nodes.first().context("no node to look at")?;
    match on_node(&args, node).await {
        Ok(code) => Ok(code),
        Err(why) => {
            words::complain(&why.context(words::plain(&node.name)));
            Ok(ExitCode::from(UNKNOWN))
        }
    }
}

/// Over the first line that leads there.
async fn on_node(args: &GhostsArgs, node: &NodePlan) -> anyhow::Result<ExitCode> {
    let dialer = Dialer::new(Clock::start(), Handle::current());
    let progress: Arc<dyn Progress> = Arc::new(|_: Stage| {});
    let mut refusals = Vec::new();
    for line in &node.lines {
        let established = match dialer.dial(&line.target, &progress).await {
            Ok(established) => established,
            Err(failure) => {
                let why = format!("{} ({})", failure.cause.sentence(), failure.cause);
                refusals.push(format!("{}: {why}", words::plain(&line.name)));
                continue;
            }
        };
        let Established { session, ended } = established;
        let looked = tokio::select! {
            looked = on_session(args, line, session.as_ref()) => looked,
            _ = ended => Err(anyhow::anyhow!("the session ended in between")),
        };
        session.disconnect().await;
        return looked;
    }
    anyhow::bail!("not reached: {}", refusals.join("; "))
}

async fn on_session(
    args: &GhostsArgs,
    line: &LinePlan,
    session: &dyn Session,
) -> anyhow::Result<ExitCode> {
    let patience = line.timing.stage_timeout.max(PATIENCE);
    let standings = look_twice(session, patience).await?;
    let (shown, ended) = if args.end.is_empty() {
        (standings, Vec::new())
    } else {
        ending::end(args, session, standings, patience).await?
    };
    let is_shown = |standing: &&Standing| args.older.is_none_or(|older| standing.age >= older);
    let shown: Vec<_> = shown.iter().filter(is_shown).collect();
    if args.json {
        println!("{}", table::json(&args.node.node, &shown, &ended));
    } else if ended.is_empty() {
        print!("{}", table::text(&shown));
    } else {
        print!("{}", table::ends(&ended));
    }
    Ok(if ended.iter().all(Ended::is_done) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(LIVES_ON)
    })
}

/// What one moment shows may be a connection that is being closed; what two show is none.
async fn look_twice(
    session: &dyn Session,
    patience: Duration,
) -> Result<Vec<Standing>, SurveyError> {
    let earlier = look(session, patience).await?;
    look_again(session, &earlier, patience).await
}

/// A while after the last look.
async fn look_again(
    session: &dyn Session,
    earlier: &[Standing],
    patience: Duration,
) -> Result<Vec<Standing>, SurveyError> {
    let begun = Instant::now();
    sleep(BETWEEN).await;
    let later = look(session, patience).await?;
    let apart = begun.elapsed();
    let since = |standing: Standing| {
        let before = earlier.iter().find(|before| before.is_same(&standing));
        standing.since(before, apart)
    };
    Ok(later.into_iter().map(since).collect())
}

async fn look(session: &dyn Session, patience: Duration) -> Result<Vec<Standing>, SurveyError> {
    let survey = Survey::take(session, patience).await?;
    Ok(survey.standings(Here::look().as_ref()))
}

/// A node with many processes takes its time.
const PATIENCE: Duration = Duration::from_secs(20);
const BETWEEN: Duration = Duration::from_millis(500);
/// Something lives on, or was refused.
const LIVES_ON: u8 = 1;
/// Nothing was found out.
const UNKNOWN: u8 = 3;
