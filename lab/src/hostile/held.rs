//! Whether a process still holds a TCP socket, as the kernel tells.

use std::fmt::Write as _;
use std::net::{SocketAddr, SocketAddrV4};

use anyhow::{Context, Result, bail};

/// Whether some process has the socket open that is bound to `local` and connected to `remote`.
///
/// A socket that was closed may live on in the kernel, to deliver what was sent; it belongs to
/// nobody then. IPv4 only, in this network namespace.
pub fn is_held(local: SocketAddr, remote: SocketAddr) -> Result<bool> {
    let (SocketAddr::V4(local), SocketAddr::V4(remote)) = (local, remote) else {
        bail!("only sockets of IPv4 can be looked up: {local}, {remote}");
    };
    let table = std::fs::read_to_string("/proc/net/tcp").context("cannot read /proc/net/tcp")?;
    Ok(find(&table, local, remote))
}

/// `proc_net_tcp.txt`: `sl local remote st tx:rx tr:when retransmits uid timeout inode …`; the inode
/// of a socket that nobody holds is 0.
fn find(table: &str, local: SocketAddrV4, remote: SocketAddrV4) -> bool {
    let (local, remote) = (as_kernel_writes(local), as_kernel_writes(remote));
    table.lines().skip(1).any(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        words.next() == Some(&local)
            && words.next() == Some(&remote)
            && words.nth(6).is_some_and(|inode| inode != "0")
    })
}

/// The address as the word it is in memory, in hexadecimal; the port as a number.
fn as_kernel_writes(addr: SocketAddrV4) -> String {
    let mut text = format!("{:08X}", u32::from_ne_bytes(addr.ip().octets()));
    // Writing to a String cannot fail.
    let _ = write!(text, ":{:04X}", addr.port());
    text
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::is_held;

    #[test]
    fn an_open_socket_is_held_and_a_closed_one_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        assert!(is_held(local, remote).unwrap());
        let _server = listener.accept().unwrap();
        assert!(is_held(remote, local).unwrap());
        drop(client);
        assert!(!is_held(local, remote).unwrap());
    }
}
