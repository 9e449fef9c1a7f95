//! A router between two machines: forwarding of both families, and masquerading with a memory
//! (connection tracking) that can be made as short as that of a cheap firewall.

use std::time::Duration;

use anyhow::Result;

use crate::host::Host;
use crate::tool::{self, Batch};

/// A router. Clones are the same router.
#[derive(Debug, Clone)]
pub struct Router(Host);

/// How a router translates addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nat {
    /// After this idle time an established connection is forgotten; whole seconds, at least 1.
    /// Linux's default is 5 days (`nf_conntrack_tcp_timeout_established`).
    pub forgets_after: Duration,
    /// Whether a connection it does not know is taken up again when a segment from inside passes
    /// (`nf_conntrack_tcp_loose`; Linux's default is to do so). If not, such segments are dropped.
    pub takes_up_again: bool,
    /// What the node's side gets when it writes to a connection that was forgotten.
    pub stranger: Stranger,
}

/// What a router does with TCP segments from the node's side that belong to no known connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// Nothing is answered.
    Dropped,
    /// The router's own TCP answers RST.
    Reset,
}

impl Router {
    pub(crate) fn create(name: &str, lab: &str, ipv6: bool) -> Result<Self> {
        let host = Host::create(name, lab, ipv6)?;
        host.sysctl("net.ipv4.ip_forward", "1")?;
        if ipv6 {
            host.sysctl("net.ipv6.conf.all.forwarding", "1")?;
        }
        Ok(Self(host))
    }

    /// The machine it runs on.
    pub fn host(&self) -> &Host {
        &self.0
    }

    /// Hides the watcher's side behind the router's own addresses from now on, as `nat` says.
    pub fn masquerade(&self, nat: Nat) -> Result<()> {
        let seconds = nat.forgets_after.as_secs().max(1);
        let mut rules = String::from(
            "add table inet nat\ndelete table inet nat\ntable inet nat {\n\
             chain out {\ntype nat hook postrouting priority 100; policy accept;\n\
             oifname \"rn*\" masquerade\n}\n",
        );
        if !nat.takes_up_again {
            rules += "chain through {\ntype filter hook forward priority 0; policy accept;\n\
                      ct state invalid drop\n}\n";
        }
        if nat.stranger == Stranger::Dropped {
            rules += "chain own {\ntype filter hook input priority 0; policy accept;\n\
                      iifname \"rn*\" meta l4proto tcp drop\n}\n";
        }
        rules += "}\n";
        let mut batch = Batch::default();
        batch.nft(self.0.namespace(), rules);
        tool::run_together(batch)?;
        // The settings exist once a rule needs connection tracking.
        let loose = if nat.takes_up_again { "1" } else { "0" };
        self.0
            .sysctl("net.netfilter.nf_conntrack_tcp_loose", loose)?;
        // Data in flight has a memory of its own; the shorter one of the two wins.
        for state in ["established", "max_retrans", "unacknowledged"] {
            let key = format!("net.netfilter.nf_conntrack_tcp_timeout_{state}");
            self.0.sysctl(&key, &seconds.to_string())?;
        }
        Ok(())
    }
}
