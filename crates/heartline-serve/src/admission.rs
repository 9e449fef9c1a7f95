//! How many connections there may be: in all, before their login, and from one source.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connections: NonZeroUsize,
    pub(crate) unauthenticated: NonZeroUsize,
    pub(crate) per_source: NonZeroUsize,
}

/// Counts connections and turns away those over a limit.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    counts: Mutex<Counts>,
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            counts: Mutex::default(),
        })
    }

    /// Lets a connection in, counted until its ticket is dropped.
    pub(crate) fn admit(self: &Arc<Self>, addr: IpAddr) -> Result<Ticket, Refusal> {
        let source = Source::of(addr);
        let mut counts = self.counts();
        if counts.connections >= self.limits.connections.get() {
            return Err(Refusal::Connections);
        }
        if counts.unauthenticated >= self.limits.unauthenticated.get() {
            return Err(Refusal::Unauthenticated);
        }
        let from_here = counts.sources.get(&source).copied().unwrap_or(0);
        if from_here >= self.limits.per_source.get() {
            return Err(Refusal::Source);
        }
        counts.connections += 1;
        counts.unauthenticated += 1;
        counts.sources.insert(source, from_here + 1);
        Ok(Ticket {
            admission: Arc::clone(self),
            source,
            unauthenticated: true,
        })
    }

    /// A panic elsewhere cannot leave the counts half changed.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among the counted.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    source: Source,
    unauthenticated: bool,
}

impl Ticket {
    /// The login succeeded: make room for another stranger.
    pub(crate) fn authenticated(&mut self) {
        if std::mem::take(&mut self.unauthenticated) {
            let mut counts = self.admission.counts();
            counts.unauthenticated = counts.unauthenticated.saturating_sub(1);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.authenticated();
        let mut counts = self.admission.counts();
        counts.connections = counts.connections.saturating_sub(1);
        if let Entry::Occupied(mut from_here) = counts.sources.entry(self.source) {
            *from_here.get_mut() -= 1;
            if *from_here.get() == 0 {
                from_here.remove();
            }
        }
    }
}

/// Which limit turned a connection away; shown by the name of its setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Connections,
    Unauthenticated,
    Source,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connections => "max_connections",
            Self::Unauthenticated => "max_unauthenticated",
            Self::Source => "max_per_source",
        })
    }
}

#[derive(Debug, Default)]
struct Counts {
    connections: usize,
    unauthenticated: usize,
    /// As many as there are connections, at most.
    sources: HashMap<Source, usize>,
}

/// Who can be told apart: an IPv4 address, or the IPv6 /64 that a single customer gets whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4(u32),
    V6(u128),
}

impl Source {
    fn of(addr: IpAddr) -> Self {
        match addr.to_canonical() {
            IpAddr::V4(addr) => Self::V4(addr.to_bits()),
            IpAddr::V6(addr) => Self::V6(addr.to_bits() >> 64),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::num::NonZeroUsize;

    use super::{Admission, Limits, Refusal};

    fn admission(connections: usize, unauthenticated: usize, per_source: usize) -> Limits {
        let limit = |n| NonZeroUsize::new(n).unwrap();
        Limits {
            connections: limit(connections),
            unauthenticated: limit(unauthenticated),
            per_source: limit(per_source),
        }
    }

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_limit_turns_away_and_a_dropped_ticket_makes_room() {
        let admission = Admission::new(admission(3, 2, 2));
        let mut first = admission.admit(addr("10.0.0.1")).unwrap();
        let second = admission.admit(addr("10.0.0.1")).unwrap();
        assert_eq!(
            admission.admit(addr("10.0.0.2")).unwrap_err(),
            Refusal::Unauthenticated
        );
        first.authenticated();
        first.authenticated();
        assert_eq!(
            admission.admit(addr("::ffff:10.0.0.1")).unwrap_err(),
            Refusal::Source
        );
        let mut third = admission.admit(addr("10.0.0.2")).unwrap();
        third.authenticated();
        assert_eq!(
            admission.admit(addr("10.0.0.3")).unwrap_err(),
            Refusal::Connections
        );
        drop(second);
        drop(first);
        drop(third);
        let counts = admission.counts();
        assert_eq!((counts.connections, counts.unauthenticated), (0, 0));
        assert!(counts.sources.is_empty());
    }

    #[test]
    fn one_ipv6_customer_is_one_source() {
        let admission = Admission::new(admission(9, 9, 1));
        let _held = admission.admit(addr("2001:db8:0:7::1")).unwrap();
        assert_eq!(
            admission.admit(addr("2001:db8:0:7:ffff::9")).unwrap_err(),
            Refusal::Source
        );
        assert!(admission.admit(addr("2001:db8:0:8::1")).is_ok());
    }
}
