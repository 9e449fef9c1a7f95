//! How each node was in the last 90 days, as the journal has it: read at most once a minute, beside everything else.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use heartline_journal::{Day, ReadError, Reader, Times};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tracing::debug;

/// What is read, and when it was.
#[derive(Debug)]
pub(crate) struct Uptimes {
    journal: Option<PathBuf>,
    kept: Mutex<Kept>,
    is_reading: AtomicBool,
    read: Notify,
}

/// The last that could be read, however long ago that was.
#[derive(Debug, Default)]
struct Kept {
    all: Option<Arc<All>>,
    /// None: now.
    due: Option<Instant>,
}

/// Of all nodes.
pub(crate) type All = HashMap<String, Uptime>;

/// Of one node, or one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Uptime {
    /// The oldest first; none where nothing is known.
    pub(crate) days: Vec<Option<Times>>,
    /// All of them together.
    pub(crate) sum: Times,
}

/// What a day was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Was {
    /// Nothing is known, or nothing was to be.
    Unknown,
    /// It answered all day.
    Up,
    /// It was down for a while.
    Dented,
    /// It was down for more than an hour.
    Broken,
}

impl Uptimes {
    pub(crate) fn new(journal: Option<PathBuf>) -> Self {
        Self {
            journal,
            kept: Mutex::default(),
            is_reading: AtomicBool::new(false),
            read: Notify::new(),
        }
    }

    /// What is known, and if that is old, has it read anew for the next. Who would see nothing waits, and not for long.
    pub(crate) async fn all(self: &Arc<Self>) -> Arc<All> {
        let read = self.read.notified();
        self.refresh();
        if self.is_reading.load(Ordering::Acquire) && self.is_bare() {
            let _ = timeout(PATIENCE, read).await;
        }
        self.lock().all.clone().unwrap_or_default()
    }

