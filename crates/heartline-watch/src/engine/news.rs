//! What drivers, the pulse and the kernel tell, judged and told on.

use std::sync::Arc;
use std::time::Duration;

use heartline_core::{LineEvent, LineState, NodeState};
use heartline_link::LinkError;
use heartline_ssh::Unguarded;
use tracing::info;

use super::{Engine, LineSlot, NodeSlot};
use crate::driver::{self, Command, News};
use crate::told::{FuseTold, LayerTold, LineBrief, LineTold, NodeTold, Told, Wall, WatcherTold};

impl Engine {
    pub(super) fn take_in(&mut self, heard: driver::Told) {
        let driver::Told { key, news } = heard;
        match news {
            News::Line(event) => self.take_in_event(key, &event),
            News::Unguarded(why) => self.tell_unguarded(key, &why),
            News::Stands(heard, ends) => {
                self.dials.stood += 1;
                if let Some(slot) = self.lines.get_mut(&key) {
                    slot.in_vain = 0;
                    slot.hear(heard);
                    slot.ends = ends.or(slot.ends.take());
                }
                self.tie(key);
            }
            News::NoTcp if !std::mem::replace(&mut self.tcp_told, true) => {
                let why = "the kernel gives no TCP_INFO; a silence is called down at the bound";
                let at = Wall::at(self.now()).of(self.now());
                let told = LayerTold::unavailable(at, "tcp", why.to_owned());
                self.told.push_back(Told::Layer(told));
            }
            News::NoTcp => {}
            News::InVain(cause) => {
                if let Some(slot) = self.lines.get_mut(&key) {
                    slot.in_vain = slot.in_vain.saturating_add(1);
                }
                *self.dials.in_vain.entry(cause).or_default() += 1;
            }
            News::InDoubt(since) => {
                if let Some(slot) = self.lines.get_mut(&key) {
                    slot.doubted = Some(since);
                }
                self.ask_others(key, self.now());
            }
        }
    }

    fn tell_unguarded(&mut self, key: usize, why: &Unguarded) {
        if let Some(slot) = self.lines.get(&key) {
            let wall = Wall::at(self.now());
            let at = wall.of(self.now());
            let told = FuseTold::unguarded(at, &slot.node, &slot.plan.name, why);
            self.told.push_back(Told::Fuse(told));
        }
    }

    fn take_in_event(&mut self, key: usize, event: &LineEvent) {
        let Some(slot) = self.lines.get_mut(&key) else {
            return;
        };
        if slot.state.word() != event.to.word() {
            slot.since = event.at;
        }
        if slot.state == LineState::Up {
            slot.up_until = Some(event.at);
        }
        if event.to == LineState::Up {
            (slot.doubted, slot.up_until) = (None, None);
        }
        slot.state = event.to;
        slot.flaps = event.flaps;
        slot.evidence = event.evidence.clone();
        slot.last_life = event.after.map(|after| event.at - after);
        let name = Arc::clone(&slot.node);
        let wall = Wall::at(self.dialer.clock().now());
        let mut told = LineTold::new(wall, &name, &slot.plan.name, event);
        let at = self.places.get(&name).copied();
        let node = at.and_then(|at| self.nodes.get(at));
        told.is_only = node.is_some_and(|node| node.lines.len() == 1);
        self.told.push_back(Told::Line(told));
        self.tie(key);
        self.weigh(key, event.at);
        if let Some(at) = at {
            self.judge(at, Some(event));
        }
        self.share(key, event.at);
    }

    pub(super) fn judge(&mut self, at: usize, event: Option<&LineEvent>) {
        let now = event.map_or_else(|| self.now(), |event| event.at);
        let Some(slot) = self.nodes.get(at) else {
            return;
        };
        let of = |key: &usize| self.lines.get(key);
        let states: Vec<_> = slot
            .lines
            .iter()
            .filter_map(of)
            .map(|line| line.state)
            .collect();
        let last_life = slot
            .lines
            .iter()
            .filter_map(of)
            .filter_map(LineSlot::heard_last);
        let last_life = last_life.max();
        let Some(health) = self.health_for(at, &states, now) else {
            return;
        };
        let Some(slot) = self.nodes.get_mut(at) else {
            return;
        };
        let Some(mut judged) = slot.node.judge(now, states, health, last_life) else {
            return;
        };
        if !matches!(judged.to, NodeState::Down(_))
            && let Some(event) = event
        {
            judged.after = event.after;
        }
        let wall = Wall::at(self.now());
        let token = self.tokens.next(wall.of(now));
        let Some(slot) = self.nodes.get_mut(at) else {
            return;
        };
        slot.token = token;
        let Some(slot) = self.nodes.get(at) else {
            return;
        };
        let lines = self.briefs(wall, slot);
        let told = NodeTold::new(wall, &slot.name, &judged, lines, token).tagged(&slot.tags);
        self.told.push_back(Told::Node(told));
    }

    pub(super) fn briefs(&self, wall: Wall, slot: &NodeSlot) -> Vec<LineBrief> {
        let lines = slot.lines.iter().filter_map(|key| self.lines.get(key));
        lines
            .map(|line| {
                LineBrief::new(
                    wall,
                    &line.plan.name,
                    line.state,
                    line.since,
                    line.round_trip(),
                    &line.evidence,
                    line.flaps,
                )
            })
            .collect()
    }

    pub(super) fn stalled(&mut self, lost: Duration) {
        info!(
            ?lost,
            "This watcher did not run for a while; no silence counts for that time."
        );
        for slot in self.lines.values() {
            let _ = slot.commands.try_send(Command::Stalled(lost));
        }
        let wall = Wall::at(self.now());
        self.told.push_back(Told::Watcher(WatcherTold::stalled(
            wall.of(self.now()),
            lost,
        )));
    }

    /// Nobody tells of our own side any more.
    pub(super) fn blinded(&mut self, error: &LinkError) {
        let wall = Wall::at(self.now());
        let told = LayerTold::unavailable(wall.of(self.now()), "link", error.to_string());
        self.told.push_back(Told::Layer(told));
    }
}
