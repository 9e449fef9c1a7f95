//! Cables: a veth pair between two machines, or two with a router between them, or one to a router
//! that is shared by what lies behind it; and addresses of both families at both ends.
//!
//! The `n`-th cable of a lab (from 1) is 10.77.n.0/24 and `fd77:0:0:n::/64`; the side that dials
//! has .1, the node .2. Behind a router the node's side is 10.77.(n+128).0/24 and so on, with the
//! router as .254 on both. An uplink and the cables behind it each have a number of their own, and
//! the router is .254 on all of them. Labs are separate networks, so all use the same addresses.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;

use crate::fault::{self, Fault};
use crate::host::Host;
use crate::router::Router;
use crate::tool::{self, Batch, Span};

/// A cable. Clones are the same cable.
#[derive(Debug, Clone)]
pub struct Cable(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    number: u8,
    watcher: Plug,
    node: Plug,
    router: Option<Router>,
    faults: Mutex<Vec<Fault>>,
}

/// One of the two ends of a cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The side that dials: the watcher, or a jump host.
    Watcher,
    /// The side that is dialled.
    Node,
}

/// Where a cable enters a machine.
#[derive(Debug, Clone)]
pub struct Plug {
    /// The machine.
    pub host: Host,
    /// The interface there.
    pub ifname: String,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address; `None` if this kernel has no IPv6.
    pub v6: Option<Ipv6Addr>,
    /// Networks reached through a router, with the router's addresses.
    gateways: Vec<Gateway>,
}

#[derive(Debug, Clone)]
struct Gateway {
    /// The number of the network; `None` for all of the lab's that no cable leads to.
    subnet: Option<u8>,
    via: u8,
}

impl Cable {
    /// Lays a cable straight from one machine to the other.
    pub(crate) fn direct(number: u8, from: &Host, to: &Host) -> Result<Self> {
        let watcher = Plug::new(from, format!("w{number}"), number, 1);
        let node = Plug::new(to, format!("n{number}"), number, 2);
        connect(&watcher, &node)?;
        Self::up(number, watcher, node, None)
    }

    /// Lays a cable from one machine to the router and on to the other.
    pub(crate) fn routed(number: u8, from: &Host, router: &Router, to: &Host) -> Result<Self> {
        let behind = number + BEHIND_ROUTER;
        let mut watcher = Plug::new(from, format!("w{number}"), number, 1);
        let mut node = Plug::new(to, format!("n{number}"), behind, 2);
        let (near, far) = (format!("rw{number}"), format!("rn{number}"));
        let near = Plug::new(router.host(), near, number, ROUTER_HOST);
        let far = Plug::new(router.host(), far, behind, ROUTER_HOST);
        connect(&watcher, &near)?;
        connect(&far, &node)?;
        watcher.gateways.push(Gateway {
            subnet: Some(behind),
            via: number,
        });
        node.gateways.push(Gateway {
            subnet: Some(number),
            via: behind,
        });
        let mut batch = Batch::default();
        batch.ip(
            router.host().namespace(),
            format!("{}{}", near.up_script(), far.up_script()),
        );
        tool::run_together(batch)?;
        Self::up(number, watcher, node, Some(router.clone()))
    }

    /// Lays a cable from one machine to a router, which has the node's end of it.
    pub(crate) fn uplink(number: u8, from: &Host, router: &Router) -> Result<Self> {
        let mut watcher = Plug::new(from, format!("w{number}"), number, 1);
        let near = Plug::new(router.host(), format!("rw{number}"), number, ROUTER_HOST);
        watcher.gateways.push(Gateway {
            subnet: None,
            via: number,
        });
        connect(&watcher, &near)?;
        Self::up(number, watcher, near, Some(router.clone()))
    }

    /// Lays a cable from the router of an uplink, which has the watcher's end of it, to a machine.
    pub(crate) fn behind(number: u8, uplink: &Self, to: &Host) -> Result<Self> {
        let router = &uplink.end(End::Node).host;
        let far = Plug::new(router, format!("rn{number}"), number, ROUTER_HOST);
        let mut node = Plug::new(to, format!("n{number}"), number, 2);
        node.gateways.push(Gateway {
            subnet: Some(uplink.number()),
            via: number,
        });
        connect(&far, &node)?;
        Self::up(number, far, node, uplink.router().cloned())
    }

    fn up(number: u8, watcher: Plug, node: Plug, router: Option<Router>) -> Result<Self> {
        let mut batch = Batch::default();
        batch.ip(watcher.host.namespace(), watcher.up_script());
        batch.ip(node.host.namespace(), node.up_script());
        tool::run_together(batch)?;
        let faults = Mutex::default();
        Ok(Self(Arc::new(Inner {
            number,
            watcher,
            node,
            router,
            faults,
        })))
    }

    /// Its number in the lab, from 1.
    pub fn number(&self) -> u8 {
        self.0.number
    }

    /// Where it enters the machine at `end`.
    pub fn end(&self, end: End) -> &Plug {
        match end {
            End::Watcher => &self.0.watcher,
            End::Node => &self.0.node,
        }
    }

    /// The node's IPv4 address: what a watcher dials. Of an uplink it is the router's.
    pub fn v4(&self) -> Ipv4Addr {
        self.0.node.v4
    }

    /// The node's IPv6 address, if this kernel has IPv6.
    pub fn v6(&self) -> Option<Ipv6Addr> {
        self.0.node.v6
    }

