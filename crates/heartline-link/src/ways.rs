//! The ways that are followed: which have to be looked up anew, and what was told of each. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::heard::{Peers, everybody, family_of};
use crate::judge::{Answer, Trail, judge};
use crate::kernel::{Change, Kernel};
use crate::{OurSide, Way};

/// The ways, by peer.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    all: BTreeMap<Arc<Way>, Followed>,
    /// Some are to be looked up in the next round.
    is_stale: bool,
    /// What is left of the round under way; the last is the next.
    round: Vec<Arc<Way>>,
}

#[derive(Debug, Default)]
struct Followed {
    answer: Option<Answer>,
    trail: Option<Trail>,
    told: Option<OurSide>,
    is_stale: bool,
}

impl Ways {
    /// Begins to follow one, which is looked up before all others; or tells it anew.
    pub(crate) fn follow(&mut self, way: Way) {
        let way = Arc::new(way);
        self.all.insert(Arc::clone(&way), Followed::default());
        self.round.push(way);
    }

    pub(crate) fn forget(&mut self, way: &Way) {
        self.all.remove(way);
    }

    /// Marks the ways that a change can concern.
    pub(crate) fn concern(&mut self, change: &Change) {
        match change {
            Change::Nothing => {}
            Change::Gained => self.touch(&everybody(), |_, _| true),
            Change::Lost(index, names) => {
                self.touch(&everybody(), |way, followed| match &way.device {
                    Some(device) => names.iter().any(|name| **name == **device),
                    None => followed.trail.as_ref().is_some_and(|t| t.index == *index),
                });
            }
            Change::Came(address) => {
                self.touch(&family_of(*address), |way, _| way.local == Some(*address));
            }
            Change::Went(address) => self.touch(&family_of(*address), |_, _| true),
        }
    }

    /// Marks the ways to these peers.
    pub(crate) fn concern_peers(&mut self, peers: &Peers) {
        self.touch(peers, |_, _| true);
    }

    fn touch(&mut self, peers: &Peers, concerns: impl Fn(&Way, &Followed) -> bool) {
        let first = Way {
            peer: *peers.start(),
            local: None,
            device: None,
        };
        let from = (Bound::Included(&first), Bound::Unbounded);
        let within = self.all.range_mut::<Way, _>(from);
        for (way, followed) in within.take_while(|(way, _)| way.peer <= *peers.end()) {
            if !followed.is_stale && concerns(way, followed) {
                followed.is_stale = true;
                self.is_stale = true;
            }
        }
    }

    /// Whether a round is due: something is marked that no round has taken up.
    pub(crate) fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Whether a round is under way.
    pub(crate) fn is_in_round(&self) -> bool {
        !self.round.is_empty()
    }

    /// Takes up what is marked. What is marked from now on waits for the next round.
    pub(crate) fn begin_round(&mut self) {
        self.is_stale = false;
        for (way, followed) in &mut self.all {
            if std::mem::take(&mut followed.is_stale) {
                self.round.push(Arc::clone(way));
            }
        }
    }

    /// The next ways to look up.
    pub(crate) fn next(&mut self, most: usize) -> Vec<Arc<Way>> {
        let rest = self.round.len().saturating_sub(most);
        let mut next = self.round.split_off(rest);
        next.retain(|way| self.all.contains_key(way));
        next
    }

    /// Puts ways back that could not be looked up.
    pub(crate) fn put_back(&mut self, ways: Vec<Arc<Way>>) {
        self.round.extend(ways);
    }

    /// Takes in the answer about a way; what is to be told of it.
    pub(crate) fn answered(
        &mut self,
        way: &Way,
        answer: Answer,
        kernel: &Kernel,
    ) -> Option<(Way, OurSide)> {
        let followed = self.all.get_mut(way)?;
        if answer != Answer::Unknown || followed.answer.is_none() {
            followed.answer = Some(answer);
        }
        if let Answer::Route {
            index,
            has_gateway,
            is_assumed: false,
        } = answer
        {
            let name = kernel.link(index).and_then(|link| link.name()).cloned();
            followed.trail = Some(Trail {
                index,
                name,
                has_gateway,
            });
        }
        followed.news(way, kernel)
    }

    /// The interfaces that ways take and whose carrier the kernel may report late; not more than so many.
    pub(crate) fn unprompt(&self, kernel: &Kernel, most: usize) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        for (way, followed) in &self.all {
            let link = match (&way.device, &followed.trail) {
                (Some(device), _) => kernel.named(device),
                (None, Some(trail)) => kernel.link(trail.index).map(|link| (trail.index, link)),
                (None, None) => None,
            };
            if let Some((index, link)) = link
                && !link.is_prompt
                && found.len() < most
            {
                found.insert(index);
            }
        }
        found
    }

    /// What is to be told of all ways now that the kernel's interfaces or addresses have changed.
    pub(crate) fn judge_all(&mut self, kernel: &Kernel) -> Vec<(Way, OurSide)> {
        let all = self.all.iter_mut();
        all.filter_map(|(way, followed)| followed.news(way, kernel))
            .collect()
    }
}

impl Followed {
    fn news(&mut self, way: &Way, kernel: &Kernel) -> Option<(Way, OurSide)> {
        let side = judge(way, self.answer?, self.trail.as_ref(), kernel);
        if self.told.as_ref() == Some(&side) {
            return None;
        }
        self.told = Some(side.clone());
        Some((way.clone(), side))
    }
}

#[cfg(test)]
mod tests;
