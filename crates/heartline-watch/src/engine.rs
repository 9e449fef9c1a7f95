//! The engine: starts a driver for every line, keeps what they tell, judges nodes, tells.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use heartline_core::fate::Tie;
use heartline_core::{Evidence, LineConfig, LineState, Moment, Node, Prober};
use heartline_link::LinkError;
use heartline_ssh::{Clock, Dialer, Ends, GOODBYE, Heard, RoundTripCounts, Session};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};
use tracing::warn;

use crate::driver::{self, Command, Driver};
use crate::lane::{Lane, beating_lanes};
use crate::our_side::OurSides;
use crate::pace::Pace;
use crate::plan::{LinePlan, NodePlan, Plan};
use crate::pulse::Pulse;
use crate::reference::References;
use crate::told::{NodeBrief, Told, Wall};

use fates::Fates;
use maintenance::ByHand;
use tokens::Tokens;

mod fates;
mod maintenance;
mod news;
mod samples;
mod tokens;

pub use samples::{Dials, LineSample, Samples};

/// A running watcher. Drain it by [`next`](Self::next); end it by [`stop`](Self::stop).
pub struct Engine {
    dialer: Arc<Dialer>,
    beating: Vec<Lane>,
    pace: Pace,
    heavy: Lane,
    nodes: Vec<NodeSlot>,
    /// Where each node stands among them.
    places: HashMap<Arc<str>, usize>,
    lines: HashMap<usize, LineSlot>,
    next_key: usize,
    heard: mpsc::Receiver<driver::Told>,
    tell: mpsc::Sender<driver::Told>,
    told: VecDeque<Told>,
    pulse: Pulse,
    seeds: RandomState,
    fates: Fates,
    our_sides: OurSides,
    /// It was told that TCP is not known of.
    tcp_told: bool,
    tokens: Tokens,
    dials: Dials,
    /// Where it is told that our own side is not known.
    blind: Option<oneshot::Receiver<LinkError>>,
}

/// What is known of every node right now.
pub type Snapshot = Vec<NodeBrief>;

/// Why an engine did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The system gave us no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

struct NodeSlot {
    name: Arc<str>,
    node: Node,
    lines: Vec<usize>,
    /// Paused by the configuration.
    by_config: bool,
    by_hand: ByHand,
    tags: Arc<[String]>,
    /// Of its last verdict.
    token: u64,
}

struct LineSlot {
    plan: LinePlan,
    /// Which of `nodes`, by name, since their order may change.
    node: Arc<str>,
    state: LineState,
    since: Moment,
    last_life: Option<Moment>,
    evidence: Evidence,
    /// Where it is seen that its session lives.
    heard: Option<Arc<Heard>>,
    /// Answers in the sessions before that one.
    before: RoundTripCounts,
    /// What that leaves this machine by.
    ends: Option<Ends>,
    ties: Vec<Tie>,
    /// Since when it owes an answer.
    doubted: Option<Moment>,
    /// When it was last up, if it is not.
    up_until: Option<Moment>,
    flaps: u32,
    /// Dials that came to nothing since a session stood.
    in_vain: u32,
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

impl Engine {
    /// Starts watching.
    pub fn start(plan: &Plan) -> Result<Self, EngineError> {
        let heavy = Lane::start("heartline-kex")?;
        let pace = Pace::default();
        let lanes = beating_lanes(plan.line_count());
        pace.set(plan.tick(lanes));
        let dialer = Dialer::new(Clock::start(), heavy.handle().clone());
        let beating = (0..lanes)
            .map(|number| Lane::start_at(&pace, &dialer, &format!("heartline-{number}")))
            .collect::<Result<Vec<_>, _>>()?;
        for lane in beating.iter().chain([&heavy]) {
            lane.look_out(dialer.clock());
        }
        let (tell, heard) = mpsc::channel(QUEUE);
        let (our_sides, blind) = OurSides::start();
        let mut engine = Self {
            dialer: Arc::new(dialer),
            beating,
            pace,
            heavy,
            nodes: Vec::new(),
            places: HashMap::new(),
            lines: HashMap::new(),
            next_key: 0,
            heard,
            tell,
            told: VecDeque::new(),
            pulse: Pulse::start(),
            seeds: RandomState::new(),
            fates: Fates::new(References::new(&plan.references)),
            our_sides,
            tcp_told: false,
            tokens: Tokens::default(),
            dials: Dials::default(),
            blind: Some(blind),
        };
        for node in &plan.nodes {
            engine.add_node(node);
        }
        Ok(engine)
    }

