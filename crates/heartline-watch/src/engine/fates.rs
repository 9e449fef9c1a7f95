//! Whose fault it is: one node's, what several lines share, or this watcher's own.
//!
//! Before a node is called down for a silence, somebody else must have been heard since it owed an answer. So at the first doubt of any line
//! others are asked out of turn; by the time that a detector gives a peer up they have answered, or they have fallen too.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use heartline_core::fate::{Fate, Other, Reference, Sharer, Tie, fate, fell_together, is_silence};
use heartline_core::{Cause, LineState, Moment, NodeState, Says, WatcherHealth, verdict};

use super::{Engine, LineSlot, NodeSlot};
use crate::driver::Command;
use crate::reference::References;
use crate::told::{SharedTold, Told, Wall, WatcherTold};

/// What is known of the watcher as a whole.
pub(super) struct Fates {
    /// Since when all is silent, and it is us.
    isolated: Option<Moment>,
    /// Nodes that were down before, and stay so.
    down_before: BTreeSet<Arc<str>>,
    /// Nodes that fell with us and have not come back yet; until then they are not judged.
    excused: HashMap<Arc<str>, Moment>,
    /// Nodes whose verdict waits until others have answered, and since when.
    held: HashMap<Arc<str>, Moment>,
    /// When others were last asked.
    asked: Option<Moment>,
    /// Whose turn it is to be asked.
    turn: usize,
    /// What is known to have fallen as one, and the lines that share it.
    shared: HashMap<Tie, BTreeSet<usize>>,
    /// Which lines share what.
    tied: HashMap<Tie, BTreeSet<usize>>,
    pub(super) references: References,
    /// When to look again.
    look: Option<Moment>,
}

impl Fates {
    pub(super) fn new(references: References) -> Self {
        Self {
            isolated: None,
            down_before: BTreeSet::new(),
            excused: HashMap::new(),
            held: HashMap::new(),
            asked: None,
            turn: 0,
            shared: HashMap::new(),
            tied: HashMap::new(),
            references,
            look: None,
        }
    }

    /// When [`Engine::look`] is to be called.
    pub(super) fn look(&self) -> Option<Moment> {
        self.look
    }

    fn health(&self, node: &str, now: Moment) -> WatcherHealth {
        let is_excused = self.excused.get(node).is_some_and(|until| *until > now);
        let is_isolated = self.isolated.is_some() && !self.down_before.contains(node);
        WatcherHealth {
            isolated: is_isolated || is_excused,
            asking: false,
        }
    }
}

impl Engine {
    /// The watcher's health, as far as it concerns this node's verdict; none, when it has just turned out that it is us, and all
    /// nodes were judged for that.
    pub(super) fn health_for(
        &mut self,
        at: usize,
        states: &[LineState],
        now: Moment,
    ) -> Option<WatcherHealth> {
        let slot = self.nodes.get(at)?;
        let name = Arc::clone(&slot.name);
        let mut health = self.fates.health(&name, now);
        let judged = verdict(states.iter().copied(), health);
        let is_news = !matches!(slot.node.state(), NodeState::Down(_));
        match judged {
            NodeState::Down(cause) if is_news && is_silence(cause) => match self.fate_of(at, now) {
                Fate::Theirs => drop(self.fates.held.remove(&name)),
                Fate::Ours => {
                    self.isolate(now);
                    return None;
                }
                Fate::Open => {
                    health.asking = true;
                    self.fates.held.entry(name).or_insert(now);
                    self.look_by(now + LOOK);
                }
            },
            _ => drop(self.fates.held.remove(&name)),
        }
        Some(health)
    }

