//! What a node's sshd is doing, read from `/proc`: its connections, and the processes of each.
//!
//! OpenSSH serves a connection with a *monitor* (root) that keeps a *user process* (the user's id)
//! for the network side; commands are children of the user process. All are called `sshd`, from
//! 9.8 on `sshd-session`. Processes are found by their network namespace, not by their parents, so
//! a session whose monitor was killed is still found.

use std::fs;

use nix::unistd::{Pid, Uid};

use crate::namespace;

/// One logged-in session of a node's sshd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The user's process, which holds the connection and runs the commands.
    pub user: Pid,
    /// The root process behind it; `None` once that was killed.
    pub monitor: Option<Pid>,
}

/// The sessions of `user` in the namespace, oldest process id first.
pub(crate) fn sessions(ns: &str, user: Uid) -> Vec<Session> {
    let all: Vec<_> = sshds(ns);
    let of_user = |sshd: &&Sshd| sshd.uid == user.as_raw();
    let mut sessions: Vec<_> = all
        .iter()
        .filter(of_user)
        // A fork that has not yet become its command, or an internal sftp server, is a child of
        // the user process and still called sshd.
        .filter(|sshd| {
            !all.iter()
                .filter(of_user)
                .any(|other| other.pid == sshd.parent)
        })
        .map(|sshd| {
            let monitor = all.iter().find(|other| other.pid == sshd.parent);
            Session {
                user: sshd.pid,
                monitor: monitor.map(|monitor| monitor.pid),
            }
        })
        .collect();
    sessions.sort_by_key(|session| session.user);
    sessions
}

/// Connections that are not (yet) logged in: root's sshd processes that are neither the listener
/// nor the monitor of a session.
pub(crate) fn unauthenticated(ns: &str, user: Uid, listener: Option<Pid>) -> Vec<Pid> {
    let sessions = sessions(ns, user);
    let serves = |pid| sessions.iter().any(|session| session.monitor == Some(pid));
    let all = sshds(ns);
    let roots = all
        .iter()
        .filter(|sshd| sshd.uid == 0 && Some(sshd.pid) != listener);
    // Before 9.8 the helper before login also begins as root: only the outermost one counts.
    let roots: Vec<_> = roots.filter(|sshd| !serves(sshd.pid)).collect();
    let inner = |sshd: &Sshd| roots.iter().any(|other| other.pid == sshd.parent);
    roots
        .iter()
        .filter(|sshd| !inner(sshd))
        .map(|sshd| sshd.pid)
        .collect()
}

#[derive(Debug)]
struct Sshd {
    pid: Pid,
    parent: Pid,
    uid: u32,
}

fn sshds(ns: &str) -> Vec<Sshd> {
    namespace::processes(ns)
        .into_iter()
        .filter_map(read)
        .collect()
}

/// The process, if it is one of sshd's. `/proc/PID/status` gives the real user: the folder's owner
/// is root for a process that may not be dumped, which sshd's are not.
fn read(pid: Pid) -> Option<Sshd> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let first = |name: &str| field(name)?.split_whitespace().next();
    let name = first("Name:")?;
    let parent = Pid::from_raw(first("PPid:")?.parse().ok()?);
    let uid = first("Uid:")?.parse().ok()?;
    name.starts_with("sshd")
        .then_some(Sshd { pid, parent, uid })
}