    /// The next thing to tell; waits for it. Losing the future loses nothing.
    pub async fn next(&mut self) -> Told {
        loop {
            if let Some(told) = self.told.pop_front() {
                return told;
            }
            tokio::select! {
                // Never closed: we hold a sender ourselves.
                Some(heard) = self.heard.recv() => self.take_in(heard),
                lost = self.pulse.beat() => {
                    if let Some(lost) = lost {
                        self.stalled(lost);
                    }
                }
                () = until(self.dialer.clock(), self.fates.look()) => self.look(self.now()),
                error = blinded(&mut self.blind) => self.blinded(&error),
            }
        }
    }

    /// What is known of every node right now.
    pub fn snapshot(&self) -> Snapshot {
        let wall = Wall::at(self.now());
        let slots = self.nodes.iter();
        slots.map(|slot| self.brief_of(wall, slot)).collect()
    }

    /// What is known of one node right now.
    pub fn brief(&self, node: &str) -> Option<NodeBrief> {
        let slot = self.nodes.get(*self.places.get(node)?)?;
        Some(self.brief_of(Wall::at(self.now()), slot))
    }

    fn brief_of(&self, wall: Wall, slot: &NodeSlot) -> NodeBrief {
        NodeBrief {
            node: Arc::clone(&slot.name),
            state: slot.node.state(),
            since: wall.of(slot.node.since()),
            token: slot.token,
            tags: Arc::clone(&slot.tags),
            lines: self.briefs(wall, slot),
        }
    }

