//! A socket that hears what the kernel says to everybody.

use std::future::poll_fn;
use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket};

use crate::heard::{Message, messages};

/// Hears some groups. What is not read stays with the kernel, in a buffer of fixed size.
pub(crate) struct Tap {
    socket: TokioSocket,
    buffer: Vec<u8>,
    /// Waiting has brought this, which is to be taken in.
    brought: Option<io::Result<SocketAddr>>,
    /// The kernel has dropped messages, and drops all further ones until there is nothing left to read.
    has_overrun: bool,
}

/// How far reading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// There is no more.
    Dry,
    /// There is more.
    Wet,
    /// There is no more, and some was lost.
    Overrun,
}

impl Tap {
    /// Opens a socket in the calling thread's network namespace. A group that the kernel does not know is left out.
    pub(crate) fn open(groups: &[u32]) -> io::Result<Self> {
        let mut tap = TokioSocket::new(NETLINK_ROUTE)?;
        let socket = tap.socket_mut();
        socket.bind(&SocketAddr::new(0, 0))?;
        // As much of it as the system allows (net.core.rmem_max).
        socket.set_rx_buf_sz(KERNEL_BUFFER)?;
        for group in groups {
            match socket.add_membership(*group) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
                joined => joined?,
            }
        }
        Ok(Self {
            socket: tap,
            buffer: Vec::with_capacity(BUFFER),
            brought: None,
            has_overrun: false,
        })
    }

    /// Waits until there is something to drain. Cancel-safe.
    pub(crate) async fn ready(&mut self) {
        if self.brought.is_none() {
            self.buffer.clear();
            let (socket, buffer) = (&self.socket, &mut self.buffer);
            self.brought = Some(poll_fn(|context| socket.poll_recv_from(context, buffer)).await);
        }
    }

    /// Reads without waiting, at most so many datagrams, and gives every message of the kernel's to `each`.
    pub(crate) fn drain(
        &mut self,
        most: usize,
        mut each: impl FnMut(Message<'_>),
    ) -> io::Result<Drained> {
        let mut read = 0;
        // Until it is empty nothing new comes in after an overrun, so that this ends.
        while read < most || self.has_overrun {
            let received = self.brought.take().unwrap_or_else(|| {
                // Not by what the runtime knows of readiness: it may not have looked for a while.
                self.buffer.clear();
                let socket = self.socket.socket_ref();
                let received = socket.recv_from(&mut self.buffer, libc::MSG_DONTWAIT);
                received.map(|(_, sender)| sender)
            });
            match received {
                Ok(sender) => {
                    read += 1;
                    // What fills it may have been cut off.
                    self.has_overrun |= self.buffer.len() == self.buffer.capacity();
                    // Only the kernel is believed.
                    if sender.port_number() == 0 {
                        messages(&self.buffer).for_each(&mut each);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let overrun = std::mem::take(&mut self.has_overrun);
                    return Ok(if overrun {
                        Drained::Overrun
                    } else {
                        Drained::Dry
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.has_overrun = true;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Drained::Wet)
    }
}

/// Longer than any message the kernel sends unasked.
const BUFFER: usize = 64 * 1024;
/// Bytes that the kernel may keep for us.
const KERNEL_BUFFER: libc::c_int = 1024 * 1024;
