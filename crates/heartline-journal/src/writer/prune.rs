//! What is old goes; a little at a time, so that nothing waits long for it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, params};
use tracing::{info, warn};

use super::disk::Writer;
use crate::open::MOST_PAGES;
use crate::tally::DAY;

impl Writer {
    /// Drops what is older than it is kept; when to look again follows from whether that was all.
    pub(super) fn prune(&mut self, now: Instant) {
        let keep = i64::try_from(self.opening.settings.keep.as_secs()).unwrap_or(i64::MAX);
        let done = self.opening.connection.as_mut().map(|connection| {
            let wall = Timestamp::now().as_second();
            old(connection, wall, keep)
        });
        let is_all = match done {
            Some(Ok(dropped)) => dropped < SOME,
            Some(Err(error)) => {
                // Whatever it is, writing will say so.
                info!(%error, "Nothing old was dropped from the journal.");
                true
            }
            None => true,
        };
        self.next_prune = now + if is_all { HOUR } else { SOON };
    }

    /// Of a journal that has grown as large as it may the oldest goes; whether there was any. A disk that is full has no room to make.
    pub(super) fn make_room(&mut self) -> bool {
        let Some(connection) = &mut self.opening.connection else {
            return false;
        };
        let room = || -> rusqlite::Result<usize> {
            let of = |what: &str| -> rusqlite::Result<i64> {
                connection.query_row(&format!("PRAGMA {what}"), [], |row| row.get(0))
            };
            let used = of("page_count")? - of("freelist_count")?;
            if used < MOST_PAGES - MOST_PAGES / 64 {
                return Ok(0);
            }
            // A part at a time: there is a next time soon, and nothing waits long for it.
            let minutes = drop_round_trips(connection, 60, i64::MAX)?;
            let hours = drop_round_trips(connection, 3_600, i64::MAX)?;
            let events = connection.execute(
                "DELETE FROM event WHERE seq IN (SELECT seq FROM event ORDER BY seq LIMIT ?1)",
                params![SOME],
            )?;
            Ok(minutes + hours + events)
        };
        match room() {
            Ok(dropped) if dropped > 0 => {
                warn!(
                    dropped,
                    "The journal is as large as it may be: what is oldest made room."
                );
                true
            }
            Ok(_) | Err(_) => false,
        }
    }
}

fn old(connection: &mut Connection, wall: i64, keep: i64) -> rusqlite::Result<usize> {
    let since = wall.saturating_sub(keep);
    let transaction = connection.transaction()?;
    // Events are numbered in the order of time, so the oldest are found without an index.
    let events = transaction.execute(
        "DELETE FROM event WHERE seq IN (SELECT seq FROM event ORDER BY seq LIMIT ?2) AND t < ?1",
        params![since.saturating_mul(1_000), SOME],
    )?;
    let mut round_trips = 0;
    for (span, since) in [(60, since.max(wall - MINUTES_KEPT)), (3_600, since)] {
        round_trips += drop_round_trips(&transaction, span, since)?;
    }
    transaction.execute(
        "DELETE FROM uptime WHERE day < ?1",
        params![since.div_euclid(DAY)],
    )?;
    transaction.commit()?;
    // It frees a page a row.
    let mut vacuum = connection.prepare("PRAGMA incremental_vacuum(2000)")?;
    let mut freed = vacuum.query([])?;
    while freed.next()?.is_some() {}
    Ok(events.max(round_trips))
}

/// Those that are older, some of them.
fn drop_round_trips(connection: &Connection, span: i64, since: i64) -> rusqlite::Result<usize> {
    connection.execute(
        "DELETE FROM round_trip WHERE (span, t, subject) IN (SELECT span, t, subject FROM \
         round_trip WHERE span = ?1 AND t < ?2 ORDER BY t LIMIT ?3)",
        params![span, since, SOME],
    )
}

/// Rows of a kind that are dropped at once.
const SOME: usize = 10_000;
const HOUR: Duration = Duration::from_hours(1);
const SOON: Duration = Duration::from_secs(1);
/// Seconds.
const MINUTES_KEPT: i64 = 2 * DAY;
