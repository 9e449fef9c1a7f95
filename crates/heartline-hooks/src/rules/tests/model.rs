//! A journal, a deliverer and a clock in small.

use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use heartline_core::Cause;
use heartline_journal::Message;
use heartline_watch::NodeTold;
use heartline_watch::config::ConfigFile;
use heartline_watch::told::{LineTold, WatcherTold};
use jiff::Timestamp;

use super::super::*;
use crate::hook::Hooks;
use crate::letter::Letter;
use crate::limits::Limits;
use crate::outbox::{Now, Outbox};

/// See the module.
pub(super) struct Model {
    hooks: Hooks,
    rules: HookRules,
    outbox: Outbox,
    clock: Clock,
    seq: u64,
    /// The journal's tables.
    waiting: Vec<Message>,
    known: Vec<(String, String, String)>,
    /// What was received, repeats and all.
    pub(super) received: Vec<Letter>,
    /// What is under way: its receiver has it, and nobody here knows.
    pub(super) unsaid: Vec<String>,
}

impl Model {
    pub(super) fn new(hooks: &str) -> Self {
        let file = ConfigFile::parse(hooks, Path::new("heartline.toml")).unwrap();
        let hooks = Hooks::new(&file.hooks).unwrap();
        let clock = Clock::default();
        let (outbox, rules) = begin(&hooks, &clock, &[], &[]);
        Self {
            hooks,
            rules,
            outbox,
            clock,
            seq: 0,
            waiting: Vec::new(),
            known: Vec::new(),
            received: Vec::new(),
            unsaid: Vec::new(),
        }
    }

    /// Killed, and begun anew.
    pub(super) fn restart(&mut self) {
        self.unsaid.clear();
        (self.outbox, self.rules) = begin(&self.hooks, &self.clock, &self.waiting, &self.known);
        for key in self.outbox.take_orphans() {
            self.waiting.retain(|message| message.key != key);
        }
    }

    pub(super) fn t(&self) -> Timestamp {
        self.clock.now().wall
    }

    /// Somebody sets the wall clock, by so many seconds.
    pub(super) fn set_clock(&self, seconds: i64) {
        self.clock
            .set_by
            .fetch_add(seconds * 1_000, Ordering::Relaxed);
    }

