//! From a destination that is ready to a session that stands, each stage with a deadline of its own.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use heartline_core::{Cause, Failure, Stage};
use russh::client::{self, Handle};
use tokio::io::BufReader;
use tokio::runtime;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};

use crate::algorithms::is_heavy;
use crate::cable::Cable;
use crate::clock::Clock;
use crate::conversation::{Conversation, Heard};
use crate::handler::{Listener, SharedLearnt, failure_of};
use crate::hostkey::HostKeyError;
use crate::identity::{AuthError, authenticate};
use crate::jump::SharedJump;
use crate::preamble::{Ear, PreambleError};
use crate::proxy_command;
use crate::session::{Established, RusshSession};
use crate::socket::{self, ConnectError};
use crate::target::{Target, Via};
use crate::wire::{Carrier, KillSwitch, Wire};

/// Dials, with what all dials of one watcher share.
pub struct Dialer {
    clock: Clock,
    /// Where handshakes run that would keep a beating thread busy, and their sessions' rekeys with them.
    heavy: runtime::Handle,
    /// Light handshakes computing at the same time on a beating thread.
    handshakes: Semaphore,
    /// Dials that a peer has accepted and that are not over.
    conversing: Arc<AtomicUsize>,
}

/// Counts a dial that a peer has accepted, until dropped.
struct Conversing(Arc<AtomicUsize>);

impl Conversing {
    fn begin(all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(all))
    }
}

impl Drop for Conversing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Told how far a dial has come. Nothing is told while it waits for its turn.
pub trait Progress: Send + Sync {
    /// A stage has begun.
    fn reached(&self, stage: Stage);
}

impl<F: Fn(Stage) + Send + Sync> Progress for F {
    fn reached(&self, stage: Stage) {
        self(stage);
    }
}

impl Dialer {
    /// `heavy` is a runtime on which nothing beats that must not wait for 100 ms.
    pub fn new(clock: Clock, heavy: runtime::Handle) -> Self {
        Self {
            clock,
            heavy,
            handshakes: Semaphore::new(HANDSHAKES),
            conversing: Arc::default(),
        }
    }

    /// Whether any dial is in the middle of a conversation, each turn of which waits for us.
    pub fn is_conversing(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let conversing = Arc::clone(&self.conversing);
        move || conversing.load(Ordering::Relaxed) > 0
    }

    /// The clock that sessions count by.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Dials. Dropping the future ends the dial and frees its socket at once, at whatever stage it is.
    pub async fn dial(
        &self,
        target: &Target,
        progress: &Arc<dyn Progress>,
    ) -> Result<Established, Failure> {
        self.dial_by(target, progress, None).await
    }

    /// Dials over a cable that can be cut. It lies below the session itself, so what a jump host carries stays whole. TCP is not
    /// asked then: what it knows is of the socket behind the cable.
    pub async fn dial_over(
        &self,
        target: &Target,
        progress: &Arc<dyn Progress>,
        cable: &Cable,
    ) -> Result<Established, Failure> {
        self.dial_by(target, progress, Some(cable)).await
    }

    async fn dial_by(
        &self,
        target: &Target,
        progress: &Arc<dyn Progress>,
        cable: Option<&Cable>,
    ) -> Result<Established, Failure> {
        let (session, ended) = Box::pin(self.establish(target, progress, cable)).await?;
        Ok(Established {
            session: Box::new(session),
            ended,
        })
    }

    async fn establish(
        &self,
        target: &Target,
        progress: &Arc<dyn Progress>,
        cable: Option<&Cable>,
    ) -> Result<(RusshSession, oneshot::Receiver<Failure>), Failure> {
        let _permit = target.gate.acquire().await;
        let (wire, switch, via) = self.carrier(target, progress, cable).await?;
        let _conversing = Conversing::begin(&self.conversing);
        let stage = target.timing.stage_timeout;
        // What is to carry much reads much at once.
        let buffer = if target.timing.eager {
            BULK_BUFFER
        } else {
            READ_BUFFER
        };
        let mut ear = Ear::new(BufReader::with_capacity(buffer, wire));
        progress.reached(Stage::Banner);
        let ident = within(stage, Cause::BannerTimeout, ear.exchange_idents()).await?;
        progress.reached(Stage::Kex);
        let kex_begun = Instant::now();
        let theirs = within(stage, Cause::KexTimeout, ear.read_kexinit()).await?;
        let kex_left = stage.saturating_sub(kex_begun.elapsed());
        let verifier = target.verifier().map_err(|error| host_key(&error))?;
        let config = target
            .russh_config(&verifier)
            .map_err(|error| failure_of(&error))?;
        let (listener, learnt, ended) = Listener::new(verifier);
        let heard = Arc::new(Heard::default());
        let handshake = Handshake {
            config: Arc::new(config),
            stream: ear.into_conversation(self.clock, Arc::clone(&heard)),
            listener,
            learnt: Arc::clone(&learnt),
            stage,
            kex_left,
            user: target.settings.user.clone(),
            accepted: target.settings.identity.accepted_algorithms.clone(),
            identities: Arc::clone(&target.identities),
            progress: Arc::clone(progress),
        };
        let handle = if is_heavy(&target.preferred, &theirs) {
            let done = self.heavy.spawn(handshake.run()).await;
            done.unwrap_or_else(|_| Err(Failure::new(Cause::KexFailed, "the handshake broke off")))
        } else {
            self.run_light(handshake).await
        }?;
        let session = RusshSession::new(handle, heard, learnt, ident, via, switch);
        Ok((session, ended))
    }

