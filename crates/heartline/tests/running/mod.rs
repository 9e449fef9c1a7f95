//! `heartline run` under test.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::process::{Command, Stdio};

use anyhow::Result;
use lab::{Finished, Lab, Running};

use crate::watching::{CEILING, heartline};

/// `heartline run FLAGS NODE -- COMMAND`; the flags are split at spaces.
pub(crate) fn run(lab: &Lab, node: &str, flags: &str, command: &str) -> Command {
    let mut run = heartline(lab, lab.watcher());
    run.args(["run", node, "-F"]).arg(lab.ssh_config());
    run.args(flags.split_whitespace()).args(["--", command]);
    run
}

/// The same, to its end.
pub(crate) fn outcome(lab: &Lab, node: &str, flags: &str, command: &str) -> Result<Finished> {
    Running::spawn(run(lab, node, flags, command))?.finish(CEILING)
}

/// The same, begun, with a standard input of its own.
pub(crate) fn begin(lab: &Lab, node: &str, flags: &str, command: &str) -> Result<Running> {
    let mut run = run(lab, node, flags, command);
    run.stdin(Stdio::piped());
    Running::spawn(run)
}

/// The same, and what the command writes is taken and thrown away.
pub(crate) fn begin_quietly(lab: &Lab, node: &str, flags: &str, command: &str) -> Result<Running> {
    let run = run(lab, node, flags, command);
    let mut quiet = lab.watcher().command("sh");
    quiet.args(["-c", "exec \"$@\" >/dev/null", "sh"]);
    quiet.arg(run.get_program()).args(run.get_args());
    for (name, value) in run.get_envs() {
        match value {
            Some(value) => quiet.env(name, value),
            None => quiet.env_remove(name),
        };
    }
    quiet.current_dir(lab.dir()).stdin(Stdio::piped());
    Running::spawn(quiet)
}
