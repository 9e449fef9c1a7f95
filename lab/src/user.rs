//! The unprivileged user the nodes log in: one for the machine, made once and then kept.

use std::process::Command;

use anyhow::{Context, Result};
use nix::unistd::{Uid, User};

use crate::tool;

/// The user every node's sshd lets in with [`Lab::client_key`](crate::Lab::client_key).
pub const TEST_USER: &str = "hltest";

/// The user's id; the user is made if absent. The caller has the lab's turn.
pub(crate) fn ensure() -> Result<Uid> {
    if let Some(uid) = find()? {
        return Ok(uid);
    }
    let mut command = Command::new("useradd");
    // A password of `*` matches nothing, and unlike `!` does not lock the account: sshd without
    // PAM lets no key in where the account is locked (auth.c, allowed_user).
    command.args(["--system", "--password", "*", "--shell", "/bin/sh"]);
    command.args([
        "--create-home",
        "--home-dir",
        HOME,
        "--comment",
        "heartline tests",
        TEST_USER,
    ]);
    tool::run(command)?;
    find()?.context("useradd succeeded but there is no such user")
}

fn find() -> Result<Option<Uid>> {
    Ok(User::from_name(TEST_USER)
        .context("user database")?
        .map(|user| user.uid))
}

/// The same for all labs: sshd takes the home from the user database.
const HOME: &str = "/var/lib/heartline-lab";
