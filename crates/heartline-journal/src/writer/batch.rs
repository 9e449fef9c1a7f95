//! One transaction.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use heartline_core::Cause;
use heartline_watch::Told;
use heartline_watch::board::Noted;
use jiff::Timestamp;
use rusqlite::{Connection, Transaction, named_params, params};

use super::desk::Batch;
use super::{Change, RoundTripRow};
use crate::read::Times;
use crate::tally::Subject;

/// One thing to write.
#[derive(Debug)]
pub(super) enum Op {
    Event(Arc<Noted>),
    Change(Change),
    PutOff {
        key: String,
        tries: u32,
        due: Timestamp,
    },
    RoundTrips(Timestamp, Vec<RoundTripRow>),
    Uptime(HashMap<(i64, Subject), Times>),
}

/// The numbers of nodes and lines.
#[derive(Debug, Default)]
pub(super) struct Subjects(HashMap<Subject, i64>);

/// Writes all, or nothing.
pub(super) fn write(
    connection: &mut Connection,
    subjects: &mut Subjects,
    batch: &Batch,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    if let Some((count, seq, t)) = batch.dropped {
        gap(&transaction, Some(seq), t, count)?;
    }
    for op in &batch.ops {
        match op {
            Op::Event(noted) => event(&transaction, noted)?,
            Op::Change(change) => apply(&transaction, change)?,
            Op::PutOff { key, tries, due } => {
                transaction
                    .prepare_cached("UPDATE outbox SET tries = ?2, due = ?3 WHERE key = ?1")?
                    .execute(params![key, tries, due.as_millisecond()])?;
            }
            Op::RoundTrips(t, rows) => {
                for row in rows {
                    let subject = (Arc::clone(&row.node), Some(Arc::clone(&row.line)));
                    let subject = subjects.id(&transaction, &subject)?;
                    round_trips(&transaction, *t, subject, row)?;
                }
            }
            Op::Uptime(times) => {
                for ((day, subject), times) in times {
                    let subject = subjects.id(&transaction, subject)?;
                    uptime(&transaction, *day, subject, times)?;
                }
            }
        }
    }
    last(&transaction, &batch.ops)?;
    if batch.missing > 0 {
        gap(&transaction, None, Timestamp::now(), batch.missing)?;
    }
    transaction.commit()
}

/// What the last numbers were, also when their events are no longer kept.
fn last(transaction: &Transaction<'_>, ops: &VecDeque<Op>) -> rusqlite::Result<()> {
    let (mut seq, mut token) = (0, 0);
    for op in ops {
        let Op::Event(noted) = op else { continue };
        seq = seq.max(noted.seq);
        if let Told::Node(node) = &noted.told {
            token = token.max(node.token);
        }
    }
    if seq > 0 {
        transaction
            .prepare_cached(
                "INSERT INTO last (id, seq, token) VALUES (1, ?1, ?2) ON CONFLICT (id) DO UPDATE SET \
                 seq = max(seq, excluded.seq), token = max(token, excluded.token)",
            )?
            .execute(params![seq, token])?;
    }
    Ok(())
}

/// `seq`: of one that is not there; none: of nothing.
fn gap(
    transaction: &Transaction<'_>,
    seq: Option<u64>,
    t: Timestamp,
    lost: u64,
) -> rusqlite::Result<()> {
    let json = serde_json::json!({
        "event": "gap", "t": format!("{t:.3}"), "lost": lost,
    });
    let Some(seq) = seq else {
        // It has no number of its own, and takes none from those that have: a negative one, below all others.
        transaction.execute(
            "INSERT INTO event (seq, t, kind, json) \
             SELECT min(coalesce(min(seq), 0), 0) - 1, ?1, 'gap', ?2 FROM event",
            params![t.as_millisecond(), json.to_string()],
        )?;
        return Ok(());
    };
    transaction.execute(
        "INSERT OR IGNORE INTO event (seq, t, kind, json) VALUES (?1, ?2, 'gap', ?3)",
        params![seq, t.as_millisecond(), json.to_string()],
    )?;
    Ok(())
}