    fn fate_of(&mut self, at: usize, now: Moment) -> Fate {
        let Some(slot) = self.nodes.get(at) else {
            return Fate::Theirs;
        };
        let own = || slot.lines.iter().filter_map(|key| self.lines.get(key));
        // One that was never heard says nothing of us, but for what our own side lacks.
        let Some(asked) = own().filter_map(LineSlot::owes_since).max() else {
            return Fate::Theirs;
        };
        let intervals = own().map(|line| line.plan.timing.interval.as_duration());
        let together = intervals.max().unwrap_or_default();
        let begun = self.fates.held.get(&slot.name).copied().unwrap_or(now);
        let patience = together.clamp(LEAST_PATIENCE, MOST_PATIENCE);
        let is_over = now.saturating_since(begun) >= patience;
        let others = self.lines.values().filter(|line| line.node != slot.name);
        let others: Vec<Other> = others.filter_map(LineSlot::as_other).collect();
        let judge = |reference, is_over| {
            let others = others.iter().copied();
            fate(asked, together, others, reference, is_over)
        };
        if self.fates.references.is_empty() {
            return judge(Reference::None, is_over);
        }
        // Nobody need be asked where somebody was heard.
        match judge(Reference::Asked, false) {
            Fate::Theirs => Fate::Theirs,
            _ => judge(self.fates.references.since(asked, now), is_over),
        }
    }

    /// A line is in doubt: so that it is soon known who else is, others are asked, all of its node's and some of the rest.
    pub(super) fn ask_others(&mut self, key: usize, now: Moment) {
        let Some(node) = self.lines.get(&key).map(|slot| Arc::clone(&slot.node)) else {
            return;
        };
        let others = self.lines.iter().filter(|(other, _)| **other != key);
        let (same, rest): (Vec<_>, Vec<_>) = others
            .map(|(_, slot)| slot)
            .partition(|slot| slot.node == node);
        for slot in same {
            slot.ask();
        }
        let is_fresh = |asked: Moment| now.saturating_since(asked) < ASKED_LATELY;
        if self.fates.asked.is_some_and(is_fresh) {
            return;
        }
        self.fates.asked = Some(now);
        self.fates.references.since(now, now);
        let usable = rest.iter().filter(|slot| slot.state == LineState::Up);
        let first = self.fates.turn.checked_rem(usable.clone().count());
        for slot in usable
            .clone()
            .chain(usable)
            .skip(first.unwrap_or(0))
            .take(ASKED)
        {
            slot.ask();
        }
        self.fates.turn = self.fates.turn.wrapping_add(ASKED);
    }

    /// Everything is silent, and it is us.
    fn isolate(&mut self, now: Moment) {
        self.fates.isolated = Some(now);
        self.fates.held.clear();
        let down = |slot: &&NodeSlot| matches!(slot.node.state(), NodeState::Down(_));
        let down = self.nodes.iter().filter(down);
        self.fates.down_before = down.map(|slot| Arc::clone(&slot.name)).collect();
        self.look_by(now + REFERENCES);
        self.tell_isolated(now, None);
        self.judge_all();
    }

    /// Somebody was heard again. Whoever fell with us is asked at once, and not judged before there was time to answer.
    fn rejoin(&mut self, now: Moment) {
        let Some(since) = self.fates.isolated.take() else {
            return;
        };
        for slot in &self.nodes {
            let lines = slot.lines.iter().filter_map(|key| self.lines.get(key));
            let answers = |state: LineState| match state {
                LineState::Down(cause) => cause.says() == Says::HostLives,
                state => state == LineState::Up,
            };
            let is_judged = self.fates.down_before.contains(&slot.name)
                || lines.clone().any(|line| answers(line.state));
            let timing = lines.map(|line| line.plan.timing);
            let grace = timing.map(|timing| timing.bound().as_duration() + timing.stage_timeout);
            if let Some(grace) = grace.max().filter(|_| !is_judged) {
                let until = now + grace;
                self.fates.excused.insert(Arc::clone(&slot.name), until);
            }
        }
        for slot in self.lines.values() {
            // Who was turned away is not dialed for this.
            let waits = |cause| is_silence(cause) || matches!(cause, Cause::JumpDown | Cause::Dns);
            if slot.state.cause().is_some_and(waits) {
                let _ = slot.commands.try_send(Command::Dial);
            }
            slot.ask();
        }
        self.fates.down_before.clear();
        if let Some(first) = self.fates.excused.values().min().copied() {
            self.look_by(first);
        }
        self.tell_isolated(now, Some(now.saturating_since(since)));
        self.judge_all();
    }

