//! A channel kept open for an sshd that ends connections without one.
//!
//! `UnusedConnectionTimeout` (OpenSSH 9.2 and later) ends a connection that has no open channel, and a bare session
//! channel does not count: sshd calls it larval until something runs in it (channels.c, `channel_still_open`). So the
//! smallest thing that waits is run: `cat`, with its output thrown away there. It ends with the connection.

use std::sync::Weak;
use std::time::Duration;

use russh::client::Handle;
use tracing::debug;

use crate::handler::Listener;

/// Opens such a channel; and, should a `ChannelTimeout` close it, another, until the session is gone or will not.
pub(crate) async fn keep_a_channel(session: Weak<Handle<Listener>>) {
    loop {
        let Some(handle) = session.upgrade() else {
            return;
        };
        let opened = handle.channel_open_session().await;
        drop(handle);
        let mut channel = match opened {
            Ok(channel) => channel,
            Err(error) => {
                debug!(%error, "No channel to hold.");
                return;
            }
        };
        if channel.exec(false, "exec cat >/dev/null").await.is_err() {
            return;
        }
        // What the peer sends is thrown away as it comes, so that it can never fill a buffer and stop the beats.
        while channel.wait().await.is_some() {}
        tokio::time::sleep(PAUSE).await;
    }
}

/// Between two channels: `UnusedConnectionTimeout` is counted in seconds, so this is in time for any of them.
const PAUSE: Duration = Duration::from_millis(200);
