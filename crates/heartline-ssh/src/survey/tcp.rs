//! TCP connections, as `ss` or `/proc/net/tcp` shows them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// One connection, or a socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) local: SocketAddr,
    /// Nothing useful, if it listens.
    pub(super) peer: SocketAddr,
    pub(super) state: State,
    /// The user who has made it.
    pub(super) user: u32,
    /// Times that what the kernel asks its peer has gone unanswered in a row: data, a closed window, a keepalive.
    pub(super) unanswered: u32,
    /// Since it was last heard, by data or by an acknowledgement; none: not told.
    pub(super) heard: Option<Duration>,
}

/// As far as it matters to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Somebody has it.
    Established,
    /// Its peer has closed it; somebody has it still.
    CloseWait,
    /// Nobody has it any more.
    Closing,
    Listen,
}

/// The order of bytes in which a kernel prints addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// Of this machine.
    pub(super) const OURS: Self = if cfg!(target_endian = "big") {
        Self::Big
    } else {
        Self::Little
    };
}

impl Socket {
    /// A first line of `ss -tanoe`.
    pub(super) fn of_ss(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let state = match words.next()? {
            "ESTAB" => State::Established,
            "CLOSE-WAIT" => State::CloseWait,
            "LISTEN" => State::Listen,
            "FIN-WAIT-1" | "FIN-WAIT-2" | "LAST-ACK" | "CLOSING" | "TIME-WAIT" => State::Closing,
            _ => return None,
        };
        let mut queue = || words.next()?.parse::<u64>().ok();
        let _ = (queue()?, queue()?);
        let mut address = || endpoint(words.next()?);
        let (local, peer) = (address()?, address()?);
        let mut socket = Self {
            local,
            peer,
            state,
            user: 0,
            unanswered: 0,
            heard: None,
        };
        for word in words {
            if let Some(user) = word.strip_prefix("uid:") {
                socket.user = user.parse().ok()?;
            } else if let Some(timer) = word.strip_prefix("timer:(") {
                let count = timer.strip_suffix(')')?.rsplit(',').next()?;
                socket.unanswered = count.parse().ok()?;
            }
        }
        Some(socket)
    }

    /// A second line of `ss -i`, which begins with a blank. It leaves out what is nought.
    pub(super) fn learn(&mut self, line: &str) {
        let since = |name: &str| -> Option<u64> {
            let mut words = line.split_ascii_whitespace();
            words.find_map(|word| word.strip_prefix(name)?.parse().ok())
        };
        // Only what has been in use tells how; older kernels and releases of `ss` tell less.
        if since("lastsnd:").is_some() || since("lastrcv:").is_some() || since("lastack:").is_some()
        {
            let (data, ack) = (since("lastrcv:"), since("lastack:"));
            let heard = data.unwrap_or(0).min(ack.unwrap_or(0));
            self.heard = Some(Duration::from_millis(heard));
        }
    }

    /// A line of `/proc/net/tcp` or `/proc/net/tcp6`.
    pub(super) fn of_proc(line: &str, order: Order) -> Option<Self> {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let [number, local, peer, state, _, timer, sent, user, probes, ..] = words.as_slice()
        else {
            return None;
        };
        let _: u32 = number.strip_suffix(':')?.parse().ok()?;
        let state = match *state {
            "01" => State::Established,
            "04" | "05" | "06" | "09" | "0B" => State::Closing,
            "08" => State::CloseWait,
            "0A" => State::Listen,
            _ => return None,
        };
        let sent = u32::from_str_radix(sent, 16).ok()?;
        let probes: u32 = probes.parse().ok()?;
        let (kind, _) = timer.split_once(':')?;
        Some(Self {
            local: hex_endpoint(local, order)?,
            peer: hex_endpoint(peer, order)?,
            state,
            user: user.parse().ok()?,
            unanswered: if kind == "01" { sent } else { probes },
            heard: None,
        })
    }

    /// Whether it is a connection between these two.
    pub(super) fn joins(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        self.state != State::Listen && self.local == local && self.peer == peer
    }
}

/// An address as it is compared: IPv4 as such, and without a scope.
pub(super) fn endpoint_of(address: &str, port: &str) -> Option<SocketAddr> {
    let address = address.split_once('%').map_or(address, |(bare, _)| bare);
    let address: IpAddr = address.parse().ok()?;
    Some(SocketAddr::new(address.to_canonical(), port.parse().ok()?))
}

