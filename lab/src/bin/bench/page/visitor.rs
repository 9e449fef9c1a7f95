//! Somebody who looks at the page: HTTP as plain as it can be.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};

/// They.
pub(super) struct Visitor {
    address: SocketAddr,
}

/// All that a browser fetches for the page.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Load {
    pub(super) bytes: usize,
    pub(super) ms: f64,
    pub(super) slowest_ms: f64,
}

/// A stream that is listened to until it is dropped.
pub(super) struct Listening {
    stream: TcpStream,
    late: Arc<Mutex<Vec<f64>>>,
}

impl Visitor {
    pub(super) fn new(listen: &str) -> Result<Self> {
        let address = listen.parse()?;
        Ok(Self { address })
    }

    /// An answer, compressed if it can be.
    pub(super) fn fetch(&self, path: &str) -> Result<Vec<u8>> {
        let mut stream = self.ask(path, "1.0")?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all)?;
        if !all.starts_with(b"HTTP/1.0 200") && !all.starts_with(b"HTTP/1.1 200") {
            let said = String::from_utf8_lossy(&all).into_owned();
            bail!("{path}: {}", said.lines().next().unwrap_or("nothing"));
        }
        Ok(all)
    }

    /// Page, style, script and sign, one after the other, several times.
    pub(super) fn load(&self) -> Result<Load> {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..LOADS {
            let begun = Instant::now();
            bytes = 0;
            for path in ["/", "/app.css", "/app.js", "/icon.svg?up"] {
                bytes += self.fetch(path)?.len();
            }
            times.push(begun.elapsed().as_secs_f64() * 1_000.0);
        }
        times.sort_by(f64::total_cmp);
        Ok(Load {
            bytes,
            ms: times.get(times.len() / 2).copied().unwrap_or_default(),
            slowest_ms: times.last().copied().unwrap_or_default(),
        })
    }

    /// Listens to a stream of events.
    pub(super) fn open(&self, path: &str) -> Result<Listening> {
        let stream = self.ask(path, "1.1")?;
        stream.set_read_timeout(None)?;
        let late = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&late);
        let lines = BufReader::new(stream.try_clone()?).lines();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(ms) = lateness(&line) {
                    let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                    noted.push(ms);
                }
            }
        });
        Ok(Listening { stream, late })
    }

    fn ask(&self, path: &str, version: &str) -> Result<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!(
            "GET {path} HTTP/{version}\r\nHost: {}\r\nAccept-Encoding: gzip\r\n\r\n",
            self.address
        );
        stream
            .write_all(request.as_bytes())
            .context("nobody takes what is asked")?;
        Ok(stream)
    }
}

impl Listening {
    /// From each event's own time to its arrival, in milliseconds.
    pub(super) fn lateness(&self) -> Vec<f64> {
        self.late
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

/// One event, as far as it matters here.
#[derive(Deserialize)]
struct Told {
    event: String,
    t: Timestamp,
}

/// Of a line's event; its time is told to the millisecond.
fn lateness(line: &str) -> Option<f64> {
    let told: Told = serde_json::from_str(line.strip_prefix("data: ")?).ok()?;
    let late = Timestamp::now() - told.t;
    let late = late.total(Unit::Millisecond).ok()?;
    (told.event == "line").then_some(late)
}

const LOADS: usize = 25;
const PATIENCE: Duration = Duration::from_secs(10);
