//! A trace: when beats were sent, left the peer, and came; and when the watcher did not run.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// What happened on one way to one peer that lived all the time.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What it was made as.
    pub name: String,
    /// Between two beats.
    pub interval: Duration,
    /// In the order of their numbers.
    pub beats: Vec<Sending>,
    /// Apart from each other, and in order.
    pub stalls: Vec<Stall>,
}

/// One beat; the times count from the beginning of the trace.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// Who watches asks for it then; where nobody asks, it is sent then.
    pub sent: Duration,
    /// It leaves the peer.
    pub left: Duration,
    /// It comes; none, if it was lost.
    pub came: Option<Duration>,
}

/// The watcher did not run from one moment to another.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// The first moment of it.
    pub from: Duration,
    /// The first moment after it.
    pub to: Duration,
}

impl Trace {
    /// Reads an `.hbt` file: a header of 64 bytes (`HBT1`, mode u32, count u64, interval in µs u64, name), of each beat three u32 in
    /// µs (since the sending before, until it leaves, until it comes or 0xFFFFFFFF), and the count (u64) and ends (i64) of the
    /// stalls; all little-endian.
    ///
    /// # Errors
    /// Where it cannot be read, or is no such file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        Self::parse(&bytes).with_context(|| format!("{} is no trace", path.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let mut bytes = Bytes(bytes);
        ensure!(
            bytes.take::<4>()? == *b"HBT1",
            "it does not begin with HBT1"
        );
        let _mode = u32::from_le_bytes(bytes.take()?);
        let count = u64::from_le_bytes(bytes.take()?);
        let interval = Duration::from_micros(u64::from_le_bytes(bytes.take()?));
        let name = bytes.take::<40>()?;
        let name = String::from_utf8_lossy(&name);
        let mut sent = Duration::ZERO;
        let mut beats = Vec::new();
        for _ in 0..count {
            let mut micros = || -> Result<u32> { Ok(u32::from_le_bytes(bytes.take()?)) };
            let (since, until_left, until_came) = (micros()?, micros()?, micros()?);
            let after = |micros: u32| Duration::from_micros(micros.into());
            sent += after(since);
            beats.push(Sending {
                sent,
                left: sent + after(until_left),
                came: (until_came != LOST).then(|| sent + after(until_came)),
            });
        }
        let mut stalls = Vec::new();
        for _ in 0..u64::from_le_bytes(bytes.take()?) {
            let mut micros = || -> Result<Duration> {
                let micros = u64::try_from(i64::from_le_bytes(bytes.take()?))?;
                Ok(Duration::from_micros(micros))
            };
            let (from, to) = (micros()?, micros()?);
            stalls.push(Stall { from, to });
        }
        ensure!(bytes.0.is_empty(), "{} bytes too many", bytes.0.len());
        Ok(Self {
            name: name.trim_end_matches('\0').to_owned(),
            interval,
            beats,
            stalls,
        })
    }

    /// The moment itself, if the watcher ran; else when it ran again.
    #[must_use]
    pub fn awake(&self, at: Duration) -> Duration {
        let after = self.stalls.partition_point(|stall| stall.from <= at);
        let last = after.checked_sub(1).and_then(|last| self.stalls.get(last));
        last.map_or(at, |last| at.max(last.to))
    }
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().context("it ends too early")?;
        self.0 = rest;
        Ok(*taken)
    }
}

const LOST: u32 = u32::MAX;