fn event(transaction: &Transaction<'_>, noted: &Noted) -> rusqlite::Result<()> {
    let told = &noted.told;
    // These types have nothing that cannot be written.
    let json = serde_json::to_string(told).unwrap_or_default();
    let token = match told {
        Told::Node(node) => Some(node.token),
        _ => None,
    };
    transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO event (seq, t, kind, node, line, state, cause, token, json) \
             VALUES (:seq, :t, :kind, :node, :line, :state, :cause, :token, :json)",
        )?
        .execute(named_params! {
            ":seq": noted.seq,
            ":t": told.t().as_millisecond(),
            ":kind": told.kind(),
            ":node": told.node().map(|name| &**name),
            ":line": told.line().map(|name| &**name),
            ":state": told.to(),
            ":cause": told.cause().map(Cause::word),
            ":token": token,
            ":json": json,
        })?;
    Ok(())
}

fn apply(transaction: &Transaction<'_>, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::Put(message) => transaction
            .prepare_cached(
                "INSERT INTO outbox (key, hook, subject, due, tries, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                 ON CONFLICT (key) DO UPDATE SET due = excluded.due, body = excluded.body",
            )?
            .execute(params![
                message.key,
                message.hook,
                message.subject,
                message.due.as_millisecond(),
                message.tries,
                message.body
            ])?,
        Change::Cancel { key } => transaction
            .prepare_cached("DELETE FROM outbox WHERE key = ?1")?
            .execute(params![key])?,
        Change::Knows {
            hook,
            subject,
            what: Some(what),
        } => transaction
            .prepare_cached("INSERT OR REPLACE INTO known (hook, subject, what) VALUES (?1, ?2, ?3)")?
            .execute(params![hook, subject, what])?,
        Change::Knows { hook, subject, .. } => transaction
            .prepare_cached("DELETE FROM known WHERE hook = ?1 AND subject = ?2")?
            .execute(params![hook, subject])?,
    };
    Ok(())
}

fn round_trips(
    transaction: &Transaction<'_>,
    t: Timestamp,
    subject: i64,
    row: &RoundTripRow,
) -> rusqlite::Result<()> {
    for span in [60, 3_600] {
        // Of the minute that has just ended.
        let begun = (t.as_second() - 1).div_euclid(span) * span;
        transaction
            .prepare_cached(
                "INSERT INTO round_trip (span, t, subject, count, sum_us, shortest_us, longest_us) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (span, t, subject) DO UPDATE SET \
                 count = count + excluded.count, sum_us = sum_us + excluded.sum_us, \
                 shortest_us = min(shortest_us, excluded.shortest_us), \
                 longest_us = max(longest_us, excluded.longest_us)",
            )?
            .execute(params![
                span,
                begun,
                subject,
                row.counts.total(),
                row.counts.sum_us,
                us(row.shortest),
                us(row.longest)
            ])?;
    }
    Ok(())
}

fn uptime(
    transaction: &Transaction<'_>,
    day: i64,
    subject: i64,
    times: &Times,
) -> rusqlite::Result<()> {
    let [up, degraded, suspect, down, unknown, paused] = times.0;
    transaction
        .prepare_cached(
            "INSERT INTO uptime (subject, day, up, degraded, suspect, down, unknown, paused) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (subject, day) DO UPDATE SET \
             up = up + excluded.up, degraded = degraded + excluded.degraded, \
             suspect = suspect + excluded.suspect, down = down + excluded.down, \
             unknown = unknown + excluded.unknown, paused = paused + excluded.paused",
        )?
        .execute(params![
            subject, day, up, degraded, suspect, down, unknown, paused
        ])?;
    Ok(())
}

impl Subjects {
    fn id(&mut self, transaction: &Transaction<'_>, subject: &Subject) -> rusqlite::Result<i64> {
        if let Some(id) = self.0.get(subject) {
            return Ok(*id);
        }
        let line = subject.1.as_deref().unwrap_or_default();
        transaction
            .prepare_cached("INSERT OR IGNORE INTO subject (node, line) VALUES (?1, ?2)")?
            .execute(params![&*subject.0, line])?;
        let id = transaction
            .prepare_cached("SELECT id FROM subject WHERE node = ?1 AND line = ?2")?
            .query_row(params![&*subject.0, line], |row| row.get(0))?;
        self.0.insert(subject.clone(), id);
        Ok(id)
    }
}

fn us(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
