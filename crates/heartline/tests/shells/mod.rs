//! Nodes with the shells that are met in the field, and what is left on them.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use lab::{Lab, Node, NodeSpec};

use crate::watching::until;

/// A shell that a node has, as `sh` and as login shell.
pub(crate) struct Shell {
    pub(crate) name: &'static str,
    /// What it is as `sh`; none, if it is no POSIX shell.
    sh: Option<&'static str>,
    pub(crate) program: &'static str,
    /// After how many fuses the far end goes at the latest.
    pub(crate) fuses: u32,
}

/// Those that are a `sh`.
pub(crate) const POSIX: [Shell; 4] = [
    posix("dash", "/usr/bin/dash", 2),
    posix("bash", "/usr/bin/bash", 1),
    posix("ash", "/usr/bin/busybox", 1),
    posix("mksh", "/usr/bin/mksh", 1),
];

/// Those that are none.
pub(crate) const OTHERS: [Shell; 2] = [
    other("tcsh", "/usr/bin/tcsh"),
    other("fish", "/usr/bin/fish"),
];

const fn posix(name: &'static str, program: &'static str, fuses: u32) -> Shell {
    Shell {
        name,
        sh: Some("sh"),
        program,
        fuses,
    }
}

/// The machine's own `sh` comes after it.
const fn other(name: &'static str, program: &'static str) -> Shell {
    Shell {
        name,
        sh: None,
        program,
        fuses: 2,
    }
}

/// A node with it, and of its name; none, where it is not installed. The lines are for its `sshd_config`.
pub(crate) fn node_with(lab: &Lab, shell: &Shell, lines: &str) -> Result<Option<Node>> {
    node_named(lab, shell.name, shell, lines)
}

/// The same, of another name.
pub(crate) fn node_named(
    lab: &Lab,
    name: &str,
    shell: &Shell,
    lines: &str,
) -> Result<Option<Node>> {
    if !PathBuf::from(shell.program).is_file() {
        return Ok(None);
    }
    let names = [Some(shell.name), shell.sh].into_iter().flatten();
    let folder = folder_of(lab, name, names.map(|name| (name, shell.program)))?;
    let config = format!("SetEnv PATH={}:/usr/bin:/bin\n{lines}", folder.display());
    let login = folder.join(shell.name).display().to_string();
    let spec = NodeSpec::new(name).config(&config).shell(&login);
    lab.node_with(&spec).map(Some)
}

/// A folder for a node's `PATH`: names, each with the program that it stands for.
pub(crate) fn folder_of<P: AsRef<Path>>(
    lab: &Lab,
    name: &str,
    programs: impl IntoIterator<Item = (&'static str, P)>,
) -> Result<PathBuf> {
    let folder = lab.dir().join(format!("bin-{name}"));
    fs::create_dir(&folder)?;
    for (name, program) in programs {
        symlink(program, folder.join(name))?;
    }
    Ok(folder)
}

/// Whether a guard runs there, by the name that it has given itself.
pub(crate) fn is_guarded(node: &Node) -> bool {
    let mut pids = node.user_processes().into_iter();
    pids.any(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0)
            .any(|word| word == b"heartline-guard")
    })
}

/// Command lines of its user's processes that contain this, the guard's apart.
pub(crate) fn running(node: &Node, text: &str) -> Vec<String> {
    let pids = node.user_processes().into_iter();
    let lines = pids.map(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ")
    });
    lines
        .filter(|line| line.contains(text) && !line.contains("heartline-guard"))
        .collect()
}

/// Whether no session and no process of its user is left there.
pub(crate) fn is_clear(node: &Node) -> bool {
    node.sessions().is_empty() && node.user_processes().is_empty()
}

/// Waits until nothing is left on any of them, and says after how long each was clear.
pub(crate) fn clear_after<'a>(
    nodes: impl Iterator<Item = &'a Node>,
    begun: Instant,
) -> Result<Vec<Duration>> {
    let nodes: Vec<_> = nodes.collect();
    let mut after = vec![None; nodes.len()];
    until("nothing is left", || {
        for (node, after) in nodes.iter().zip(&mut after) {
            if after.is_none() && is_clear(node) {
                *after = Some(begun.elapsed());
            }
        }
        Ok(after.iter().all(Option::is_some))
    })?;
    Ok(after.into_iter().flatten().collect())
}
