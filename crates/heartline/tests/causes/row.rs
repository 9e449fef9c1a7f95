//! One row: a deed, and what is to be said of it.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::bed::{Bed, Layout};
use super::judge::{Judge, Verdict};
use super::wanted::Wanted;

/// Something that is done to a line, a node or the watcher.
pub(crate) struct Row {
    /// What is done, for a person.
    pub(crate) what: &'static str,
    pub(crate) layout: Layout,
    /// More lines for the nodes' `sshd_config`.
    pub(crate) sshd: &'static str,
    /// The timing, as arguments of `watch`.
    pub(crate) words: &'static str,
    pub(crate) wanted: Wanted,
    deed: Deed,
    then: Then,
    /// Why it cannot be done here.
    missing: Option<String>,
}

/// Does something.
pub(crate) type Deed = fn(&mut Bed) -> Result<()>;

/// What comes after a deed was judged.
enum Then {
    Nothing,
    /// It is undone, and every node is up again.
    Mended(Deed),
    /// More that must hold.
    Checked(Deed),
}

impl Row {
    /// A row with one node on one cable.
    pub(crate) fn new(what: &'static str, deed: Deed, wanted: Wanted) -> Self {
        Self {
            what,
            layout: Layout::Straight,
            sshd: "",
            words: TIMING,
            wanted,
            deed,
            then: Then::Nothing,
            missing: None,
        }
    }

    pub(crate) fn layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    pub(crate) fn sshd(self, sshd: &'static str) -> Self {
        Self { sshd, ..self }
    }

    pub(crate) fn words(self, words: &'static str) -> Self {
        Self { words, ..self }
    }

    /// Afterwards it is undone, and every node is up again.
    pub(crate) fn mended(self, mend: Deed) -> Self {
        let then = Then::Mended(mend);
        Self { then, ..self }
    }

    /// Afterwards this must hold too.
    pub(crate) fn checked(self, check: Deed) -> Self {
        let then = Then::Checked(check);
        Self { then, ..self }
    }

    /// It is not done if something is missing.
    pub(crate) fn unless(self, missing: Option<String>) -> Self {
        Self { missing, ..self }
    }

    /// Whether its sessions have a fuse.
    pub(crate) fn is_guarded(&self) -> bool {
        !self.words.contains("--fuse 0")
    }

    /// Carries it out.
    pub(crate) fn judge(&self) -> Verdict {
        match &self.missing {
            Some(why) => Verdict::Skipped(why.clone()),
            None => self.carry_out().unwrap_or_else(Verdict::Failed),
        }
    }

    fn carry_out(&self) -> Result<Verdict> {
        let mut bed = Bed::new(self)?;
        let names: Vec<String> = bed
            .nodes
            .iter()
            .map(|node| node.name().to_owned())
            .collect();
        let mut judge = Judge::new(&self.wanted, &names);
        (self.deed)(&mut bed)?;
        wait(&mut bed, |bed| Ok(judge.is_settled(bed.watch.told()?)))?;
        let told = if self.wanted.passes {
            bed.watch.told()?
        } else {
            // Long enough for some dials: what it says then is what it goes on to say.
            bed.watch.told_within(STAYS)?
        };
        judge.settled(told);
        bed.watch.forget()?;
        match self.then {
            Then::Nothing => {}
            Then::Mended(mend) => {
                mend(&mut bed)?;
                wait(&mut bed, |bed| Ok(judge.is_mended(bed.watch.told()?)))?;
                judge.mended(bed.watch.told()?);
            }
            Then::Checked(check) => check(&mut bed)?,
        }
        Ok(judge.verdict())
    }
}

/// Waits until it holds, at most for long enough; what is told then is judged.
fn wait(bed: &mut Bed, mut holds: impl FnMut(&mut Bed) -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + CEILING;
    while !holds(bed)? && Instant::now() < deadline {
        bed.watch.told_within(LOOK)?;
    }
    Ok(())
}

/// Without a fuse: a process killed while it has still to read what starts a guard resets its connection.
const TIMING: &str = "--interval 400ms --count 1 --connect-timeout 1s --fuse 0";
/// Longer than what is wanted takes on a busy machine.
const CEILING: Duration = Duration::from_secs(25);
/// What has settled is looked at for so long.
const STAYS: Duration = Duration::from_secs(3);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
