//! heartline: which of your machines is down, within a stated bound, over the SSH they already run.
//!
//! One file per command: arguments in, exit code out. What the commands share in arguments is in [`flags`]; how they
//! come to a plan in [`asked`]; how they print in [`printer`] and [`words`].

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the docs of flags are the help that is printed, where [host] is not a link"
)]

mod asked;
mod autossh;
mod check;
mod cli;
mod config;
mod demo;
mod explain;
mod flags;
mod ghosts;
mod guard_command;
mod keep;
mod limits;
mod log;
mod logging;
mod man;
mod pause;
mod printer;
mod probe;
mod prove;
mod report;
mod run;
mod serve;
mod service;
mod status;
mod top;
mod wait;
mod watch;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::autossh::Autossh;
use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    match args.split_first() {
        Some((program, args)) if autossh::is_meant(program) => as_autossh(args),
        _ => run(&args),
    }
}

/// What autossh's arguments and environment ask for.
fn as_autossh(args: &[OsString]) -> ExitCode {
    let autossh = match Autossh::new(args.iter().cloned(), |name| std::env::var_os(name)) {
        Ok(autossh) => autossh,
        Err(error) => {
            words::complain(&error.context("as autossh"));
            // As autossh.
            return ExitCode::FAILURE;
        }
    };
    for note in &autossh.notes {
        words::say(&format!("heartline, as autossh: {note}"));
    }
    if let Err(error) = autossh.settle() {
        words::complain(&error.context("as autossh"));
        return ExitCode::FAILURE;
    }
    let code = run(&autossh.args);
    autossh.leave();
    code
}

fn run(args: &[OsString]) -> ExitCode {
    let cli = Cli::parse_or_exit(args);
    logging::start(cli.verbosity());
    limits::raise();
    let usage = cli.usage_code();
    let done = match cli.command {
        Command::Watch(args) => watch::run(args),
        Command::Check(args) => check::run(args),
        Command::Wait(args) => wait::run(args),
        Command::Pause(args) => pause::pause(&args),
        Command::Resume(args) => pause::resume(&args),
        Command::Status(args) => status::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Run(args) => run::run(*args),
        Command::Keep(args) => keep::run(*args),
        Command::Prove(args) => prove::run(*args),
        Command::Probe(args) => probe::run(*args),
        Command::Ghosts(args) => ghosts::run(*args),
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Explain(args) => explain::run(&args),
        Command::Guard(args) => guard_command::run(&args),
        Command::Config(args) => config::run(*args),
        Command::Completions(args) => man::completions(&args),
        Command::Man(args) => man::man(&args),
    };
    done.unwrap_or_else(|error| {
        words::complain(&error);
        ExitCode::from(usage)
    })
}
