//! What is asked about, and what is answered.

use std::net::IpAddr;
use std::sync::Arc;

/// The way a line takes from here: what the kernel chooses its interface by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Way {
    /// The address that is dialled.
    pub peer: IpAddr,
    /// The address of ours that the line is bound to.
    pub local: Option<IpAddr>,
    /// The interface that the line is bound to (`SO_BINDTODEVICE`), or that the scope of a link-local peer names.
    pub device: Option<String>,
}

/// What our side has for a way right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OurSide {
    /// The interface: the way's own, or the one of the last route there was.
    pub interface: Option<Arc<str>>,
    /// It is there, set up, and has a carrier. True for as long as none is known.
    pub carrier: bool,
    /// The way's own address is on an interface of ours and may be used. True for a way without one.
    pub address: bool,
    /// The kernel knows where to send.
    pub route: bool,
}

impl OurSide {
    /// Whether nothing is amiss on our side.
    pub fn is_well(&self) -> bool {
        self.carrier && self.address && self.route
    }
}
