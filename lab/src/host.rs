//! A machine of the lab: one network namespace. The watcher is one, every node has one, a router
//! and further machines are more.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{namespace, tool};

/// A machine of the lab. Clones are the same machine.
#[derive(Debug, Clone)]
pub struct Host(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    namespace: String,
    ipv6: bool,
    on: AtomicBool,
}

impl Host {
    pub(crate) fn create(name: &str, lab: &str, ipv6: bool) -> Result<Self> {
        let namespace = format!("{lab}-{name}");
        namespace::create(&namespace, ipv6)?;
        let name = name.to_owned();
        Ok(Self(Arc::new(Inner {
            name,
            namespace,
            ipv6,
            on: AtomicBool::new(true),
        })))
    }

    /// The name it was made with.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The name of its network namespace, for `ip -n`.
    pub fn namespace(&self) -> &str {
        &self.0.namespace
    }

    /// A command that will run on this machine, reading `/dev/null` unless told otherwise.
    /// The process id is the program's own: `ip netns exec` turns into it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", self.namespace()])
            .arg(program)
            .stdin(Stdio::null());
        command
    }

    /// Runs `work` on a thread that is on this machine: sockets made there belong to it and may be
    /// used from anywhere afterwards. Threads started by `work` are on it too, so an async runtime
    /// must be built inside. A panic in `work` goes on in the caller.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let handle = namespace::open(self.namespace())?;
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                setns(handle, CloneFlags::CLONE_NEWNET).context("setns")?;
                Ok(work())
            });
            inside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Sets a kernel setting of this machine's network, e.g. `net.ipv4.tcp_retries2`.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let mut command = self.command("sysctl");
        command.args(["-q", "-w", &format!("{key}={value}")]);
        tool::run(command).map(drop)
    }

    /// What programs started from now on find in `/etc/hosts`: `localhost`, and each name with its
    /// addresses in this order.
    pub fn set_names(&self, names: &[(&str, &[IpAddr])]) -> Result<()> {
        let mut text = String::from("127.0.0.1 localhost\n::1 localhost\n");
        for (name, addresses) in names {
            for address in *addresses {
                writeln!(text, "{address} {name}")?;
            }
        }
        let dir = namespace::etc_dir(self.namespace());
        fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        fs::write(dir.join("hosts"), text)?;
        // No name may be asked of the outside: an unknown one fails at once.
        fs::write(dir.join("resolv.conf"), "# no name servers\n")?;
        fs::write(dir.join("nsswitch.conf"), "hosts: files\n")?;
        Ok(())
    }

    /// Every process on this machine.
    pub fn processes(&self) -> Vec<Pid> {
        namespace::processes(self.namespace())
    }

    /// Stops every process on this machine: it hangs while its kernel goes on answering.
    pub fn freeze(&self) -> Result<()> {
        self.signal_all(Signal::SIGSTOP)
    }

    /// Undoes [`Host::freeze`].
    pub fn thaw(&self) -> Result<()> {
        self.signal_all(Signal::SIGCONT)
    }

    fn signal_all(&self, signal: Signal) -> Result<()> {
        for pid in self.processes() {
            match kill(pid, signal) {
                Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
                Err(errno) => return Err(anyhow!("{signal} to {pid}: {errno}")),
            }
        }
        Ok(())
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.on.load(Ordering::Acquire)
    }

    pub(crate) fn ipv6(&self) -> bool {
        self.0.ipv6
    }

    /// Ends all processes and the namespace with every connection in it; nothing is sent to
    /// anybody if the caller has taken the interfaces away.
    pub(crate) fn destroy(&self) -> Result<()> {
        self.0.on.store(false, Ordering::Release);
        namespace::kill_all(self.namespace())?;
        namespace::remove(self.namespace())
    }

    /// Makes the namespace anew after [`Host::destroy`].
    pub(crate) fn rebuild(&self) -> Result<()> {
        namespace::create(self.namespace(), self.0.ipv6)?;
        self.0.on.store(true, Ordering::Release);
        Ok(())
    }
}