    /// Has it read, if it is old and nobody does.
    pub(crate) fn refresh(self: &Arc<Self>) {
        let is_due = self.lock().due.is_none_or(|due| due <= Instant::now());
        let Some(path) = self.journal.clone().filter(|_| is_due) else {
            return;
        };
        if self.is_reading.swap(true, Ordering::AcqRel) {
            return;
        }
        let mine = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            mine.keep(read(&path, None, today()).map(nodes_only));
            mine.is_reading.store(false, Ordering::Release);
            mine.read.notify_waiters();
        });
    }

    /// What could not be read leaves what was read before as it is.
    fn keep(&self, read: Result<All, ReadError>) {
        let mut kept = self.lock();
        let lasts = match read {
            Ok(all) => {
                let lasts = if all.is_empty() { AGAIN } else { FRESH };
                kept.all = Some(Arc::new(all));
                lasts
            }
            Err(why) => {
                debug!("Uptime is shown as it was read before: {why}.");
                AGAIN
            }
        };
        kept.due = Some(Instant::now() + lasts);
    }

    /// Nothing is known yet: the first minute is not over, or was not when it was read.
    fn is_bare(&self) -> bool {
        self.lock().all.as_ref().is_none_or(|all| all.is_empty())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nodes_only(all: HashMap<(String, Option<String>), Uptime>) -> All {
    let each = all.into_iter();
    each.filter(|((_, line), _)| line.is_none())
        .map(|((node, _), uptime)| (node, uptime))
        .collect()
}

/// Of all nodes; or of one and its lines. Blocks.
pub(crate) fn read(
    path: &Path,
    node: Option<&str>,
    today: i64,
) -> Result<HashMap<(String, Option<String>), Uptime>, ReadError> {
    let reader = Reader::open(path)?;
    let days = reader.days(today - SPAN + 1, node, node.is_some())?;
    Ok(gather(days, today))
}

fn gather(days: Vec<Day>, today: i64) -> HashMap<(String, Option<String>), Uptime> {
    let mut all: HashMap<_, Uptime> = HashMap::new();
    for day in days {
        let Ok(at) = usize::try_from(day.day - (today - SPAN + 1)) else {
            continue;
        };
        let uptime = all
            .entry((day.node, day.line))
            .or_insert_with(Uptime::empty);
        if let Some(slot) = uptime.days.get_mut(at) {
            *slot = Some(day.times);
            uptime.sum.add(&day.times);
        }
    }
    all
}

impl Uptime {
    fn empty() -> Self {
        Self {
            days: vec![None; DAYS],
            sum: Times::default(),
        }
    }

    /// What each day was.
    pub(crate) fn was(&self) -> impl Iterator<Item = Was> {
        self.days.iter().map(|day| Was::of(day.as_ref()))
    }

    /// On how many days it was down.
    pub(crate) fn bad_days(&self) -> usize {
        self.was()
            .filter(|was| matches!(was, Was::Dented | Was::Broken))
            .count()
    }
}

impl Was {
    pub(crate) fn of(day: Option<&Times>) -> Self {
        let Some(times) = day else {
            return Self::Unknown;
        };
        let [up, degraded, suspect, down, _, _] = times.0;
        match (up + degraded + suspect, down) {
            (0, 0) => Self::Unknown,
            (_, 0) => Self::Up,
            (_, 1..HOUR_MS) => Self::Dented,
            _ => Self::Broken,
        }
    }
}

/// Days since 1970-01-01, UTC.
pub(crate) fn today() -> i64 {
    Timestamp::now().as_second().div_euclid(86_400)
}

/// How many days are shown.
pub(crate) const DAYS: usize = 90;
const SPAN: i64 = 90;
const FRESH: Duration = Duration::from_mins(1);
/// Until what could not be read, or had nothing yet, is tried again.
const AGAIN: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_millis(150);
const HOUR_MS: u64 = 60 * 60 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64, times: [u64; 6]) -> Day {
        Day {
            day,
            node: "db1".to_owned(),
            line: None,
            times: Times(times),
        }
    }

    #[test]
    fn each_day_is_in_its_place_and_what_is_too_old_is_in_none() {
        let days = vec![
            day(10_000 - 90, [1, 0, 0, 1, 0, 0]),
            day(10_000 - 89, [0, 0, 0, 0, 0, 5]),
            day(9_998, [1, 0, 0, 1, 0, 0]),
            day(9_999, [1, 0, 0, HOUR_MS, 0, 0]),
            day(10_000, [3, 1, 1, 0, 9, 9]),
        ];
        let all = gather(days, 10_000);
        let uptime = &all[&("db1".to_owned(), None)];
        let was: Vec<_> = uptime.was().collect();
        assert_eq!(was.len(), DAYS);
        assert_eq!(was[0], Was::Unknown);
        assert_eq!(was[87..], [Was::Dented, Was::Broken, Was::Up]);
        assert_eq!(uptime.bad_days(), 2);
        assert_eq!(uptime.sum.0[3], HOUR_MS + 1);
    }

    #[tokio::test]
    async fn where_there_is_no_journal_nobody_waits() {
        let uptimes = Arc::new(Uptimes::new(None));
        assert!(uptimes.all().await.is_empty());
    }

    #[tokio::test]
    async fn what_cannot_be_read_now_leaves_what_was_read_before() {
        let missing = || {
            read(Path::new("/nowhere/journal.db"), None, 10_000)
                .map(nodes_only)
                .unwrap_err()
        };
        let uptimes = Arc::new(Uptimes::new(Some("/nowhere/journal.db".into())));
        uptimes.keep(Err(missing()));
        assert!(uptimes.lock().all.is_none(), "it is as if nothing was read");
        let all = gather(vec![day(10_000, [1, 0, 0, 0, 0, 0])], 10_000);
        uptimes.keep(Ok(nodes_only(all)));
        let due = uptimes.lock().due.unwrap();
        uptimes.keep(Err(missing()));
        assert_eq!(uptimes.all().await.len(), 1);
        assert!(uptimes.lock().due.unwrap() < due, "it is tried again soon");
    }
}
