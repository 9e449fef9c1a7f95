//! `bench journal`: how many events a second the journal takes, with a hook that each of them is a message for, and how much disk one takes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use heartline_core::Cause;
use heartline_journal::{Change, Journal, Message, Place, Rules, Settings};
use heartline_watch::board::Noted;
use heartline_watch::{NodeTold, Told};
use jiff::Timestamp;
use serde::Serialize;

use crate::arguments::JournalArguments;
use crate::interrupt;

/// A message an event.
struct Each;

impl Rules for Each {
    fn judge(&mut self, noted: &Noted) -> Vec<Change> {
        vec![Change::Put(Message {
            key: format!("each-{}", noted.seq),
            hook: "each".to_owned(),
            subject: noted
                .told
                .node()
                .map(ToString::to_string)
                .unwrap_or_default(),
            due: noted.told.t(),
            tries: 0,
            body: String::new(),
        })]
    }
}

#[derive(Debug, Serialize)]
struct Report {
    events: u64,
    seconds: f64,
    events_per_second: f64,
    bytes_per_event: f64,
}

/// Measures and prints.
pub(crate) fn run(arguments: &JournalArguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("journal.db");
    let (opening, _) = Journal::open(Some(Place::take(&path)?), Settings::default());
    let written = Arc::<AtomicU64>::default();
    let count = Arc::clone(&written);
    let deliver = move |changes: Vec<Change>| {
        let came = u64::try_from(changes.len()).unwrap_or_default();
        count.fetch_add(came, Ordering::Relaxed);
    };
    let (journal, keeper) = opening.start(Box::new(Each), Box::new(deliver))?;
    let begun = Instant::now();
    for seq in 1..=arguments.n {
        // Not more than find room: what is measured is the writing.
        while seq - written.load(Ordering::Relaxed) > ROOM {
            sleep(LOOK);
        }
        journal.tell(event(seq));
    }
    while written.load(Ordering::Relaxed) < arguments.n {
        ensure!(begun.elapsed() < PATIENCE, "it does not come to an end");
        interrupt::check()?;
        sleep(LOOK);
    }
    let took = begun.elapsed().as_secs_f64();
    ensure!(journal.lost() == 0 && journal.is_well(), "events were lost");
    journal.end();
    drop(journal);
    keeper.wait();
    let bytes = path.metadata().context("no journal")?.len();
    let of = |what: f64| what / to_float(arguments.n);
    let report = Report {
        events: arguments.n,
        seconds: took,
        events_per_second: to_float(arguments.n) / took,
        bytes_per_event: of(to_float(bytes)),
    };
    print!("{report}");
    arguments.common.put_out(&report)
}

fn event(seq: u64) -> Arc<Noted> {
    let is_down = seq.is_multiple_of(2);
    Arc::new(Noted {
        seq,
        told: Told::Node(NodeTold {
            t: Timestamp::now(),
            node: format!("node{}", seq % 1_000).into(),
            from: "suspect",
            to: if is_down { "down" } else { "up" },
            cause: is_down.then_some(Cause::Silent),
            after_ms: Some(seq),
            token: seq,
            tags: Arc::default(),
            lines: Vec::new(),
        }),
    })
}

#[expect(clippy::cast_precision_loss, reason = "none that shows")]
fn to_float(count: u64) -> f64 {
    count as f64
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} events, each with a message, in {:.2} s: {:.0} a second, {:.0} bytes each",
            self.events, self.seconds, self.events_per_second, self.bytes_per_event
        )
    }
}

const ROOM: u64 = 16_384;
const LOOK: Duration = Duration::from_micros(200);
const PATIENCE: Duration = Duration::from_mins(5);
