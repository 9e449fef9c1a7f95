//! The engine: a plan of nodes and lines, one driver task per line, verdicts, events.
//!
//! ```text
//!  config ─→ plan ─→ engine ─→ driver (one a line) ─→ heartline-ssh
//!                      ↑          │ line events
//!                      └──────────┘
//!                      │ node verdicts (heartline-core)
//!                      ↓
//!                   told: what a reader sees, as JSON or text
//! ```
//!
//! A line whose session somebody uses (`run`) has a driver without an engine: [`solo`].
//!
//! A driver turns sockets into observations and carries out actions; it decides nothing. The engine keeps every line's
//! last event, judges nodes by the pure function in core, and tells. Reading the configuration, and what a line of
//! output looks like, are here because every front end shares them; printing is not.

pub mod board;
pub mod config;
mod driver;
pub mod engine;
mod hold;
mod lane;
mod lookout;
mod our_side;
mod pace;
pub mod plan;
mod pulse;
mod reference;
pub mod request;
pub mod solo;
pub mod status_socket;
pub mod told;

pub use board::Board;
pub use engine::{Dials, Engine, EngineError, LineSample, Samples, Snapshot};
pub use plan::{LinePlan, NodePlan, Plan, PlanError};
pub use request::{NodeRequest, lasting_plan as make_lasting_plan, plan as make_plan};
pub use solo::{Lost, Solo};
pub use told::{FuseTold, LineBrief, LineTold, NodeBrief, NodeTold, Told};
