//! The test bed: real machines in small. Network namespaces are the machines, veth pairs the
//! cables, nftables the firewalls, and every node runs a real OpenSSH sshd; a [`Dropbear`] may stand
//! beside it, and a [`Capture`] knows what passed when.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use std::time::Duration;
//! use lab::{Direction, Fault, Lab, Running};
//!
//! let Some(lab) = Lab::or_skip("a cut is seen") else { return Ok(()) };
//! let node = lab.node("db1")?;
//! let (first, _second) = (lab.cable(&node)?, lab.cable(&node)?);
//!
//! let mut command = lab.ssh("db1");
//! command.args(["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1", "cat"]);
//! command.stdin(std::process::Stdio::piped());
//! let mut ssh = Running::spawn(command)?;
//! let cut = first.inject(Fault::Silent(Direction::Both))?;
//! let ended = ssh.wait(Duration::from_secs(10))?;
//! assert!(ended.at - cut.begun < Duration::from_millis(2500));
//! first.heal()?;
//! # Ok(())
//! # }
//! ```
//!
//! * It knows nothing of heartline, so that it can judge it.
//! * It needs root. Where it cannot run, [`Lab::or_skip`] says `SKIPPED` and why.
//! * Whatever it makes is gone when the [`Lab`] is dropped: processes, namespaces, files. What a
//!   killed test leaves is cleared by the next lab on the machine. Only the user [`TEST_USER`]
//!   stays.
//! * Faults that must be timed say when they were in force: [`Span`], on `CLOCK_MONOTONIC`.
//!
//! Not here: delays (netem is missing in many kernels), and any opinion on what a tool under test
//! should do.

mod available;
mod bed;
mod cable;
mod capture;
mod claim;
mod dropbear;
mod fault;
mod host;
pub mod hostile;
mod keys;
mod namespace;
mod node;
mod passwd;
mod process;
pub mod qos;
mod router;
mod session;
mod skip;
mod sshd;
mod tool;
mod user;

pub use available::Why;
pub use bed::Lab;
pub use cable::{Cable, End, Plug};
pub use capture::{Capture, Segment};
pub use dropbear::Dropbear;
pub use fault::{Direction, Fault, Icmp, heal_all, inject_all};
pub use host::Host;
pub use keys::KeyKind;
pub use nix::sys::signal::Signal;
pub use nix::unistd::Pid;
pub use node::{Node, NodeSpec, Part};
pub use process::{Ended, Finished, Line, Running, Stream};
pub use router::{Nat, Router, Stranger};
pub use session::Session;
pub use skip::skipped;
pub use sshd::sshd_version;
pub use tool::Span;
pub use user::TEST_USER;
