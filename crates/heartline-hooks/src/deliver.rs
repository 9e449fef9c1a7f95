//! The thread that sends: begins what is due, judges what became of it, tells the journal.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use heartline_journal::{Journal, Message};
use heartline_ssh::escape;
use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Builder;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::hook::{Action, Hooks};
use crate::letter::Letter;
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::outcome::Outcome;
use crate::schedule::Begun;

use complaints::Complaints;

mod complaints;

/// The thread, to be ended.
#[derive(Debug)]
pub struct Deliverer {
    outbox: Outbox,
    thread: JoinHandle<()>,
}

impl Deliverer {
    /// Sends what is in the outbox, and what will be.
    pub fn start(
        hooks: Hooks,
        outbox: Outbox,
        journal: Journal,
        limits: Limits,
    ) -> io::Result<Self> {
        // Its blocking threads resolve names; one whose lookup hangs is left behind until that is over.
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(2 * limits.at_once.max(1))
            .build()?;
        let round = Round {
            hooks,
            outbox: outbox.clone(),
            journal,
            limits,
            attempts: JoinSet::new(),
            failed: HashMap::new(),
            begun: HashMap::new(),
            notes: VecDeque::new(),
            complaints: Complaints::default(),
        };
        let thread = thread::Builder::new().name("heartline-hooks".into());
        let thread = thread.spawn(move || {
            runtime.block_on(round.run());
            // Whatever a resolver still waits for, nobody waits for it.
            runtime.shutdown_background();
        })?;
        Ok(Self { outbox, thread })
    }

    /// Begins nothing more. What is under way has two seconds; what is not done then is killed, and is in the journal still.
    pub fn end(self) {
        self.outbox.end();
        let until = Instant::now() + GOODBYE + LOOK * 50;
        while !self.thread.is_finished() && Instant::now() < until {
            thread::sleep(LOOK);
        }
    }
}

struct Round {
    hooks: Hooks,
    outbox: Outbox,
    journal: Journal,
    limits: Limits,
    attempts: JoinSet<Outcome>,
    begun: HashMap<Id, Begun>,
    /// How often each message has failed, in this run.
    failed: HashMap<String, u32>,
    /// What the journal has had no room for.
    notes: VecDeque<Note>,
    complaints: Complaints,
}

/// What the journal is to know.
enum Note {
    Done(String),
    PutOff {
        key: String,
        tries: u32,
        due: Timestamp,
    },
}

impl Round {
    async fn run(mut self) {
        for key in self.outbox.take_orphans() {
            info!(key = %escape(key.as_bytes(), SHOWN), "A message is let go: its hook is no more, or has too many.");
            self.note(Note::Done(key));
        }
        while !self.outbox.is_over() {
            let wait = self.begin();
            self.tell_journal();
            tokio::select! {
                () = self.outbox.woken() => {}
                Some(ended) = self.attempts.join_next_with_id() => self.take_in(ended),
                () = sleep(wait) => {}
            }
            self.complaints.dropped(self.outbox.take_dropped());
            self.complaints.say(Instant::now());
        }
        let last = async {
            while let Some(ended) = self.attempts.join_next_with_id().await {
                self.take_in(ended);
            }
        };
        let _ = timeout(GOODBYE, last).await;
        self.tell_journal();
    }

    /// Begins all whose turn it is; how long until there is more to do.
    fn begin(&mut self) -> Duration {
        let now = self.outbox.now();
        let outbox = self.outbox.clone();
        let mut schedule = outbox.lock();
        while let Some(begun) = schedule.begin(now.at) {
            self.note_begun(&begun, now.wall);
            let attempt = attempt(self.hooks.clone(), Arc::clone(&begun.message));
            let handle = self.attempts.spawn(attempt);
            self.begun.insert(handle.id(), begun);
        }
        let next = schedule.next().map(|at| at.saturating_sub(now.at));
        drop(schedule);
        let rest = if self.notes.is_empty() && self.complaints.is_silent() {
            LONGEST_SLEEP
        } else {
            SOON
        };
        // A timer of ours may be early by less than this; never begin for nothing.
        next.map_or(rest, |next| (next + TICK).min(rest))
    }

    /// One that has waited could be taken back up to now. The next run is not to think that it still can, whatever its clock says then.
    fn note_begun(&mut self, begun: &Begun, wall: Timestamp) {
        if begun.has_waited {
            let (key, tries) = (begun.message.key.clone(), begun.tries.saturating_add(1));
            let due = wall;
            self.note(Note::PutOff { key, tries, due });
        }
    }