    /// A line has changed: what that says of us, before its node is judged by it.
    pub(super) fn weigh(&mut self, key: usize, now: Moment) {
        let Some(slot) = self.lines.get(&key) else {
            return;
        };
        let is_up = slot.state == LineState::Up;
        if is_up {
            self.fates.excused.remove(&slot.node);
        }
        match slot.state {
            LineState::Up => self.rejoin(now),
            LineState::Down(cause) if cause.says() == Says::HostLives => self.rejoin(now),
            LineState::Down(cause) if is_silence(cause) => self.ask_others(key, now),
            _ => {}
        }
    }

    /// It is time to look whether what was waited for has come.
    pub(super) fn look(&mut self, now: Moment) {
        self.fates.look = None;
        if let Some(isolated) = self.fates.isolated {
            // A round takes up to a second, and is heard of at a look after that.
            let lately = isolated.max(now - REFERENCES * 5 / 2);
            let answers = self.fates.references.since(lately, now) == Reference::Answers;
            let mut heard = self.lines.values().filter_map(LineSlot::heard_last);
            if answers || heard.any(|heard| heard > isolated) {
                self.rejoin(now);
            } else {
                self.look_by(now + REFERENCES);
            }
        }
        let over = |until: &Moment| *until <= now;
        let held = self.fates.held.keys();
        let excused = self.fates.excused.iter();
        let ended = excused
            .filter(|(_, until)| over(until))
            .map(|(name, _)| name);
        let again: Vec<_> = held.chain(ended).cloned().collect();
        self.fates.excused.retain(|_, until| !over(until));
        for name in again {
            if let Some(at) = self.places.get(&name).copied() {
                self.judge(at, None);
            }
        }
        let next = self.fates.excused.values().min().copied();
        let resumed = self.end_pauses(now);
        for at in next.into_iter().chain(resumed) {
            self.look_by(at);
        }
    }

    pub(super) fn look_by(&mut self, at: Moment) {
        self.fates.look = Some(self.fates.look.map_or(at, |look| look.min(at)));
    }

    fn judge_all(&mut self) {
        for at in 0..self.nodes.len() {
            self.judge(at, None);
        }
    }

    fn tell_isolated(&mut self, now: Moment, lasted: Option<Duration>) {
        let at = Wall::at(self.now()).of(now);
        let told = WatcherTold::isolated(at, lasted);
        self.told.push_back(Told::Watcher(told));
    }

    /// What a line shares has changed, or is gone with it.
    pub(super) fn tie(&mut self, key: usize) {
        let now = self.lines.get(&key).map(LineSlot::shares);
        let now = now.unwrap_or_default();
        let Some(slot) = self.lines.get_mut(&key) else {
            return;
        };
        let before = std::mem::replace(&mut slot.ties, now.clone());
        if before != now {
            self.untie(key, before);
            for tie in now {
                self.fates.tied.entry(tie).or_default().insert(key);
            }
        }
    }

    /// It shares nothing of this any more.
    pub(super) fn untie(&mut self, key: usize, ties: Vec<Tie>) {
        for tie in ties {
            if let Some(tied) = self.fates.tied.get_mut(&tie) {
                tied.remove(&key);
                if tied.is_empty() {
                    self.fates.tied.remove(&tie);
                    self.fates.shared.remove(&tie);
                }
            }
        }
    }

    /// What this line shares with others that are all down, or no longer.
    pub(super) fn share(&mut self, key: usize, now: Moment) {
        let Some(slot) = self.lines.get(&key) else {
            return;
        };
        let (ties, state) = (slot.ties.clone(), slot.state);
        for tie in ties {
            match state {
                LineState::Down(_) if self.fates.isolated.is_none() => self.fell(tie, now),
                LineState::Up => self.stands(&tie, now),
                _ => {}
            }
        }
    }

