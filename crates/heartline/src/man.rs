//! Completion scripts and man pages, from the one table of flags.

use std::io::{self, Write};
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

/// `heartline man [COMMAND]`.
pub(crate) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let mut all = Cli::command();
    all.build();
    let man = match &args.command {
        None => clap_mangen::Man::new(all),
        Some(name) => {
            let command = all.find_subcommand(name);
            let command =
                command.with_context(|| format!("no command {name:?}; see heartline --help"))?;
            clap_mangen::Man::new(command.clone()).title(format!("heartline-{name}"))
        }
    };
    let mut text = Vec::new();
    man.render(&mut text)?;
    io::stdout().write_all(&text)?;
    Ok(ExitCode::SUCCESS)
}
