//! What a running watcher shows: a page, a JSON API, metrics and badges, over TCP and over a Unix socket; and the client for the latter.
//!
//! ```text
//!  Board ──┬─→ hub ──→ live streams (server-sent events)      each event is made into text once, whoever listens
//!          ├─→ page, API, badges, health, metrics            a copy under the lock, the rest outside it
//!  Journal ┴─→ uptime (90 days, kept for a minute), events
//!  Wishes ←─── orders: pause, resume, redial
//! ```
//!
//! All of it runs on one thread of its own, so that whoever looks makes nobody wait who judges. Rights are decided in one place ([`access`]): by the Unix
//! socket everything is allowed, since its mode lets in its owner alone; by TCP on loopback anybody may read, and orders need the token; elsewhere everything does.
//!
//! Names of nodes, and whatever a peer said, are hostile: the templates escape, scripts set text and never markup, and no content of the page may run
//! (Content-Security-Policy).

mod accept;
pub mod access;
mod answer;
mod api;
mod assets;
mod badge;
mod chart;
pub mod client;
mod door;
mod events;
mod health;
mod link;
mod live;
mod metrics;
mod order;
mod page;
mod reads;
mod routes;
mod row;
mod server;
mod uptime;
mod watched;
mod words;

pub use access::{Token, TokenError};
pub use door::{Door, DoorError};
pub use server::{ServeError, Server};
pub use watched::{JournalHealth, Watched};
