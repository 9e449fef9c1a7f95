//! What was told, held against what is wanted.

use std::collections::BTreeSet;
use std::fmt;

use super::wanted::{Settled, Wanted};
use crate::watching::Told;

/// What came of a row.
pub(crate) enum Verdict {
    /// It was carried out.
    Judged(Judged),
    /// It cannot be done here.
    Skipped(String),
    /// It could not be done.
    Failed(anyhow::Error),
}

/// What was told.
pub(crate) struct Judged {
    /// What was wanted and what was told instead or as well, each once; alike where all is well.
    pub(crate) pairs: BTreeSet<Pair>,
    /// All that was said of the node of which the wrong things were said, or else of the first.
    pub(crate) said: String,
}

/// A cause that is wanted, and one that was told.
pub(crate) type Pair = (String, String);

/// Takes in what is told.
pub(crate) struct Judge<'a> {
    wanted: &'a Wanted,
    nodes: Vec<Account>,
    pairs: BTreeSet<Pair>,
    of_watcher: Vec<String>,
}

/// What was said of one node.
struct Account {
    name: String,
    said: Vec<String>,
    is_wrong: bool,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(wanted: &'a Wanted, names: &[String]) -> Self {
        let account = |name: &String| Account {
            name: name.clone(),
            said: Vec::new(),
            is_wrong: false,
        };
        Self {
            wanted,
            nodes: names.iter().map(account).collect(),
            pairs: BTreeSet::new(),
            of_watcher: Vec::new(),
        }
    }

    /// Whether everything is as it is wanted to be in the end.
    pub(crate) fn is_settled(&self, told: &[Told]) -> bool {
        let wanted = self.wanted;
        let is_still = wanted.first.is_empty();
        let watcher = wanted.watcher;
        watcher.is_none_or(|cause| of_watcher(told).any(|told| told.text("cause") == cause))
            && self.nodes.iter().all(|account| {
                let mut events = of_node(told, &account.name);
                if wanted.passes {
                    return events.any(|told| is(told, wanted.settled));
                }
                events
                    .next_back()
                    .map_or(is_still, |last| is(last, wanted.settled))
            })
    }

    /// Whether every node is up again.
    pub(crate) fn is_mended(&self, told: &[Told]) -> bool {
        self.nodes.iter().all(|account| {
            let last = of_node(told, &account.name).next_back();
            last.is_some_and(|last| is(last, Settled::Up))
        })
    }

    /// Judges what was told of the deed.
    pub(crate) fn settled(&mut self, told: &[Told]) {
        let wanted = self.wanted;
        for account in &mut self.nodes {
            let mut events: Vec<&Told> = of_node(told, &account.name).collect();
            if wanted.passes
                && let Some(at) = events.iter().position(|told| is(told, wanted.settled))
            {
                events.truncate(at + 1);
            }
            let mut pairs = vec![last_pair(wanted, events.last().copied())];
            pairs.extend(first_pair(wanted, events.first().copied()));
            let lines = told
                .iter()
                .filter(|told| told.text("event") == "line" && told.text("node") == account.name);
            // Where what follows is not judged, the lines' own words are not either.
            let lines = lines.filter(|_| !wanted.passes);
            pairs.extend(
                events
                    .iter()
                    .copied()
                    .chain(lines)
                    .filter_map(|told| stray(wanted, told)),
            );
            account.take_in(&events, &pairs);
            self.pairs.extend(pairs);
        }
        self.judge_watcher(told);
    }

    /// Judges what was told once the deed was undone.
    pub(crate) fn mended(&mut self, told: &[Told]) {
        let wanted = self.wanted;
        for account in &mut self.nodes {
            let events: Vec<&Told> = of_node(told, &account.name).collect();
            let up = Settled::Up;
            let last = events
                .last()
                .map_or(NOTHING.to_owned(), |last| name(last, up));
            let mut pairs = vec![("up".to_owned(), last)];
            pairs.extend(events.iter().filter_map(|told| fall(wanted, told)));
            account.take_in(&events, &pairs);
            self.pairs.extend(pairs);
        }
    }

    pub(crate) fn verdict(self) -> Verdict {
        let wrong = self.nodes.iter().find(|account| account.is_wrong);
        let shown = wrong.or(self.nodes.first());
        let mut said = shown.map_or(String::new(), |account| account.said.join(" "));
        if said.is_empty() {
            NOTHING.clone_into(&mut said);
        }
        if let (Some(account), 2..) = (shown, self.nodes.len()) {
            said = format!("{}: {said}", account.name);
        }
        for cause in &self.of_watcher {
            said = format!("{said}; watcher {cause}");
        }
        let pairs = self.pairs;
        Verdict::Judged(Judged { pairs, said })
    }

