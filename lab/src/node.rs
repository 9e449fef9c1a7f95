//! A node: a machine with a real sshd, and what can happen to such a machine.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

use crate::cable::{Cable, End};
use crate::fault;
use crate::host::Host;
use crate::keys::{self, KeyKind};
use crate::passwd::{self, Field};
use crate::process::Running;
use crate::session::{self, Session};
use crate::sshd::Files;
use crate::tool::{self, Batch};

/// A node. Clones are the same node.
#[derive(Debug, Clone)]
pub struct Node(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    host: Host,
    user: Uid,
    files: Files,
    listener: Mutex<Option<Running>>,
    cables: Mutex<BTreeMap<u8, Cable>>,
    /// Holds the interfaces while the node is off.
    shelf: Host,
}

/// How a node's sshd is set up.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    name: String,
    port: u16,
    config: String,
    shell: Option<String>,
}

/// A kind of process of sshd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The one that accepts connections.
    Listener,
    /// The root process behind each session.
    Monitor,
    /// The user's process of each session, which holds the connection.
    User,
    /// Every connection that is not logged in yet.
    Unauthenticated,
}

impl NodeSpec {
    /// A node with sshd on port 22 and nothing unusual. The name is of `a-z`, `0-9` and `-`.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            port: 22,
            config: String::new(),
            shell: None,
        }
    }

    /// The port sshd listens on.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Adds lines to `sshd_config`, before the lab's own: sshd takes the first value it reads.
    /// A `Match` block must end with `Match all`.
    #[must_use]
    pub fn config(mut self, lines: &str) -> Self {
        self.config.push_str(lines);
        self.config.push('\n');
        self
    }

    /// Gives the test user another login shell, and a home of its own: [`Node::home`].
    #[must_use]
    pub fn shell(mut self, program: &str) -> Self {
        self.shell = Some(program.to_owned());
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Node {
    pub(crate) fn create(
        spec: &NodeSpec,
        host: Host,
        shelf: Host,
        dir: PathBuf,
        client_key: &Path,
        user: Uid,
    ) -> Result<Self> {
        let files = Files::create(dir, spec.port, client_key)?;
        files.write_config(&spec.config)?;
        if let Some(shell) = &spec.shell {
            let home = files.dir.join("home");
            fs::create_dir(&home).with_context(|| home.display().to_string())?;
            chown(&home, Some(user.as_raw()), None)?;
            passwd::set(host.namespace(), Field::Home, &home.display().to_string())?;
            passwd::set(host.namespace(), Field::Shell, shell)?;
        }
        let (listener, cables) = (Mutex::default(), Mutex::default());
        let node = Self(Arc::new(Inner {
            host,
            user,
            files,
            listener,
            cables,
            shelf,
        }));
        node.start()?;
        Ok(node)
    }

    /// The machine it is.
    pub fn host(&self) -> &Host {
        &self.0.host
    }

    /// The name it was made with.
    pub fn name(&self) -> &str {
        self.0.host.name()
    }

    /// The port its sshd listens on.
    pub fn port(&self) -> u16 {
        self.0.files.port
    }

    /// A command that runs on this node as root, outside of any session.
    pub fn command(&self, program: &str) -> Command {
        self.0.host.command(program)
    }

    /// Its folder: host keys, configuration, log.
    pub fn dir(&self) -> &Path {
        &self.0.files.dir
    }

    /// The test user's home, where [`NodeSpec::shell`] was called.
    pub fn home(&self) -> PathBuf {
        self.dir().join("home")
    }

    /// Its `authorized_keys`, to be rewritten by a test; sshd reads it at each login.
    pub fn authorized_keys(&self) -> PathBuf {
        self.0.files.authorized_keys()
    }

    /// The private host key of a kind; the public one has `.pub` added.
    pub fn host_key(&self, kind: KeyKind) -> PathBuf {
        kind.host_key(self.dir())
    }

    /// What sshd has logged since the node was made, at level DEBUG1 unless told otherwise.
    pub fn log(&self) -> Result<String> {
        let bytes = fs::read(self.0.files.log()).context("sshd's log")?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Logins that succeeded since the node was made.
    pub fn logins(&self) -> Result<usize> {
        // "Accepted METHOD for USER from …" (auth.c, auth_log); at DEBUG1 there is also
        // "Accepted key …", which is not yet a login.
        let is_login = |line: &&str| {
            let rest = line.split_once("Accepted ").map(|(_, rest)| rest);
            rest.is_some_and(|rest| rest.split_whitespace().nth(1) == Some("for"))
        };
        Ok(self.log()?.lines().filter(is_login).count())
    }

    /// The sessions that are logged in now.
    pub fn sessions(&self) -> Vec<Session> {
        session::sessions(self.0.host.namespace(), self.0.user)
    }

    /// Process ids of sshd's of one kind; none if there is no such process now.
    pub fn pids(&self, part: Part) -> Vec<Pid> {
        let listener = self.lock_listener().as_ref().map(Running::pid);
        match part {
            Part::Listener => listener.into_iter().collect(),
            Part::Monitor => self
                .sessions()
                .iter()
                .filter_map(|session| session.monitor)
                .collect(),
            Part::User => self.sessions().iter().map(|session| session.user).collect(),
            Part::Unauthenticated => {
                session::unauthenticated(self.0.host.namespace(), self.0.user, listener)
            }
        }
    }

    /// Processes of the test user here that are not sshd's: commands, and what they left behind.
    pub fn user_processes(&self) -> Vec<Pid> {
        // The user's before and after: a session that begins meanwhile (whose process becomes the user's) or ends (and is
        // a zombie) is not taken for a command.
        let users = || {
            let mut all = self.0.host.processes();
            all.retain(|pid| owner(*pid) == Some(self.0.user));
            all
        };
        let before = users();
        let sshd = self.pids(Part::User);
        let mut commands = users();
        commands.retain(|pid| before.contains(pid) && !sshd.contains(pid));
        commands
    }

    /// Sends a signal to all processes of one kind; says how many there were.
    pub fn signal(&self, part: Part, signal: Signal) -> Result<usize> {
        let pids = self.pids(part);
        for pid in &pids {
            match kill(*pid, signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(errno).with_context(|| format!("{signal} to {pid}")),
            }
        }
        if part == Part::Listener && signal == Signal::SIGKILL {
            // Dropping it waits until it is gone.
            *self.lock_listener() = None;
        }
        Ok(pids.len())
    }

    /// Kills (SIGKILL).
    pub fn kill(&self, part: Part) -> Result<usize> {
        self.signal(part, Signal::SIGKILL)
    }

    /// Freezes (SIGSTOP).
    pub fn stop(&self, part: Part) -> Result<usize> {
        self.signal(part, Signal::SIGSTOP)
    }

    /// Thaws (SIGCONT).
    pub fn cont(&self, part: Part) -> Result<usize> {
        self.signal(part, Signal::SIGCONT)
    }

    /// Starts the listener if there is none, and waits until it listens.
    pub fn start(&self) -> Result<()> {
        let mut listener = self.lock_listener();
        if !listener.as_ref().is_some_and(Running::is_alive) {
            *listener = None;
            *listener = Some(self.0.files.start(&self.0.host)?);
        }
        Ok(())
    }

    /// Ends the listener and starts it again; sessions live on, as they do on real machines.
    pub fn restart(&self) -> Result<()> {
        self.kill(Part::Listener)?;
        self.start()
    }

    /// Replaces the extra lines of `sshd_config`; in force from the next [`Node::restart`].
    pub fn set_config(&self, lines: &str) -> Result<()> {
        self.0.files.write_config(lines)
    }

    /// Replaces the host keys; in force from the next [`Node::restart`]. The lab's `known_hosts`
    /// keeps the old ones until [`Lab::write_client_files`](crate::Lab::write_client_files).
    pub fn change_host_keys(&self) -> Result<()> {
        keys::generate_host_keys(self.dir())
    }

    /// Puts a disk that is full at a folder, as its sshd and every session on it see that folder:
    /// nothing there can be written or made, and what was there is hidden. Until the listener is
    /// started anew.
    pub fn fill_disk(&self, folder: &Path) -> Result<()> {
        let listener = self.pids(Part::Listener).pop().context("no listener")?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{listener}/ns/mnt"));
        command.args(["sh", "-ec", FULL_DISK, "sh"]).arg(folder);
        tool::run(command).map(drop)
    }

    /// Ends every session with RST, as a firewall or a kernel that lost them would (`ss --kill`).
    pub fn reset_sessions(&self) -> Result<()> {
        let mut command = self.command("ss");
        command.args([
            "--kill",
            "--tcp",
            "--no-header",
            "state",
            "established",
            "sport",
            "=",
        ]);
        command.arg(format!(":{}", self.port()));
        tool::run(command).map(drop)
    }

    /// Pulls the plug: nothing is said to anybody, every process and connection is gone. The other
    /// end of each straight cable loses its carrier and keeps its interface.
    pub fn power_off(&self) -> Result<()> {
        let shelf = self.0.shelf.namespace();
        let mut script = String::new();
        for cable in self.lock_cables().values() {
            let ifname = &end_at(cable, &self.0.host)?.1.ifname;
            // Taken away first, so that no FIN or RST of a dying process finds a way out.
            write!(
                script,
                "link set {ifname} down\nlink set {ifname} netns {shelf}\n"
            )?;
        }
        let mut batch = Batch::default();
        batch.ip(self.0.host.namespace(), script);
        tool::run_together(batch)?;
        self.0.host.destroy()?;
        *self.lock_listener() = None;
        Ok(())
    }

    /// Boots: the same addresses, keys and configuration, and faults of cables still in force.
    pub fn power_on(&self) -> Result<()> {
        ensure!(!self.0.host.is_on(), "{} is on", self.name());
        let ns = self.0.host.namespace();
        self.0.host.rebuild()?;
        let (mut arrive, mut address) = (String::new(), String::new());
        for cable in self.lock_cables().values() {
            let plug = end_at(cable, &self.0.host)?.1;
            writeln!(arrive, "link set {} netns {ns}", plug.ifname)?;
            address += &plug.up_script();
        }
        for (ns, script) in [(self.0.shelf.namespace(), arrive), (ns, address)] {
            let mut batch = Batch::default();
            batch.ip(ns, script);
            tool::run_together(batch)?;
        }
        for cable in self.lock_cables().values() {
            fault::reapply(cable, end_at(cable, &self.0.host)?.0)?;
        }
        self.start()
    }

    /// [`Node::power_off`], then [`Node::power_on`].
    pub fn reboot(&self) -> Result<()> {
        self.power_off()?;
        self.power_on()
    }

    pub(crate) fn attach(&self, cable: &Cable) {
        self.lock_cables().insert(cable.number(), cable.clone());
    }

    /// The addresses it is dialled at, over all cables in the order they were laid.
    pub(crate) fn peer(&self) -> keys::Peer {
        let cables = self.lock_cables();
        let dialled = cables
            .values()
            .filter(|cable| is_at(cable, End::Node, &self.0.host));
        let addresses = dialled.flat_map(Cable::addresses).collect();
        let (name, keys) = (self.name().to_owned(), self.dir().to_owned());
        keys::Peer {
            name,
            port: self.port(),
            addresses,
            keys,
        }
    }

    fn lock_listener(&self) -> MutexGuard<'_, Option<Running>> {
        self.0
            .listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_cables(&self) -> MutexGuard<'_, BTreeMap<u8, Cable>> {
        self.0.cables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which end of the cable is at this machine.
fn end_at<'a>(cable: &'a Cable, host: &Host) -> Result<(End, &'a crate::cable::Plug)> {
    let ends = [End::Watcher, End::Node];
    let end = ends.into_iter().find(|end| is_at(cable, *end, host));
    let end = end.with_context(|| format!("cable {} is not at this node", cable.number()))?;
    Ok((end, cable.end(end)))
}

fn is_at(cable: &Cable, end: End, host: &Host) -> bool {
    cable.end(end).host.namespace() == host.namespace()
}

/// The real user of a process.
fn owner(pid: Pid) -> Option<Uid> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace()
        .next()?
        .parse()
        .ok()
        .map(Uid::from_raw)
}

/// Mounts a disk of 64 KiB and two files, itself one of them, and writes until no more fits.
const FULL_DISK: &str = r#"mount -t tmpfs -o size=64k,nr_inodes=2,mode=1777 full "$1"
! head -c 1M /dev/zero 2>/dev/null >"$1/full""#;
