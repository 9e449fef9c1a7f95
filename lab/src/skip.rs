//! Tests that cannot run say so, where both people and `scripts/test` see it.

use std::fs::File;
use std::io::Write;

/// Says that the test `name` did not run: one line `SKIPPED: name: why` on standard error, and at
/// the end of the file named by `HEARTLINE_SKIPS`, since test runners hide what a passing test
/// prints. The test must return after this.
///
/// # Panics
/// With `CI=true` or `HEARTLINE_REQUIRE_LAB=1`, where a skipped test is a failure.
pub fn skipped(name: &str, why: &str) {
    let line = format!("SKIPPED: {name}: {}\n", why.escape_debug());
    eprint!("{line}");
    if let Some(path) = std::env::var_os("HEARTLINE_SKIPS") {
        // One write of one line, appended: tests in other processes write here too.
        let file = File::options().append(true).create(true).open(&path);
        if let Err(why) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
            eprintln!("SKIPPED: cannot note it in {}: {why}", path.display());
        }
    }
    let set = |name, value| std::env::var(name).is_ok_and(|found| found == value);
    let required = set("CI", "true") || set("HEARTLINE_REQUIRE_LAB", "1");
    assert!(!required, "{name} was skipped where it must run: {why}");
}