    fn judge_watcher(&mut self, told: &[Told]) {
        let causes = of_watcher(told).map(|told| told.text("cause").to_owned());
        self.of_watcher = causes.collect();
        let wanted = self.wanted.watcher;
        let right = self
            .of_watcher
            .iter()
            .filter(|cause| Some(cause.as_str()) == wanted);
        match (wanted, right.count()) {
            (None, _) => {}
            (Some(wanted), 0) => self.note(wanted, NOTHING),
            (Some(wanted), 1) => self.note(wanted, wanted),
            (Some(wanted), times) => self.note(wanted, &format!("{wanted}, {times} times")),
        }
        // That it did not run is true whenever it says so, on a machine that is busy enough.
        if wanted.is_none()
            && self
                .of_watcher
                .iter()
                .any(|cause| cause == "watcher_isolated")
        {
            self.note(self.wanted.settled.name(), "watcher_isolated");
        }
    }

    fn note(&mut self, wanted: &str, told: &str) {
        self.pairs.insert((wanted.to_owned(), told.to_owned()));
    }
}

impl Account {
    fn take_in(&mut self, events: &[&Told], pairs: &[Pair]) {
        let words = events.iter().map(|told| said(told));
        self.said.extend(words);
        self.is_wrong |= pairs.iter().any(|(wanted, told)| wanted != told);
    }
}

impl Verdict {
    pub(crate) fn is_good(&self) -> bool {
        match self {
            Self::Judged(judged) => judged.pairs.iter().all(|(wanted, told)| wanted == told),
            Self::Skipped(_) => true,
            Self::Failed(_) => false,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Judged(judged) => f.write_str(&judged.said),
            Self::Skipped(why) => write!(f, "SKIPPED: {why}"),
            Self::Failed(why) => write!(f, "could not be done: {why:#}"),
        }
    }
}

fn of_node<'a>(told: &'a [Told], name: &str) -> impl DoubleEndedIterator<Item = &'a Told> {
    let is_of = move |told: &&Told| told.text("event") == "node" && told.text("node") == name;
    told.iter().filter(is_of)
}

/// What the watcher says of itself, but for what a busy machine makes it say, and for the end of it.
fn of_watcher(told: &[Told]) -> impl Iterator<Item = &Told> {
    let lost = |told: &Told| told.at_place("/lost_ms").as_u64();
    let matters = move |told: &&Told| lost(told).is_none_or(|lost| lost >= SHORT_STALL_MS);
    let is_end = |told: &Told| {
        told.text("cause") == "watcher_isolated" && told.at_place("/over").as_bool() == Some(true)
    };
    let of_watcher = told.iter().filter(|told| told.text("event") == "watcher");
    of_watcher.filter(matters).filter(move |told| !is_end(told))
}

fn is(told: &Told, settled: Settled) -> bool {
    told.text("to") == settled.state() && told.text("cause") == settled.cause()
}

/// The last word, beside the one that is wanted.
fn last_pair(wanted: &Wanted, last: Option<&Told>) -> Pair {
    let nothing = if wanted.first.is_empty() {
        "up"
    } else {
        NOTHING
    };
    let told = last.map_or(nothing.to_owned(), |last| name(last, wanted.settled));
    (wanted.settled.name().to_owned(), told)
}

/// The first word, beside the one that is wanted.
fn first_pair(wanted: &Wanted, first: Option<&Told>) -> Option<Pair> {
    let usual = wanted.first.first()?;
    let told = first.map_or(NOTHING, |first| first.text("cause"));
    let wanted = if wanted.first.contains(&told) {
        told
    } else {
        usual
    };
    Some((wanted.to_owned(), told.to_owned()))
}

/// A word on the way that leads astray.
fn stray(wanted: &Wanted, told: &Told) -> Option<Pair> {
    let cause = told.text("cause");
    if cause.is_empty() || wanted.allows(cause) {
        return fall(wanted, told);
    }
    Some((wanted.settled.name().to_owned(), cause.to_owned()))
}

/// A node that was called down where nothing says that it is.
fn fall(wanted: &Wanted, told: &Told) -> Option<Pair> {
    let fell = told.text("event") == "node" && told.text("to") == "down" && !wanted.falls;
    fell.then(|| (wanted.settled.name().to_owned(), said(told)))
}

/// What it says of the node, in the matrix: the cause alone where the state is the one that is wanted.
fn name(told: &Told, wanted: Settled) -> String {
    if told.text("to") != wanted.state() {
        return said(told);
    }
    match wanted {
        Settled::Up => "up".to_owned(),
        _ => told.text("cause").to_owned(),
    }
}

fn said(told: &Told) -> String {
    match told.text("cause") {
        "" => told.text("to").to_owned(),
        cause => format!("{}({cause})", told.text("to")),
    }
}

/// In the place of a word.
pub(crate) const NOTHING: &str = "nothing";
/// Shorter ones are what other work on the machine does to it.
const SHORT_STALL_MS: u64 = 1_000;
