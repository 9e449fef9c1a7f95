//! `heartline guard-command`.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use heartline_ssh::forced_command;

use crate::cli::GuardCommandArgs;

/// Prints the line.
pub(crate) fn run(args: &GuardCommandArgs) -> anyhow::Result<ExitCode> {
    let options = forced_command();
    let Some(path) = &args.key else {
        println!("{options}");
        return Ok(ExitCode::SUCCESS);
    };
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let key = text.trim();
    let is_public = ["ssh-", "ecdsa-", "sk-"]
        .iter()
        .any(|kind| key.starts_with(kind));
    ensure!(
        is_public && !key.contains(char::is_control),
        "{} is no public key in one line; give the .pub file",
        path.display()
    );
    println!("{options} {key}");
    Ok(ExitCode::SUCCESS)
}
