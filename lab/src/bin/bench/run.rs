//! `bench run`: how fast `heartline run` moves bytes, and how late it starts a command, beside ssh.
//!
//! Both over the same loopback, against the same sshd, with the same cipher, in turn; what is
//! compared are medians of one run. heartline's command runs behind a guard, as it does by default.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::arguments::RunArguments;
use crate::interrupt;
use crate::server::Server;
use crate::site::{self, Site};

/// Measures and prints.
pub(crate) fn run(arguments: &RunArguments) -> Result<()> {
    let heartline = arguments.common.heartline()?;
    let site = Site::create()?;
    let port = site::free_port()?;
    let _sshd = Server::sshd(&site, port, "")?;
    let config = site.write_ssh_config(&[port])?;
    let node = site::places(0, 1, &[port])
        .first()
        .context("no place")?
        .name();
    let course = Course {
        heartline,
        config,
        node,
        cipher: arguments.cipher.clone(),
        bytes: arguments.bytes,
    };
    let report = course.report(arguments)?;
    print!("{report}");
    arguments.common.put_out(&report)
}

/// What both run.
struct Course {
    heartline: PathBuf,
    config: PathBuf,
    node: String,
    cipher: String,
    bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Client {
    Ssh,
    Heartline,
}

/// What is timed.
#[derive(Clone, Copy)]
enum Race {
    /// From the node to us.
    Down,
    /// From us to the node.
    Up,
    /// Until the first byte of a command's output.
    Start,
}

/// What came of it; times are medians, in seconds.
#[derive(Debug, Serialize)]
struct Report {
    bytes: u64,
    cipher: String,
    rounds: usize,
    starts: usize,
    down_ssh_s: f64,
    down_heartline_s: f64,
    down_speed_by_ssh: f64,
    up_ssh_s: f64,
    up_heartline_s: f64,
    up_speed_by_ssh: f64,
    start_ssh_s: f64,
    start_heartline_s: f64,
    start_by_ssh: f64,
    wanted_speed: f64,
    wanted_start: f64,
    ok: bool,
}

impl Course {
    fn report(&self, arguments: &RunArguments) -> Result<Report> {
        let (rounds, starts) = (arguments.rounds, arguments.starts);
        let (down_ssh, down_ours) = self.race(Race::Down, rounds)?;
        let (up_ssh, up_ours) = self.race(Race::Up, rounds)?;
        let (start_ssh, start_ours) = self.race(Race::Start, starts)?;
        let (down, up) = (down_ssh / down_ours, up_ssh / up_ours);
        let start = start_ours / start_ssh;
        Ok(Report {
            bytes: self.bytes,
            cipher: self.cipher.clone(),
            rounds,
            starts,
            down_ssh_s: down_ssh,
            down_heartline_s: down_ours,
            down_speed_by_ssh: down,
            up_ssh_s: up_ssh,
            up_heartline_s: up_ours,
            up_speed_by_ssh: up,
            start_ssh_s: start_ssh,
            start_heartline_s: start_ours,
            start_by_ssh: start,
            wanted_speed: SPEED,
            wanted_start: START,
            ok: down >= SPEED && up >= SPEED && start <= START,
        })
    }

    /// Both in turn, so often; the medians.
    fn race(&self, race: Race, rounds: usize) -> Result<(f64, f64)> {
        let (mut ssh, mut ours) = (Vec::new(), Vec::new());
        // The first of each warms the caches.
        for _ in 0..=rounds {
            interrupt::check()?;
            ssh.push(self.time(Client::Ssh, race)?);
            ours.push(self.time(Client::Heartline, race)?);
        }
        Ok((median(ssh.split_off(1)), median(ours.split_off(1))))
    }

    fn time(&self, client: Client, race: Race) -> Result<Duration> {
        let bytes = self.bytes;
        let command = match race {
            Race::Down => format!("head -c {bytes} /dev/zero"),
            Race::Up => format!("head -c {bytes} >/dev/null"),
            Race::Start => "echo x".to_owned(),
        };
        let mut program = self.program(client, &command);
        program
            .stdin(Stdio::null())
            .stdout(File::create("/dev/null")?);
        match race {
            Race::Down => {}
            Race::Up => {
                let mut zeroes = Command::new("head");
                zeroes.args(["-c", &bytes.to_string(), "/dev/zero"]);
                let mut zeroes = zeroes.stdout(Stdio::piped()).spawn()?;
                program.stdin(zeroes.stdout.take().context("no pipe")?);
                let took = finish(&mut program)?;
                zeroes.wait()?;
                return Ok(took);
            }
            Race::Start => return first_byte(program.stdout(Stdio::piped())),
        }
        finish(&mut program)
    }

    fn program(&self, client: Client, command: &str) -> Command {
        let cipher = format!("Ciphers={}", self.cipher);
        let program: &Path = match client {
            Client::Ssh => Path::new("ssh"),
            Client::Heartline => &self.heartline,
        };
        let mut made = Command::new(program);
        if client == Client::Heartline {
            made.arg("run");
        }
        made.arg("-F")
            .arg(&self.config)
            .args(["-o", &cipher, &self.node]);
        if client == Client::Heartline {
            made.arg("--");
        }
        made.arg(command);
        made
    }
}

fn finish(program: &mut Command) -> Result<Duration> {
    let begun = Instant::now();
    let status = program.status()?;
    let took = begun.elapsed();
    ensure!(status.success(), "{program:?}: {status}");
    Ok(took)
}

fn first_byte(program: &mut Command) -> Result<Duration> {
    let begun = Instant::now();
    let mut child: Child = program.spawn()?;
    let mut out = child.stdout.take().context("no pipe")?;
    out.read_exact(&mut [0])?;
    let took = begun.elapsed();
    let status = child.wait()?;
    ensure!(status.success(), "{program:?}: {status}");
    Ok(took)
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times
        .get(times.len() / 2)
        .map_or(f64::NAN, Duration::as_secs_f64)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |seconds: f64| {
            let millions = u32::try_from(self.bytes / 1_000_000).unwrap_or(u32::MAX);
            f64::from(millions) / seconds
        };
        writeln!(
            f,
            "{} bytes by {}, medians of {}; {} starts\n",
            self.bytes, self.cipher, self.rounds, self.starts
        )?;
        writeln!(
            f,
            "{:24}{:>10}{:>12}{:>12}",
            "", "ssh", "heartline", "of ssh"
        )?;
        for (name, ssh, ours, by) in [
            (
                "from the node, MB/s",
                self.down_ssh_s,
                self.down_heartline_s,
                self.down_speed_by_ssh,
            ),
            (
                "to the node, MB/s",
                self.up_ssh_s,
                self.up_heartline_s,
                self.up_speed_by_ssh,
            ),
        ] {
            let (ssh, ours) = (rate(ssh), rate(ours));
            writeln!(
                f,
                "{name:24}{ssh:>10.0}{ours:>12.0}{by:>12.2}   wanted {SPEED} or more"
            )?;
        }
        let (ssh, ours) = (self.start_ssh_s * 1e3, self.start_heartline_s * 1e3);
        let (name, by) = ("first byte after, ms", self.start_by_ssh);
        writeln!(
            f,
            "{name:24}{ssh:>10.1}{ours:>12.1}{by:>12.2}   wanted {START} or less"
        )
    }
}

/// Of ssh's.
const SPEED: f64 = 0.7;
/// Of ssh's.
const START: f64 = 1.2;
