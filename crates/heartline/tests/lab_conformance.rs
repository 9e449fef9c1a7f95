//! The conformance table: real ssh, sshd, dbclient and dropbear of this machine, with settings of both sides, in health,
//! after faults, with commands that write and with logins that stand still; the moments at which their ends go away,
//! held against what `heartline explain --json` says.
//!
//! `HEARTLINE_SEED` repeats the phases of a run, `HEARTLINE_CONFORMANCE` names a file that gets the table too.
//!
//! Not here: `BatchMode`'s 300 s, the kernel's two hours, `TCP_USER_TIMEOUT` (which OpenSSH cannot set); and releases
//! that are not installed, of which `explain_rows.rs` has the numbers that were once measured.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails the test"
)]

mod conforming;
mod explaining;
mod watching;

use anyhow::Result;
use conforming::{Attempt, Bench, Trial, Verdict, rows, table};
use lab::{Dropbear, Lab, skipped};
use watching::{go_first, seed};

#[test]
fn every_end_goes_away_within_its_predicted_window() -> Result<()> {
    let Some(lab) = Lab::or_skip("conformance") else {
        return Ok(());
    };
    let with_dropbear = Dropbear::is_installed();
    if !with_dropbear {
        let why = "dropbear is missing (Debian package dropbear-bin)";
        skipped("conformance of dropbear and dbclient", why);
    }
    go_first()?;
    let seed = seed()?;
    println!("HEARTLINE_SEED={seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let rows = rows(with_dropbear);
    let (bench, places) = Bench::new(lab, &rows)?;
    let trials = rows.iter().zip(&places);
    let trials = trials.map(|(row, place)| Trial {
        row,
        place,
        bench: &bench,
    });
    let trials: Vec<Trial<'_>> = trials.collect();
    let verdicts = run_all(&trials, &mut dice)?;
    let table = table(&rows, &verdicts, &bench.programs());
    println!("{table}");
    if let Some(path) = std::env::var_os("HEARTLINE_CONFORMANCE") {
        std::fs::write(path, &table)?;
    }
    assert!(rows.len() >= LEAST_ROWS, "only {} rows", rows.len());
    let numbered = (1..).zip(&verdicts);
    let all = numbered.flat_map(|(row, ends)| ends.iter().map(move |verdict| (row, verdict)));
    let bad: Vec<String> = all
        .filter(|(_, verdict)| !verdict.is_good())
        .map(|(row, verdict)| format!("row {row}: {verdict}"))
        .collect();
    assert!(bad.is_empty(), "not as predicted:\n{}", bad.join("\n"));
    Ok(())
}

/// Carries all of them out at the same time; and those once more, all the others being over, that failed while the
/// machine was late. Says so.
fn run_all(trials: &[Trial<'_>], dice: &mut fastrand::Rng) -> Result<Vec<Vec<Verdict>>> {
    let mut attempts = at_once(trials, dice);
    let numbered = attempts.iter().enumerate();
    let again = numbered.filter(|(_, attempt)| attempt.deserves_another());
    let again: Vec<usize> = again.map(|(at, _)| at).collect();
    for at in &again {
        let Attempt { verdicts, late } = &attempts[*at];
        println!(
            "row {} again: the machine was late by {} ms",
            at + 1,
            late.as_millis()
        );
        for verdict in verdicts {
            println!("  it was {verdict}");
        }
        trials[*at].clear()?;
    }
    let second: Vec<Trial<'_>> = again.iter().map(|at| trials[*at]).collect();
    for (at, attempt) in again.iter().zip(at_once(&second, dice)) {
        attempts[*at] = attempt;
    }
    Ok(attempts
        .into_iter()
        .map(|attempt| attempt.verdicts)
        .collect())
}

fn at_once(trials: &[Trial<'_>], dice: &mut fastrand::Rng) -> Vec<Attempt> {
    std::thread::scope(|scope| {
        // All of them are started before the first is waited for.
        let mut running = Vec::new();
        for trial in trials.iter().copied() {
            let mut dice = dice.fork();
            running.push(scope.spawn(move || trial.run(&mut dice)));
        }
        let joined = running.into_iter().map(std::thread::ScopedJoinHandle::join);
        let outcome =
            joined.map(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        outcome.collect()
    })
}

/// The table is to be about more than a few.
const LEAST_ROWS: usize = 30;