    fn take_in(&mut self, ended: Result<(Id, Outcome), JoinError>) {
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            // A bug of ours or of a crate's, and no reason to stop telling.
            Err(error) => (error.id(), Outcome::Failed("the attempt panicked".into())),
        };
        if let Some(begun) = self.begun.remove(&id) {
            self.judge(&begun, outcome);
        }
    }

    fn judge(&mut self, begun: &Begun, outcome: Outcome) {
        let message = &*begun.message;
        let about = escape(message.subject.as_bytes(), SHOWN);
        let tries = begun.tries.saturating_add(1);
        match outcome {
            Outcome::Done => {
                debug!(hook = message.hook, %about, tries, "A message was taken.");
                self.complaints.works(&message.hook);
                self.over(message);
            }
            Outcome::Later { wait, why } if !self.is_too_old(begun) => {
                self.again(begun, wait.unwrap_or_default(), &why);
            }
            Outcome::Failed(why) if self.may_fail_again(&message.key) => {
                self.again(begun, Duration::ZERO, &why);
            }
            Outcome::Later { why, .. } | Outcome::Failed(why) | Outcome::Refused(why) => {
                debug!(hook = message.hook, %about, tries, why, "A message is given up.");
                self.complaints.gave_up(&message.hook, &about, why);
                self.over(message);
            }
        }
    }

    fn again(&mut self, begun: &Begun, wait: Duration, why: &str) {
        let message = &*begun.message;
        let about = escape(message.subject.as_bytes(), SHOWN);
        let pause = self.limits.pause(begun.tries).max(wait);
        if self.complaints.fails(&message.hook) {
            warn!(hook = message.hook, %about, why, "A hook failed. It is tried again.");
        } else {
            debug!(hook = message.hook, %about, why, ?pause, "A hook failed again.");
        }
        let now = self.outbox.now();
        let tries = self.outbox.lock().retry(&message.key, now.at + pause);
        let signed = SignedDuration::try_from(pause).unwrap_or_default();
        self.note(Note::PutOff {
            key: message.key.clone(),
            tries,
            due: now.wall.saturating_add(signed).unwrap_or(now.wall),
        });
    }

    /// Failures are counted apart from attempts: one that asks to be tried later has not failed, nor has one that was killed with us.
    fn may_fail_again(&mut self, key: &str) -> bool {
        let count = self.failed.entry(key.to_owned()).or_default();
        *count += 1;
        *count < self.limits.failures
    }

    fn over(&mut self, message: &Message) {
        self.failed.remove(&message.key);
        self.outbox.lock().finish(&message.key);
        self.note(Note::Done(message.key.clone()));
    }

    /// Whether its time is long past.
    fn is_too_old(&self, begun: &Begun) -> bool {
        begun.age(self.outbox.now().at) > self.limits.give_up
    }

    /// The journal never makes us wait; what it has no room for it is told later.
    fn note(&mut self, note: Note) {
        if self.notes.len() >= NOTES {
            self.notes.pop_front();
        }
        self.notes.push_back(note);
    }

    fn tell_journal(&mut self) {
        while let Some(note) = self.notes.front() {
            let is_told = match note {
                Note::Done(key) => self.journal.done(key.clone()),
                Note::PutOff { key, tries, due } => self.journal.put_off(key.clone(), *tries, *due),
            };
            if !is_told {
                return;
            }
            self.notes.pop_front();
        }
    }
}

async fn attempt(hooks: Hooks, message: Arc<Message>) -> Outcome {
    let Some(hook) = hooks.named(&message.hook) else {
        return Outcome::Refused("there is no such hook".into());
    };
    let Ok(letter) = serde_json::from_str::<Letter>(&message.body) else {
        return Outcome::Refused("the journal holds no such message".into());
    };
    match &hook.action {
        Action::Run(program) => program.tell(&letter, &message.body, hook.timeout).await,
        Action::Post(webhook) => {
            webhook
                .tell(&message.key, &message.body, hook.timeout)
                .await
        }
        Action::Mail(mailer) => mailer.tell(&letter, hook.timeout).await,
    }
}

/// What is under way at the end has this long.
const GOODBYE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(10);
/// A look when there is nothing to do.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// A look when there is something to say.
const SOON: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(1);
/// Notes for a journal that has no room.
const NOTES: usize = 65_536;
const SHOWN: usize = 200;
