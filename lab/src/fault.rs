//! Faults on cables, each reversible: what can happen to a path, done for real.
//!
//! A cable keeps the list of its faults. The firewall at each end is always built from that whole
//! list and replaced in one nft transaction, so there is no order of injecting and healing in which
//! rules of the past remain. Drops sit at the *receiving* end, in the ingress hook of its
//! interface: the sender's kernel sees its packets leave, as with a real cable. Dropped both ways,
//! that takes one transaction in each of the two namespaces, given a few milliseconds apart at
//! most; [`Span`] brackets them.
//!
//! A silent fault on an idle cable is invisible to both kernels; that is the point of the lab.

use std::fmt::Write as _;

use anyhow::Result;

use crate::cable::{Cable, End, Plug};
use crate::tool::{self, Batch, Span};

/// Something that is wrong with a cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The interface at this end is set down. Both ends of a straight cable lose their carrier;
    /// with a router between, only this end and the router's.
    LinkDown(End),
    /// Every frame is lost, also those that resolve neighbours (ARP, ND): a pulled cable behind a
    /// dumb switch. After some seconds new connections fail with "no route to host".
    Silent(Direction),
    /// Every IP packet is lost while neighbours still resolve: a firewall that drops. New
    /// connections time out.
    Filtered(Direction),
    /// Each frame is lost with this probability, in percent (0 to 100), by the kernel's random
    /// numbers.
    Loss(Direction, u8),
    /// Packets longer than this many bytes (with their IP header) are lost: a path whose MTU is
    /// smaller than told. Key exchanges hang on it, beats do not.
    LossAbove(Direction, u16),
    /// The node's end answers every TCP segment with RST. Connections notice when they send.
    Reset,
    /// The node's end answers every packet with this ICMP (or `ICMPv6`) error and drops it. An answer
    /// so quick that it finds the connecting socket busy counts only at the next SYN, 1 s later
    /// (Linux: `tcp_v4_err`, `sock_owned_by_user`).
    Icmp(Icmp),
    /// The addresses at this end are gone, and then, with them, its routes.
    AddressRemoved(End),
    /// The routes through the interface at this end are gone; its addresses remain.
    RouteRemoved(End),
}

/// Which way a fault acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    Both,
    /// From the watcher to the node only.
    ToNode,
    /// From the node to the watcher only.
    ToWatcher,
}

/// What a rejecting firewall says; nft's `icmpx` types, which exist in both families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icmp {
    /// Port unreachable: connections are refused.
    PortUnreachable,
    /// Host unreachable.
    HostUnreachable,
    /// Network unreachable, or no route.
    NoRoute,
    /// Administratively prohibited.
    AdminProhibited,
}

/// Puts several faults in force together, e.g. on all cables of a node: all namespaces get their
/// orders within milliseconds, and one namespace gets those for all its cables in one transaction.
pub fn inject_all(faults: &[(&Cable, Fault)]) -> Result<Span> {
    // First every list, so that the rules built after that hold all the faults of a cable.
    for (cable, fault) in faults {
        let mut list = cable.lock_faults();
        if !list.contains(fault) {
            list.push(*fault);
        }
    }
    let mut orders = Orders::default();
    for (cable, fault) in faults {
        for end in [End::Watcher, End::Node] {
            let plug = cable.end(end);
            if fault.has_rules_at(end) {
                orders.nft(plug, &rules(cable, end));
            }
            orders.ip(plug, &fault.ip_lines(end, plug));
            orders.routes_removed(plug, fault.takes_routes_at(end));
        }
    }
    orders.carry_out()
}

/// Takes all faults off several cables together.
pub fn heal_all(cables: &[&Cable]) -> Result<Span> {
    let mut orders = Orders::default();
    for cable in cables {
        cable.lock_faults().clear();
        for end in [End::Watcher, End::Node] {
            let plug = cable.end(end);
            orders.nft(plug, &rules(cable, end));
            orders.ip(plug, &plug.up_script());
        }
    }
    orders.carry_out()
}

/// Puts the cable's present faults in force again at one end whose namespace was made anew.
pub(crate) fn reapply(cable: &Cable, end: End) -> Result<Span> {
    let plug = cable.end(end);
    let mut orders = Orders::default();
    orders.nft(plug, &rules(cable, end));
    for fault in cable.faults() {
        orders.ip(plug, &fault.ip_lines(end, plug));
        orders.routes_removed(plug, fault.takes_routes_at(end));
    }
    orders.carry_out()
}

impl Fault {
    /// What `ip` has to do at `end`, if anything.
    fn ip_lines(self, end: End, plug: &Plug) -> String {
        match self {
            Self::LinkDown(at) if at == end => plug.link_down(),
            Self::AddressRemoved(at) if at == end => plug.addresses_removed(),
            _ => String::new(),
        }
    }

    fn takes_routes_at(self, end: End) -> bool {
        matches!(self, Self::AddressRemoved(at) | Self::RouteRemoved(at) if at == end)
    }