    /// Runs a handshake on this thread. Only so many compute at a time, so that a thousand dials do not hold up the beats
    /// between them; one that waits for its peer soon gives its place away.
    async fn run_light(&self, handshake: Handshake) -> Result<Handle<Listener>, Failure> {
        let permit = self.handshakes.acquire().await;
        // What it waited for its turn is not the peer's doing.
        handshake.progress.reached(Stage::Kex);
        let mut run = pin!(handshake.run());
        tokio::select! {
            done = &mut run => return done,
            () = tokio::time::sleep(HANDSHAKE_TURN) => drop(permit),
        }
        run.await
    }

    /// What carries the bytes.
    async fn carrier(
        &self,
        target: &Target,
        progress: &Arc<dyn Progress>,
        cable: Option<&Cable>,
    ) -> Result<(Wire, KillSwitch, Option<Arc<SharedJump>>), Failure> {
        let settings = &target.settings;
        let stage = target.timing.stage_timeout;
        match &target.via {
            Via::Tcp => {
                progress.reached(Stage::Resolve);
                let addresses = within(stage, Cause::Dns, socket::resolve(settings)).await?;
                progress.reached(Stage::Connect);
                let bound = target.timing.bound().as_duration();
                let connect = socket::connect(settings, &addresses, bound, target.timing.eager);
                let stream = within(stage, Cause::Silent, connect).await?;
                let (wire, switch) = match cable {
                    Some(cable) => Wire::over(cable.lay(stream)),
                    None => Wire::over_tcp(stream),
                };
                Ok((wire, switch, None))
            }
            Via::Command(command) => {
                progress.reached(Stage::Proxy);
                let carrier = proxy_command::spawn(command)
                    .map_err(|error| Failure::new(Cause::Config, error.to_string()))?;
                let (wire, switch) = wire_over(cable, carrier);
                Ok((wire, switch, None))
            }
            Via::Jump(jump, slot) => {
                progress.reached(Stage::Proxy);
                let quiet: Arc<dyn Progress> = Arc::new(|_: Stage| {});
                let shared = slot.get_or_dial(async {
                    let (session, ended) = Box::pin(self.establish(jump, &quiet, None)).await?;
                    let slot = Arc::clone(slot);
                    Ok(SharedJump::new(session, ended, jump, slot, self.clock))
                });
                let shared = shared
                    .await
                    .map_err(|failure| jump_failed(jump, &failure))?;
                progress.reached(Stage::Connect);
                let open = shared.open_tcp(&settings.host, settings.port);
                let Ok(opened) = timeout(stage, open).await else {
                    let text = "the jump host did not connect us in time";
                    let is_jump = shared.is_in_doubt();
                    let cause = if is_jump {
                        Cause::JumpDown
                    } else {
                        Cause::Silent
                    };
                    return Err(Failure::new(cause, text));
                };
                let channel = opened?;
                let (wire, switch) = wire_over(cable, channel.into_stream());
                Ok((wire, switch, Some(shared)))
            }
        }
    }
}

/// A jump host that cannot be used makes what lies behind it unknown; what must be mended keeps its own name.
fn jump_failed(jump: &Target, failure: &Failure) -> Failure {
    let host = &jump.settings.typed;
    let why = failure.detail.as_deref().unwrap_or_default();
    let cause = if failure.cause.stops_dialing() {
        failure.cause
    } else {
        Cause::JumpDown
    };
    Failure::new(
        cause,
        format!("jump host {host}: {} {why}", failure.cause.sentence()),
    )
}

fn wire_over(cable: Option<&Cable>, carrier: impl Carrier + 'static) -> (Wire, KillSwitch) {
    match cable {
        Some(cable) => Wire::over(cable.lay(carrier)),
        None => Wire::over(carrier),
    }
}

/// Key exchange and authentication: the part that computes.
struct Handshake {
    config: Arc<client::Config>,
    stream: Conversation<BufReader<Wire>>,
    listener: Listener,
    learnt: SharedLearnt,
    stage: Duration,
    /// What is left of it for the key exchange.
    kex_left: Duration,
    user: String,
    accepted: Option<Vec<String>>,
    identities: Arc<crate::identity::Identities>,
    progress: Arc<dyn Progress>,
}

