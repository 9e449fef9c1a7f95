//! What our own side knows of a way to a peer: carrier, address and route, by netlink's events (rtnetlink(7)).
//!
//! ```no_run
//! # async fn example() -> Result<(), heartline_link::LinkError> {
//! use heartline_link::{Links, Way};
//!
//! let mut links = Links::start().await?;
//! links.follow(&Way { peer: "192.0.2.7".parse().unwrap(), local: None, device: None });
//! loop {
//!     for (way, side) in links.changed().await? {
//!         println!("{}: carrier {}, route {}", way.peer, side.carrier, side.route);
//!     }
//! }
//! # }
//! ```
//!
//! Nothing is polled, but for the one second told of below. A thread of its own holds three netlink sockets: one hears
//! of interfaces and addresses, one of routes and rules, one asks. It is a thread because the kernel answers inside
//! the call that asks, and may hold that call up for as long as somebody else changes the network; and because a
//! routing daemon that loads a full table must not take time from those who beat.
//!
//! * **Carrier and address** come with the event itself and are told at once; what follows within 5 ms is told
//!   together.
//! * **Route** is what the kernel answers when asked how it would send (`RTM_GETROUTE`). It is asked again 2 ms after
//!   an event that can concern the way; 64 ways at a time with carrier and address in between, a tenth of the time at
//!   most (but every 2 s), and under a storm no oftener than every 100 ms.
//! * **A storm** cannot pile up: the kernel keeps what we have not read, in a buffer of fixed size, and says when it
//!   had to drop. Of interfaces and addresses everything is then read anew, at most every 100 ms; of routes nothing is
//!   kept, so that every way is looked up. Routes come by a socket of their own and cannot make us miss a carrier.
//!
//! What it cannot know:
//! * The kernel reports the carrier of a card up to 1 s late if it has reported another within the last second, in
//!   whatever network namespace, and may then pass over a short loss (`net/core/link_watch.c`); that of bonds, and of
//!   what is stacked on or joined to an interface with another index, it reports at once. For one second after a
//!   change that we know of, which is one in our own namespace, we therefore ask for the carrier every 10 ms.
//! * Other network namespaces than that of the thread that called [`Links::start`] are not seen.
//! * Rules that look at marks, ports or protocols are asked without these, and so is which of several next hops is
//!   taken where that goes by ports.
//! * Of a link-local peer without `device` nothing is known but whether `local` is ours.
//! * `local` must be on an interface: an address that is ours only by a local route or by `ip_nonlocal_bind` reads as
//!   missing.
//! * With `device` given and no route in any table IPv4 takes the peer to be on the link, and so does this
//!   ([`OurSide::route`] stays true), unless the last route there had a gateway.

#![cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "without netlink nothing is ever followed")
)]

mod board;
mod error;
mod links;
mod way;

#[cfg(target_os = "linux")]
mod ask;
#[cfg(target_os = "linux")]
mod follow;
#[cfg(target_os = "linux")]
mod heard;
#[cfg(target_os = "linux")]
mod judge;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod pace;
#[cfg(target_os = "linux")]
mod tap;
#[cfg(target_os = "linux")]
mod ways;

pub use error::LinkError;
pub use links::Links;
pub use way::{OurSide, Way};
