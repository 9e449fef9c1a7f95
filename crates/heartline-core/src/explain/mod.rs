//! What keepalive settings really do.
//!
//! A [`Scene`] goes in (which program, its settings, what flows, what breaks), an [`Explanation`] comes out: when that
//! end of the connection goes away, least and most, and what else follows from the settings. Nothing is measured here
//! and nothing waits: it is arithmetic on rules that were measured (facts/keepalive.md) and read in the sources.
//!
//! * [`Software`] and [`Implementation`]: whose rules hold, told by an SSH banner;
//! * `model`: the rules of each implementation, as data;
//! * `alive`, `sshd_loop`, `tcp`, `channel`, `other`: one way each in which a connection ends;
//! * `engine`: all of them together, and what comes of it;
//! * `path`: firewalls, outages, round-trip times;
//! * [`Lint`]: what to warn of, and the mend;
//! * [`Keyword`]: values as ssh and sshd read them, refused in their own words.
//!
//! Not here: reading `ssh_config`, asking a peer, printing.

mod alive;
mod banner;
mod channel;
mod ending;
mod engine;
mod lint;
mod lint_text;
mod model;
mod other;
mod path;
mod scene;
mod span;
mod spoken;
mod sshd_loop;
mod tcp;
mod timeline;
mod value;

#[cfg(test)]
mod tests;

pub use banner::{Implementation, Software, SshdRelease};
pub use channel::{ChannelTimeouts, ChannelTimeoutsError};
pub use ending::{Ending, Mechanism, Outcome};
pub use engine::{Explanation, explain};
pub use lint::{Lint, Warning};
pub use path::{NatVerdict, Outage};
pub use scene::{
    Fault, KeepAliveSetting, Kernel, KernelKeepAlive, Pair, Scene, Side, Tcp, Traffic,
};
pub use span::Span;
pub use spoken::spoken;
pub use timeline::{Event, EventKind, Timeline};
pub use value::{Keyword, ValueError, ValueErrorKind};
