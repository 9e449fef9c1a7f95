//! Reads what the kernel says. No I/O.
//!
//! Only the few attributes that matter are looked at, so that a kernel which adds or changes others takes nothing
//! from us: an interface that could not be read would look like one that is gone.

use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use netlink_packet_core::{ErrorBuffer, NetlinkBuffer, NlasIterator};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressFlags, AddressHeader};
use netlink_packet_route::link::{LinkFlags, LinkHeader};
use netlink_packet_route::route::{RouteFlags, RouteHeader, RouteType};

use crate::judge::Answer;
use crate::kernel::Link;

/// One message of a datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    payload: &'a [u8],
}

/// Something about an interface or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Near {
    Link(u32, Link),
    LinkGone(u32),
    /// An address on an interface, and whether it may be used.
    Address(u32, IpAddr, bool),
    AddressGone(u32, IpAddr),
}

/// Whose routes have changed: peers between these two addresses, which are of one family.
pub(crate) type Peers = RangeInclusive<IpAddr>;

/// Splits a datagram. What is cut off or makes no sense ends it.
pub(crate) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    iter::from_fn(move || {
        let buffer = NetlinkBuffer::new_checked(datagram).ok()?;
        let length = usize::try_from(buffer.length()).ok()?;
        datagram = datagram
            .get(length.next_multiple_of(ALIGNMENT)..)
            .unwrap_or_default();
        Some(Message {
            kind: buffer.message_type(),
            flags: buffer.flags(),
            sequence: buffer.sequence_number(),
            payload: buffer.payload(),
        })
    })
}

impl Message<'_> {
    /// What it says of an interface or an address, if anything.
    pub(crate) fn near(self) -> Option<Near> {
        match self.kind {
            libc::RTM_NEWLINK | libc::RTM_DELLINK => self.link(),
            libc::RTM_NEWADDR | libc::RTM_DELADDR => self.address(),
            _ => None,
        }
    }

    /// Whom it concerns, if it is about routes, rules or next hops.
    pub(crate) fn far(self) -> Option<Peers> {
        match self.kind {
            libc::RTM_NEWROUTE | libc::RTM_DELROUTE => self.destination(),
            libc::RTM_NEWRULE | libc::RTM_DELRULE | RTM_NEWNEXTHOP | RTM_DELNEXTHOP => {
                Some(everybody())
            }
            _ => None,
        }
    }

    /// The kernel's answer to the question where it would send, if it is one.
    pub(crate) fn answer(self) -> Option<Answer> {
        if let Some(errno) = self.error() {
            // That it has no memory for an answer says nothing of the route.
            return Some(match errno {
                libc::ENOMEM | libc::ENOBUFS => Answer::Unknown,
                _ => Answer::None,
            });
        }
        if self.kind != libc::RTM_NEWROUTE {
            return None;
        }
        let header = RouteHeader::parse(self.payload).ok()?;
        let mut index = None;
        let mut has_gateway = false;
        let mut table = u32::from(header.table);
        for (kind, value) in attributes(self.payload, ROUTE_HEADER) {
            match kind {
                libc::RTA_OIF => index = number(value),
                libc::RTA_TABLE => table = number(value).unwrap_or(table),
                libc::RTA_GATEWAY | libc::RTA_VIA => has_gateway = true,
                _ => {}
            }
        }
        let leads = matches!(
            header.kind,
            RouteType::Unicast
                | RouteType::Local
                | RouteType::Broadcast
                | RouteType::Anycast
                | RouteType::Multicast
        );
        Some(match index {
            Some(index) if leads => Answer::Route {
                index,
                has_gateway,
                is_assumed: table == 0,
            },
            _ => Answer::None,
        })
    }

    /// The error that it reports: a number of errno(3), 0 for none; `None` if it is no report.
    pub(crate) fn error(self) -> Option<i32> {
        match self.kind {
            netlink_packet_core::NLMSG_ERROR => {
                let code = ErrorBuffer::new_checked(self.payload).ok()?.code();
                Some(code.map_or(0, |code| code.get().saturating_neg()))
            }
            netlink_packet_core::NLMSG_DONE => {
                let code = self
                    .payload
                    .first_chunk()
                    .map_or(0, |c| i32::from_ne_bytes(*c));
                Some(code.min(0).saturating_neg())
            }
            _ => None,
        }
    }

    fn link(self) -> Option<Near> {
        let header = LinkHeader::parse(self.payload).ok()?;
        // A bridge reports its ports with messages of the same kind: one that leaves it is not gone.
        if header.interface_family != AddressFamily::Unspec {
            return None;
        }
        if self.kind == libc::RTM_DELLINK {
            return Some(Near::LinkGone(header.index));
        }
        let mut names = Vec::new();
        let mut state = None;
        let mut lower = None;
        for (kind, value) in attributes(self.payload, LINK_HEADER) {
            match kind {
                IFLA_IFNAME => names.splice(..0, text(value)).for_each(drop),
                IFLA_PROP_LIST => names.extend(
                    attributes(value, 0)
                        .filter(|(kind, _)| *kind == IFLA_ALT_IFNAME)
                        .filter_map(|(_, value)| text(value)),
                ),
                IFLA_LINK => lower = number(value),
                IFLA_OPERSTATE => state = value.first().copied(),
                _ => {}
            }
        }
        let is_loopback = header.flags.contains(LinkFlags::Loopback);
        let link = Link {
            names,
            is_up: header.flags.contains(LinkFlags::Up),
            is_lower_up: header.flags.contains(LinkFlags::LowerUp),
            knows_carrier: !is_loopback && state.is_some_and(|state| state != IF_OPER_UNKNOWN),
            // As linkwatch_urgent_event of net/core/link_watch.c has it.
            is_prompt: lower.is_some_and(|lower| lower != header.index),
        };
        Some(Near::Link(header.index, link))
    }

    fn address(self) -> Option<Near> {
        let header = AddressHeader::parse(self.payload).ok()?;
        let (mut local, mut address) = (None, None);
        let mut flags = AddressFlags::from_bits_retain(header.flags.bits().into());
        for (kind, value) in attributes(self.payload, ADDRESS_HEADER) {
            match kind {
                // Where the other end of a link has an address too, IFA_ADDRESS is that one.
                IFA_LOCAL => local = ip(header.family, value),
                IFA_ADDRESS => address = ip(header.family, value),
                IFA_FLAGS => {
                    flags = number(value).map_or(flags, AddressFlags::from_bits_retain);
                }
                _ => {}
            }
        }
        let address = local.or(address)?;
        if self.kind == libc::RTM_DELADDR {
            return Some(Near::AddressGone(header.index, address));
        }
        // RFC 4429: an optimistic one may be used while it is being checked.
        let is_checked =
            !flags.contains(AddressFlags::Tentative) || flags.contains(AddressFlags::Optimistic);
        let is_usable = is_checked && !flags.contains(AddressFlags::Dadfailed);
        Some(Near::Address(header.index, address, is_usable))
    }

    fn destination(self) -> Option<Peers> {
        let header = RouteHeader::parse(self.payload).ok()?;
        // What the kernel keeps for itself of one destination; no choice is made by it.
        if header.flags.contains(RouteFlags::Cloned) {
            return None;
        }
        let family = header.address_family;
        let unspecified: IpAddr = match family {
            AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
            AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
            _ => return None,
        };
        let destination = attributes(self.payload, ROUTE_HEADER)
            .find(|(kind, _)| *kind == libc::RTA_DST)
            .and_then(|(_, value)| ip(family, value));
        let destination = destination.unwrap_or(unspecified);
        Some(peers(destination, header.destination_prefix_length))
    }
}

