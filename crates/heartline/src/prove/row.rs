//! Cuts, and the verdict on each.

use std::time::Duration;

use heartline_ssh::Way;

use super::Setting;
use super::trial::{Far, Ours, Outcome, latest};

/// One way to cut a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) way: Way,
    pub(super) remote: Remote,
}

/// What runs at the far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remote {
    /// No command.
    Nothing,
    /// One that neither reads nor writes.
    Quiet,
    /// One that writes all the time.
    Writing,
}

/// Nothing that a node sees differs between two of these; and one way, writing is the harder case.
pub(super) const CASES: [Case; 5] = [
    Case::new(Way::Both, Remote::Nothing),
    Case::new(Way::Both, Remote::Quiet),
    Case::new(Way::Both, Remote::Writing),
    Case::new(Way::ToNode, Remote::Writing),
    Case::new(Way::ToUs, Remote::Writing),
];

/// A case, measured.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) case: Case,
    pub(super) fused: Outcome,
    pub(super) plain: Outcome,
}

/// All of it, judged.
pub(super) struct Report {
    pub(super) rows: Vec<(Row, Judged)>,
    /// The fuse burns within this, where any guard held.
    pub(super) burns_within: Option<Duration>,
}

/// What is to be said of a row.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) ours: Verdict,
    pub(super) far: Verdict,
    /// The far end's bound from the cut on; none, without a fuse.
    pub(super) far_bound: Option<Duration>,
    /// Why one of them could not be told.
    pub(super) why: Option<String>,
}

/// Whether it was within its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Ok,
    /// It could not be measured.
    NotTold,
    Late,
}

/// What became of a plain session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    /// Nothing of it was left after this.
    Gone(Duration),
    /// Its sshd closed the connection after this; what it had started lives on.
    SshdGone(Duration),
    /// It was still there.
    Stays,
    /// It could not be measured.
    NotTold(String),
}

impl Case {
    const fn new(way: Way, remote: Remote) -> Self {
        Self { way, remote }
    }
}

impl Remote {
    /// The word, in JSON too.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Quiet => "quiet",
            Self::Writing => "writing",
        }
    }
}

impl Verdict {
    /// The word in JSON.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotTold => "not_told",
            Self::Late => "late",
        }
    }

    /// The exit code.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Late => 1,
            Self::NotTold => 3,
        }
    }
}

impl Report {
    pub(super) fn new(rows: Vec<Row>, setting: &Setting) -> Self {
        let burns = rows.iter().filter_map(|row| row.fused.burns_within);
        let burns_within = burns.max();
        let rows = rows.into_iter().map(|row| {
            let judged = Judged::of(&row, setting);
            (row, judged)
        });
        Self {
            rows: rows.collect(),
            burns_within,
        }
    }

    /// The worst of any row.
    pub(super) fn verdict(&self) -> Verdict {
        let each = self.rows.iter().map(|(_, judged)| judged.verdict());
        each.max().unwrap_or(Verdict::NotTold)
    }

    /// How the fuse is held.
    pub(super) fn method(&self, setting: &Setting) -> Option<&'static str> {
        let burns = self.burns_within?;
        let is_timed = burns == setting.fuse.as_duration();
        Some(if is_timed { "timed" } else { "signals" })
    }
}

impl Judged {
    fn of(row: &Row, setting: &Setting) -> Self {
        let Row { case, fused, .. } = row;
        let burns = fused.burns_within;
        let far_bound = burns.map(|_| latest(setting, case.way, burns));
        if let Some(why) = &fused.failed {
            return Self {
                ours: Verdict::NotTold,
                far: Verdict::NotTold,
                far_bound,
                why: Some(format!("no session: {why}")),
            };
        }
        let bound = setting.line.timing.bound().as_duration();
        let ours = judge_ours(fused.ours, bound, setting.punctual.worst());
        let far = match (far_bound, &fused.unfit) {
            (Some(bound), None) => judge_far(fused.far, bound),
            _ => Verdict::NotTold,
        };
        let why = match (ours, far) {
            (Verdict::NotTold, _) => Some(format!(
                "this machine did not run for {:?} meanwhile; measure again",
                setting.punctual.worst()
            )),
            (_, Verdict::NotTold) => Some(fused.unfit.clone().unwrap_or_else(|| {
                "the far end was not looked at in time; measure again".to_owned()
            })),
            _ => None,
        };
        Self {
            ours,
            far,
            far_bound,
            why,
        }
    }

