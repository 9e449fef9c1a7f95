//! The quality of failure detectors, as Chen, Toueg and Aguilera (2002) measure it.
//!
//! * [`replay`] runs a published detector over a [`Trace`]: recorded, or made by [`Setup::trace`] from the same simulation.
//! * [`closed()`] runs ours in its loop: what it sends out of turn changes what comes, so it cannot be replayed.
//! * [`Curve`] is either at many settings of its knob.
//!
//! What is simulated: a watcher that beats and may stall, both kernels' TCP (the module `tcp` says which rules, and what is left out),
//! and a network with weather (`weather`), which is a function of the seed and the moment: two detectors under one seed meet the same
//! losses at the same moments.

mod closed;
mod published;
mod score;
mod session;
mod sweep;
mod tcp;
mod trace;
mod weather;

pub use closed::closed;
pub use published::Published;
pub use score::{Detection, Quality, Seen, replay};
pub use session::Setup;
pub use sweep::{Curve, Point};
pub use tcp::Acks;
pub use trace::{Sending, Stall, Trace};
pub use weather::Climate;
