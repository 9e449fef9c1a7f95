//! What a journal knows, for those who ask: another process as a rule, while it is being written.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Row, Statement, ToSql, params};
use thiserror::Error;

/// The states whose times are counted, in the order of [`Times`].
pub const TIMES: [&str; 6] = ["up", "degraded", "suspect", "down", "unknown", "paused"];

/// How long something was in each state of [`TIMES`], in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times(pub [u64; 6]);

impl Times {
    /// These and those.
    pub fn add(&mut self, others: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(others.0) {
            *mine += theirs;
        }
    }

    /// The share of the time that it could be judged, and was not paused, in which it answered: up, degraded, or only doubted. None, if there is no such time.
    pub fn availability(&self) -> Option<f64> {
        let [up, degraded, suspect, down, _, _] = self.0;
        let well = up + degraded + suspect;
        let all = well + down;
        #[expect(
            clippy::cast_precision_loss,
            reason = "2^53 ms are more than any journal"
        )]
        let share = |part: u64, of: u64| part as f64 / of as f64;
        (all > 0).then(|| share(well, all))
    }
}

/// A day of a node or line (UTC).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// Days since 1970-01-01.
    pub day: i64,
    /// The node.
    pub node: String,
    /// The line; none: the node itself.
    pub line: Option<String>,
    /// How long it was in which state.
    pub times: Times,
}

/// Round trips of a line in a minute or an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hour {
    /// When it began.
    pub t: Timestamp,
    /// The line.
    pub line: String,
    /// How many there were.
    pub count: u64,
    /// Their mean.
    pub mean: Duration,
    /// The shortest.
    pub shortest: Duration,
    /// The longest.
    pub longest: Duration,
}

/// An event as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its number.
    pub seq: i64,
    /// When it was.
    pub t: Timestamp,
    /// Its kind: `event` in JSON.
    pub kind: String,
    /// Of which node.
    pub node: Option<String>,
    /// Of which line.
    pub line: Option<String>,
    /// What it is since.
    pub state: Option<String>,
    /// Why.
    pub cause: Option<String>,
    /// All of it, as `watch --json` prints it.
    pub json: String,
}

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of this node alone.
    pub node: Option<String>,
    /// Of nodes, not of lines, and such as befall the watcher.
    pub without_lines: bool,
    /// Not older.
    pub since: Option<Timestamp>,
    /// Of greater numbers.
    pub after: Option<i64>,
    /// The last so many at most; none: all.
    pub last: Option<usize>,
}

/// Why a journal cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is none.
    #[error("no journal at {}; heartline watch writes one, see --journal", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read the journal {}: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

/// Reads a journal.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
    /// Device and number of the file.
    file: (u64, u64),
}

