//! When to go on, and when not to.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use heartline_core::Cause;
use tokio::time::Instant;

use super::args::StayingFlags;

/// See the module.
#[derive(Debug)]
pub(super) struct GivingUp {
    flags: StayingFlags,
    begun: Instant,
    line_count: usize,
    /// Lines that nobody dials any more, and why.
    stopped: HashMap<Arc<str>, (Cause, Option<String>)>,
    has_stood: bool,
    /// Since any session stood.
    in_vain: u32,
    last: Option<(Cause, Option<String>)>,
}

impl GivingUp {
    pub(super) fn new(flags: &StayingFlags, line_count: usize) -> Self {
        Self {
            flags: flags.clone(),
            begun: Instant::now(),
            line_count,
            stopped: HashMap::new(),
            has_stood: false,
            in_vain: 0,
            last: None,
        }
    }

    /// A line is up.
    pub(super) fn stood(&mut self, line: &str) {
        self.has_stood = true;
        self.in_vain = 0;
        self.stopped.remove(line);
    }

    /// A dial of a line came to nothing, or its session ended.
    pub(super) fn failed(&mut self, line: &Arc<str>, cause: Cause, detail: Option<&str>) {
        let why = (cause, detail.map(str::to_owned));
        if cause.stops_dialing() {
            self.stopped.insert(Arc::clone(line), why.clone());
        } else {
            self.stopped.remove(line);
        }
        self.last = Some(why);
    }

    /// So many dials came to nothing since any session stood.
    pub(super) fn dialed_in_vain(&mut self, times: u32) {
        self.in_vain = times;
    }

    /// Why to give up now, for a person; none: go on.
    pub(super) fn verdict(&self) -> Option<String> {
        if !self.flags.never_give_up
            && self.stopped.len() >= self.line_count
            && let Some(why) = self.stopped.values().next()
        {
            return Some(format!("trying on is senseless: {}", sentence(why)));
        }
        let why = || self.last.as_ref().map_or_else(String::new, sentence);
        let most = self.flags.max_tries;
        if most > 0 && self.in_vain >= most {
            return Some(format!("{most} tries in a row came to nothing: {}", why()));
        }
        let gate = self.flags.gate_time;
        let gives_up = !self.flags.never_give_up && !gate.is_zero();
        if gives_up && !self.has_stood && self.begun.elapsed() >= gate {
            return Some(format!("no session stood within {gate:?}: {}", why()));
        }
        None
    }

    /// When something is due by time alone: the gate, or the end of the life that was asked for.
    pub(super) fn due(&self) -> Option<Instant> {
        let is_open = !self.has_stood && !self.flags.never_give_up;
        let gate = is_open.then(|| after(self.begun, self.flags.gate_time));
        gate.flatten().into_iter().chain(self.end()).min()
    }

    /// When it is to end, having done its work.
    pub(super) fn end(&self) -> Option<Instant> {
        after(self.begun, self.flags.max_lifetime)
    }

    /// Whether lines that had given up are to be tried again, now and then.
    pub(super) fn tries_again(&self) -> bool {
        self.flags.never_give_up && !self.stopped.is_empty()
    }
}

fn after(begun: Instant, time: Duration) -> Option<Instant> {
    (!time.is_zero()).then(|| begun.checked_add(time)).flatten()
}

fn sentence((cause, detail): &(Cause, Option<String>)) -> String {
    match detail {
        Some(detail) => format!("{cause}, {} ({detail})", cause.sentence()),
        None => format!("{cause}, {}", cause.sentence()),
    }
}
