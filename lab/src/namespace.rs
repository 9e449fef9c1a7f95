//! Network namespaces by name: make, find, empty, remove.
//!
//! A process belongs to a namespace when `/proc/PID/ns/net` names the same inode as
//! `/run/netns/NAME`. That is how the lab finds every process it must end, whatever session,
//! process group or parent the process has given itself.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::tool;

/// Makes the namespace and brings its loopback up. Settings that new interfaces inherit (no
/// duplicate address detection, so addresses work at once) are made before there is any.
pub(crate) fn create(name: &str, ipv6: bool) -> Result<()> {
    tool::run_words(&["ip", "netns", "add", name])?;
    tool::run_words(&["ip", "-n", name, "link", "set", "lo", "up"])?;
    if ipv6 {
        let zero = [
            "all.disable_ipv6",
            "default.disable_ipv6",
            "default.accept_dad",
        ];
        let settings = zero.map(|key| format!("net.ipv6.conf.{key}=0"));
        let mut words = vec!["ip", "netns", "exec", name, "sysctl", "-q", "-w"];
        words.extend(settings.iter().map(String::as_str));
        tool::run_words(&words)?;
    }
    Ok(())
}

/// Removes the namespace and what the lab put in `/etc/netns` for it. What runs inside must have
/// been ended before, or the namespace lives on without a name.
pub(crate) fn remove(name: &str) -> Result<()> {
    let files = etc_dir(name);
    if files.exists() {
        fs::remove_dir_all(&files).with_context(|| files.display().to_string())?;
    }
    tool::run_words(&["ip", "netns", "del", name])?;
    Ok(())
}

/// Names of all namespaces that start with `prefix`.
pub(crate) fn named(prefix: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(RUN_DIR) else {
        return Vec::new();
    };
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(prefix)).collect()
}

/// The handle of a namespace, to be entered with `setns(2)`.
pub(crate) fn open(name: &str) -> Result<fs::File> {
    let path = PathBuf::from(RUN_DIR).join(name);
    fs::File::open(&path).with_context(|| path.display().to_string())
}

/// Files here replace those of the same name in `/etc` for programs started in the namespace
/// (ip-netns(8)).
pub(crate) fn etc_dir(name: &str) -> PathBuf {
    PathBuf::from("/etc/netns").join(name)
}

/// Every process whose main thread is in the namespace; zombies are not counted.
pub(crate) fn processes(name: &str) -> Vec<Pid> {
    let Some(wanted) = link(name) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.map(Pid::from_raw)
        .filter(|pid| holds(&wanted, *pid))
        .collect()
}

/// Kills every process in the namespace and waits until none is left. New ones that appear
/// meanwhile (a fork that was under way) are killed too.
pub(crate) fn kill_all(name: &str) -> Result<()> {
    let deadline = Instant::now() + KILL_CEILING;
    loop {
        let left = processes(name);
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("processes {left:?} in {name} survived SIGKILL");
        }
        for pid in left {
            // ESRCH: it went by itself.
            let _ = kill(pid, Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What `/proc/PID/ns/net` reads for processes in the namespace.
fn link(name: &str) -> Option<String> {
    let inode = fs::metadata(PathBuf::from(RUN_DIR).join(name)).ok()?.ino();
    Some(format!("net:[{inode}]"))
}

fn holds(link: &str, pid: Pid) -> bool {
    fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|found| found.as_os_str() == link)
}

/// Where `ip netns` keeps its names.
const RUN_DIR: &str = "/run/netns";
/// How long killed processes may take to go.
const KILL_CEILING: Duration = Duration::from_secs(10);
