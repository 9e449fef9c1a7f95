//! `heartline demo`: everything that it shows is seen as it should be.

mod watching;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Lab, Running};
use serde_json::Value;
use watching::{go_first, heartline};

/// Each step waits 15 s at most.
const LONGEST: Duration = Duration::from_mins(4);

#[test]
fn everything_is_seen_as_it_should_be() -> Result<()> {
    // Its nodes are on loopback, of a machine of their own: nobody else takes a port that it leaves for a while.
    let Some(lab) = Lab::or_skip("everything_is_seen_as_it_should_be") else {
        return Ok(());
    };
    go_first()?;
    let mut command = heartline(&lab, lab.watcher());
    command.args(["demo", "--json"]);
    let ended = Running::spawn(command)?.finish(LONGEST)?;
    let shown = format!("{}{}", ended.stdout, ended.stderr);
    print!("{shown}");
    let rows: Result<Vec<Value>, _> = ended.stdout.lines().map(serde_json::from_str).collect();
    let rows = rows.with_context(|| shown.clone())?;
    let missed: Vec<_> = rows.iter().filter(|row| row["ok"] != true).collect();
    ensure!(missed.is_empty(), "missed: {missed:#?}\n{shown}");
    assert_eq!(ended.code(), Some(0), "{shown}");
    for (who, state, cause) in [
        ("alpha", "down", "silent"),
        ("beta", "down", "sshd_hung"),
        ("beta", "degraded", "silent"),
        ("alpha", "down", "refused"),
    ] {
        let is_it =
            |row: &Value| row["who"] == who && row["state"] == state && row["cause"] == cause;
        ensure!(rows.iter().any(is_it), "no {who} {state} {cause}:\n{shown}");
    }
    let last = rows.last().context("no rows")?;
    assert_eq!(
        (&last["who"], &last["state"]),
        (&"alpha".into(), &"up".into()),
        "{shown}"
    );
    Ok(())
}
