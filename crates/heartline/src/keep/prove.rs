//! Whether forwards pass anything: a probe through each, now and then.
//!
//! A probe is a connection like any other, closed as soon as it stands. For `-L` it goes to what the forward leads to; for `-R`
//! from the node to the port that listens there, and so back to us and on to what that leads to; for `-D` to the node's own
//! sshd, which shows that the node connects for us.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use heartline_keep::{Carrier, ForwardState, Stand, Tunnels};
use heartline_ssh::FarEnd;
use heartline_ssh::settings::{Aim, Listen, Side};
use tokio::time::Instant;

use super::tell::Teller;

/// See the module.
pub(super) struct Proving {
    every: Option<Duration>,
    patience: Duration,
    next: Instant,
    found: Arc<Found>,
    /// What was last found of each.
    known: HashMap<usize, Option<String>>,
}

impl Proving {
    pub(super) fn new(every: Option<Duration>, patience: Duration) -> Self {
        Self {
            every,
            patience,
            next: Instant::now(),
            found: Arc::default(),
            known: HashMap::new(),
        }
    }

    /// Sends probes if it is time, and tells what those before have found, where that has changed.
    pub(super) fn tick(
        &mut self,
        carrier: Option<&Carrier>,
        tunnels: &Tunnels,
        teller: &mut Teller,
    ) {
        let Some(every) = self.every else { return };
        let states = tunnels.states();
        let found = std::mem::take(&mut *lock(&self.found));
        for (at, why) in found {
            let Some(state) = states.get(at) else {
                continue;
            };
            let was = self.known.insert(at, why.clone());
            if was.as_ref() != Some(&why) {
                teller.proven(state, why.as_deref());
            }
        }
        let Some(carrier) = carrier.filter(|_| Instant::now() >= self.next) else {
            return;
        };
        self.next = Instant::now() + every;
        for (at, state) in states.into_iter().enumerate() {
            if state.stand != Stand::Stands {
                continue;
            }
            let (carrier, found, patience) =
                (carrier.clone(), Arc::clone(&self.found), self.patience);
            tokio::spawn(async move {
                let why = probe(&carrier, &state, patience).await;
                lock(&found).push((at, why));
            });
        }
    }
}

/// Why nothing passes; none, if something does.
async fn probe(carrier: &Carrier, state: &ForwardState, patience: Duration) -> Option<String> {
    let to = aim(state);
    let made = carrier.forwards.connect(&to, None, patience).await;
    let stream = match made {
        Ok(stream) => stream,
        Err(why) => return Some(why.to_string()),
    };
    if state.spec.side == Side::Here {
        return None;
    }
    // The node's listener takes it in any case; it ends at once if we, or what is behind us, do not.
    match tokio::time::timeout(LOOK.min(patience), stream.output.next()).await {
        Ok(None) => Some("what it leads to takes no connection, or ends it at once".to_owned()),
        Ok(Some(_)) | Err(_) => None,
    }
}

/// Where to connect from the node.
fn aim(state: &ForwardState) -> FarEnd {
    let spec = &state.spec;
    match (spec.side, &spec.to, &spec.listen) {
        (Side::Here, Aim::End(end), _) => end.clone(),
        (Side::Here, Aim::Socks, _) => FarEnd::Tcp {
            host: "localhost".to_owned(),
            port: SSH,
        },
        (Side::There, _, Listen::Unix(path)) => FarEnd::Unix { path: path.clone() },
        (Side::There, _, Listen::Tcp { bind, port }) => {
            let host = match bind.as_deref() {
                None | Some("" | "*") => "localhost",
                Some(bind) => bind,
            };
            FarEnd::Tcp {
                host: host.to_owned(),
                port: state.port.unwrap_or(*port),
            }
        }
    }
}

/// Which forward, and why it passes nothing.
type Found = Mutex<Vec<(usize, Option<String>)>>;

fn lock(found: &Found) -> std::sync::MutexGuard<'_, Vec<(usize, Option<String>)>> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For what is behind us to refuse.
const LOOK: Duration = Duration::from_secs(2);
const SSH: u16 = 22;
