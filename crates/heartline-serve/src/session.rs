//! One connection, from its acceptance to its end.
//!
//! russh runs the protocol in a task of its own; this watches over it from outside and holds the
//! deadlines. Whatever russh waits for, the [`KillSwitch`] ends it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use heartline_core::AliveRule;
use heartline_socket::TcpInfo;
use russh::Disconnect;
use russh::server::{self, RunningSession};
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::admission::Ticket;
use crate::alive::{Silence, silence};
use crate::authorized_keys::AuthorizedKeys;
use crate::clock::Clock;
use crate::config::MAX_REJECTION_TIME;
use crate::end::End;
use crate::gate::{Gate, Login};
use crate::heard::{Heard, Tap};
use crate::wire::{KillSwitch, Wire};

/// What all sessions share.
pub(crate) struct Shared {
    pub(crate) protocol: Arc<server::Config>,
    pub(crate) authorized: Arc<AuthorizedKeys>,
    pub(crate) login_grace: Duration,
    pub(crate) alive: AliveRule,
    pub(crate) clock: Clock,
    pub(crate) shutdown_grace: Duration,
}

/// An accepted connection.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) stream: TcpStream,
    pub(crate) source: SocketAddr,
    pub(crate) ticket: Ticket,
    /// Turns true, or is dropped, when the endpoint is told to stop.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Connection {
    /// Serves it to its end.
    pub(crate) async fn serve(self) {
        let Self {
            shared,
            stream,
            source,
            mut ticket,
            mut stopping,
        } = self;
        let deadline = Instant::now() + shared.login_grace;
        let refused = Arc::new(AtomicBool::new(false));
        let heard = Heard::new(shared.clock);
        let (tell, mut login) = oneshot::channel();
        let gate = Gate::new(
            Arc::clone(&shared.authorized),
            source.ip(),
            Arc::clone(&refused),
            Arc::clone(&heard),
            tell,
        );
        let mut session = match begin(&shared, stream, gate, &heard, deadline, &mut stopping).await
        {
            Ok(session) => session,
            Err(end) => return log_stranger(source, end, false),
        };
        let login = match log_in(&mut session, &mut login, deadline, &mut stopping).await {
            Ok(login) => login,
            Err(end) => {
                session.end(end, shared.shutdown_grace).await;
                return log_stranger(source, end, refused.load(Ordering::Relaxed));
            }
        };
        ticket.authenticated();
        let Login { user, key } = &login;
        tracing::info!(%user, %source, %key, "Session began.");
        let handle = session.running.handle();
        let silence = tokio::select! {
            end = session.over() => return log_end(&login, source, end),
            () = stopped(&mut stopping) => {
                session.end(End::Shutdown, shared.shutdown_grace).await;
                return log_end(&login, source, End::Shutdown);
            }
            silence = silence(shared.alive, shared.clock, &heard, handle) => silence,
        };
        let tcp = session.switch.tcp_info();
        session.end(End::Silent, shared.shutdown_grace).await;
        log_silence(&login, source, silence, tcp);
    }
}

/// russh's session, and the means to end it.
struct Session {
    running: RunningSession<Gate>,
    is_over: bool,
    switch: KillSwitch,
}

impl Session {
    /// Pends until russh's task is gone, and its socket with it. Cancel safe; once ready, it must
    /// not be asked again.
    async fn over(&mut self) -> End {
        let result = (&mut self.running).await;
        self.is_over = true;
        End::of(&result)
    }

    /// Ends it, with a word of goodbye where one may still be heard; no later than `grace` from now
    /// its socket is reset.
    async fn end(&mut self, end: End, grace: Duration) {
        if self.is_over {
            return;
        }
        let reap = if end == End::Shutdown {
            let handle = self.running.handle();
            let goodbye = async {
                let reason = "the endpoint is stopping".to_owned();
                let said = handle.disconnect(Disconnect::ByApplication, reason, String::new());
                if said.await.is_ok() {
                    self.over().await;
                }
            };
            if timeout(grace, goodbye).await.is_ok() && self.is_over {
                return;
            }
            REAP_AT_SHUTDOWN
        } else {
            REAP
        };
        self.switch.kill();
        // While russh's task sleeps, its file descriptor is in use: the ticket stays taken too.
        let _ = timeout(reap, self.over()).await;
    }
}

