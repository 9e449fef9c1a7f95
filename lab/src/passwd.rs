//! The test user as a node knows it, where that is not as the machine knows it.
//!
//! ip-netns(8) lays the files of a folder over `/etc` for programs started in the namespace; the list of users may be one.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::namespace;
use crate::user::TEST_USER;

/// A field of passwd(5).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Field {
    Home = 5,
    Shell = 6,
}

/// Sets a field of the test user's line, for programs started in the namespace from now on.
pub(crate) fn set(ns: &str, field: Field, value: &str) -> Result<()> {
    let etc = namespace::etc_dir(ns);
    fs::create_dir_all(&etc).with_context(|| etc.display().to_string())?;
    let own = etc.join("passwd");
    let users = fs::read_to_string(&own).or_else(|_| fs::read_to_string("/etc/passwd"));
    let users = users.context("/etc/passwd")?;
    let mut found = false;
    let changed: String = users
        .lines()
        .map(|line| {
            let mut fields: Vec<&str> = line.split(':').collect();
            if fields.first() == Some(&TEST_USER)
                && let Some(old) = fields.get_mut(field as usize)
            {
                *old = value;
                found = true;
            }
            fields.join(":") + "\n"
        })
        .collect();
    ensure!(found, "no line of {TEST_USER} in /etc/passwd");
    fs::write(own, changed).context("the node's passwd")
}
