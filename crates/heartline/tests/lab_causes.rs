//! The confusion matrix of causes: everything that can befall a line, done for real, and what `heartline watch --json`
//! said of it. Nothing may lie off the diagonal: neither the first word that it has, nor the last, nor one between.
//!
//! Words and states alone are judged here, and no times: when each is told is measured elsewhere.
//!
//! `HEARTLINE_CAUSES` has a part of the names of the rows that are to be carried out alone.
//!
//! Not here: lines that never came up (wrong names, ports, keys from the beginning; `lab_watch_exit_codes`).

mod causes;
mod shells;
mod watching;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Result;
use causes::{Row, Verdict, matrix, rows, table};
use lab::Lab;
use watching::go_first;

#[test]
fn every_cause_is_told_by_its_name() -> Result<()> {
    // Each row has a lab of its own.
    if Lab::or_skip("every_cause").is_none() {
        return Ok(());
    }
    let mut rows = rows()?;
    assert!(rows.len() >= LEAST_ROWS, "only {} rows", rows.len());
    if let Ok(part) = std::env::var("HEARTLINE_CAUSES") {
        rows.retain(|row| row.what.contains(&part));
        assert!(!rows.is_empty(), "no row's name contains {part:?}");
    }
    let verdicts = judge_all(&rows)?;
    println!("{}\n{}", table(&rows, &verdicts), matrix(&verdicts));
    let bad: Vec<String> = (1..)
        .zip(rows.iter().zip(&verdicts))
        .filter(|(_, (_, verdict))| !verdict.is_good())
        .map(|(number, (row, verdict))| format!("row {number}, {}: {verdict}", row.what))
        .collect();
    assert!(bad.is_empty(), "not as wanted:\n{}", bad.join("\n"));
    Ok(())
}

/// Carries all rows out, some at a time; their verdicts in the order of the rows.
fn judge_all(rows: &[Row]) -> Result<Vec<Verdict>> {
    let next = AtomicUsize::new(0);
    let work = || {
        // On a machine that is busy with other things a session would wait, and truly be silent.
        go_first()?;
        let mut done = Vec::new();
        while let Some((at, row)) = take(rows, &next) {
            done.push((at, row.judge()));
        }
        Ok(done)
    };
    let mut all = Vec::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let end = worker.join();
            let done: Result<_> = end.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            all.extend(done?);
        }
        anyhow::Ok(())
    })?;
    all.sort_by_key(|(at, _)| *at);
    Ok(all.into_iter().map(|(_, verdict)| verdict).collect())
}

/// The next row that nobody has begun, and its place.
fn take<'a>(rows: &'a [Row], next: &AtomicUsize) -> Option<(usize, &'a Row)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    rows.get(at).map(|row| (at, row))
}

/// Rows under way at the same time: most of a row is waiting.
const AT_A_TIME: usize = 4;
/// The matrix is to be about more than a few.
const LEAST_ROWS: usize = 24;
