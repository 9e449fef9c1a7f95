//! A destination made ready: everything that can be wrong on our side is found out here, before anything is dialed.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use heartline_core::{Interval, Timing};
use russh::{Preferred, client};
use thiserror::Error;
use tokio::sync::{Mutex, Semaphore};
use tracing::warn;

use crate::algorithms::{NoneSupported, preferred};
use crate::escape::escape;
use crate::hostkey::{HostKeyError, Verifier};
use crate::identity::{Identities, IdentityError, Keyring, Passphrases};
use crate::jump::JumpSlot;
use crate::preamble::IDENT;
use crate::settings::{
    DestinationError, HostKeySettings, IdentitySettings, Invocation, Proxy, Resolver, Settings,
    SettingsError,
};

/// A destination made ready.
pub struct Target {
    pub(crate) settings: Settings,
    pub(crate) timing: Timing,
    pub(crate) via: Via,
    pub(crate) identities: Arc<Identities>,
    pub(crate) preferred: Preferred,
    pub(crate) gate: Arc<Semaphore>,
    verifier: std::sync::Mutex<Known>,
}

/// The host keys known, and the files they were read from as they were then.
#[derive(Clone)]
struct Known {
    verifier: Arc<Verifier>,
    files: Stamps,
}

/// When each file was last changed, and how long it was; `None` for one that cannot be asked.
type Stamps = Vec<Option<(SystemTime, u64)>>;

impl Target {
    /// What ssh_config and the command line say of it.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The same, for sessions that say nothing by themselves: no routine beats, and no keepalives of our kernel's. What lies
    /// between is kept alive as before: of a jump host's connection nothing is changed.
    #[must_use]
    pub fn left_alone(&self) -> Arc<Self> {
        let known = self.verifier.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::new(Self {
            settings: Settings {
                tcp_keep_alive: false,
                ..self.settings.clone()
            },
            timing: Timing {
                interval: Interval::FOR_EVER,
                patience: None,
                ..self.timing
            },
            via: self.via.clone(),
            identities: Arc::clone(&self.identities),
            preferred: self.preferred.clone(),
            gate: Arc::clone(&self.gate),
            verifier: std::sync::Mutex::new(known.clone()),
        })
    }

    /// The host keys known for it. Read anew when a file has changed: a key may have been revoked, or, by ourselves,
    /// written down.
    pub(crate) fn verifier(&self) -> Result<Arc<Verifier>, HostKeyError> {
        let mut known = self.verifier.lock().unwrap_or_else(PoisonError::into_inner);
        let files = stamps(&self.settings.host_key);
        if known.files != files {
            known.verifier = Arc::new(Verifier::load(&self.settings.host_key)?);
            known.files = files;
        }
        Ok(Arc::clone(&known.verifier))
    }

    /// russh's configuration for one connection.
    pub(crate) fn russh_config(&self, verifier: &Verifier) -> Result<client::Config, russh::Error> {
        let (key, host_key_certificates) = verifier.preference();
        let interval = self.timing.interval;
        Ok(client::Config {
            client_id: russh::SshId::Standard(IDENT.into()),
            // When to exchange keys anew is the peer's to say, who counts both ways. While we wait for the answer to a
            // request of our own nothing else can be sent, beats least of all; and it would wait long behind output that
            // nobody takes.
            limits: russh::Limits {
                rekey_write_limit: usize::try_from(REKEY_BYTES).unwrap_or(usize::MAX),
                rekey_read_limit: usize::MAX,
                rekey_time_limit: std::time::Duration::MAX,
            },
            preferred: Preferred {
                key: key.into(),
                host_key_certificates: host_key_certificates.into(),
                ..self.preferred.clone()
            },
            // A metronome and no more: it sends a beat an interval after whatever it heard, less the slack by which that may
            // have been taken late, which is the alive rule's own schedule, and never ends a session. The deadline is ours, since this clock stops when a send buffer is
            // full. Beats sent through the handle instead cost each line some 30 KB of queue blocks (facts/russh.md,
            // section 2).
            keepalive_interval: Some(interval.less_slack()),
            keepalive_max: 0,
            inactivity_timeout: None,
            // Half a second of arithmetic in one piece otherwise (facts/russh.md, section 2).
            gex: client::GexParams::new(2048, 3072, 4096)?,
            nodelay: true,
            ..client::Config::default()
        })
    }
}

/// What lies between us and a destination, made ready.
#[derive(Clone)]
pub(crate) enum Via {
    /// A TCP connection of our own.
    Tcp,
    /// A jump host, whose connection is shared.
    Jump(Arc<Target>, SharedSlot),
    /// A command that carries the bytes.
    Command(String),
}

/// Where the connection to a jump host is found by all who go through it.
pub(crate) type SharedSlot = Arc<JumpSlot>;