impl Reader {
    /// Opens it.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let Some(file) = file_at(path) else {
            let path = path.to_owned();
            return Err(ReadError::Missing { path });
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
            connection.busy_timeout(BUSY)?;
            let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            Ok((connection, version))
        });
        let path = path.to_owned();
        match opened {
            // One that is being begun at this moment.
            Ok((_, 0)) => Err(ReadError::Missing { path }),
            Ok((connection, _)) => Ok(Self {
                connection,
                path,
                file,
            }),
            Err(source) => Err(ReadError::Unreadable { path, source }),
        }
    }

    /// Events, oldest first, each handed to `take`. They are read some at a time, and nothing is held while `take` runs: a reader that rests holds up nobody who writes.
    pub fn events(
        &self,
        filter: &EventFilter,
        mut take: impl FnMut(Stored),
    ) -> Result<(), ReadError> {
        let first = self
            .first(filter)
            .map_err(|source| self.unreadable(source))?;
        let mut after = filter.after.max(first.map(|first| first.saturating_sub(1)));
        if filter.last == Some(0) {
            return Ok(());
        }
        loop {
            let some = self.some(filter, after);
            let some = some.map_err(|source| self.unreadable(source))?;
            let count = some.len();
            for event in some {
                after = Some(event.seq);
                take(event);
            }
            if count < CHUNK {
                return Ok(());
            }
        }
    }

    /// The journal that is there now, if this one was set aside or removed, and another begun.
    pub fn successor(&self) -> Option<Self> {
        if file_at(&self.path)? == self.file {
            return None;
        }
        let next = Self::open(&self.path).ok()?;
        // Before there are tables it is no journal.
        next.newest().is_ok().then_some(next)
    }

    /// The greatest number that there is.
    pub fn newest(&self) -> Result<Option<i64>, ReadError> {
        self.number("SELECT max(seq) FROM event")
    }

    /// The least number that there is. Below zero are those of gaps: each is below all that were there before it.
    pub fn least(&self) -> Result<Option<i64>, ReadError> {
        self.number("SELECT min(seq) FROM event")
    }

    /// Gaps of numbers below this, and below zero, in the order in which they were noted: some of them, if there are many.
    pub fn gaps(&self, below: i64, since: Option<Timestamp>) -> Result<Vec<Stored>, ReadError> {
        let read = || -> rusqlite::Result<Vec<Stored>> {
            let mut query = self.connection.prepare(&format!(
                "SELECT seq, t, kind, node, line, state, cause, json FROM event \
                 WHERE seq < ?1 AND t >= ?2 ORDER BY seq DESC LIMIT {CHUNK}"
            ))?;
            let since = since.map_or(i64::MIN, Timestamp::as_millisecond);
            let gaps = query.query_map(params![below.min(0), since], stored)?;
            gaps.collect()
        };
        read().map_err(|source| self.unreadable(source))
    }

    fn number(&self, query: &str) -> Result<Option<i64>, ReadError> {
        let number = self.connection.query_row(query, [], |row| row.get(0));
        number.map_err(|source| self.unreadable(source))
    }

    /// Where the last so many begin; none: at the first.
    fn first(&self, filter: &EventFilter) -> rusqlite::Result<Option<i64>> {
        let Some(last) = filter.last else {
            return Ok(None);
        };
        let which = which(filter, filter.after);
        let query = format!(
            "SELECT min(seq) FROM (SELECT seq FROM event {which} ORDER BY seq DESC LIMIT :last)"
        );
        let mut query = self.connection.prepare(&query)?;
        bind(&mut query, filter, filter.after)?;
        let last = i64::try_from(last).unwrap_or(i64::MAX);
        bind_one(&mut query, ":last", last)?;
        let mut rows = query.raw_query();
        rows.next()?.map_or(Ok(None), |row| row.get(0))
    }

    fn some(&self, filter: &EventFilter, after: Option<i64>) -> rusqlite::Result<Vec<Stored>> {
        let which = which(filter, after);
        let query = format!(
            "SELECT seq, t, kind, node, line, state, cause, json FROM event {which} ORDER BY seq LIMIT {CHUNK}"
        );
        let mut query = self.connection.prepare(&query)?;
        bind(&mut query, filter, after)?;
        query.raw_query().mapped(stored).collect()
    }

    /// Days of all nodes, and of their lines if `with_lines`, from that one on.
    pub fn days(
        &self,
        since: i64,
        node: Option<&str>,
        with_lines: bool,
    ) -> Result<Vec<Day>, ReadError> {
        let read = || -> rusqlite::Result<Vec<Day>> {
            let query = which_days(node.is_some(), with_lines);
            let mut query = self.connection.prepare(&query)?;
            bind_one(&mut query, ":since", since)?;
            if let Some(node) = node {
                bind_one(&mut query, ":node", node)?;
            }
            query.raw_query().mapped(day).collect()
        };
        read().map_err(|source| self.unreadable(source))
    }

    /// Round trips of a node's lines since then: by the minute (`span` 60 s, two days of them) or the hour.
    pub fn round_trips(
        &self,
        node: &str,
        span: Duration,
        since: Timestamp,
    ) -> Result<Vec<Hour>, ReadError> {
        let read = || -> rusqlite::Result<Vec<Hour>> {
            let mut query = self.connection.prepare(
                "SELECT t, line, count, sum_us, shortest_us, longest_us \
                 FROM round_trip JOIN subject ON subject.id = round_trip.subject \
                 WHERE span = ?1 AND t >= ?2 AND node = ?3 ORDER BY line, t",
            )?;
            let span = i64::try_from(span.as_secs()).unwrap_or_default();
            let hours = query.query_map(params![span, since.as_second(), node], |row| {
                let (count, sum): (u64, u64) = (row.get(2)?, row.get(3)?);
                Ok(Hour {
                    t: Timestamp::from_second(row.get(0)?).unwrap_or(Timestamp::UNIX_EPOCH),
                    line: row.get(1)?,
                    count,
                    mean: Duration::from_micros(sum.checked_div(count).unwrap_or_default()),
                    shortest: Duration::from_micros(row.get(4)?),
                    longest: Duration::from_micros(row.get(5)?),
                })
            })?;
            hours.collect()
        };
        read().map_err(|source| self.unreadable(source))
    }

    fn unreadable(&self, source: rusqlite::Error) -> ReadError {
        ReadError::Unreadable {
            path: self.path.clone(),
            source,
        }
    }
}

