//! Bytes through tunnels.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::Running;
use serde::Serialize;

use super::median;
use crate::arguments::KeepArguments;
use crate::interrupt;
use crate::server::Server;
use crate::site::{self, Site};

/// What came of it; MB/s, medians.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    bytes: u64,
    cipher: String,
    rounds: usize,
    rows: Vec<Row>,
    wanted: f64,
    ok: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    tunnel: &'static str,
    way: &'static str,
    ssh: f64,
    heartline: f64,
    by_ssh: f64,
}

/// A client with three tunnels to the service.
struct Client {
    _running: Running,
    /// Of `-L`, `-R`, `-D`.
    ports: [u16; 3],
}

/// Which way the bytes go, as seen from who connects.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Down,
    Up,
}

pub(super) fn measure(heartline: &Path, arguments: &KeepArguments) -> Result<Report> {
    let site = Site::create()?;
    let port = site::free_port()?;
    let _sshd = Server::sshd(&site, port, "")?;
    let config = site.write_ssh_config(&[port])?;
    let node = site::places(0, 1, &[port])
        .first()
        .context("no place")?
        .name();
    let service = serve()?;
    let begin = |program: &Path| begin(program, &config, &node, &arguments.cipher, service);
    let (ssh, ours) = (begin(Path::new("ssh"))?, begin(heartline)?);
    let mut rows = Vec::new();
    for (at, tunnel) in ["-L", "-R", "-D"].into_iter().enumerate() {
        for (way, name) in [
            (Way::Down, "to who connects"),
            (Way::Up, "from who connects"),
        ] {
            let (mut by_ssh, mut by_ours) = (Vec::new(), Vec::new());
            // The first of each warms the caches.
            for _ in 0..=arguments.rounds {
                for (client, times) in [(&ssh, &mut by_ssh), (&ours, &mut by_ours)] {
                    interrupt::check()?;
                    let port = client.ports.get(at).context("no port")?;
                    times.push(carry(*port, tunnel == "-D", service, way, arguments.bytes)?);
                }
            }
            let rate = |times: Vec<Duration>| {
                let rates = times.iter().skip(1).map(|time| {
                    let millions = u32::try_from(arguments.bytes / 1_000_000).unwrap_or(u32::MAX);
                    f64::from(millions) / time.as_secs_f64()
                });
                median(rates.collect())
            };
            let (ssh, heartline) = (rate(by_ssh), rate(by_ours));
            rows.push(Row {
                tunnel,
                way: name,
                ssh,
                heartline,
                by_ssh: heartline / ssh,
            });
        }
    }
    Ok(Report {
        bytes: arguments.bytes,
        cipher: arguments.cipher.clone(),
        rounds: arguments.rounds,
        ok: rows.iter().all(|row| row.by_ssh >= WANTED),
        rows,
        wanted: WANTED,
    })
}

fn begin(program: &Path, config: &PathBuf, node: &str, cipher: &str, to: u16) -> Result<Client> {
    let ports = free_ports()?;
    let mut command = Command::new(program);
    if program == Path::new("ssh") {
        command.args(["-N", "-o", "ExitOnForwardFailure=yes"]);
    } else {
        command.arg("keep");
    }
    let [l, r, d] = ports;
    command
        .arg("-F")
        .arg(config)
        .args(["-o", &format!("Ciphers={cipher}")])
        .args(["-L", &format!("{l}:127.0.0.1:{to}")])
        .args(["-R", &format!("{r}:127.0.0.1:{to}")])
        .args(["-D", &d.to_string()])
        .arg(node);
    let running = Running::spawn(command)?;
    let until = Instant::now() + READY;
    for port in ports {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if !running.is_alive() || Instant::now() > until {
                bail!(
                    "{} does not stand: {:?}",
                    program.display(),
                    running.lines()
                );
            }
            interrupt::sleep(Duration::from_millis(20))?;
        }
    }
    Ok(Client {
        _running: running,
        ports,
    })
}

/// Three that differ.
fn free_ports() -> Result<[u16; 3]> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held = [bind()?, bind()?, bind()?];
    let [l, r, d] = held.map(|listener| listener.local_addr());
    Ok([l?.port(), r?.port(), d?.port()])
}

/// How long so many bytes take through a tunnel.
fn carry(port: u16, socks: bool, service: u16, way: Way, bytes: u64) -> Result<Duration> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(READY))?;
    if socks {
        let [high, low] = service.to_be_bytes();
        stream.write_all(&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, high, low])?;
        stream.read_exact(&mut [0; 12])?;
    }
    let begun = Instant::now();
    let letter = if way == Way::Down { b'D' } else { b'U' };
    let mut head = vec![letter];
    head.extend(bytes.to_be_bytes());
    stream.write_all(&head)?;
    match way {
        Way::Down => swallow(&mut stream, bytes)?,
        Way::Up => {
            pour(&mut stream, bytes)?;
            stream.read_exact(&mut [0])?;
        }
    }
    Ok(begun.elapsed())
}

/// Sends what it is asked for, or takes what it is told of and says so. The port.
fn serve() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = answer(stream);
            });
        }
    });
    Ok(port)
}

fn answer(mut stream: TcpStream) -> Result<()> {
    let (mut letter, mut bytes) = ([0], [0; 8]);
    stream.read_exact(&mut letter)?;
    stream.read_exact(&mut bytes)?;
    let bytes = u64::from_be_bytes(bytes);
    match letter {
        [b'D'] => pour(&mut stream, bytes),
        [b'U'] => {
            swallow(&mut stream, bytes)?;
            Ok(stream.write_all(b"k")?)
        }
        _ => bail!("not asked for anything"),
    }
}

fn pour(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    let sent = std::io::copy(&mut std::io::repeat(7).take(bytes), stream)?;
    ensure!(sent == bytes, "{sent} of {bytes} bytes were taken");
    Ok(())
}

fn swallow(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    let mut buffer = vec![0; 256 << 10];
    let mut left = bytes;
    while left > 0 {
        let got = stream.read(&mut buffer)?;
        ensure!(got > 0, "{left} of {bytes} bytes did not come");
        left = left.saturating_sub(u64::try_from(got)?);
    }
    Ok(())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} bytes by {}, medians of {}; MB/s\n",
            self.bytes, self.cipher, self.rounds
        )?;
        writeln!(
            f,
            "{:24}{:>10}{:>12}{:>12}",
            "", "ssh", "heartline", "of ssh"
        )?;
        for row in &self.rows {
            let name = format!("{} {}", row.tunnel, row.way);
            writeln!(
                f,
                "{name:24}{:>10.0}{:>12.0}{:>12.2}   wanted {WANTED} or more",
                row.ssh, row.heartline, row.by_ssh
            )?;
        }
        Ok(())
    }
}

/// Of ssh's.
const WANTED: f64 = 0.7;
/// The longest wait for a tunnel, and for bytes in one.
const READY: Duration = Duration::from_secs(30);