/// `10.0.0.1:22`, `10.0.0.1%eth0:22`, `[fe80::1]%eth0:22`, `*:22`.
fn endpoint(word: &str) -> Option<SocketAddr> {
    let (address, port) = word.rsplit_once(':')?;
    let port = if port == "*" { "0" } else { port };
    if address == "*" {
        return endpoint_of("::", port);
    }
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .map_or(address, |(bare, _)| bare);
    endpoint_of(bare, port)
}

/// Words of 32 bits, each in the kernel's own order; then the port.
fn hex_endpoint(word: &str, order: Order) -> Option<SocketAddr> {
    let (address, port) = word.split_once(':')?;
    let mut bytes = Vec::with_capacity(16);
    for at in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?;
        bytes.extend(match order {
            Order::Little => word.to_le_bytes(),
            Order::Big => word.to_be_bytes(),
        });
    }
    let port = u16::from_str_radix(port, 16).ok()?;
    let address = if let Ok(v4) = <[u8; 4]>::try_from(bytes.as_slice()) {
        IpAddr::V4(Ipv4Addr::from(v4))
    } else {
        IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))
    };
    Some(SocketAddr::new(address.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_connection_is_read_off_ss() {
        let line =
            "ESTAB 0 36 10.77.1.2:22 10.77.1.1:51234 timer:(on,12sec,5) uid:105 ino:1 sk:2 <->";
        let mut socket = Socket::of_ss(line).unwrap();
        let (local, peer) = (at("10.77.1.2:22"), at("10.77.1.1:51234"));
        assert!(socket.joins(local, peer));
        assert_eq!(
            (socket.user, socket.unanswered, socket.heard),
            (105, 5, None)
        );
        socket.learn("\t cubic rto:204 lastsnd:100 lastrcv:7000 lastack:6000 unacked:1");
        assert_eq!(socket.heard, Some(Duration::from_secs(6)));
        socket.learn("\t cubic rto:204 lastsnd:100 lastrcv:7000");
        assert_eq!(
            socket.heard,
            Some(Duration::ZERO),
            "what is nought is left out"
        );
        for (word, wanted) in [
            ("[::ffff:10.0.0.1]:22", "10.0.0.1:22"),
            ("[fe80::1]%eth0:22", "[fe80::1]:22"),
            ("10.0.0.1%eth0:22", "10.0.0.1:22"),
            ("*:22", "[::]:22"),
            ("0.0.0.0:*", "0.0.0.0:0"),
        ] {
            assert_eq!(endpoint(word), Some(at(wanted)), "{word}");
        }
    }

    #[test]
    fn a_connection_is_read_off_proc_in_either_order() {
        let rest = "01 00000000:00000000 02:000AF8D2 00000000     0        3 5569519 2";
        let little = format!("   1: 02014D0A:0016 01014D0A:C822 {rest}");
        let big = format!("   1: 0A4D0102:0016 0A4D0101:C822 {rest}");
        for (line, order) in [(little, Order::Little), (big, Order::Big)] {
            let socket = Socket::of_proc(&line, order).unwrap();
            assert!(socket.joins(at("10.77.1.2:22"), at("10.77.1.1:51234")));
            assert_eq!(socket.unanswered, 3);
        }
        let mapped = format!(
            "2: 0000000000000000FFFF000002014D0A:0016 0000000000000000FFFF000001014D0A:C822 {}",
            rest.replace("02:", "01:").replacen("0 2", "9 2", 1)
        );
        let socket = Socket::of_proc(&mapped, Order::Little).unwrap();
        assert!(socket.joins(at("10.77.1.2:22"), at("10.77.1.1:51234")));
        assert_eq!(socket.unanswered, 0);
    }

    proptest! {
        #[test]
        fn takes_any_line(line: String, like in "(ESTAB|[0-9]:)( [0-9A-F:.*,()a-z]{1,40}){2,12}") {
            for line in [line, like] {
                if let Some(mut socket) = Socket::of_ss(&line) {
                    socket.learn(&line);
                }
                let _ = Socket::of_proc(&line, Order::OURS);
            }
        }
    }
}