impl Handshake {
    async fn run(self) -> Result<Handle<Listener>, Failure> {
        let connect = client::connect_stream(self.config, self.stream, self.listener);
        let mut handle = match timeout(self.kex_left, connect).await {
            Ok(Ok(handle)) => handle,
            Ok(Err(error)) => return Err(kex_failure(&error, &self.learnt)),
            Err(_) => return Err(too_late(Cause::KexTimeout, self.stage)),
        };
        self.progress.reached(Stage::Auth);
        let accepted = self.accepted.as_deref();
        let login = authenticate(&mut handle, &self.user, &self.identities, accepted);
        match timeout(self.stage, login).await {
            Ok(Ok(_)) => Ok(handle),
            Ok(Err(error)) => {
                let learnt = self.learnt.lock();
                let last_word = learnt
                    .unwrap_or_else(PoisonError::into_inner)
                    .last_word
                    .take();
                Err(auth_failure(&error, last_word))
            }
            Err(_) => Err(too_late(Cause::AuthTimeout, self.stage)),
        }
    }
}

async fn within<T, E: Into<StageError>>(
    limit: Duration,
    late: Cause,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    match timeout(limit, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            let StageError(failure) = error.into();
            Err(failure)
        }
        Err(_) => Err(too_late(late, limit)),
    }
}

fn too_late(cause: Cause, limit: Duration) -> Failure {
    Failure::new(cause, format!("no answer within {limit:?}"))
}

struct StageError(Failure);

impl From<PreambleError> for StageError {
    fn from(error: PreambleError) -> Self {
        Self(Failure::new(error.cause(), error.to_string()))
    }
}

impl From<ConnectError> for StageError {
    fn from(error: ConnectError) -> Self {
        Self(Failure::new(error.cause(), error.to_string()))
    }
}

fn kex_failure(error: &russh::Error, learnt: &SharedLearnt) -> Failure {
    let refused = {
        let mut learnt = learnt.lock().unwrap_or_else(PoisonError::into_inner);
        learnt.host_key.take()
    };
    match (refused, error) {
        (Some(refused), _) => host_key(&refused),
        (None, russh::Error::IO(_) | russh::Error::Disconnect | russh::Error::HUP) => {
            failure_of(error)
        }
        (None, _) => Failure {
            cause: Cause::KexFailed,
            ..failure_of(error)
        },
    }
}

fn host_key(error: &HostKeyError) -> Failure {
    let cause = match error {
        HostKeyError::Unknown { .. } => Cause::HostKeyUnknown,
        HostKeyError::Unreadable { .. }
        | HostKeyError::TooLarge { .. }
        | HostKeyError::RevokedLine { .. }
        | HostKeyError::Krl { .. }
        | HostKeyError::NoAlgorithm { .. } => Cause::Config,
        _ => Cause::HostKeyChanged,
    };
    Failure::new(cause, error.to_string())
}

/// A host that ends the connection after too many keys refuses us; it must not be asked again and again.
fn auth_failure(error: &AuthError, last_word: Option<Failure>) -> Failure {
    let last_word = last_word.and_then(|failure| failure.detail);
    let cause = match error {
        AuthError::Closed { tried } => {
            let said = last_word.as_deref().unwrap_or_default();
            if *tried >= MAX_AUTH_TRIES || said.contains("Too many authentication failures") {
                Cause::AuthRefused
            } else {
                Cause::ClosedByPeer
            }
        }
        AuthError::Agent { .. } => Cause::AuthTimeout,
        _ => Cause::AuthRefused,
    };
    match last_word {
        Some(said) => Failure::new(cause, format!("{error}; it said: {said}")),
        None => Failure::new(cause, error.to_string()),
    }
}

/// Addresses of a destination that is reached by TCP, for those who must know before anything is dialed that the name
/// resolves; `None` where somebody else resolves it.
pub async fn addresses(target: &Target) -> Option<Result<Vec<SocketAddr>, ConnectError>> {
    match target.via {
        Via::Tcp => Some(socket::resolve(&target.settings).await),
        Via::Jump(..) | Via::Command(_) => None,
    }
}

/// sshd's `MaxAuthTries`.
const MAX_AUTH_TRIES: usize = 6;
/// A packet of a beat is 36 to 64 bytes: with so small a buffer one read fetches it whole (facts/russh.md, section 1).
const READ_BUFFER: usize = 256;
/// Two packets of data (RFC 4253, section 6.1).
const BULK_BUFFER: usize = 64 << 10;
/// Light handshakes take 0.6 ms each: so many in a row delay a beat by 10 ms.
const HANDSHAKES: usize = 16;
/// After this long a handshake is waiting rather than computing.
const HANDSHAKE_TURN: Duration = Duration::from_millis(250);
