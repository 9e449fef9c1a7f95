//! What is true of lines and nodes.
//!
//! No socket, no clock, no task: every `handle_*` takes the present as a [`Moment`], every `poll_*` gives what is to be
//! done, told, or waited for. The same code therefore serves the watcher, the server, the simulator and the tests, which
//! run a year of beats in seconds.
//!
//! * [`alive`]: the ServerAlive rule, to the millisecond: when to probe, when to end.
//! * [`line`](mod@line): one line's life: dialing, up, suspect, down, backing off; what to do next and what to tell.
//! * [`node`]: the verdict on a node, a pure function of its lines and of the watcher's own health.
//! * [`detect`](mod@detect): failure detectors by their papers: from arrivals, when to suspect.
//! * [`explain`](mod@explain): what the keepalive settings of ssh, sshd and others really do.
//! * [`fate`]: what falls together, and whose fault it is.
//! * [`flap`]: a line that falls again and again.
//! * [`idle`]: after how long a silence something on the path forgets a connection.
//! * [`cause`], [`event`], [`timing`], [`fuse`], [`lease`], [`time`], [`timer`]: the words they share.
//!
//! A panic in this crate means a bug in this crate.

pub mod alive;
pub mod backoff;
pub mod cause;
pub mod detect;
pub mod event;
pub mod explain;
pub mod fate;
pub mod flap;
pub mod fuse;
pub mod idle;
pub mod lease;
pub mod line;
pub mod node;
pub mod time;
pub mod timer;
pub mod timing;

pub use alive::{Alive, AliveRule, AliveStep, Prober};
pub use cause::{Cause, Says};
pub use event::{
    Evidence, LineEvent, LinkEvidence, NodeEvent, ShellEvidence, SshEvidence, TcpEvidence,
    WatcherEvent,
};
pub use fuse::Fuse;
pub use line::{Action, Failure, Line, LineConfig, LineState, Observation, Stage};
pub use node::{Node, NodeState, WatcherHealth, verdict};
pub use time::Moment;
pub use timing::{Bound, Count, Detection, Interval, Patience, Timing, TimingError};