/// Every peer of a family, by an address of it.
pub(crate) fn family_of(address: IpAddr) -> Peers {
    peers(address, 0)
}

/// Every peer there can be.
pub(crate) fn everybody() -> Peers {
    Ipv4Addr::UNSPECIFIED.into()..=Ipv6Addr::from_bits(u128::MAX).into()
}

/// The peers within a prefix.
fn peers(destination: IpAddr, length: u8) -> Peers {
    let length = u32::from(length);
    match destination {
        IpAddr::V4(first) => {
            let rest = u32::MAX.checked_shr(length).unwrap_or(0);
            let first = first.to_bits() & !rest;
            Ipv4Addr::from_bits(first).into()..=Ipv4Addr::from_bits(first | rest).into()
        }
        IpAddr::V6(first) => {
            let rest = u128::MAX.checked_shr(length).unwrap_or(0);
            let first = first.to_bits() & !rest;
            Ipv6Addr::from_bits(first).into()..=Ipv6Addr::from_bits(first | rest).into()
        }
    }
}

/// The attributes behind a header of this length, as far as they can be read.
fn attributes(payload: &[u8], header: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let all = NlasIterator::new(payload.get(header..).unwrap_or_default());
    all.map_while(Result::ok).map(|attribute| {
        let length = attribute.value_length();
        let value = attribute.into_inner().get(ATTRIBUTE_HEADER..);
        let value = value.and_then(|value| value.get(..length));
        (attribute.kind(), value.unwrap_or_default())
    })
}

fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_ne_bytes)
}

fn text(value: &[u8]) -> Option<Arc<str>> {
    let value = value.split(|byte| *byte == 0).next()?;
    let value = String::from_utf8_lossy(value);
    (!value.is_empty()).then(|| value.into())
}

fn ip(family: AddressFamily, value: &[u8]) -> Option<IpAddr> {
    match family {
        AddressFamily::Inet => <[u8; 4]>::try_from(value).ok().map(IpAddr::from),
        AddressFamily::Inet6 => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
        _ => None,
    }
}

// From linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h and linux/if.h, where libc has none.
const ALIGNMENT: usize = 4;
const ATTRIBUTE_HEADER: usize = 4;
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IF_OPER_UNKNOWN: u8 = 0;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;

#[cfg(test)]
mod tests;
