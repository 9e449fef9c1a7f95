//! What a held line costs, and how late a mass stop is noticed: measured on loopback, in one run.
//!
//! * [`lines`] holds the same lines by one heartline, by one `ssh` process a line, and by the floor
//!   below which no client can be, against the same servers, and prints the figures and ratios.
//! * [`keep`] carries bytes through tunnels, and cuts them, by heartline, ssh and autossh.
//! * [`run`](mod@run) moves bytes through `heartline run` and through ssh in turn.
//! * [`journal`] counts the events a second that a journal takes.
//! * [`page`] holds lines alone, and with a page open and metrics scraped, and prints what that costs, how much a first
//!   load is, and how soon an event is there.
//! * [`stop`] stops the servers of thousands of lines at once and prints when each was called down.
//!
//! The rest measures ([`measure`]), holds what is measured ([`watcher`], [`flock`], [`floor`],
//! [`server`]) and makes their files ([`site`]). Everything is ended by its process id when the
//! bench ends, also by Ctrl-C or a panic.
//!
//! Ratios of one run mean something; absolute figures of two machines, or of two hours on a shared
//! one, do not. Nothing here is a test: a bound that is missed is printed, and the exit code is 0.

mod arguments;
mod flock;
mod floor;
mod interrupt;
mod journal;
mod keep;
mod lines;
mod measure;
mod page;
mod report;
mod run;
mod server;
mod site;
mod stop;
mod uptime;
mod watcher;

use std::process::ExitCode;

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::FloorPeer => floor::peer::run(),
        Command::FloorClient(of) => floor::client::run(&of),
        Command::Lines(of) => prepare().and_then(|()| lines::run(&of)),
        Command::Keep(of) => prepare().and_then(|()| keep::run(&of)),
        Command::Journal(of) => prepare().and_then(|()| journal::run(&of)),
        Command::Page(of) => prepare().and_then(|()| page::run(&of)),
        Command::Run(of) => prepare().and_then(|()| run::run(&of)),
        Command::Stop(of) => prepare().and_then(|()| stop::run(&of)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Before any thread or process is started: both inherit what is set here.
fn prepare() -> anyhow::Result<()> {
    interrupt::install()?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(())
}
