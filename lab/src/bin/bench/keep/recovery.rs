//! How soon a tunnel is back after its cable was cut.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Direction, Fault, Host, Lab, Running};
use serde::Serialize;

use super::median;
use crate::arguments::KeepArguments;
use crate::interrupt;

/// What came of it; seconds from the healing to the first byte. None: none of this machine.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    cut_s: f64,
    rows: Vec<Row>,
    wanted_s: f64,
    ok: bool,
    skipped: Option<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    client: &'static str,
    median_s: f64,
    longest_s: f64,
    all_s: Vec<f64>,
}

pub(super) fn measure(heartline: &Path, arguments: &KeepArguments) -> Result<Report> {
    let mut report = Report {
        cut_s: CUT.as_secs_f64(),
        rows: Vec::new(),
        wanted_s: WANTED,
        ok: true,
        skipped: None,
    };
    if let Err(why) = Lab::available() {
        report.skipped = Some(why.to_string());
        return Ok(report);
    }
    let lab = Lab::new("bench-keep")?;
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    let service = serve(node.host())?;
    let begin = |at: u16, words: &[&str]| tunnel(&lab, at, service, words);
    let mut clients = vec![(
        "heartline keep",
        7001,
        begin(7001, &[&heartline.display().to_string(), "keep"])?,
    )];
    let ssh_again = "while :; do ssh -N \"$@\"; sleep 1; done";
    clients.push((
        "ssh, in a loop",
        7002,
        begin(7002, &["sh", "-c", ssh_again, "sh"])?,
    ));
    if Command::new("autossh").arg("-V").output().is_ok() {
        clients.push((
            "autossh -M 0",
            7003,
            begin(7003, &["autossh", "-M", "0", "-N"])?,
        ));
    }
    for (name, port, _) in &clients {
        let stands = first_byte(lab.watcher(), *port, Instant::now());
        ensure!(stands.is_some(), "{name} does not stand");
        report.rows.push(Row {
            client: name,
            median_s: 0.0,
            longest_s: 0.0,
            all_s: Vec::new(),
        });
    }
    for _ in 0..arguments.cuts {
        interrupt::sleep(REST)?;
        cable.inject(Fault::Silent(Direction::Both))?;
        interrupt::sleep(CUT)?;
        let healed = cable.heal()?.complete;
        let times: Vec<_> = thread::scope(|scope| {
            let waiting = clients.iter().map(|(_, port, _)| {
                let host = lab.watcher();
                scope.spawn(move || first_byte(host, *port, healed))
            });
            let waiting: Vec<_> = waiting.collect();
            let times = waiting.into_iter().map(|one| one.join().ok().flatten());
            times.collect()
        });
        for (row, time) in report.rows.iter_mut().zip(times) {
            row.all_s.push(time.unwrap_or(LONGEST).as_secs_f64());
        }
    }
    for row in &mut report.rows {
        row.median_s = median(row.all_s.clone());
        row.longest_s = row.all_s.iter().copied().fold(0.0, f64::max);
    }
    report.ok = report
        .rows
        .first()
        .is_some_and(|row| row.longest_s <= WANTED);
    Ok(report)
}

/// All of them ask every second, and give up after one that is not answered.
fn tunnel(lab: &Lab, port: u16, to: u16, words: &[&str]) -> Result<Running> {
    let (program, words) = words.split_first().context("no program")?;
    let mut command = lab.watcher().command(program);
    // Else autossh gives up when its first ssh ends within 30 s.
    command.env("AUTOSSH_GATETIME", "0");
    command.args(words).arg("-F").arg(lab.ssh_config());
    for option in ["ServerAliveInterval=1", "ServerAliveCountMax=1"] {
        command.args(["-o", option]);
    }
    command.args(["-L", &format!("{port}:127.0.0.1:{to}"), "db1"]);
    Running::spawn(command)
}

/// A service that says one byte to whoever connects.
fn serve(host: &Host) -> Result<u16> {
    let listener = host.enter(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))??;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"x");
        }
    });
    Ok(port)
}

/// How long after `since` a byte first comes to somebody who has connected through this port by then or later. One tries every
/// 50 ms, and nobody waits for those before.
fn first_byte(host: &Host, port: u16, since: Instant) -> Option<Duration> {
    let first: Arc<Mutex<Option<Duration>>> = Arc::default();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    while since.elapsed() < LONGEST {
        let found = *first.lock().unwrap_or_else(PoisonError::into_inner);
        if found.is_some() {
            return found;
        }
        if let Ok(Ok(mut stream)) = host.enter(|| TcpStream::connect_timeout(&address, LONGEST)) {
            let first = Arc::clone(&first);
            thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(LONGEST));
                if stream.read_exact(&mut [0]).is_ok() {
                    let took = since.elapsed();
                    first
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .get_or_insert(took);
                }
            });
        }
        thread::sleep(AGAIN);
    }
    None
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.skipped {
            return writeln!(f, "recovery: SKIPPED, {why}");
        }
        writeln!(
            f,
            "first byte through a tunnel after a cut of {:.0} s was healed, s; all ask every second\n",
            self.cut_s
        )?;
        writeln!(f, "{:24}{:>10}{:>10}", "", "median", "longest")?;
        for row in &self.rows {
            writeln!(
                f,
                "{:24}{:>10.2}{:>10.2}",
                row.client, row.median_s, row.longest_s
            )?;
        }
        writeln!(
            f,
            "{:24}{:>20}",
            "wanted of heartline",
            format!("{WANTED} or less")
        )
    }
}

const CUT: Duration = Duration::from_secs(5);
/// Between two cuts: by then all are well again.
const REST: Duration = Duration::from_secs(12);
/// Nobody waits any longer for a byte.
const LONGEST: Duration = Duration::from_secs(40);
const AGAIN: Duration = Duration::from_millis(50);
const WANTED: f64 = 1.0;
