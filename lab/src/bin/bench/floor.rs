//! The floor: what beating costs when there is nothing but the kernel and the cipher.
//!
//! Two processes of this program, one thread each: [`client`] and [`peer`]. As many TCP connections
//! as there are lines, each with a beat a second: 64 bytes sealed by AES-256-GCM one way, opened,
//! sealed and sent back, opened. Beats that are due within the same tick leave together; by default
//! 50 ms, heartline's own slack at this interval. One `epoll_wait` a wake-up, one `read` and one `write` a beat.
//!
//! No SSH, no timers of a line's own, no events, no memory: no client that proves a peer alive over
//! the same connections can do with less, and few should want to come close.

pub(crate) mod client;
pub(crate) mod peer;
mod sealed;

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use lab::{Pid, Running};

/// Both processes of a running floor. Dropping it kills them.
#[derive(Debug)]
pub(crate) struct Floor {
    /// First, so that it goes first.
    client: Running,
    _peer: Running,
    port: u16,
}

impl Floor {
    /// Starts both, and waits until all `n` connections stand.
    pub(crate) fn start(n: usize, tick: u32) -> Result<Self> {
        let mut peer = start("floor-peer", &[])?;
        let said = peer.wait_for("port", CEILING, |_| true)?.text;
        let port: u16 = said.parse().with_context(|| format!("port {said:?}"))?;
        let of = [port.to_string(), n.to_string(), tick.to_string()];
        let [port_flag, n_flag, tick_flag] = of.each_ref().map(String::as_str);
        let flags = ["--port", port_flag, "--n", n_flag, "--tick", tick_flag];
        let mut client = start("floor-client", &flags)?;
        client.wait_for("connections", CEILING, |line| line.text == CONNECTED)?;
        Ok(Self {
            client,
            _peer: peer,
            port,
        })
    }

    /// The process that beats.
    pub(crate) fn pid(&self) -> Pid {
        self.client.pid()
    }

    /// Where its peer listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// Another self. It ends by itself when the pipe to it closes.
fn start(command_name: &str, flags: &[&str]) -> Result<Running> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(command_name).args(flags).stdin(Stdio::piped());
    Running::spawn(command)
}

/// Said by the client when all connections stand.
const CONNECTED: &str = "connected";
/// Between two beats of one connection.
const INTERVAL: Duration = Duration::from_secs(1);
const CEILING: Duration = Duration::from_mins(1);
