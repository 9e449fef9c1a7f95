//! What the facts amount to for one way. No I/O.

use std::sync::Arc;

use crate::kernel::{Kernel, Link};
use crate::{OurSide, Way};

/// What the kernel says when asked how it would send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Through this interface.
    Route {
        index: u32,
        /// By way of a neighbour.
        has_gateway: bool,
        /// No table says so: with the interface given, IPv4 takes the peer to be on the link.
        is_assumed: bool,
    },
    /// Nowhere: no route, or one that refuses.
    None,
    /// It could not tell. What was known before remains.
    Unknown,
}

/// The last route of a way that some table had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trail {
    pub index: u32,
    /// Its interface's name then, by which one that is made anew is found.
    pub name: Option<Arc<str>>,
    pub has_gateway: bool,
}

/// What our side has for a way.
///
/// A route through an interface without a carrier is a route: the carrier is what is missing.
pub(crate) fn judge(way: &Way, answer: Answer, trail: Option<&Trail>, kernel: &Kernel) -> OurSide {
    let (interface, link) = match &way.device {
        Some(device) => (
            Some(Arc::from(device.as_str())),
            kernel.named(device).map(|(_, link)| link),
        ),
        None => interface_of(trail, kernel),
    };
    OurSide {
        carrier: interface.is_none() || link.is_some_and(Link::carries),
        address: way
            .local
            .is_none_or(|local| kernel.has(local.to_canonical())),
        route: match answer {
            // Somebody who had a gateway is not on the link, whatever the kernel assumes.
            Answer::Route { is_assumed, .. } => {
                !(is_assumed && trail.is_some_and(|trail| trail.has_gateway))
            }
            Answer::None => false,
            Answer::Unknown => true,
        },
        interface,
    }
}

/// The interface that the last route went through, by its index or else by its name.
fn interface_of<'a>(
    trail: Option<&Trail>,
    kernel: &'a Kernel,
) -> (Option<Arc<str>>, Option<&'a Link>) {
    let Some(trail) = trail else {
        return (None, None);
    };
    let by_name = || kernel.named(trail.name.as_deref()?).map(|(_, link)| link);
    let link = kernel.link(trail.index).or_else(by_name);
    let name = link.and_then(|link| link.name()).or(trail.name.as_ref());
    (name.cloned(), link)
}

#[cfg(test)]
mod tests;
