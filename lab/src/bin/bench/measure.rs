//! What the kernel says that processes and connections cost.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::{Pid, Running};
use nix::time::ClockId;

/// CPU time, user and system, of all these processes, to the nanosecond, ended threads included:
/// their CPU clocks, which is what the scheduler has counted, not a sampling.
pub(crate) fn cpu(pids: &[Pid]) -> Result<Duration> {
    let of_one = |pid: &Pid| {
        let now = ClockId::pid_cpu_clock_id(*pid).and_then(ClockId::now);
        now.map(Duration::from)
            .with_context(|| format!("CPU time of process {pid}"))
    };
    pids.iter().map(of_one).sum()
}

/// CPU time of the processes that this one has started and waited for, to 10 ms.
pub(crate) fn cpu_of_children(pid: Pid) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // proc_pid_stat(5): the name in parentheses may hold anything; of what follows it, fields 14
    // and 15 are cutime and cstime.
    let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
    let ticks = fields.split_whitespace().skip(13).take(2);
    let ticks: u64 = ticks.map(str::parse::<u64>).sum::<Result<_, _>>()?;
    Ok(Duration::from_millis(ticks * 1_000 / USER_HZ))
}

/// Resident memory, in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Pages shared with others count by their share.
    pub(crate) pss: f64,
    /// Pages shared with others count in full.
    pub(crate) rss: f64,
}

/// Memory of all these processes.
pub(crate) fn memory(pids: &[Pid]) -> Result<Memory> {
    let mut sum = Memory::default();
    for pid in pids {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).context(path)?;
        let field = |name: &str| -> Result<f64> {
            let mut words = text.lines().map(str::split_whitespace);
            let value = words.find_map(|mut line| (line.next() == Some(name)).then(|| line.next()));
            let value = value.flatten();
            Ok(value.with_context(|| format!("no {name}"))?.parse()?)
        };
        sum.pss += field("Pss:")?;
        sum.rss += field("Rss:")?;
    }
    Ok(sum)
}

/// What is known of the client ends of the connections to one port.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    /// How many stand.
    pub(crate) standing: usize,
    /// Segments with data that they have sent, all together. A beat is one.
    pub(crate) sent: u64,
    /// TCP's smoothed round trip of each, in microseconds. A beat's answer carries the
    /// acknowledgement of the beat, so this is a beat's round trip less the client's own delays.
    round_trips: Vec<f64>,
}

impl Connections {
    /// The median round trip in microseconds; `None` where there is no connection.
    pub(crate) fn round_trip(&self) -> Option<f64> {
        let mut all = self.round_trips.clone();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied()
    }
}

/// The established connections to `port`, by `ss`.
pub(crate) fn connections(port: u16) -> Result<Connections> {
    let mut command = Command::new("ss");
    command.args(["-tinOH", "state", "established"]);
    command.arg(format!("( dport = :{port} )"));
    let said = Running::spawn(command)
        .context("ss is needed (Debian package iproute2)")?
        .finish(SS)?
        .success()?;
    let mut found = Connections::default();
    for line in said.stdout.lines() {
        let field = |name: &str| {
            line.split_whitespace()
                .find_map(|word| word.strip_prefix(name))
        };
        found.standing += 1;
        // A connection that has sent nothing has no such field.
        found.sent += field("data_segs_out:").map_or(Ok(0), str::parse::<u64>)?;
        let smoothed = field("rtt:").and_then(|both| both.split('/').next());
        if let Some(milliseconds) = smoothed {
            found
                .round_trips
                .push(milliseconds.parse::<f64>()? * 1_000.0);
        }
    }
    Ok(found)
}

/// The processes descended from this one, nearest first.
pub(crate) fn descendants(pid: Pid) -> Result<Vec<Pid>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // It may be gone by now.
        let Ok(stat) = fs::read_to_string(format!("/proc/{number}/stat")) else {
            continue;
        };
        let after_name = stat.rsplit_once(')').map(|(_, rest)| rest);
        let parent = after_name.and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        parents.extend(parent.map(|parent| (Pid::from_raw(number), Pid::from_raw(parent))));
    }
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        let children = parents.iter().filter(|(_, of)| *of == parent);
        found.extend(children.map(|(child, _)| *child));
        at += 1;
    }
    found.remove(0);
    Ok(found)
}

/// proc(5): times in /proc are in these, whatever the kernel's own tick is.
const USER_HZ: u64 = 100;
const SS: Duration = Duration::from_mins(1);