    fn has_rules_at(self, end: End) -> bool {
        !self.ingress_rules(end).is_empty() || !self.input_rules(end).is_empty()
    }

    /// Rules for the ingress hook of the interface at `end`.
    fn ingress_rules(self, end: End) -> String {
        match self {
            Self::Silent(way) if way.arrives_at(end) => "drop\n".to_owned(),
            Self::Filtered(way) if way.arrives_at(end) => {
                format!("{ND_PASSES}meta protocol {{ ip, ip6 }} drop\n")
            }
            // nft refuses a comparison that is always or never true.
            Self::Loss(way, 100..) if way.arrives_at(end) => "drop\n".to_owned(),
            Self::Loss(way, percent @ 1..) if way.arrives_at(end) => {
                format!("numgen random mod 100 < {percent} drop\n")
            }
            Self::LossAbove(way, bytes) if way.arrives_at(end) => {
                format!("meta length > {bytes} drop\n")
            }
            _ => String::new(),
        }
    }

    /// Rules for the input hook at `end`, for packets from this cable alone.
    fn input_rules(self, end: End) -> String {
        match self {
            Self::Reset if end == End::Node => {
                "meta l4proto tcp reject with tcp reset\n".to_owned()
            }
            Self::Icmp(icmp) if end == End::Node => {
                format!("{ND_PASSES}reject with icmpx {}\n", icmp.nft())
            }
            _ => String::new(),
        }
    }
}

impl Direction {
    fn arrives_at(self, end: End) -> bool {
        match self {
            Self::Both => true,
            Self::ToNode => end == End::Node,
            Self::ToWatcher => end == End::Watcher,
        }
    }
}

impl Icmp {
    fn nft(self) -> &'static str {
        match self {
            Self::PortUnreachable => "port-unreachable",
            Self::HostUnreachable => "host-unreachable",
            Self::NoRoute => "no-route",
            Self::AdminProhibited => "admin-prohibited",
        }
    }
}

/// The whole firewall of one cable at one end: two tables, emptied and filled again.
fn rules(cable: &Cable, end: End) -> String {
    let number = cable.number();
    let ifname = &cable.end(end).ifname;
    let faults = cable.faults();
    let ingress: String = faults
        .iter()
        .map(|fault| fault.ingress_rules(end))
        .collect();
    let input: String = faults.iter().map(|fault| fault.input_rules(end)).collect();
    // `add` makes the `delete` succeed also the first time; the kernel sees one transaction.
    let mut script = format!(
        "add table netdev cable{number}\ndelete table netdev cable{number}\n\
         add table inet cable{number}\ndelete table inet cable{number}\n"
    );
    if !ingress.is_empty() {
        let _ = write!(
            script,
            "table netdev cable{number} {{\nchain ingress {{\n\
             type filter hook ingress device {ifname} priority 0; policy accept;\n\
             {ingress}}}\n}}\n"
        );
    }
    if !input.is_empty() {
        let _ = write!(
            script,
            "table inet cable{number} {{\nchain input {{\n\
             type filter hook input priority 0; policy accept;\n\
             iifname != {ifname} accept\n{input}}}\n}}\n"
        );
    }
    script
}

/// Orders gathered by namespace, the firewall's apart from `ip`'s.
#[derive(Debug, Default)]
struct Orders {
    nft: Vec<(String, String)>,
    ip: Vec<(String, String)>,
    alone: Batch,
}

impl Orders {
    fn nft(&mut self, plug: &Plug, script: &str) {
        gather(&mut self.nft, plug, script);
    }

    fn ip(&mut self, plug: &Plug, script: &str) {
        gather(&mut self.ip, plug, script);
    }

    fn routes_removed(&mut self, plug: &Plug, wanted: bool) {
        if wanted && plug.host.is_on() {
            plug.routes_removed(&mut self.alone);
        }
    }

    fn carry_out(self) -> Result<Span> {
        let mut batch = Batch::default();
        for (ns, script) in self.nft {
            batch.nft(&ns, script);
        }
        for (ns, script) in self.ip {
            batch.ip(&ns, script);
        }
        let first = tool::run_together(batch)?;
        // Routes go after their address, as the kernel itself takes them away.
        let then = tool::run_together(self.alone)?;
        Ok(Span {
            begun: first.begun,
            complete: then.complete,
        })
    }
}

fn gather(orders: &mut Vec<(String, String)>, plug: &Plug, script: &str) {
    // A machine that is off has neither firewall nor addresses; it gets them when it comes up.
    if script.is_empty() || !plug.host.is_on() {
        return;
    }
    let ns = plug.host.namespace();
    match orders.iter_mut().find(|(known, _)| known == ns) {
        Some((_, whole)) => whole.push_str(script),
        None => orders.push((ns.to_owned(), script.to_owned())),
    }
}

/// Neighbour discovery is `ICMPv6` and must pass where ARP does.
const ND_PASSES: &str = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n";
