//! Opening a journal: its tables, its version, and what is done about one that cannot be used.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::entry::Message;
use crate::place::beside;

/// What a journal remembers of the runs before.
#[derive(Debug, Default)]
pub struct Opened {
    /// The number of the last event.
    pub last_seq: u64,
    /// The greatest token.
    pub last_token: u64,
    /// What has not gone out yet, the oldest first.
    pub waiting: Vec<Message>,
    /// What hooks know: hook, subject, JSON.
    pub known: Vec<(String, String, String)>,
    /// A journal that could not be used was there.
    pub set_aside: Option<SetAside>,
}

/// A journal that could not be used, and was renamed.
#[derive(Clone, Debug)]
pub struct SetAside {
    /// What it is called now.
    pub to: PathBuf,
    /// What was wrong with it.
    pub why: SetAsideWhy,
}

/// What is wrong with a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetAsideWhy {
    /// A later heartline wrote it.
    Later {
        /// Its version.
        version: i64,
    },
    /// It is damaged, or no journal.
    Corrupt,
}

/// Why one cannot be opened now.
pub(crate) enum NotOpen {
    /// It never can.
    Unusable(SetAsideWhy),
    /// The disk does not let us.
    Failed(rusqlite::Error),
    /// Not even its folder, or another watcher was faster.
    NoPlace(io::Error),
}

/// Opens it for writing, and makes the tables where there are none. Another process that writes is waited for, for `lock_wait` at most.
pub(crate) fn open(path: &Path, lock_wait: Duration) -> Result<Connection, NotOpen> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // For nobody else to read; what SQLite puts beside it has the same mode.
    let mut file = fs::File::options();
    let file = file.append(true).create(true).mode(0o600);
    file.open(path).map_err(NotOpen::NoPlace)?;
    let mut connection = Connection::open_with_flags(path, flags).map_err(judge)?;
    settle(&mut connection, lock_wait)?;
    Ok(connection)
}

fn settle(connection: &mut Connection, lock_wait: Duration) -> Result<(), NotOpen> {
    connection.busy_timeout(lock_wait).map_err(judge)?;
    let version: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(judge)?;
    if version > VERSION {
        return Err(NotOpen::Unusable(SetAsideWhy::Later { version }));
    }
    let is_whole = || -> rusqlite::Result<bool> {
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        if pages > MOST_CHECKED {
            return Ok(true);
        }
        let word: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        Ok(word == "ok")
    };
    if !is_whole().map_err(judge)? {
        return Err(NotOpen::Unusable(SetAsideWhy::Corrupt));
    }
    let begin = || -> rusqlite::Result<()> {
        if version == 0 {
            connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
        connection.pragma_update(None, "max_page_count", MOST_PAGES)?;
        // At once: who reads finds all of it or none.
        let all = connection.unchecked_transaction()?;
        all.execute_batch(TABLES)?;
        all.pragma_update(None, "user_version", VERSION)?;
        all.commit()
    };
    begin().map_err(judge)
}

/// What an error says of the file.
pub(crate) fn judge(error: rusqlite::Error) -> NotOpen {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            NotOpen::Unusable(SetAsideWhy::Corrupt)
        }
        // Tables of these names with other columns: not ours.
        Some(ErrorCode::Unknown) => NotOpen::Unusable(SetAsideWhy::Corrupt),
        Some(_) | None => NotOpen::Failed(error),
    }
}