    fn fell(&mut self, tie: Tie, now: Moment) {
        let Some(keys) = self.fates.tied.get(&tie) else {
            return;
        };
        // The same lines share something else, which was told already, or this was.
        if self.fates.shared.values().any(|told| told == keys) {
            return;
        }
        let sharers = || keys.iter().filter_map(|key| self.lines.get(key));
        let intervals = sharers().map(|slot| slot.plan.timing.interval.as_duration());
        let together = intervals.max().unwrap_or_default();
        let members = sharers().filter_map(|slot| {
            Some(Sharer {
                node: self.places.get(&slot.node).copied()?,
                state: slot.state,
                up_until: slot.up_until,
            })
        });
        let Some(cause) = fell_together(members, together) else {
            return;
        };
        let nodes: BTreeSet<_> = sharers().map(|slot| Arc::clone(&slot.node)).collect();
        let at = Wall::at(self.now()).of(now);
        let told = SharedTold::fell(at, &tie, cause, keys.len(), nodes.into_iter().collect());
        self.told.push_back(Told::Shared(told));
        let keys = keys.clone();
        self.fates.shared.insert(tie, keys);
    }

    fn stands(&mut self, tie: &Tie, now: Moment) {
        if let Some(keys) = self.fates.shared.remove(tie) {
            let at = Wall::at(self.now()).of(now);
            let told = SharedTold::stands(at, tie, keys.len());
            self.told.push_back(Told::Shared(told));
        }
    }
}

impl LineSlot {
    /// Since when its answer has been overdue, so that whoever is heard after that proves our own side; none, if it was never heard.
    fn owes_since(&self) -> Option<Moment> {
        if let LineState::Down(Cause::LinkDown | Cause::NoRoute) = self.state {
            return Some(self.since);
        }
        let heard = self.heard_last()?;
        let doubted = self.doubted.filter(|doubted| *doubted > heard);
        Some(doubted.unwrap_or(self.since))
    }

    /// It is to be asked out of turn.
    fn ask(&self) {
        let _ = self.commands.try_send(Command::Ask);
    }

    /// Its last sign of life, which its session may have had since it was last told.
    pub(super) fn heard_last(&self) -> Option<Moment> {
        let heard = self.heard.as_ref().map(|heard| heard.last());
        let heard = heard.filter(|heard| *heard > Moment::START);
        heard.max(self.last_life)
    }

    fn as_other(&self) -> Option<Other> {
        (self.state != LineState::Paused).then(|| Other {
            state: self.state,
            since: self.since,
            heard: self.heard_last(),
        })
    }

    /// What it shares with others.
    fn shares(&self) -> Vec<Tie> {
        let settings = self.plan.target.settings();
        let link = self.evidence.link.as_ref();
        let interface = link.and_then(|link| link.interface.clone());
        let device = settings.bind_interface.as_deref().map(Arc::from);
        let source = settings.bind_address.as_ref();
        let jump = match &settings.proxy {
            heartline_ssh::settings::Proxy::Jump(hosts) => hosts.first(),
            _ => None,
        };
        let subnet = self.ends.as_ref().filter(|_| jump.is_none());
        [
            interface.or(device).map(Tie::Interface),
            jump.map(|host| Tie::Jump(host.as_str().into())),
            source
                .and_then(|source| source.parse().ok())
                .map(Tie::Source),
            subnet.map(|ends| Tie::subnet_of(ends.peer)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Between two looks whether others have answered.
const LOOK: Duration = Duration::from_millis(10);
/// Others get this long at least, and at most, to answer.
const LEAST_PATIENCE: Duration = Duration::from_millis(200);
const MOST_PATIENCE: Duration = Duration::from_secs(2);
/// Who was asked so lately is not asked again.
const ASKED_LATELY: Duration = Duration::from_millis(20);
/// So many lines of other nodes are asked.
const ASKED: usize = 8;
/// Between two looks at the references, while all is silent.
const REFERENCES: Duration = Duration::from_secs(1);