/// The identification strings; then russh takes the stream into its own task.
async fn begin(
    shared: &Shared,
    stream: TcpStream,
    gate: Gate,
    heard: &Arc<Heard>,
    deadline: Instant,
    stopping: &mut watch::Receiver<bool>,
) -> Result<Session, End> {
    let (wire, switch) = Wire::new(stream);
    // A beat comes as one segment, which russh reads in two pieces: one system call instead of two.
    let buffered = BufReader::with_capacity(READ_AHEAD, wire);
    let tapped = Tap::new(buffered, Arc::clone(heard));
    // Boxed, so that its memory is not kept for the life of the session. Dropped, it takes the
    // socket with it.
    let opening = Box::pin(server::run_stream(
        Arc::clone(&shared.protocol),
        tapped,
        gate,
    ));
    let opened = tokio::select! {
        opened = timeout_at(deadline, opening) => opened.map_err(|_| End::LoginTimeout)?,
        () = stopped(stopping) => return Err(End::Shutdown),
    };
    match opened {
        Ok(running) => Ok(Session {
            running,
            is_over: false,
            switch,
        }),
        Err(error) => Err(End::of(&Err(error))),
    }
}

/// Key exchange and authentication.
async fn log_in(
    session: &mut Session,
    login: &mut oneshot::Receiver<Login>,
    deadline: Instant,
    stopping: &mut watch::Receiver<bool>,
) -> Result<Login, End> {
    tokio::select! {
        // A login counts even if the session ends in the same instant: it must be in the log.
        biased;
        Ok(login) = login => Ok(login),
        end = session.over() => Err(end),
        () = sleep_until(deadline) => Err(End::LoginTimeout),
        () = stopped(stopping) => Err(End::Shutdown),
    }
}

/// Pends until the endpoint is told to stop.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that whoever could tell is gone, which says the same.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

fn log_end(login: &Login, source: SocketAddr, cause: End) {
    let Login { user, .. } = login;
    tracing::info!(%user, %source, %cause, "Session ended.");
}

/// How TCP stood tells a client that is cut off, whose machine left segments unacknowledged, from one
/// that hangs: all is acknowledged, or its machine takes no more.
fn log_silence(login: &Login, source: SocketAddr, silence: Silence, tcp: Option<TcpInfo>) {
    let Login { user, .. } = login;
    let Silence { lasted, probes } = silence;
    let silent_ms = lasted.as_millis();
    let (unacked, unsent) = (tcp.map(|tcp| tcp.unacked), tcp.map(|tcp| tcp.unsent));
    tracing::info!(
        %user, %source, cause = %End::Silent, silent_ms, probes, unacked, unsent, "Session ended."
    );
}

/// A connection that never became a session. Strangers make these by the thousand, so only a
/// refused key is worth an operator's line.
fn log_stranger(source: SocketAddr, end: End, refused: bool) {
    if refused {
        let (cause, seen) = (End::LoginRefused, end);
        tracing::info!(%source, %cause, %seen, "Login refused.");
    } else {
        tracing::debug!(%source, cause = %end, "Connection ended before login.");
    }
}

/// A beat's request in its longest usual form takes 64 bytes.
const READ_AHEAD: usize = 256;
/// What may pass after a kill until russh's task is gone: the one wait in it that no socket ends.
const REAP: Duration = MAX_REJECTION_TIME;
/// At the end of the endpoint nothing is counted any more.
const REAP_AT_SHUTDOWN: Duration = Duration::from_millis(100);
