//! One hook, one subject, one event.

use std::time::Duration;

use heartline_journal::{Change, Message};
use heartline_watch::board::Noted;
use heartline_watch::config::State;
use jiff::Timestamp;

use super::known::{Flaps, Kind, Known, Pending, badness, contradicts};
use crate::hook::Hook;
use crate::letter::{Facts, Letter};
use crate::outbox::Outbox;

/// See the module.
pub(super) struct Step<'a> {
    pub(super) hook: &'a Hook,
    pub(super) outbox: &'a Outbox,
    pub(super) subject: &'a str,
    pub(super) facts: &'a Facts<'a>,
    pub(super) tags: &'a [String],
    pub(super) noted: &'a Noted,
    pub(super) known: Known,
    pub(super) changes: &'a mut Vec<Change>,
}

impl Step<'_> {
    /// What the hook knows since.
    pub(super) fn take(mut self) -> Known {
        self.look_at_pending();
        if self.known.pending.is_some() {
            self.renew();
            return self.known;
        }
        let settle = self.hook.settle;
        let has_settled = |flaps: Flaps| !is_within(self.now(), flaps.last, settle);
        if self.known.flaps.is_some_and(has_settled) {
            self.known.flaps = None;
        }
        let (to, cause) = (self.facts.to, self.facts.cause);
        let is_listed = self.hook.lists(to, cause);
        let is_return = !is_listed && self.hook.is_return(to);
        if let Some(flaps) = self.known.flaps {
            self.flap(flaps, is_listed, is_return);
        } else if is_listed {
            self.tell_listed();
        } else if is_return && self.hook.is_fall(self.known.told) {
            self.put(Kind::Return, Duration::ZERO);
        } else if self.leaves() {
            // It may be told that it is up again, then.
            (self.known.told, self.known.rose) = (None, true);
        }
        self.known
    }

    /// Takes back what is no longer so. What has gone out, or was to by now, is told.
    fn look_at_pending(&mut self) {
        let Some(pending) = self.known.pending.take() else {
            return;
        };
        let (to, cause) = (self.facts.to, self.facts.cause);
        let is_open = self.outbox.is_open(&pending.key);
        // By the outbox's clock: that of events may have been set meanwhile.
        if is_open && !self.outbox.is_due(&pending.key) {
            let is_other = to != pending.to && self.hook.lists(to, cause);
            if !is_other && !contradicts(to, pending.to) {
                self.known.pending = Some(pending);
                return;
            }
            if self.outbox.cancel(&pending.key) {
                self.changes.push(Change::Cancel { key: pending.key });
                return;
            }
        } else if is_open {
            self.outbox.hasten(&pending.key);
        }
        let Pending { to, kind, due, .. } = pending;
        self.known.is_told(self.hook, to, kind, due);
    }

    /// It is still so, or so again: whoever is told of it is told what is known now, and the token that is in force.
    fn renew(&mut self) {
        if let Some(pending) = self.known.pending.clone()
            && pending.to == self.facts.to
        {
            let letter = self.letter(&pending.key, pending.kind);
            self.changes.push(self.message(&letter, pending.due));
        }
    }

    /// It is in a state that the hook asked for.
    fn tell_listed(&mut self) {
        let (to, told) = (self.facts.to, self.known.told);
        if told == Some(to) {
            return;
        }
        let is_worse = if to == State::Up {
            told.is_none() && !self.hook.names(State::Down)
        } else {
            badness(to) > told.map_or(0, badness)
        };
        let fell = self.known.fell.filter(|_| self.known.rose && is_worse);
        let kind = match fell {
            Some(fell) if is_within(self.now(), fell, self.hook.settle) => Kind::Flapping,
            _ if is_worse => Kind::Fall,
            _ => Kind::Return,
        };
        let is_back = to == State::Up && self.hook.is_fall(told);
        let delay = if is_back {
            Duration::ZERO
        } else {
            self.hook.after
        };
        self.put(kind, delay);
    }

    /// It flaps: what it is goes out once it has been that for long enough, if the hook does not know it.
    fn flap(&mut self, mut flaps: Flaps, is_listed: bool, is_return: bool) {
        let (to, told) = (self.facts.to, self.known.told);
        if !is_listed && !is_return && !self.leaves() {
            return;
        }
        let is_news = (is_listed && told != Some(to)) || (is_return && self.hook.is_fall(told));
        if flaps.state != to {
            flaps.changes = flaps.changes.saturating_add(1);
            (flaps.last, flaps.state) = (self.now(), to);
        } else if is_news {
            flaps.last = self.now();
        }
        self.known.flaps = Some(flaps);
        if is_news {
            self.put(Kind::Outcome, self.hook.settle.max(self.hook.after));
        }
    }

    /// Whether that ends what a hook knows that asked for `up` alone.
    fn leaves(&self) -> bool {
        let told_up = self.known.told == Some(State::Up);
        told_up && self.facts.to == State::Down && !self.hook.names(State::Down)
    }

    fn put(&mut self, kind: Kind, delay: Duration) {
        // Hook and number are an event's; the time keeps those of two watchers apart.
        let key = format!("{}-{}-{}", self.hook.name, self.noted.seq, self.now());
        let (to, due) = (self.facts.to, self.now().saturating_add(ms(delay)));
        if let Some(key) = self.outbox.announce(&self.hook.name, &key, delay) {
            self.changes.push(Change::Cancel { key });
        }
        let letter = self.letter(&key, kind);
        self.changes.push(self.message(&letter, due));
        if delay.is_zero() {
            self.known.is_told(self.hook, to, kind, due);
        } else {
            self.known.pending = Some(Pending { key, to, kind, due });
        }
    }

    fn letter(&self, key: &str, kind: Kind) -> Letter {
        let told = &self.noted.told;
        let mut letter = Letter::new(&self.hook.name, key, self.facts, self.tags, told);
        letter.flapping = kind == Kind::Flapping;
        let flaps = self.known.flaps.filter(|_| kind == Kind::Outcome);
        letter.changes = flaps.map(|flaps| flaps.changes);
        letter
    }

    fn message(&self, letter: &Letter, due: i64) -> Change {
        Change::Put(Message {
            key: letter.key.clone(),
            hook: self.hook.name.to_string(),
            subject: self.subject.to_owned(),
            due: Timestamp::from_millisecond(due).unwrap_or(self.facts.t),
            tries: 0,
            body: letter.body(),
        })
    }

    fn now(&self) -> i64 {
        self.facts.t.as_millisecond()
    }
}

/// Whether the two are less apart than this; whichever is the later, since a wall clock may have been set.
fn is_within(one: i64, other: i64, span: Duration) -> bool {
    u128::from(one.abs_diff(other)) < span.as_millis()
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