/// Renames it, with what `SQLite` has beside it. Of those that were set aside before, the last few are kept.
pub(crate) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ");
    let to = beside(path, &format!(".set-aside-{now}"));
    fs::rename(path, &to)?;
    for more in ["-wal", "-shm"] {
        match fs::rename(beside(path, more), beside(&to, more)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    // Their names sort by their age. That they stay if this fails does no harm.
    let _ = drop_oldest(path);
    Ok(to)
}

fn drop_oldest(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let begin = beside(path, ".set-aside-");
    let begin = begin.file_name().unwrap_or_default().as_encoded_bytes();
    let mut old: Vec<_> = fs::read_dir(folder.unwrap_or(Path::new(".")))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            name.starts_with(begin) && name.ends_with(b"Z")
        })
        .collect();
    old.sort();
    let spare = old.len().saturating_sub(KEPT_ASIDE);
    for path in old.into_iter().take(spare) {
        fs::remove_file(&path)?;
        for more in ["-wal", "-shm"] {
            let _ = fs::remove_file(beside(&path, more));
        }
    }
    Ok(())
}

/// What the runs before have left.
pub(crate) fn remembered(connection: &Connection) -> rusqlite::Result<Opened> {
    let (last_seq, last_token) = connection.query_row(
        "SELECT max(coalesce(max(seq), 0), coalesce((SELECT seq FROM last), 0)), \
         max(coalesce(max(token), 0), coalesce((SELECT token FROM last), 0)) FROM event",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let mut waiting = connection
        .prepare("SELECT key, hook, subject, due, tries, body FROM outbox ORDER BY place")?;
    let waiting = waiting.query_map([], |row| {
        Ok(Message {
            key: row.get(0)?,
            hook: row.get(1)?,
            subject: row.get(2)?,
            due: Timestamp::from_millisecond(row.get(3)?).unwrap_or(Timestamp::UNIX_EPOCH),
            tries: row.get(4)?,
            body: row.get(5)?,
        })
    })?;
    let mut known = connection.prepare("SELECT hook, subject, what FROM known")?;
    let known = known.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(Opened {
        last_seq,
        last_token,
        waiting: waiting.collect::<Result<_, _>>()?,
        known: known.collect::<Result<_, _>>()?,
        set_aside: None,
    })
}

const VERSION: i64 = 1;
/// Pages of 4 KiB that are read through at the start: half a second's work at most. A larger journal shows its faults when they are met.
const MOST_CHECKED: i64 = 16_384;
/// Negative: KiB. What is written is mostly at the end.
const CACHE_KIB: i64 = -512;
const WAL_BYTES: i64 = 16 * 1024 * 1024;
/// 4 GiB. When it is full, the oldest events make room.
pub(crate) const MOST_PAGES: i64 = 1024 * 1024;
const KEPT_ASIDE: usize = 3;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS event (
    seq INTEGER PRIMARY KEY, t INTEGER NOT NULL, kind TEXT NOT NULL, node TEXT, line TEXT,
    state TEXT, cause TEXT, token INTEGER, json TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS event_of_node ON event (node, seq) WHERE node IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_token ON event (token) WHERE token IS NOT NULL;
CREATE TABLE IF NOT EXISTS last (
    id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, token INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS subject (
    id INTEGER PRIMARY KEY, node TEXT NOT NULL, line TEXT NOT NULL, UNIQUE (node, line)
) STRICT;
CREATE TABLE IF NOT EXISTS uptime (
    subject INTEGER NOT NULL, day INTEGER NOT NULL, up INTEGER NOT NULL, degraded INTEGER NOT NULL,
    suspect INTEGER NOT NULL, down INTEGER NOT NULL, unknown INTEGER NOT NULL, paused INTEGER NOT NULL,
    PRIMARY KEY (subject, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS round_trip (
    span INTEGER NOT NULL, t INTEGER NOT NULL, subject INTEGER NOT NULL, count INTEGER NOT NULL,
    sum_us INTEGER NOT NULL, shortest_us INTEGER NOT NULL, longest_us INTEGER NOT NULL,
    PRIMARY KEY (span, t, subject)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, hook TEXT NOT NULL,
    subject TEXT NOT NULL, due INTEGER NOT NULL, tries INTEGER NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS known (
    hook TEXT NOT NULL, subject TEXT NOT NULL, what TEXT NOT NULL, PRIMARY KEY (hook, subject)
) STRICT, WITHOUT ROWID;
";