    /// Does something with a line's session: the one that stands, else the next one; none, when the line is over before that.
    pub fn with_line<T, F>(
        &self,
        node: &str,
        line: &str,
        what: F,
    ) -> impl Future<Output = Option<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Session) -> T + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let slot = self.lines.values();
        let mut slot = slot.filter(|slot| *slot.node == *node && *slot.plan.name == *line);
        let commands = slot.next().map(|slot| slot.commands.clone());
        let done = Command::Use(Box::new(move |session| {
            let _ = tell.send(what(session));
        }));
        async move {
            commands?.send(done).await.ok()?;
            told.await.ok()
        }
    }

    /// Lines that wait before they dial again dial now. Those that had given up do not.
    pub fn dial_now(&mut self) {
        for slot in self.lines.values() {
            let waits = matches!(slot.state, LineState::Down(cause) if !cause.stops_dialing());
            if waits || slot.state == LineState::Dialing {
                let _ = slot.commands.try_send(Command::Dial);
            }
        }
    }

    /// What is not up at these nodes is dialed now, also what had given up. With no names: of all.
    pub fn redial(&mut self, names: &[String]) {
        for slot in self.lines.values() {
            if !names.is_empty() && !names.iter().any(|name| **name == *slot.node) {
                continue;
            }
            let command = match slot.state {
                LineState::Down(cause) if cause.stops_dialing() => {
                    Command::Retarget(Arc::clone(&slot.plan.target))
                }
                LineState::Down(_) | LineState::Dialing => Command::Dial,
                _ => continue,
            };
            let _ = slot.commands.try_send(command);
        }
    }

    /// How many dials in a row came to nothing, of the line of all nodes with the fewest.
    pub fn dialed_in_vain(&self) -> u32 {
        let lines = self.lines.values().map(|slot| slot.in_vain);
        lines.min().unwrap_or_default()
    }

    /// Whether every line of every node has been heard from, or found to be down.
    pub fn is_settled(&self) -> bool {
        let unsettled = |slot: &LineSlot| {
            matches!(
                slot.state,
                LineState::Idle | LineState::Dialing | LineState::Suspect(_)
            )
        };
        !self.lines.values().any(unsettled)
    }

    /// Goes over to another plan. Lines that did not change keep their sessions; a line that had given up tries again.
    pub fn reload(&mut self, plan: &Plan) {
        self.pace.set(plan.tick(self.beating.len()));
        self.fates.references = References::new(&plan.references);
        self.places.clear();
        let mut old: HashMap<Arc<str>, NodeSlot> = self
            .nodes
            .drain(..)
            .map(|slot| (Arc::clone(&slot.name), slot))
            .collect();
        for node in &plan.nodes {
            match old.remove(&node.name) {
                Some(slot) => self.keep_node(slot, node),
                None => self.add_node(node),
            }
        }
        for key in old.into_values().flat_map(|slot| slot.lines) {
            self.remove_line(key);
        }
        for slot in self.lines.values() {
            let _ = slot.commands.try_send(Command::Grain(self.pace.tick()));
        }
    }

    /// Ends every session cleanly, within [`GOODBYE`] and a little.
    pub async fn stop(self) {
        let tasks: Vec<_> = self.lines.into_values().map(|slot| slot.task).collect();
        // The command channels are gone with the slots, which is how a driver learns of the end.
        drop(self.heard);
        let all = async {
            for task in tasks {
                let _ = task.await;
            }
        };
        if timeout(GOODBYE + MARGIN, all).await.is_err() {
            warn!("Some sessions did not end in time; their sockets are closed now.");
        }
    }

    fn now(&self) -> Moment {
        self.dialer.clock().now()
    }

    fn add_node(&mut self, plan: &NodePlan) {
        let lines = plan
            .lines
            .iter()
            .map(|line| self.add_line(plan, plan.paused, line))
            .collect();
        self.push_node(NodeSlot {
            name: Arc::clone(&plan.name),
            node: Node::new(self.now()),
            lines,
            by_config: plan.paused,
            by_hand: ByHand::default(),
            tags: Arc::clone(&plan.tags),
            token: 0,
        });
    }

    fn keep_node(&mut self, mut slot: NodeSlot, plan: &NodePlan) {
        slot.by_config = plan.paused;
        slot.tags = Arc::clone(&plan.tags);
        let is_paused = slot.is_paused();
        let mut old = std::mem::take(&mut slot.lines);
        let mut lines = Vec::with_capacity(plan.lines.len());
        for line in &plan.lines {
            let same = old.iter().position(|key| {
                self.lines
                    .get(key)
                    .is_some_and(|slot| slot.plan.name == line.name && slot.plan.is_like(line))
            });
            match same {
                Some(at) => {
                    let key = old.swap_remove(at);
                    if let Some(slot) = self.lines.get_mut(&key) {
                        slot.plan = line.clone();
                        let target = Arc::clone(&line.target);
                        let _ = slot.commands.try_send(Command::Retarget(target));
                        let _ = slot.commands.try_send(Command::Pause(is_paused));
                    }
                    lines.push(key);
                }
                None => lines.push(self.add_line(plan, is_paused, line)),
            }
        }
        for key in old {
            self.remove_line(key);
        }
        let at = self.push_node(NodeSlot { lines, ..slot });
        self.judge(at, None);
    }

    fn push_node(&mut self, slot: NodeSlot) -> usize {
        let at = self.nodes.len();
        self.places.insert(Arc::clone(&slot.name), at);
        self.nodes.push(slot);
        at
    }

    fn add_line(&mut self, node: &NodePlan, is_paused: bool, plan: &LinePlan) -> usize {
        let key = self.next_key;
        self.next_key += 1;
        let config = LineConfig {
            timing: plan.timing,
            seed: self.seeds.hash_one((&node.name, &plan.name)),
            prober: Prober::Session,
            grain: self.pace.tick(),
        };
        let (commands, told) = mpsc::channel(COMMANDS);
        let lane = self.beating.get(key % self.beating.len().max(1));
        let lane = lane.unwrap_or(&self.heavy);
        let driver = Driver::new(
            key,
            config,
            Arc::clone(&plan.target),
            Arc::clone(&self.dialer),
            lane.lookout().clone(),
            self.pace.clone(),
            self.tell.clone(),
        )
        .beside(self.our_sides.clone());
        let task = lane.handle().spawn(driver.run(told, is_paused));
        self.lines.insert(
            key,
            LineSlot {
                plan: plan.clone(),
                node: Arc::clone(&node.name),
                state: LineState::Idle,
                since: self.now(),
                last_life: None,
                evidence: Evidence::default(),
                heard: None,
                before: RoundTripCounts::default(),
                ends: None,
                ties: Vec::new(),
                doubted: None,
                up_until: None,
                flaps: 0,
                in_vain: 0,
                commands,
                task,
            },
        );
        key
    }

    fn remove_line(&mut self, key: usize) {
        // Its driver says goodbye by itself.
        if let Some(slot) = self.lines.remove(&key) {
            self.untie(key, slot.ties);
        }
    }
}

/// Waits until then; for ever, if there is no such moment.
async fn until(clock: Clock, at: Option<Moment>) {
    match at {
        Some(at) => sleep_until(clock.instant(at)).await,
        None => std::future::pending().await,
    }
}

/// Waits until it is told that nobody tells of our own side; it is told once.
async fn blinded(told: &mut Option<oneshot::Receiver<LinkError>>) -> LinkError {
    if let Some(receiver) = told {
        let error = receiver.await;
        *told = None;
        if let Ok(error) = error {
            return error;
        }
    }
    std::future::pending().await
}

/// Line events that wait to be taken in. The engine never waits for a reader, so it fills only while this process is
/// stopped.
const QUEUE: usize = 16_384;
/// Commands that wait for one driver.
const COMMANDS: usize = 8;
/// Beyond the goodbye itself.
const MARGIN: Duration = Duration::from_millis(500);
