//! Completion scripts and man pages, from the one table of flags.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs, ManArgs};

/// `heartline completions SHELL`.
pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "heartline", &mut text);
    io::stdout().write_all(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// `heartline man [COMMAND…]`.
pub(crate) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let mut command = Cli::command();
    command.build();
    if let Some(folder) = &args.all {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        write_all(&command, "heartline", folder)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut title = "heartline".to_owned();
    for name in &args.command {
        let found = command.find_subcommand(name);
        let found = found.with_context(|| format!("no command {name:?}; see {title} --help"))?;
        command = found.clone();
        title = format!("{title}-{name}");
    }
    io::stdout().write_all(&page(&command, &title)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The page of this command, and those of all below it.
fn write_all(command: &clap::Command, title: &str, folder: &Path) -> anyhow::Result<()> {
    let path = folder.join(format!("{title}.1"));
    let written = fs::write(&path, page(command, title)?);
    written.with_context(|| format!("cannot write {}", path.display()))?;
    for below in command.get_subcommands() {
        let title = format!("{title}-{}", below.get_name());
        write_all(below, &title, folder)?;
    }
    Ok(())
}

fn page(command: &clap::Command, title: &str) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let man = clap_mangen::Man::new(command.clone());
    man.title(title.to_owned()).render(&mut text)?;
    Ok(text)
}
