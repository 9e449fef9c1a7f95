//! One SSH connection: settings, dial, host key, authentication, beats.
//!
//! ```text
//!  Invocation ─ settings ─→ Settings ─ target ─→ Target ─ dial ─→ Session ─→ beats
//!                ssh -G, or      keys, known hosts,    socket, preamble, russh,
//!                our parser      jump hosts            identity, hostkey
//! ```
//!
//! russh is seen here and in heartline-serve alone. Everything that waits has a deadline that is ours: the stages of a
//! dial here, a session's life in heartline-core, which the engine drives.

mod algorithms;
mod arrival;
mod cable;
mod clock;
mod conversation;
mod dial;
mod escape;
mod exec;
mod far;
mod forward;
mod guard;
mod handler;
mod hold;
mod inbox;
mod inspect;
mod jump;
mod preamble;
mod proxy_command;
mod round_trips;
mod session;
mod socket;
mod survey;
mod target;
mod wire;

pub mod hostkey;
pub mod identity;
pub mod settings;

pub use algorithms::NoneSupported;
pub use cable::{Cable, Way};
pub use clock::{Clock, asleep};
pub use conversation::Heard;
pub use dial::{Dialer, Progress, addresses};
pub use escape::escape;
pub use exec::{
    Ending, Exec, ExecError, ExecInput, ExecOutput, ExecRequest, Executing, Part, Size, Terminal,
};
pub use far::{FarSession, Naming, NotFarSession, name_session};
pub use forward::{
    FarEnd, FarInput, FarOutput, FarStream, ForwardError, Forwards, Incoming, Listening,
};
pub use guard::{
    Duty, Ended, Guard, GuardRule, Settled, Tries, Unguarded, forced_command, guard_request,
};
pub use inspect::{InspectError, Inspector, inspect_request};
pub use round_trips::{ROUND_TRIP_CLASSES_US, RoundTripCounts};
pub use session::{Beat, Established, GOODBYE, Inspecting, Peer, Session};
pub use socket::{ConnectError, resolve};
pub use survey::{Evidence, Here, Standing, Survey, SurveyError, Verdict};
pub use target::{PrepareError, Preparer, Target};
pub use wire::Ends;