    /// Time passes, and all is sent as soon as it is due.
    pub(super) fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.ms.fetch_add(1_000, Ordering::Relaxed);
            self.send();
        }
    }

    /// Time passes, and nothing is sent.
    pub(super) fn pass_idle(&mut self, ms: u64) {
        self.clock.ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sends what is due.
    pub(super) fn send(&mut self) {
        while self.begin() {
            self.finish();
        }
    }

    /// Its receiver has one more.
    pub(super) fn begin(&mut self) -> bool {
        let now = self.outbox.now();
        let Some(begun) = self.outbox.lock().begin(now.at) else {
            return false;
        };
        // As the deliverer does.
        for message in &mut self.waiting {
            if message.key == begun.message.key && begun.has_waited {
                (message.tries, message.due) = (begun.tries + 1, now.wall);
            }
        }
        let letter = serde_json::from_str(&begun.message.body).unwrap();
        self.received.push(letter);
        self.unsaid.push(begun.message.key.clone());
        true
    }

    /// How long the time of the next message is past when it is begun, by what the deliverer goes by.
    pub(super) fn age(&mut self) -> Duration {
        let now = self.outbox.now();
        let begun = self.outbox.lock().begin(now.at).unwrap();
        self.unsaid.push(begun.message.key.clone());
        begun.age(now.at)
    }

    /// What is under way is done.
    pub(super) fn finish(&mut self) {
        for key in self.unsaid.drain(..) {
            self.outbox.lock().finish(&key);
            self.waiting.retain(|message| message.key != key);
        }
    }

    /// What is under way is tried again later, though its receiver has it.
    pub(super) fn fail(&mut self, seconds: u64) {
        for key in self.unsaid.drain(..) {
            let now = self.outbox.now();
            let pause = Duration::from_secs(seconds);
            let tries = self.outbox.lock().retry(&key, now.at + pause);
            for message in self.waiting.iter_mut().filter(|message| message.key == key) {
                (message.tries, message.due) = (tries, now.wall + pause);
            }
        }
    }

    pub(super) fn node(&mut self, node: &str, from: &'static str, to: &'static str) {
        let is_well = matches!(to, "up" | "paused");
        let told = NodeTold {
            t: self.t(),
            node: node.into(),
            from,
            to,
            cause: (!is_well).then_some(Cause::Silent),
            after_ms: Some(9_804),
            token: self.seq * 10,
            tags: ["prod".to_owned()].into(),
            lines: Vec::new(),
        };
        self.tell(Told::Node(told));
    }

    pub(super) fn line(&mut self, node: &str, line: &str, to: &'static str) {
        let told = LineTold {
            t: self.t(),
            node: node.into(),
            line: line.into(),
            from: "suspect",
            to,
            cause: (to == "down").then_some(Cause::Silent),
            layer: None,
            after_ms: None,
            evidence: heartline_core::Evidence::default(),
            flaps: 0,
            is_only: false,
        };
        self.tell(Told::Line(told));
    }

    pub(super) fn watcher(&mut self, cause: Cause, over: bool) {
        let told = WatcherTold {
            t: self.t(),
            cause,
            over,
            lost_ms: None,
        };
        self.tell(Told::Watcher(told));
    }

    pub(super) fn tell(&mut self, told: Told) {
        self.seq += 1;
        let changes = self.rules.judge(&Noted {
            seq: self.seq,
            told,
        });
        for change in &changes {
            match change.clone() {
                Change::Put(message) => {
                    let old = self.waiting.iter_mut().find(|old| old.key == message.key);
                    match old {
                        Some(old) => (old.due, old.body) = (message.due, message.body),
                        None => self.waiting.push(message),
                    }
                }
                Change::Cancel { key } => self.waiting.retain(|message| message.key != key),
                Change::Knows {
                    hook,
                    subject,
                    what,
                } => {
                    self.known.retain(|(h, s, _)| (h, s) != (&hook, &subject));
                    self.known
                        .extend(what.map(|what| (hook.clone(), subject.clone(), what)));
                }
            }
        }
        self.outbox.changes(changes);
    }

    /// What was received, each message once: state, and what stands out.
    pub(super) fn told(&self) -> Vec<String> {
        let mut keys = Vec::new();
        let mut told = Vec::new();
        for letter in &self.received {
            if keys.contains(&letter.key) {
                continue;
            }
            keys.push(letter.key.clone());
            let mut text = letter.to.clone();
            if letter.flapping {
                text.push_str(" flapping");
            }
            if let Some(changes) = letter.changes {
                let _ = write!(text, " after {changes}");
            }
            told.push(text);
        }
        told
    }

    pub(super) fn knows(&self) -> &[(String, String, String)] {
        &self.known
    }

    pub(super) fn waits(&self) -> usize {
        self.waiting.len()
    }
}

/// Two clocks: one that nobody sets, and the wall's.
#[derive(Clone, Default)]
struct Clock {
    ms: Arc<AtomicU64>,
    set_by: Arc<AtomicI64>,
}

impl Clock {
    fn now(&self) -> Now {
        let ms = self.ms.load(Ordering::Relaxed);
        let set_by = self.set_by.load(Ordering::Relaxed);
        let wall = 1_800_000_000_000 + i64::try_from(ms).unwrap() + set_by;
        Now {
            at: Duration::from_millis(ms),
            wall: Timestamp::from_millisecond(wall).unwrap(),
        }
    }
}

fn begin(
    hooks: &Hooks,
    clock: &Clock,
    waiting: &[Message],
    known: &[(String, String, String)],
) -> (Outbox, HookRules) {
    let (clock, time) = (clock.clone(), Arc::clone(&clock.ms));
    let limits = Limits::default();
    let outbox = Outbox::with_clock(hooks, waiting, &limits, Box::new(move || clock.now()));
    time.fetch_add(1, Ordering::Relaxed);
    let rules = HookRules::new(hooks, &outbox, known, Tags::new());
    (outbox, rules)
}

impl Model {
    /// The next run has other hooks.
    pub(super) fn become_of(&mut self, other: Self) {
        self.hooks = other.hooks;
        self.restart();
    }
}