    /// Of the row.
    pub(super) fn verdict(&self) -> Verdict {
        self.ours.max(self.far)
    }
}

/// `stalled`: so late was a timer of this process at worst. That is no lateness of the rule.
fn judge_ours(ours: Option<Ours>, bound: Duration, stalled: Duration) -> Verdict {
    let latest = bound + GRACE;
    match ours {
        Some(ours) if ours.after_life <= latest => Verdict::Ok,
        Some(ours) if ours.after_life <= latest + stalled => Verdict::NotTold,
        _ => Verdict::Late,
    }
}

/// Late is what was alive after the bound; in time, what was gone by then. Between two looks lies what nobody saw.
fn judge_far(far: Far, bound: Duration) -> Verdict {
    if far.gone.is_some_and(|gone| gone <= bound) {
        Verdict::Ok
    } else if far.alive.is_some_and(|alive| alive > bound) {
        Verdict::Late
    } else {
        Verdict::NotTold
    }
}

impl Plain {
    pub(super) fn of(outcome: &Outcome) -> Self {
        let why = outcome.failed.as_ref().or(outcome.unfit.as_ref());
        match (why, outcome.far) {
            (_, Far { gone: Some(at), .. }) => Self::Gone(at),
            // Where nobody can look, its sshd is all there is of one without a command.
            (
                None,
                Far {
                    sshd_gone: Some(at),
                    ..
                },
            ) => Self::SshdGone(at),
            (None, _) => Self::Stays,
            (Some(why), _) => Self::NotTold(why.clone()),
        }
    }

    /// The word in JSON.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Gone(_) => "gone",
            Self::SshdGone(_) => "sshd_gone",
            Self::Stays => "stays",
            Self::NotTold(_) => "not_told",
        }
    }
}

/// What the engine allows itself beyond the bound.
const GRACE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(2);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn far(alive: Option<u64>, gone: Option<u64>) -> Verdict {
        let far = Far {
            alive: alive.map(ms),
            gone: gone.map(ms),
            ..Far::default()
        };
        judge_far(far, BOUND)
    }

    #[test]
    fn a_far_end_is_late_only_if_it_was_seen_alive_after_its_bound() {
        assert_eq!(far(Some(1_900), Some(2_000)), Verdict::Ok);
        assert_eq!(far(None, Some(0)), Verdict::Ok);
        assert_eq!(far(Some(2_001), Some(2_002)), Verdict::Late);
        assert_eq!(far(Some(9_000), None), Verdict::Late);
        assert_eq!(far(Some(1_900), Some(2_100)), Verdict::NotTold);
        assert_eq!(far(Some(1_900), None), Verdict::NotTold);
        assert_eq!(far(None, None), Verdict::NotTold);
    }

    #[test]
    fn our_end_is_late_unless_this_machine_did_not_run() {
        let ours = |after| {
            Some(Ours {
                after_cut: ms(0),
                after_life: ms(after),
                heard_for: ms(0),
                cause: None,
            })
        };
        assert_eq!(judge_ours(ours(2_100), BOUND, ms(0)), Verdict::Ok);
        assert_eq!(judge_ours(ours(2_101), BOUND, ms(0)), Verdict::Late);
        assert_eq!(judge_ours(ours(2_300), BOUND, ms(200)), Verdict::NotTold);
        assert_eq!(judge_ours(ours(2_301), BOUND, ms(200)), Verdict::Late);
        assert_eq!(judge_ours(None, BOUND, ms(200)), Verdict::Late);
    }

    #[test]
    fn one_that_is_late_outweighs_one_that_cannot_be_told() {
        assert!(Verdict::Late > Verdict::NotTold && Verdict::NotTold > Verdict::Ok);
    }

    #[test]
    fn of_a_plain_session_that_is_said_which_was_seen() {
        let plain = |gone: Option<u64>, sshd: Option<u64>, unfit: bool| {
            Plain::of(&Outcome {
                unfit: unfit.then(|| "no shell".to_owned()),
                far: Far {
                    gone: gone.map(ms),
                    sshd_gone: sshd.map(ms),
                    ..Far::default()
                },
                ..Outcome::default()
            })
        };
        assert_eq!(plain(Some(5), Some(4), false), Plain::Gone(ms(5)));
        assert_eq!(plain(None, Some(4), false), Plain::SshdGone(ms(4)));
        assert_eq!(plain(None, None, false), Plain::Stays);
        assert_eq!(plain(None, None, true).word(), "not_told");
    }
}