/// Why a destination cannot be made ready. All of these are for a person to mend.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// ssh_config, or what was typed.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A jump host's name.
    #[error(transparent)]
    Jump(#[from] DestinationError),
    /// known_hosts.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// Keys, certificates, agent.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Algorithms.
    #[error(transparent)]
    Algorithms(#[from] NoneSupported),
    /// A source address that is none.
    #[error("the source address is `{came}`, expected an IP address of this machine")]
    BindAddress {
        /// What came, escaped.
        came: String,
    },
    /// A jump host is reached through itself.
    #[error("more than {limit} jump hosts one behind the other; is {host} reached through itself?")]
    JumpLoop {
        /// The jump host at which we gave up.
        host: String,
        /// The limit.
        limit: usize,
    },
}

/// Makes destinations ready, and shares between them what they have in common: keys, jump hosts, gates.
pub struct Preparer {
    resolver: Resolver,
    keyring: Arc<Keyring>,
    passphrases: Arc<dyn Passphrases>,
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    identities: Vec<(IdentitySettings, Arc<Identities>)>,
    verifiers: Vec<(HostKeySettings, Arc<Verifier>)>,
    jumps: HashMap<(Invocation, Timing), (Arc<Target>, SharedSlot)>,
    gates: HashMap<(String, u16), Arc<Semaphore>>,
}

impl Preparer {
    /// With a way to learn settings, the keys that are open already, and a way to ask for passphrases.
    pub fn new(
        resolver: Resolver,
        keyring: Arc<Keyring>,
        passphrases: Arc<dyn Passphrases>,
    ) -> Self {
        Self {
            resolver,
            keyring,
            passphrases,
            shared: Mutex::default(),
        }
    }

    /// What ssh_config and the command line say of a destination.
    pub async fn resolve(&self, invocation: &Invocation) -> Result<Settings, SettingsError> {
        self.resolver.resolve(invocation).await
    }

    /// Makes a destination ready: reads keys (and may ask for passphrases), known hosts, jump hosts.
    pub async fn prepare(
        &self,
        invocation: &Invocation,
        settings: Settings,
        timing: Timing,
    ) -> Result<Arc<Target>, PrepareError> {
        let mut shared = self.shared.lock().await;
        self.prepare_in(&mut shared, invocation, settings, timing, 0)
            .await
    }

    async fn prepare_in(
        &self,
        shared: &mut Shared,
        invocation: &Invocation,
        settings: Settings,
        timing: Timing,
        depth: usize,
    ) -> Result<Arc<Target>, PrepareError> {
        let preferred = preferred(&settings.algorithms)?;
        if let Some(source) = settings
            .bind_address
            .as_deref()
            .filter(|source| *source != "*")
            && source.parse::<IpAddr>().is_err()
        {
            let came = escape(source.as_bytes(), MAX_SHOWN);
            return Err(PrepareError::BindAddress { came });
        }
        let identities = self.identities(shared, &settings.identity).await?;
        let files = stamps(&settings.host_key);
        let verifier = shared.verifier(&settings.host_key)?;
        let via = match &settings.proxy {
            Proxy::None => Via::Tcp,
            Proxy::Command(command) => Via::Command(command.clone()),
            Proxy::Jump(hops) => match invocation.jump_invocation(hops)? {
                Some(hop) => {
                    let next = Box::pin(self.jump(shared, hop, timing, depth + 1));
                    let (target, slot) = next.await?;
                    Via::Jump(target, slot)
                }
                None => Via::Tcp,
            },
        };
        let place = (settings.host.clone(), settings.port);
        let gate = shared.gates.entry(place);
        let gate = Arc::clone(gate.or_insert_with(|| Arc::new(Semaphore::new(GATE))));
        Ok(Arc::new(Target {
            settings,
            timing,
            via,
            identities,
            preferred,
            gate,
            verifier: std::sync::Mutex::new(Known { verifier, files }),
        }))
    }

    /// The jump host next to a destination; how it is reached itself, its own settings say.
    async fn jump(
        &self,
        shared: &mut Shared,
        hop: Invocation,
        timing: Timing,
        depth: usize,
    ) -> Result<(Arc<Target>, SharedSlot), PrepareError> {
        if depth > MAX_HOPS {
            return Err(PrepareError::JumpLoop {
                host: hop.destination.host().to_owned(),
                limit: MAX_HOPS,
            });
        }
        let key = (hop, timing);
        if let Some(known) = shared.jumps.get(&key) {
            return Ok(known.clone());
        }
        let settings = self.resolver.resolve(&key.0).await?;
        let next = Box::pin(self.prepare_in(shared, &key.0, settings, timing, depth));
        let ready = (next.await?, SharedSlot::default());
        shared.jumps.insert(key, ready.clone());
        Ok(ready)
    }

    async fn identities(
        &self,
        shared: &mut Shared,
        settings: &IdentitySettings,
    ) -> Result<Arc<Identities>, IdentityError> {
        if let Some((_, known)) = shared.identities.iter().find(|(of, _)| of == settings) {
            return Ok(Arc::clone(known));
        }
        let loaded = self.keyring.load(settings, &*self.passphrases).await?;
        for note in loaded.notes() {
            warn!("{note}");
        }
        let loaded = Arc::new(loaded);
        shared
            .identities
            .push((settings.clone(), Arc::clone(&loaded)));
        Ok(loaded)
    }
}

/// Of every file that host keys are read from.
fn stamps(settings: &HostKeySettings) -> Stamps {
    let files = settings.user_files.iter().chain(&settings.global_files);
    let stamp = |path: &PathBuf| {
        let file = fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len()))
    };
    files.chain(&settings.revoked).map(stamp).collect()
}

impl Shared {
    fn verifier(&mut self, settings: &HostKeySettings) -> Result<Arc<Verifier>, HostKeyError> {
        if let Some((_, known)) = self.verifiers.iter().find(|(of, _)| of == settings) {
            return Ok(Arc::clone(known));
        }
        let loaded = Arc::new(Verifier::load(settings)?);
        self.verifiers.push((settings.clone(), Arc::clone(&loaded)));
        Ok(loaded)
    }
}

/// Bytes sent, as OpenSSH has it for its usual ciphers (`RekeyLimit`: 2^32 blocks of 16 bytes; no time by default). No packet
/// is smaller than a block, so the packets are fewer than 2^32 too, after which their numbers would come again.
const REKEY_BYTES: u64 = 1 << 36;
/// Handshakes at a time with one address, well below sshd's `MaxStartups 10:30:100`.
const GATE: usize = 4;
/// How much of a wrong value is shown.
const MAX_SHOWN: usize = 80;
/// Jump hosts one behind the other.
const MAX_HOPS: usize = 16;
