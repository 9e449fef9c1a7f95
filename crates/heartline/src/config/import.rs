//! `heartline config import`: nodes from lists that others keep.
//!
//! Each source makes an [`Import`] of what it reads; [`write`] makes a heartline.toml of that, which `config check` takes.

mod ansible;
mod found;
mod ssh;
mod write;

use std::io::{self, Write as _};
use std::process::ExitCode;

use super::ImportFrom;
use crate::watch::runtime;
use crate::words;

/// Prints what was found, and on standard error what could not be carried over.
pub(super) fn run(from: &ImportFrom) -> anyhow::Result<ExitCode> {
    let mut import = match from {
        ImportFrom::Ssh(args) => runtime()?.block_on(ssh::import(args.file.as_deref()))?,
        ImportFrom::Ansible(args) => ansible::import(&args.file)?,
    };
    let text = write::toml(&mut import)?;
    for warning in &import.warnings {
        words::say(&format!("heartline: {}", words::plain(warning)));
    }
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
