//! The command line.

use std::path::PathBuf;

use clap::Parser;
use lab::qos::{Acks, Climate};

/// Measures failure detectors over simulated TCP: detection time against mistakes, ours and the published ones.
///
/// Exits with 1 where a target is missed: at one mistake a day 0.72 of the best published detection time on LAN and WAN, 0.70 on LTE,
/// with 8 % more beats at most.
#[derive(Debug, Parser)]
#[command(name = "qos", max_term_width = 100)]
pub(crate) struct Arguments {
    /// Days of beats, one a second
    #[arg(long, default_value = "30", value_parser = clap::value_parser!(u32).range(1..=400))]
    pub(crate) days: u32,
    /// Of the weather
    #[arg(long, default_value = "1")]
    pub(crate) seed: u64,
    /// lan, wan, lte, stall (of the watcher), route (changes of it)
    #[arg(long, value_delimiter = ',', default_value = "lan,wan,lte,stall,route")]
    pub(crate) climate: Vec<Climate>,
    /// Where the curves are written
    #[arg(long, default_value = "target/qos")]
    pub(crate) out: PathBuf,
    /// Replays the .hbt files of this folder through the published detectors instead
    #[arg(long)]
    pub(crate) traces: Option<PathBuf>,
    /// Kernels acknowledge an idle connection's data at once, as Linux does, and not after 40 ms
    #[arg(long)]
    pub(crate) quick_acks: bool,
    /// Six hours and few settings: shows that it works, and judges nothing
    #[arg(long)]
    pub(crate) quick: bool,
}

impl Arguments {
    /// How many beats are simulated.
    pub(crate) fn beats(&self) -> u32 {
        if self.quick {
            21_600
        } else {
            86_400 * self.days
        }
    }

    /// Settings of a knob, before it is looked at more closely.
    pub(crate) fn settings(&self) -> u32 {
        if self.quick { 5 } else { 12 }
    }

    pub(crate) fn acks(&self) -> Acks {
        if self.quick_acks {
            Acks::Quick
        } else {
            Acks::Delayed
        }
    }
}
