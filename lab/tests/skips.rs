//! A test that cannot run says so, and fails where it must run. Needs no lab.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::{Finished, Running};

/// Set for the other self: the test below, started again to skip itself.
const OTHER_SELF: &str = "LAB_TEST_SKIPS";

#[test]
fn a_skip_is_said_noted_and_counted_as_failure_where_required() -> Result<()> {
    if std::env::var_os(OTHER_SELF).is_some() {
        lab::skipped("some_test", "no\nlab");
        return Ok(());
    }
    let notes = tempfile::NamedTempFile::new()?;
    let other_self = |environment: &[(&str, &str)]| -> Result<Finished> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--exact", "--nocapture"]);
        command.arg("a_skip_is_said_noted_and_counted_as_failure_where_required");
        command
            .env_remove("CI")
            .env_remove("HEARTLINE_REQUIRE_LAB")
            .env(OTHER_SELF, "1");
        command
            .env("HEARTLINE_SKIPS", notes.path())
            .envs(environment.iter().copied());
        Running::spawn(command)?.finish(Duration::from_secs(30))
    };
    let said = other_self(&[])?.success()?;
    let line = "SKIPPED: some_test: no\\nlab";
    assert!(
        said.stderr.lines().any(|seen| seen == line),
        "{:?}",
        said.stderr
    );
    for required in [("CI", "true"), ("HEARTLINE_REQUIRE_LAB", "1")] {
        let said = other_self(&[required])?;
        let code = said.code().context("a signal")?;
        assert_ne!(code, 0, "{required:?}");
    }
    assert_eq!(
        std::fs::read_to_string(notes.path())?,
        format!("{line}\n").repeat(3)
    );
    Ok(())
}
