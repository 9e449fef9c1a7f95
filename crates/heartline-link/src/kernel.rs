//! Our copy of the kernel's interfaces and addresses, kept up by its events. No I/O.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::LinkError;
use crate::heard::Near;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its name, then its other names (`ip link property add altname`).
    pub names: Vec<Arc<str>>,
    /// It is set up (`IFF_UP`).
    pub is_up: bool,
    /// It has a carrier (`IFF_LOWER_UP`).
    pub is_lower_up: bool,
    /// It knows of carriers at all: neither loopback nor of unknown state (RFC 2863, ifOperStatus).
    pub knows_carrier: bool,
    /// The kernel reports its carrier at once: it is stacked on another interface, or joined to one.
    pub is_prompt: bool,
}

/// Interfaces by their index and name, and who has which address.
#[derive(Debug, Default)]
pub(crate) struct Kernel {
    links: HashMap<u32, Link>,
    names: HashMap<Arc<str>, u32>,
    addresses: HashMap<IpAddr, Vec<Holder>>,
}

/// An address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holder {
    index: u32,
    is_usable: bool,
}

/// What an event has changed, by whom it can concern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// Nothing that matters here.
    Nothing,
    /// An interface carries no more, or still does not: what goes through it, by index or by name.
    Lost(u32, Vec<Arc<str>>),
    /// An interface carries that did not, or is called otherwise: whatever might take it.
    Gained,
    /// An address may be used that could not be.
    Came(IpAddr),
    /// An address may not be used any more. Routes that prefer it go with it and are not reported.
    Went(IpAddr),
}

impl Link {
    /// Whether what is sent there can leave.
    pub(crate) fn carries(&self) -> bool {
        self.is_up && (self.is_lower_up || !self.knows_carrier)
    }

    pub(crate) fn name(&self) -> Option<&Arc<str>> {
        self.names.first()
    }
}

impl Kernel {
    pub(crate) fn link(&self, index: u32) -> Option<&Link> {
        self.links.get(&index)
    }

    /// The interface of this name, or other name.
    pub(crate) fn named(&self, name: &str) -> Option<(u32, &Link)> {
        let index = *self.names.get(name)?;
        self.links.get(&index).map(|link| (index, link))
    }

    /// Whether the address is ours and may be used. All of the loopback network is (RFC 1122, 3.2.1.3).
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        let held = self.addresses.get(&address);
        address.is_loopback()
            || held.is_some_and(|holders| holders.iter().any(|holder| holder.is_usable))
    }

    /// Takes in an event, or a row of a list.
    pub(crate) fn hear(&mut self, heard: Near) -> Result<Change, LinkError> {
        match heard {
            Near::Link(index, link) => self.link_is(index, link),
            Near::LinkGone(index) => Ok(self.link_gone(index)),
            Near::Address(index, address, is_usable) => {
                self.address_is(address, Holder { index, is_usable })
            }
            Near::AddressGone(index, address) => Ok(self.change_holders(address, |holders| {
                holders.retain(|holder| holder.index != index);
            })),
        }
    }

    fn link_is(&mut self, index: u32, mut link: Link) -> Result<Change, LinkError> {
        let old = self.links.get(&index);
        if old == Some(&link) {
            return Ok(Change::Nothing);
        }
        if old.is_none() && self.links.len() >= MOST {
            return Err(too_many("interfaces"));
        }
        link.names.truncate(MOST_NAMES);
        let carries = link.carries();
        let mut names = self.drop_names(index);
        names.extend(link.names.iter().cloned());
        for name in &link.names {
            self.names.insert(Arc::clone(name), index);
        }
        self.links.insert(index, link);
        Ok(if carries {
            Change::Gained
        } else {
            Change::Lost(index, names)
        })
    }

    fn link_gone(&mut self, index: u32) -> Change {
        let names = self.drop_names(index);
        if self.links.remove(&index).is_none() {
            return Change::Nothing;
        }
        // The kernel reports each address too, but what was lost on the way must not remain.
        self.addresses.retain(|_, holders| {
            holders.retain(|holder| holder.index != index);
            !holders.is_empty()
        });
        Change::Lost(index, names)
    }

    /// Takes the names of an interface from the directory.
    fn drop_names(&mut self, index: u32) -> Vec<Arc<str>> {
        let names = self.links.get(&index).map(|link| link.names.clone());
        let names = names.unwrap_or_default();
        for name in &names {
            // Another interface may have taken it over.
            if self.names.get(name) == Some(&index) {
                self.names.remove(name);
            }
        }
        names
    }

    fn address_is(&mut self, address: IpAddr, new: Holder) -> Result<Change, LinkError> {
        let held = self.addresses.get(&address).map_or(0, Vec::len);
        if held >= MOST_HOLDERS || (held == 0 && self.addresses.len() >= MOST) {
            return Err(too_many("addresses"));
        }
        Ok(self.change_holders(address, |holders| {
            holders.retain(|holder| holder.index != new.index);
            holders.push(new);
        }))
    }

    fn change_holders(&mut self, address: IpAddr, change: impl FnOnce(&mut Vec<Holder>)) -> Change {
        let before = self.has(address);
        let holders = self.addresses.entry(address).or_default();
        change(holders);
        if holders.is_empty() {
            self.addresses.remove(&address);
        }
        match (before, self.has(address)) {
            (false, true) => Change::Came(address),
            (true, false) => Change::Went(address),
            _ => Change::Nothing,
        }
    }
}

fn too_many(what: &'static str) -> LinkError {
    LinkError::TooMany { what, limit: MOST }
}

/// Interfaces, and addresses, that we keep at most.
const MOST: usize = 65_536;
/// Names of one interface that we keep.
const MOST_NAMES: usize = 16;
/// Interfaces that have the same address: link-local ones may be alike on all.
const MOST_HOLDERS: usize = MOST;

#[cfg(test)]
mod tests;
