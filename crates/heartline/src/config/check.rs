//! `heartline config check`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use futures::StreamExt;
use futures::stream;
use heartline_core::TimingError;
use heartline_hooks::{HookError, Hooks};
use heartline_ssh::identity::{AskError, Asking, IdentityError, Keyring, Passphrases};
use heartline_ssh::settings::{Destination, Resolver};
use heartline_ssh::{PrepareError, Preparer};
use heartline_watch::config::{ConfigFile, Draft, NodeEntry, Step, TimingEntry, find};
use heartline_watch::request::{check_address, settle};
use heartline_watch::{NodeRequest, Plan, PlanError};
use heartline_web::Token;

use super::CheckArgs;
use super::verdict::Verdict;
use crate::asked::Asked;
use crate::watch::runtime;

/// Looks it all over.
pub(super) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let path = args.flags.config.clone().or_else(find);
    let path = path.context("no heartline.toml found; name a file with -c")?;
    let text = ConfigFile::text(&path)?;
    let mut draft = Draft::of(&text, &path);
    draft.check();
    check_files(&mut draft);
    runtime()?.block_on(settle_all(args, &mut draft));
    draft.sort();
    let verdict = Verdict::of(&draft, &path);
    if args.json {
        verdict.print_json()?;
    } else {
        verdict.print()?;
    }
    Ok(if verdict.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(MISTAKEN)
    })
}

/// Files that something will be read from, and what hooks need beside their fields.
fn check_files(draft: &mut Draft<'_>) {
    let file = draft.file.clone();
    if let Some(path) = &file.page.token_file
        && let Err(error) = Token::read(path)
    {
        let place = [Step::Key("page"), Step::Key("token_file")];
        draft.mistaken(&place, &error.to_string());
    }
    if let (Some(address), None) = (file.page.listen, &file.page.token_file)
        && !address.ip().to_canonical().is_loopback()
    {
        let what = "others than this machine can reach it, so it needs a token_file";
        draft.mistaken(&[Step::Key("page"), Step::Key("listen")], what);
    }
    for (at, hook) in file.hooks.iter().enumerate() {
        let ways = [
            (hook.run.is_some(), "run"),
            (hook.url.is_some(), "url"),
            (hook.mail.is_some(), "mail"),
        ];
        let mut given = ways.iter().filter(|(is_given, _)| *is_given);
        // Of none or several is said elsewhere.
        let (Some((_, way)), None) = (given.next(), given.next()) else {
            continue;
        };
        let is_noted = hook.run.as_ref().is_some_and(Vec::is_empty);
        // So is a name that is none.
        if let Err(error) = Hooks::new(std::slice::from_ref(hook))
            && !is_noted
            && !matches!(error, HookError::Name { .. })
        {
            let steps = [Step::Key("hook"), Step::At(at), Step::Key(way)];
            draft.mistaken(&steps, &error.to_string());
        }
    }
}

/// What becomes of each node, as far as that can be told without dialing.
async fn settle_all(args: &CheckArgs, draft: &mut Draft<'_>) {
    let asked = Asked::new(Vec::new(), args.flags.clone());
    let preparer = Preparer::new(
        Resolver::detect(),
        Arc::<Keyring>::default(),
        Arc::new(NobodyAsked),
    );
    let file = draft.file.clone();
    let nodes = file.nodes.iter().enumerate();
    let (asked, preparer, file) = (&asked, &preparer, &file);
    let mut all = stream::iter(nodes)
        .map(|(at, node)| async move {
            let found = look_over(asked, preparer, file, node, args.resolve).await;
            (at, node, found)
        })
        .buffered(AT_ONCE);
    while let Some((at, node, found)) = all.next().await {
        for error in found {
            note(draft, at, node, &error);
        }
    }
}

/// What is wrong with one node. What the file alone shows is noted already, and left out here.
async fn look_over(
    asked: &Asked,
    preparer: &Preparer,
    file: &ConfigFile,
    node: &NodeEntry,
    resolve: bool,
) -> Vec<PlanError> {
    let mut node = node.clone();
    node.lines.retain(|line| line.to_line().is_ok());
    let destination = node.host.as_deref().unwrap_or(&node.name);
    let user = Destination::new(node.user.as_deref(), "host", node.port);
    if destination.parse::<Destination>().is_err() || user.is_err() {
        return Vec::new();
    }
    let Ok(request) = asked.listed(file, &node) else {
        return Vec::new();
    };
    let mut errors = Vec::new();
    let mut settled = settle(preparer, &request).await;
    if let Err(error @ PlanError::Timing { .. }) = settled {
        errors.push(error);
        // Whatever else there is shows with timing that is fine.
        let request = NodeRequest {
            timing: TimingEntry::default(),
            ..request
        };
        settled = settle(preparer, &request).await;
    }
    match settled {
        Ok(node) => {
            if resolve {
                for line in &node.lines {
                    let looked_up = check_address(Arc::clone(&node.name), line).await;
                    errors.extend(looked_up.err());
                }
            }
            let plan = Plan {
                nodes: vec![node],
                references: Vec::new(),
            };
            errors.extend(plan.check_names().err());
        }
        Err(error) => errors.push(error),
    }
    errors
}

/// Where it stands in the file: at the field that is to be mended, as far as that can be told.
fn note(draft: &mut Draft<'_>, at: usize, node: &NodeEntry, error: &PlanError) {
    let here = |key: &'static str| vec![Step::Key("node"), Step::At(at), Step::Key(key)];
    let whole = here(if node.host.is_some() { "host" } else { "name" });
    match error {
        PlanError::Timing { error, .. } => {
            let is_own = match error {
                TimingError::IntervalZero | TimingError::IntervalRange { .. } => {
                    node.interval.is_some()
                }
                TimingError::CountZero | TimingError::CountRange { .. } => node.count.is_some(),
                _ => node.fuse.is_some() || node.interval.is_some(),
            };
            let table = if is_own {
                vec![Step::Key("node"), Step::At(at)]
            } else {
                vec![Step::Key("defaults")]
            };
            draft.mistimed(&table, error);
        }
        PlanError::Prepare { error: inner, .. } => match &**inner {
            PrepareError::Identity(IdentityError::Locked { path, .. }) => {
                let what = format!(
                    "private key {} is encrypted: watch asks for its passphrase when it begins, unless an agent holds it",
                    path.display()
                );
                draft.warn(&whole, &what);
            }
            PrepareError::Identity(_) if node.identity_file.is_some() => {
                draft.mistaken(&here("identity_file"), &error.to_string());
            }
            _ => draft.mistaken(&whole, &error.to_string()),
        },
        PlanError::TwoLines { .. } => draft.mistaken(&here("line"), &error.to_string()),
        _ => draft.mistaken(&whole, &error.to_string()),
    }
}

/// A check asks nobody.
struct NobodyAsked;

impl Passphrases for NobodyAsked {
    fn ask<'a>(&'a self, _: &'a str) -> Asking<'a> {
        Box::pin(async { Err(AskError::NoWay) })
    }
}

/// Nodes looked over at a time.
const AT_ONCE: usize = 16;
const MISTAKEN: u8 = 2;
