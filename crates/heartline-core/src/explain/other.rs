//! Ends that are neither probes of the SSH layer nor TCP's: dropbear's idle timeout, autossh's monitor, a peer that
//! says so.

use std::time::Duration;

use super::banner::Implementation;
use super::ending::{Ending, Mechanism};
use super::scene::{Fault, KeepAliveSetting, Scene};
use super::span::Span;

/// dropbear's `-I`: so long without data, after a fault or (`is_well`) on a connection that is well. Keepalives are no
/// data to it, its own or the other end's.
pub(super) fn idle_timeout(scene: &Scene, is_well: bool) -> Option<Ending> {
    if scene.software.implementation != Implementation::Dropbear || scene.idle_timeout == 0 {
        return None;
    }
    let timeout = Duration::from_secs(scene.idle_timeout.into());
    let holds_off = |every: Option<Duration>| every.is_some_and(|every| every < timeout);
    if holds_off(scene.own_writes()) || (is_well && holds_off(scene.peer_writes())) {
        return None;
    }
    let after_data = Span::new(timeout.saturating_sub(SECOND), timeout);
    let age = scene.peer_writes().unwrap_or(timeout);
    let after_fault = Span::new(after_data.min().saturating_sub(age), timeout);
    Some(Ending::sure(
        Mechanism::IdleTimeout,
        after_data,
        after_fault,
    ))
}

/// autossh with `-M port`: every `AUTOSSH_POLL` a test goes through the connection and back; it is given half of that,
/// 15 s at most.
pub(super) fn autossh(scene: &Scene) -> Option<Ending> {
    if scene.software.implementation != Implementation::Autossh {
        return None;
    }
    let seconds = scene.pair().interval;
    if seconds == 0 {
        return None;
    }
    let poll = Duration::from_secs(seconds.into());
    let patience = (poll / 2).min(AUTOSSH_PATIENCE);
    let most = poll.saturating_add(patience);
    let after_fault = Span::new(patience, most);
    Some(Ending::sure(
        Mechanism::AutosshMonitor,
        Span::exact(most),
        after_fault,
    ))
}

/// The other end, or somebody in its name, says that it is over.
pub(super) fn peer(scene: &Scene, own_every: Option<Duration>) -> Option<Ending> {
    let after_fault = match scene.fault {
        Fault::Closed | Fault::Reset => Span::exact(Duration::ZERO),
        Fault::ResetOnSend => {
            let kernel = match scene.tcp.keep_alive {
                KeepAliveSetting::Yes(kernel) => Some(Duration::from_secs(kernel.time.into())),
                KeepAliveSetting::Unsaid | KeepAliveSetting::No => None,
            };
            Span::new(
                Duration::ZERO,
                [own_every, kernel].into_iter().flatten().min()?,
            )
        }
        Fault::Silence | Fault::Frozen | Fault::CommandHung => return None,
    };
    Some(Ending::sure(Mechanism::Peer, after_fault, after_fault))
}

const SECOND: Duration = Duration::from_secs(1);
const AUTOSSH_PATIENCE: Duration = Duration::from_secs(15);
