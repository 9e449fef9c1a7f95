//! `ClientAlive`: asks a client that is silent for a sign of life, and tells when none has come for
//! too long. The rule is core's ([`Alive`]); this gives it the time and carries out what it says.
//!
//! # What a probe is
//! A `cancel-tcpip-forward` request that wants a reply. sshd probes with `keepalive@openssh.com`, but
//! russh lets nobody outside its loop send that: `Session::keepalive_request` can only be reached
//! in a handler's callback, and no callback runs while the client is silent; its own timer
//! (`keepalive_interval`) also fires between key exchange and login, where OpenSSH's client takes
//! any such request for a fatal error. What russh's handle can ask of a client is to open a channel,
//! which some client might do, or the two requests of RFC 4254, section 7.1. Both are the client's
//! to send; one that gets them "SHOULD reject these messages", and does, as it answers every request
//! that it does not know: with `REQUEST_FAILURE`. Of the two, this one asks for nothing even of a
//! client that would do as it is told.
//!
//! What the reply says does not matter, nor whether it is one: whatever the client sends resets the
//! rule ([`Heard`]).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use heartline_core::{Alive, AliveRule, AliveStep};
use russh::server::Handle;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::heard::Heard;

/// A client said nothing for the whole bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Silence {
    /// Since its last sign of life.
    pub(crate) lasted: Duration,
    /// How often it was asked for one.
    pub(crate) probes: u32,
}

/// Pends until the bound of `rule` has passed since the client's last sign of life, and asks for one
/// meanwhile. For a session that is logged in.
pub(crate) async fn silence(
    rule: AliveRule,
    clock: Clock,
    heard: &Heard,
    handle: Handle,
) -> Silence {
    let mut alive = Alive::new(rule, heard.last());
    let mut probes = Probes::new(handle);
    while let Some(due) = alive.poll_timeout() {
        sleep(due.saturating_since(clock.now())).await;
        // What arrived while this process did not run is read first.
        yield_now().await;
        yield_now().await;
        alive.handle_life(heard.last());
        match alive.handle_timeout(clock.now()) {
            Some(AliveStep::Probe) => probes.send(),
            Some(AliveStep::End) => break,
            None => {}
        }
    }
    let now = clock.now();
    Silence {
        lasted: now.saturating_since(alive.last_life()),
        probes: alive.unanswered(now),
    }
}

/// Sends probes, and sees to it that no client owes replies without end: russh keeps a place for each
/// until it comes.
struct Probes {
    handle: Handle,
    /// The oldest probe without a reply, as far as was looked.
    oldest: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Probes since it, itself included.
    owed: u32,
}

impl Probes {
    fn new(handle: Handle) -> Self {
        Self {
            handle,
            oldest: None,
            owed: 0,
        }
    }

    /// Never waits. Where russh does not get to send it, in a rekey or with a full send buffer, one
    /// probe stays in its queue and those after it are dropped.
    fn send(&mut self) {
        // Replies come in order. Looked at only now, since a reply is no reason to wake up.
        if self.oldest.as_mut().is_some_and(is_ready) {
            self.oldest = None;
            self.owed = 0;
        }
        if self.owed >= MOST_OWED {
            return;
        }
        let handle = self.handle.clone();
        let mut probe: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            // Both a refusal and a session that is over are errors, and neither matters here.
            let _ = handle.cancel_forward_tcpip(String::new(), 0).await;
        });
        // Queues it, if there is room. Ready at once it can only be when the session is over.
        if !is_ready(&mut probe) {
            self.oldest.get_or_insert(probe);
            self.owed += 1;
        }
    }
}

/// Polls it once; it wakes nobody.
fn is_ready(future: &mut Pin<Box<dyn Future<Output = ()> + Send>>) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    matches!(future.as_mut().poll(&mut cx), Poll::Ready(()))
}

/// A client that answers no probe, though it lives, is asked no more after so many: it stays as long as
/// it speaks by itself. RFC 4254, section 4, obliges it to answer.
const MOST_OWED: u32 = 1024;
