//! `heartline log`.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use heartline_core::Cause;
use heartline_journal::{EventFilter, Reader, Stored, default_path};
use heartline_watch::config::parse_duration;
use jiff::{SignedDuration, Timestamp, Zoned};
use serde_json::Value;

use crate::words;

/// Prints what a watcher has written down.
///
/// Reads the journal's file, also while a watcher writes it, and without one.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct LogArgs {
    /// Of this node alone, by the name that the watcher has for it
    #[arg(value_name = "NODE")]
    node: Option<String>,
    /// Not older than this: a time ago (2h, 7d), a day (2026-11-20), or a moment (2026-11-20T23:31:00Z)
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Timestamp>,
    /// The last so many [default: 100, or all with --since]
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// What became of nodes and of the watcher, not of each line
    #[arg(long)]
    nodes_only: bool,
    /// Go on, and print what is written from now on
    #[arg(short = 'f', long)]
    follow: bool,
    /// Print JSON Lines, as watch --json did
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    journal: JournalFlag,
}

/// Which journal.
#[derive(Debug, Args)]
pub(crate) struct JournalFlag {
    /// The journal's file [default: as watch]
    #[arg(long = "journal", value_name = "FILE")]
    path: Option<PathBuf>,
}

impl JournalFlag {
    /// Opens it.
    pub(crate) fn open(&self) -> anyhow::Result<Reader> {
        let path = self.path.clone().or_else(default_path);
        let path = path.context("no state directory for a journal; name it with --journal")?;
        Ok(Reader::open(&path)?)
    }
}

/// Prints them.
pub(crate) fn run(args: &LogArgs) -> anyhow::Result<ExitCode> {
    let all = args.since.is_some();
    let filter = EventFilter {
        node: args.node.clone(),
        without_lines: args.nodes_only,
        since: args.since,
        after: None,
        last: args.lines.or((!all).then_some(USUAL)),
    };
    let mut pages = Pages::begin(args.journal.open()?, filter)?;
    let coloured = words::is_coloured();
    loop {
        // Looked for first: what the old one was still told is read, too.
        let next = args.follow.then(|| pages.reader.successor()).flatten();
        let mut out = BufWriter::new(io::stdout().lock());
        let mut gone = Ok(());
        let read = pages.turn(|event| {
            let text = if args.json {
                event.json
            } else {
                told(&event, coloured)
            };
            if gone.is_ok() {
                gone = writeln!(out, "{text}");
            }
        });
        match gone.and_then(|()| out.flush()) {
            // Whoever read has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(ExitCode::SUCCESS);
            }
            done => done.context("cannot write what was read")?,
        }
        match next {
            // One that was set aside may well be damaged.
            Some(next) => pages = Pages::begin(next, pages.all())?,
            None => read?,
        }
        if !args.follow {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(LOOK);
    }
}

/// A journal that is read, and read on.
struct Pages {
    reader: Reader,
    filter: EventFilter,
    /// The least number that was seen: gaps that are noted later are below it, and below zero.
    least: i64,
    is_begun: bool,
}

impl Pages {
    fn begin(reader: Reader, filter: EventFilter) -> anyhow::Result<Self> {
        let least = reader.least()?.unwrap_or_default().min(0);
        Ok(Self {
            reader,
            filter,
            least,
            is_begun: false,
        })
    }

    /// Of a journal that was begun anew all is news.
    fn all(&self) -> EventFilter {
        EventFilter {
            after: None,
            last: None,
            ..self.filter.clone()
        }
    }

    /// What was not taken before.
    fn turn(&mut self, mut take: impl FnMut(Stored)) -> anyhow::Result<()> {
        // What is written while these are read is not passed over.
        let newest = self.reader.newest()?;
        let (mut after, mut least) = (self.filter.after.max(newest), self.least);
        self.reader.events(&self.filter, |event| {
            after = after.max(Some(event.seq));
            least = least.min(event.seq);
            take(event);
        })?;
        // A gap is of no node.
        if self.is_begun && self.filter.node.is_none() {
            for gap in self.reader.gaps(least, self.filter.since)? {
                least = least.min(gap.seq);
                take(gap);
            }
        }
        (self.filter.after, self.filter.last) = (after, None);
        (self.least, self.is_begun) = (least, true);
        Ok(())
    }
}

/// One event, as text: what the terminal showed, and the day.
fn told(event: &Stored, coloured: bool) -> String {
    let told: Value = serde_json::from_str(&event.json).unwrap_or_default();
    let local = event.t.to_zoned(jiff::tz::TimeZone::system());
    let mut text = local.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string();
    for name in [&event.node, &event.line].into_iter().flatten() {
        text.push_str("  ");
        text.push_str(&words::plain(name));
    }
    if let Some(state) = &event.state {
        text.push_str("  ");
        text.push_str(&words::paint(state, coloured));
    } else {
        text.push_str("  ");
        text.push_str(&words::plain(&event.kind));
    }
    let cause = event.cause.as_ref();
    let cause = cause.and_then(|word| serde_json::from_value::<Cause>(word.as_str().into()).ok());
    if let Some(cause) = cause {
        let _ = write!(text, "  {cause}: {}", cause.sentence());
    }
    let of = |name: &str| told.get(name);
    if let Some(detail) = of("detail")
        .or_else(|| told.pointer("/lines/0/detail"))
        .and_then(Value::as_str)
    {
        let _ = write!(text, " ({})", words::plain(detail));
    }
    if let (Some(ms), Some("down" | "suspect")) = (
        of("after_ms").and_then(Value::as_u64),
        event.state.as_deref(),
    ) {
        let _ = write!(text, ", {} after its last sign of life", words::seconds(ms));
    }
    if let Some(lost) = of("lost").and_then(Value::as_u64) {
        let _ = write!(
            text,
            "  {lost} events are missing here: they found no room while the journal could not be written"
        );
    }
    text
}

/// A time ago, a day, or a moment.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(ago) = parse_duration(text) {
        return before_now(ago).map_err(|error| error.to_string());
    }
    let here = jiff::tz::TimeZone::system();
    let day = text.parse::<jiff::civil::Date>();
    let local = text.parse::<jiff::civil::DateTime>();
    let moment = text.parse::<Timestamp>().ok();
    let begun = day.map(|day| day.at(0, 0, 0, 0));
    let at = moment.or_else(|| Some(begun.or(local).ok()?.to_zoned(here).ok()?.timestamp()));
    at.ok_or_else(|| {
        format!("{text:?} is no time; give one like 2h, 7d, 2026-11-20 or 2026-11-20T23:31:00Z")
    })
}

fn before_now(ago: Duration) -> anyhow::Result<Timestamp> {
    let ago = SignedDuration::try_from(ago)?;
    let now = Zoned::now().timestamp();
    match now.checked_sub(ago) {
        Ok(then) => Ok(then),
        Err(_) => bail!("that is before all time"),
    }
}

/// Events that are printed where nobody says how many.
const USUAL: usize = 100;
/// How often a journal that is followed is looked at.
const LOOK: Duration = Duration::from_millis(250);

const HELP: &str = "\
Exit codes: 0, 2 usage, or no journal.

Examples:
  heartline log
  heartline log db1 --since 7d --nodes-only
  heartline log -f --json | jq .";