    /// The node's addresses, IPv4 first.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let v4 = IpAddr::V4(self.v4());
        std::iter::once(v4)
            .chain(self.v6().map(IpAddr::V6))
            .collect()
    }

    /// The interface at the watcher's end.
    pub fn watcher_interface(&self) -> &str {
        &self.0.watcher.ifname
    }

    /// The router in the middle, if there is one.
    pub fn router(&self) -> Option<&Router> {
        self.0.router.as_ref()
    }

    /// Puts a fault on the cable, beside those it already has. Returns when it was in force.
    pub fn inject(&self, fault: Fault) -> Result<Span> {
        fault::inject_all(&[(self, fault)])
    }

    /// Takes all faults off the cable and mends both ends. Returns when that was done.
    pub fn heal(&self) -> Result<Span> {
        fault::heal_all(&[self])
    }

    /// The faults in force.
    pub fn faults(&self) -> Vec<Fault> {
        self.lock_faults().clone()
    }

    pub(crate) fn lock_faults(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plug {
    fn new(host: &Host, ifname: String, subnet: u8, number: u8) -> Self {
        let v4 = v4(subnet, number);
        let v6 = host.ipv6().then(|| v6(subnet, number));
        Self {
            host: host.clone(),
            ifname,
            v4,
            v6,
            gateways: Vec::new(),
        }
    }

    /// `ip -batch` lines that bring the interface, its addresses and its routes to the state they
    /// should have, from whatever state they are in.
    pub(crate) fn up_script(&self) -> String {
        let Self { ifname, v4, v6, .. } = self;
        let net4 = Ipv4Addr::from_bits(v4.to_bits() & !0xff);
        // Taking a link down flushes its routes and its IPv6 addresses, so all of it is replaced.
        let mut script = format!(
            "link set {ifname} up\n\
             addr replace {v4}/24 dev {ifname}\n\
             route replace {net4}/24 dev {ifname} proto kernel scope link src {v4}\n"
        );
        if let Some(v6) = v6 {
            let net6 = Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX));
            let _ = write!(
                script,
                "addr replace {v6}/64 dev {ifname} nodad\n\
                 route replace {net6}/64 dev {ifname} proto kernel metric 256\n"
            );
        }
        for Gateway { subnet, via } in &self.gateways {
            let (to4, to6) = match subnet {
                Some(subnet) => (v4_net(*subnet), v6_net(*subnet)),
                None => (ALL_V4.to_owned(), ALL_V6.to_owned()),
            };
            let via4 = self::v4(*via, ROUTER_HOST);
            let _ = writeln!(script, "route replace {to4} via {via4} dev {ifname}");
            if v6.is_some() {
                let via6 = self::v6(*via, ROUTER_HOST);
                let _ = writeln!(script, "route replace {to6} via {via6} dev {ifname}");
            }
        }
        script
    }

    /// Lines that take the addresses away. Routes made by hand do not go with them as the kernel's
    /// own would: see [`Plug::routes_removed`].
    pub(crate) fn addresses_removed(&self) -> String {
        // `flush` is content with what is gone already, as IPv6 addresses are once a link is down.
        format!("addr flush dev {} scope global\n", self.ifname)
    }

    /// Adds what takes every route through this interface away. `ip route flush` sees one family
    /// at a time, and a batch cannot change the family.
    pub(crate) fn routes_removed(&self, batch: &mut Batch) {
        let families = [Some(("-4", ALL_V4)), self.v6.map(|_| ("-6", ALL_V6))];
        for (family, all) in families.into_iter().flatten() {
            let flush = format!(
                "ip -n {} {family} route flush root {all} dev {}",
                self.host.namespace(),
                self.ifname
            );
            // A route that it has listed may be gone by itself before it comes to it, with its address.
            let mut command = Command::new("sh");
            command.args(["-c", &format!("{flush} || {flush} || {flush}")]);
            batch.alone(command);
        }
    }

    /// The line that takes the interface down.
    pub(crate) fn link_down(&self) -> String {
        format!("link set {} down\n", self.ifname)
    }
}

/// Makes the veth pair, each end born in its own namespace.
/// The two ends have numbers of their own: of a pair with one number at both ends the kernel tells a lost carrier up to a second late, since
/// it takes them for one interface there (`net/core/link_watch.c`).
fn connect(one: &Plug, other: &Plug) -> Result<()> {
    let (ns, if_name) = (one.host.namespace(), one.ifname.as_str());
    let (peer_ns, peer) = (other.host.namespace(), other.ifname.as_str());
    let [near, far] = [(); 2].map(|()| NEXT_INDEX.fetch_add(1, Ordering::Relaxed).to_string());
    let end = ["ip", "-n", ns, "link", "add", if_name, "index", &near];
    let pair = [
        "type", "veth", "peer", "name", peer, "index", &far, "netns", peer_ns,
    ];
    tool::run_words(&[end.as_slice(), &pair].concat()).map(drop)
}

/// Over all that a namespace has of its own.
static NEXT_INDEX: AtomicU32 = AtomicU32::new(1_000);

fn v4(subnet: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, subnet, host)
}

fn v4_net(subnet: u8) -> String {
    format!("{}/24", v4(subnet, 0))
}

fn v6(subnet: u8, host: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd77, 0, 0, subnet.into(), 0, 0, 0, host.into())
}

fn v6_net(subnet: u8) -> String {
    format!("{}/64", v6(subnet, 0))
}

/// All networks of a lab.
const ALL_V4: &str = "10.77.0.0/16";
/// The same of the other family.
const ALL_V6: &str = "fd77::/16";
/// The highest number a cable can have.
pub(crate) const MAX_CABLES: u8 = BEHIND_ROUTER - 2;
/// Added to a cable's number for the subnet behind its router.
const BEHIND_ROUTER: u8 = 128;
/// A router's host number in both subnets.
const ROUTER_HOST: u8 = 254;