fn file_at(path: &Path) -> Option<(u64, u64)> {
    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

/// From the subjects on: the days of each are found by its key. `SQLite` would begin with all days.
fn which_days(of_node: bool, with_lines: bool) -> String {
    let node = if of_node { " AND node = :node" } else { "" };
    let line = if with_lines { "" } else { " AND line = ''" };
    format!(
        "SELECT day, node, line, up, degraded, suspect, down, unknown, paused \
         FROM subject CROSS JOIN uptime ON uptime.subject = subject.id \
         WHERE day >= :since{node}{line} ORDER BY node, line, day"
    )
}

/// Only what is asked for, so that an index serves.
fn which(filter: &EventFilter, after: Option<i64>) -> String {
    let wanted = [
        (filter.node.is_some(), "node = :node"),
        (filter.since.is_some(), "t >= :since"),
        (after.is_some(), "seq > :after"),
        (filter.without_lines, "kind <> 'line'"),
    ];
    let mut words = wanted.into_iter().filter(|(is_wanted, _)| *is_wanted);
    let Some((_, first)) = words.next() else {
        return String::new();
    };
    words.fold(format!("WHERE {first}"), |all, (_, word)| {
        all + " AND " + word
    })
}

fn bind(
    query: &mut Statement<'_>,
    filter: &EventFilter,
    after: Option<i64>,
) -> rusqlite::Result<()> {
    if let Some(node) = &filter.node {
        bind_one(query, ":node", node)?;
    }
    if let Some(since) = filter.since {
        bind_one(query, ":since", since.as_millisecond())?;
    }
    after.map_or(Ok(()), |after| bind_one(query, ":after", after))
}

fn bind_one(query: &mut Statement<'_>, name: &str, value: impl ToSql) -> rusqlite::Result<()> {
    query
        .parameter_index(name)?
        .map_or(Ok(()), |at| query.raw_bind_parameter(at, value))
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        seq: row.get(0)?,
        t: Timestamp::from_millisecond(row.get(1)?).unwrap_or(Timestamp::UNIX_EPOCH),
        kind: row.get(2)?,
        node: row.get(3)?,
        line: row.get(4)?,
        state: row.get(5)?,
        cause: row.get(6)?,
        json: row.get(7)?,
    })
}

fn day(row: &Row<'_>) -> rusqlite::Result<Day> {
    let line: String = row.get(2)?;
    let mut times = Times::default();
    for (at, time) in times.0.iter_mut().enumerate() {
        *time = row.get(3 + at)?;
    }
    Ok(Day {
        day: row.get(0)?,
        node: row.get(1)?,
        line: Some(line).filter(|line| !line.is_empty()),
        times,
    })
}

const BUSY: Duration = Duration::from_secs(2);
/// Events that are read at once.
const CHUNK: usize = 1_000;

#[cfg(test)]
mod tests;
