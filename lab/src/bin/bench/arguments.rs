//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::server::Kind;

/// Measures what held lines cost, against one ssh process a line and against the floor.
#[derive(Debug, Parser)]
#[command(name = "bench", max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Memory and CPU of n lines: heartline, one ssh process a line, the floor
    Lines(LinesArguments),
    /// How late n lines are called down when their servers stop at once
    Stop(StopArguments),
    /// How fast `heartline keep` carries bytes, and how soon it is back after a cut, beside ssh and autossh
    Keep(KeepArguments),
    /// How fast `heartline run` moves bytes and how soon it starts a command, beside ssh
    Run(RunArguments),
    /// What the page costs: CPU a beat, a first load, how soon an event is there
    Page(PageArguments),
    /// How many events a second the journal takes
    Journal(JournalArguments),
    /// The floor's answering side; the bench starts it itself
    #[command(hide = true)]
    FloorPeer,
    /// The floor's beating side; the bench starts it itself
    #[command(hide = true)]
    FloorClient(FloorArguments),
}

/// `bench lines`.
#[derive(Debug, Args)]
pub(crate) struct LinesArguments {
    /// Lines, one beat a second each
    #[arg(long, default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=8_000))]
    pub(crate) n: u32,
    /// How long each client holds its lines, in seconds: the last half, 30 at most, is measured
    #[arg(long, default_value = "190", value_parser = clap::value_parser!(u64).range(2..=86_400))]
    pub(crate) seconds: u64,
    /// Only against this server
    #[arg(long)]
    pub(crate) server: Option<Kind>,
    /// Beats of the floor that are due within so many milliseconds leave together; as heartline's do
    #[arg(long, default_value = "50", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) tick: u32,
    /// Seconds of heartline's fuse on sshd; 0: none, as ssh has none
    #[arg(long, default_value = "0", value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub(crate) fuse: u32,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// `bench journal`.
#[derive(Debug, Args)]
pub(crate) struct JournalArguments {
    /// Events
    #[arg(long, default_value = "200000", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) n: u64,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// `bench page`.
#[derive(Debug, Args)]
pub(crate) struct PageArguments {
    /// Lines, one beat a second each
    #[arg(long, default_value = "1000", value_parser = clap::value_parser!(u32).range(10..=8_000))]
    pub(crate) n: u32,
    /// How long each watcher is measured, in seconds
    #[arg(long, default_value = "30", value_parser = clap::value_parser!(u64).range(5..=3_600))]
    pub(crate) seconds: u64,
    /// How often, one after the other
    #[arg(long, default_value = "3", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// `bench stop`.
#[derive(Debug, Args)]
pub(crate) struct StopArguments {
    /// Lines
    #[arg(long, default_value = "5000", value_parser = clap::value_parser!(u32).range(3..=9_000))]
    pub(crate) n: u32,
    /// Seconds between beats
    #[arg(long, default_value = "1", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(crate) interval: u32,
    /// Beats that may go unanswered
    #[arg(long, default_value = "1", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) count: u32,
    /// Servers among which the lines are dealt out
    #[arg(long, default_value = "4", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) servers: u32,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// `bench keep`.
#[derive(Debug, Args)]
pub(crate) struct KeepArguments {
    /// Bytes to carry each way through each tunnel; with K, M or G: powers of 1024
    #[arg(long, default_value = "256M", value_parser = size)]
    pub(crate) bytes: u64,
    /// By this cipher
    #[arg(long, default_value = "chacha20-poly1305@openssh.com")]
    pub(crate) cipher: String,
    /// How often each carries them
    #[arg(long, default_value = "3")]
    pub(crate) rounds: usize,
    /// How often the cable is cut
    #[arg(long, default_value = "5")]
    pub(crate) cuts: usize,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

/// `bench run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Bytes to move in each direction; with K, M or G: powers of 1024
    #[arg(long, default_value = "1G", value_parser = size)]
    pub(crate) bytes: u64,
    /// By this cipher
    #[arg(long, default_value = "chacha20-poly1305@openssh.com")]
    pub(crate) cipher: String,
    /// How often each moves them
    #[arg(long, default_value = "3")]
    pub(crate) rounds: usize,
    /// How often each starts a command
    #[arg(long, default_value = "15")]
    pub(crate) starts: usize,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

fn size(text: &str) -> Result<u64> {
    let (digits, shift) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) if text.ends_with('K') => (digits, 10),
        Some(digits) if text.ends_with('M') => (digits, 20),
        Some(digits) => (digits, 30),
        None => (text, 0),
    };
    let number: u64 = digits.parse().context("bytes")?;
    number.checked_mul(1 << shift).context("too many bytes")
}

/// What all take.
#[derive(Debug, Args)]
pub(crate) struct CommonArguments {
    /// Write the figures to this file too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// The heartline to measure [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    heartline: Option<PathBuf>,
}

/// The floor's beating side.
#[derive(Debug, Args)]
pub(crate) struct FloorArguments {
    /// Where its answering side listens
    #[arg(long)]
    pub(crate) port: u16,
    /// Connections
    #[arg(long)]
    pub(crate) n: u32,
    /// Beats due within so many milliseconds leave together
    #[arg(long)]
    pub(crate) tick: u32,
}

impl CommonArguments {
    /// The heartline to measure.
    pub(crate) fn heartline(&self) -> Result<PathBuf> {
        let own = std::env::current_exe().context("where this program is")?;
        let beside = || own.with_file_name("heartline");
        let program = self.heartline.clone().unwrap_or_else(beside);
        if !program.is_file() {
            let profile = if cfg!(debug_assertions) {
                ""
            } else {
                "--release "
            };
            bail!(
                "no heartline at {}; build it first: cargo build {profile}-p heartline",
                program.display()
            );
        }
        Ok(program)
    }

    /// Prints the figures as one line of JSON, and writes them where asked to.
    pub(crate) fn put_out(&self, figures: &impl serde::Serialize) -> Result<()> {
        let text = serde_json::to_string(figures)?;
        println!("\n{text}");
        if let Some(path) = &self.json {
            std::fs::write(path, text + "\n").with_context(|| path.display().to_string())?;
        }
        Ok(())
    }
}
