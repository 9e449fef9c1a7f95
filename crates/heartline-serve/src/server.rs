//! The endpoint: listens, admits, and ends all sessions when told to.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use heartline_core::AliveRule;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::admission::{Admission, Limits, Refusal};
use crate::clock::Clock;
use crate::config::{ConfigError, ServeConfig};
use crate::listen::{Acceptor, listen, prepare};
use crate::protocol;
use crate::session::{Connection, Shared};

/// An endpoint that listens.
pub struct Server {
    acceptor: Acceptor,
    addrs: Vec<SocketAddr>,
    admission: Arc<Admission>,
    shared: Arc<Shared>,
    turned_away: TurnedAway,
}

impl Server {
    /// Checks the settings and listens on every address, or on none.
    ///
    /// Lines of `authorized_keys` that cannot be used are logged as warnings. Must be called in a
    /// tokio runtime with I/O and time enabled; a current-thread one serves well. Connections queue
    /// in the kernel until [`Server::run`].
    #[expect(
        clippy::unused_async,
        reason = "needs a runtime, which the signature says"
    )]
    pub async fn bind(config: ServeConfig) -> Result<Self, ServeError> {
        config.check()?;
        for refused in config.authorized.refused() {
            tracing::warn!(line = refused.line, fault = %refused.fault, "Key not used.");
        }
        let listeners: Result<Vec<_>, _> = config
            .listen
            .iter()
            .map(|addr| listen(*addr).map_err(|error| ServeError::Listen { addr: *addr, error }))
            .collect();
        let acceptor = Acceptor::new(listeners?);
        let addrs = acceptor
            .local_addrs()
            .map_err(|error| ServeError::LocalAddr { error })?;
        Ok(Self {
            acceptor,
            addrs,
            admission: Admission::new(Limits {
                connections: config.max_connections,
                unauthenticated: config.max_unauthenticated,
                per_source: config.max_per_source,
            }),
            shared: Arc::new(Shared {
                protocol: protocol::settings(&config),
                authorized: Arc::new(config.authorized),
                login_grace: config.login_grace,
                alive: AliveRule::new(config.interval, config.count),
                clock: Clock::start(),
                shutdown_grace: config.shutdown_grace,
            }),
            turned_away: TurnedAway::default(),
        })
    }

    /// Where it listens, in the order of the settings; port 0 is replaced by the port taken.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Serves until `shutdown` is ready, then says goodbye to every client and returns, no later
    /// than `shutdown_grace` and one second after. Dropped, it resets every connection.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let (stop, stopping) = watch::channel(false);
        let mut sessions = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                accepted = self.acceptor.accept() => match accepted {
                    Ok((stream, source)) => {
                        if let Some(connection) = self.admit(stream, source, &stopping) {
                            sessions.spawn(connection.serve());
                        }
                    }
                    Err(error) => rest_after(&error).await,
                },
                Some(_) = sessions.join_next() => {}
            }
        }
        // No more connections from here on.
        drop(self.acceptor);
        stop.send_replace(true);
        let all = async { while sessions.join_next().await.is_some() {} };
        if timeout(self.shared.shutdown_grace + LAST_CALL, all)
            .await
            .is_err()
        {
            tracing::warn!(left = sessions.len(), "Sessions did not end in time.");
        }
    }

    fn admit(
        &mut self,
        stream: TcpStream,
        source: SocketAddr,
        stopping: &watch::Receiver<bool>,
    ) -> Option<Connection> {
        let ticket = match self.admission.admit(source.ip()) {
            Ok(ticket) => ticket,
            Err(refusal) => {
                self.turned_away.count(source, refusal);
                // What sshd says then, so that its clients know. A peer that cannot take it at once
                // does without.
                let _ = stream.try_write(TURNED_AWAY);
                return None;
            }
        };
        if let Err(error) = prepare(&stream, self.shared.alive.bound) {
            // The peer is gone already, else nothing here can fail.
            tracing::debug!(%source, %error, "Connection lost before it began.");
            return None;
        }
        Some(Connection {
            shared: Arc::clone(&self.shared),
            stream,
            source,
            ticket,
            stopping: stopping.clone(),
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addrs", &self.addrs)
            .finish_non_exhaustive()
    }
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A setting is missing or out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error("cannot listen on {addr}: {error}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The system does not say which port it gave.
    #[error("cannot tell the address listened on: {error}")]
    LocalAddr {
        /// What the system said.
        error: io::Error,
    },
}

/// Connections over a limit, told in the log once in a while instead of one by one.
#[derive(Default)]
struct TurnedAway {
    since: u64,
    told: Option<Instant>,
}

impl TurnedAway {
    fn count(&mut self, source: SocketAddr, refusal: Refusal) {
        self.since += 1;
        if self.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return;
        }
        let count = std::mem::take(&mut self.since);
        self.told = Some(Instant::now());
        tracing::warn!(count, last = %source, limit = %refusal, "Connections turned away.");
    }
}

/// A connection that died in the queue is no reason to wait; out of descriptors or memory is.
async fn rest_after(error: &io::Error) {
    if error.kind() == io::ErrorKind::ConnectionAborted {
        return;
    }
    tracing::warn!(%error, "Cannot accept connections.");
    sleep(ACCEPT_REST).await;
}

/// sshd.c: said to those over MaxStartups, in the place of its identification.
const TURNED_AWAY: &[u8] = b"Exceeded MaxStartups\r\n";
/// Sessions' own deadlines come first; this is for a bug in them.
const LAST_CALL: Duration = Duration::from_millis(500);
const TELL_EVERY: Duration = Duration::from_secs(10);
const ACCEPT_REST: Duration = Duration::from_millis(500);
