//! What this machine knows of the sessions that come from it.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use super::tcp::{Order, Socket, State};

/// This machine's connections at one moment.
#[derive(Clone, Debug)]
pub struct Here {
    sockets: Vec<Socket>,
    forwards_v4: bool,
    forwards_v6: bool,
}

impl Here {
    /// Looks; none, where the kernel does not show them.
    pub fn look() -> Option<Self> {
        let tables: Vec<_> = ["tcp", "tcp6"]
            .iter()
            .filter_map(|name| fs::read_to_string(format!("/proc/thread-self/net/{name}")).ok())
            .collect();
        if tables.is_empty() {
            return None;
        }
        let lines = tables.iter().flat_map(|table| table.lines());
        Some(Self {
            sockets: lines
                .filter_map(|line| Socket::of_proc(line, Order::OURS))
                .collect(),
            forwards_v4: forwards("ipv4/ip_forward"),
            forwards_v6: forwards("ipv6/conf/all/forwarding"),
        })
    }

    /// Whether this is a connection of ours, and nobody on the way has given it other addresses.
    pub(super) fn is_ours(&self, client: SocketAddr, server: SocketAddr) -> bool {
        let mut all = self.sockets.iter();
        all.any(|socket| socket.state == State::Established && socket.joins(client, server))
    }

    /// Whether somebody here has a connection from this address and port.
    pub(super) fn holds(&self, client: SocketAddr) -> bool {
        let mut all = self.sockets.iter();
        all.any(|socket| {
            let is_had = matches!(socket.state, State::Established | State::CloseWait);
            is_had && socket.local == client
        })
    }

    /// Whether others may be behind an address of ours, whose connections we do not see.
    pub(super) fn forwards(&self, address: IpAddr) -> bool {
        if address.is_ipv4() {
            self.forwards_v4
        } else {
            self.forwards_v6
        }
    }

    #[cfg(test)]
    pub(super) fn of(sockets: Vec<Socket>, forwards_v4: bool) -> Self {
        Self {
            sockets,
            forwards_v4,
            forwards_v6: false,
        }
    }
}

/// What cannot be read may be so.
fn forwards(key: &str) -> bool {
    let set = fs::read_to_string(format!("/proc/sys/net/{key}"));
    set.map_or(true, |set| set.trim() != "0")
}
