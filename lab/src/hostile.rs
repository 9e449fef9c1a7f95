//! TCP peers that misbehave, on 127.0.0.1: what a client of SSH must survive.
//!
//! * [`Peer`] plays one [`Act`] for everybody who connects: silence, endless banners, lies about
//!   lengths, terminal escapes.
//! * [`StepRelay`] stands before a real SSH server and freezes the conversation at a chosen
//!   [`Step`], or on command.
//!
//! Both note every connection and how its client left ([`Visit`], [`Departure`]): that is how a test
//! proves that an aborted dial leaves no socket behind. Plain threads, no root; everything stops
//! when it is dropped.

mod act;
mod cleartext;
mod door;
mod held;
mod peer;
mod step_relay;
mod visit;

pub use act::Act;
pub use cleartext::Step;
pub use held::is_held;
pub use peer::Peer;
pub use step_relay::{RelayVisit, StepRelay};
pub use visit::{Departure, How, Visit};
