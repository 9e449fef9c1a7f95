//! What becomes of a command whose contact is lost: another connection looks whether it lives, and ends it; failing that,
//! its fuse has burnt some time.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use heartline_core::{Stage, lease};
use heartline_ssh::{Dialer, Established, FarSession, Inspector, Progress};
use heartline_watch::{LinePlan, Lost};
use jiff::Timestamp;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, sleep_until};

use super::FAILED;
use super::args::RunArgs;
use super::fate::Left;
use super::job::why_lost;
use super::signals::Signals;
use crate::words;

/// See the module.
pub(super) struct Aftermath<'a> {
    args: &'a RunArgs,
    lines: &'a [LinePlan],
    lost: Lost,
    left: Left,
    dialer: Dialer,
    /// So many of its processes lived, and would not go, when somebody last looked.
    living: Cell<usize>,
}

/// What is known of the command at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Somebody looked: nothing of it lives.
    Dead,
    /// Its fuse has burnt.
    CannotLive,
    /// It may live.
    Unknown(Doubt),
}

/// Why it may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// There is none.
    NoFuse,
    /// We were told to end.
    Told,
    /// So many of its processes do, or did when somebody last looked.
    Living(usize),
}

impl<'a> Aftermath<'a> {
    /// Over these lines the node may be reached.
    pub(super) fn new(args: &'a RunArgs, lines: &'a [LinePlan], lost: Lost, left: Left) -> Self {
        let dialer = Dialer::new(lost.clock, Handle::current());
        Self {
            args,
            lines,
            lost,
            left,
            dialer,
            living: Cell::new(0),
        }
    }

    /// Returns when it is known; the exit code.
    pub(super) async fn find_out(self, signals: &mut Signals) -> u8 {
        let by = self.dead_by();
        if by.is_none() && self.left.far.is_none() {
            self.tell(Verdict::Unknown(Doubt::NoFuse), None);
            return self.code();
        }
        self.announce(by);
        let until = by.unwrap_or_else(|| Instant::now() + LOOKING);
        let verdict = tokio::select! {
            biased;
            () = self.seen_dead() => Verdict::Dead,
            () = sleep_until(until) => match (self.living.get(), by) {
                (0, Some(_)) => Verdict::CannotLive,
                (0, None) => Verdict::Unknown(Doubt::NoFuse),
                (living, _) => Verdict::Unknown(Doubt::Living(living)),
            },
            _ = signals.ends() => Verdict::Unknown(Doubt::Told),
        };
        self.tell(verdict, by);
        self.code()
    }

    fn code(&self) -> u8 {
        self.left.code.unwrap_or(FAILED)
    }

    /// When the fuse has burnt for certain; never, without one.
    fn dead_by(&self) -> Option<Instant> {
        let by = lease::dead_by(self.lost.at, self.left.burns_within?);
        Some(self.lost.clock.instant(by))
    }

    /// Returns when somebody has looked and found nothing alive.
    async fn seen_dead(&self) {
        let Some(far) = &self.left.far else {
            return std::future::pending().await;
        };
        let mut pause = FIRST_PAUSE;
        loop {
            for line in self.lines {
                match self.look(line, far).await {
                    // Where it is not known whose sessions were its, who hides its environment is not found.
                    Some(0) if self.left.sessions.is_some() => return,
                    Some(living) => self.living.set(living),
                    None => {}
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// How much of it lives and will not go, by a look over this line; none, where that cannot be told.
    async fn look(&self, line: &LinePlan, far: &FarSession) -> Option<usize> {
        let progress: Arc<dyn Progress> = Arc::new(|_: Stage| {});
        let patience = line.timing.stage_timeout;
        let Established { session, ended } =
            self.dialer.dial(&line.target, &progress).await.ok()?;
        let look = async {
            let mut inspector = session.inspect(patience).await.ok()?;
            inspector.recall(self.left.sessions.as_deref().unwrap_or_default());
            end_there(&mut inspector, far, patience).await
        };
        let looked = tokio::select! {
            looked = look => looked,
            _ = ended => None,
        };
        session.disconnect().await;
        looked
    }

    fn announce(&self, by: Option<Instant>) {
        if self.args.json {
            return;
        }
        let sees_to_it = by.map_or_else(
            || format!("for {} s; its fuse was lost before", LOOKING.as_secs()),
            |by| format!("which its fuse sees to by {}", clock(by)),
        );
        words::complain(&anyhow::anyhow!(
            "{}: contact lost: {}; looking whether the command is dead, {sees_to_it}",
            words::plain(&self.args.node.node),
            why_lost(&self.lost),
        ));
    }

    fn tell(&self, verdict: Verdict, by: Option<Instant>) {
        let now = Instant::now();
        let node = words::plain(&self.args.node.node);
        if self.args.json {
            let event = self.lost.event.as_ref();
            let after = event.and_then(|event| event.after);
            let told = json!({
                "t": format!("{:.3}", Timestamp::now()),
                "event": "lost",
                "node": self.args.node.node,
                "cause": event.and_then(|event| event.to.cause()),
                "after_ms": after.and_then(|after| u64::try_from(after.as_millis()).ok()),
                "command": verdict.word(),
                "by": by.map(|by| format!("{:.3}", wall(by))),
            });
            words::say(&told.to_string());
            return;
        }
        let words = match (verdict, by) {
            (Verdict::Dead, _) => {
                format!("{node}: the command is proven dead, since {}", clock(now))
            }
            (Verdict::CannotLive, _) => format!(
                "{node}: the command cannot be alive any more: its fuse has burnt, since {}",
                clock(now)
            ),
            (Verdict::Unknown(Doubt::Living(living)), _) => format!(
                "{node}: {living} of the command's processes live on there when last looked at, and could not be ended"
            ),
            (Verdict::Unknown(Doubt::Told), Some(by)) => format!(
                "{node}: told to end; the command may be alive until {}",
                clock(by)
            ),
            (Verdict::Unknown(_), _) => format!(
                "{node}: contact lost: {}; there is no fuse, so the command may live on there",
                why_lost(&self.lost)
            ),
        };
        words::complain(&anyhow::anyhow!(words));
    }
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::CannotLive => "cannot_live",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// Kills what is left of it until nothing is, or it will not go; how many live then.
async fn end_there(
    inspector: &mut Inspector,
    far: &FarSession,
    patience: Duration,
) -> Option<usize> {
    for _ in 0..TRIES {
        // Twice, since a process that forks and ends may be missed once.
        if inspector.count(far, patience).await.ok()? == 0
            && inspector.count(far, patience).await.ok()? == 0
        {
            return Some(0);
        }
        inspector.kill(far, patience).await.ok()?;
        sleep(FIRST_PAUSE / 10).await;
    }
    // One that is found dead only now was not found so twice.
    Some(inspector.count(far, patience).await.ok()?.max(1))
}

/// The time of day at that instant.
fn wall(at: Instant) -> Timestamp {
    let ahead = at.saturating_duration_since(Instant::now());
    let past = Instant::now().saturating_duration_since(at);
    let offset = jiff::SignedDuration::try_from(ahead).unwrap_or(jiff::SignedDuration::MAX)
        - jiff::SignedDuration::try_from(past).unwrap_or_default();
    Timestamp::now()
        .saturating_add(offset)
        .unwrap_or(Timestamp::MAX)
}

fn clock(at: Instant) -> String {
    words::clock(wall(at))
}

/// Between two looks.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// How long to look for a command that has lost its fuse.
const LOOKING: Duration = Duration::from_secs(30);
/// Looks of one connection.
const TRIES: usize = 10;
