//! The quality of failure detectors on traces of arrivals, as Chen, Toueg and Aguilera (2002) measure it.

mod score;
mod trace;

pub use score::{Quality, Seen, replay};
pub use trace::{Sending, Stall, Trace};
