//! Whom to end, and what became of it.

use std::time::Duration;

use heartline_ssh::{InspectError, Inspector, Session, Standing, Verdict};

use super::args::{End, GhostsArgs};
use super::{look, look_again};

/// What became of a session that was to be ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) pid: u32,
    pub(super) fate: Fate,
}

/// See [`Ended`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Neither it nor anything that it has started is there any more.
    Gone,
    /// It was left alone, for this reason.
    Refused(String),
    /// So many processes of it live still.
    LivesOn(usize),
    /// The node has not said what became of it.
    NotTold(String),
}

impl Ended {
    /// Whether it is as it was asked for.
    pub(super) fn is_done(&self) -> bool {
        self.fate == Fate::Gone
    }
}

/// Ends what it is told to, one after another, each after another look; what is left, and what became of each.
pub(super) async fn end(
    args: &GhostsArgs,
    session: &dyn Session,
    mut standings: Vec<Standing>,
    patience: Duration,
) -> anyhow::Result<(Vec<Standing>, Vec<Ended>)> {
    let mut wanted = named(args);
    if args.end.contains(&End::All) {
        let ghosts = standings
            .iter()
            .filter(|standing| standing.verdict == Verdict::Ghost && is_old(args, standing))
            .map(|standing| standing.pid);
        wanted.extend(
            ghosts
                .filter(|pid| !wanted.contains(pid))
                .collect::<Vec<_>>(),
        );
    }
    let mut ended = Vec::new();
    let mut inspector = None;
    for pid in wanted {
        let fate = match chosen(args, &standings, pid) {
            Err(why) => Fate::Refused(why),
            Ok(before) => {
                let before = before.clone();
                standings = look_again(session, &standings, patience).await?;
                let again = standings.iter().find(|standing| standing.is_same(&before));
                match again {
                    None => Fate::Gone,
                    Some(_) => match chosen(args, &standings, pid) {
                        Err(why) => Fate::Refused(why),
                        Ok(now) => end_one(&mut inspector, session, now, patience).await,
                    },
                }
            }
        };
        ended.push(Ended { pid, fate });
    }
    let left = look(session, patience).await?;
    for one in &mut ended {
        let was = standings.iter().find(|standing| standing.pid == one.pid);
        let is_there = was.is_some_and(|was| left.iter().any(|left| left.is_same(was)));
        if is_there && one.fate == Fate::Gone {
            one.fate = Fate::LivesOn(1);
        }
    }
    Ok((left, ended))
}

/// Each once, in the order given.
fn named(args: &GhostsArgs) -> Vec<u32> {
    let mut pids = Vec::new();
    for end in &args.end {
        if let End::Session(pid) = end
            && !pids.contains(pid)
        {
            pids.push(*pid);
        }
    }
    pids
}

fn is_old(args: &GhostsArgs, standing: &Standing) -> bool {
    args.older.is_none_or(|older| standing.age >= older)
}

/// The session of this process, if it may be ended; else why not.
fn chosen<'a>(
    args: &GhostsArgs,
    standings: &'a [Standing],
    pid: u32,
) -> Result<&'a Standing, String> {
    let found = standings.iter().find(|standing| standing.pid == pid);
    let standing = found.ok_or("no session of yours on the node")?;
    if !is_old(args, standing) {
        return Err("it is younger than --older".to_owned());
    }
    if !standing.may_be_ended() {
        let (verdict, evidence) = (standing.verdict.word(), standing.evidence.sentence());
        return Err(format!("{verdict}: {evidence}"));
    }
    Ok(standing)
}

async fn end_one(
    inspector: &mut Option<Inspector>,
    session: &dyn Session,
    standing: &Standing,
    patience: Duration,
) -> Fate {
    let Some(far) = &standing.far else {
        return Fate::Refused("the node names it in no way that could be told again".to_owned());
    };
    let ended = async {
        let inspector = match inspector {
            Some(inspector) => inspector,
            None => inspector.insert(session.inspect(patience).await?),
        };
        inspector.end(far, patience).await
    };
    let ended: Result<usize, InspectError> = ended.await;
    match ended {
        Ok(0) => Fate::Gone,
        Ok(left) => Fate::LivesOn(left),
        Err(why) => Fate::NotTold(why.to_string()),
    }
}
