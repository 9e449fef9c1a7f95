//! One SSH session, behind a trait of ours.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use heartline_core::{Cause, Failure, TcpEvidence};
use russh::client::Handle;
use russh::{Channel, Disconnect, Error};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::conversation::Heard;
use crate::exec::{self, ExecRequest, Executing};
use crate::forward::Forwards;
use crate::guard::{Guard, GuardRule, Guarding};
use crate::handler::{Listener, SharedLearnt, failure_of, refusal_words};
use crate::hold;
use crate::inspect::{self, InspectError, Inspector};
use crate::jump::SharedJump;
use crate::wire::{Ends, KillSwitch};

/// What answers when a beat is sent: the round trip, or that there will be no answer.
pub type Beat = Pin<Box<dyn Future<Output = Result<Duration, Failure>> + Send>>;

/// An inspector being started.
pub type Inspecting = Pin<Box<dyn Future<Output = Result<Inspector, InspectError>> + Send>>;

/// One SSH session on which beats are sent.
///
/// The trait stands between the engine and russh, so that a leaner implementation for lines that only beat can stand
/// beside it.
pub trait Session: Send {
    /// Sends a `keepalive@openssh.com` request out of turn. Any reply to it, SUCCESS or FAILURE, is an answer. The routine
    /// beats the session sends by itself, an interval after whatever it last heard.
    fn beat(&self) -> Beat;

    /// When it was last heard; told on while it is.
    fn heard(&self) -> &Arc<Heard>;

    /// What TCP knows; `None` where there is no TCP of our own or the kernel does not say.
    fn tcp_evidence(&self) -> Option<TcpEvidence>;

    /// The TCP connection that it leaves this machine by, a jump host's where it goes through one; `None` behind a proxy command.
    fn ends(&self) -> Option<Ends>;

    /// Whether that connection is its own, and no jump host's.
    fn is_direct(&self) -> bool;

    /// Asks the jump host that this session goes through, if there is one, whether it lives itself, unless it was asked
    /// since it was last heard; and says whether it has owed an answer for a while. A first call therefore says no, of a
    /// jump host that has not ended.
    fn ask_jump(&self) -> bool;

    /// What its end is put down to: the jump host that it goes through, if that has ended or owes an answer itself.
    fn blame(&self, failure: Failure) -> Failure {
        if self.ask_jump() {
            return Failure {
                cause: Cause::JumpDown,
                ..failure
            };
        }
        failure
    }

    /// Opens a channel and keeps one open, for an sshd that ends connections without one.
    fn hold_channel(&self);

    /// Starts a guard at the far end, on a channel of its own, and keeps one for as long as it can be had.
    fn guard(&self, rule: GuardRule) -> Guard;

    /// Starts a command at the far end, on a channel of its own.
    fn exec(&self, request: ExecRequest) -> Executing;

    /// Makes connections through it.
    fn forwards(&self) -> Forwards;

    /// Starts an inspector there, on a channel of its own, which looks after what *other* sessions of the same user have
    /// started. `patience` bounds the wait for the channel, and for its hello.
    fn inspect(&self, patience: Duration) -> Inspecting;

    /// Ends the session cleanly: a disconnect message, [`GOODBYE`] at most for it to leave, then the socket goes.
    fn disconnect(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Who answers there.
    fn peer(&self) -> &Peer;
}

/// Who answers at the far end of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its identification, escaped: `SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10`.
    pub ident: String,
    /// The key exchange that was chosen.
    pub kex: String,
    /// The cipher that was chosen.
    pub cipher: String,
}

/// A session that stands, and how its end will be told.
pub struct Established {
    /// The session. Dropping it resets its connection.
    pub session: Box<dyn Session>,
    /// Resolves when the session is over; an error means that it ended without a word.
    pub ended: oneshot::Receiver<Failure>,
}

/// A session on russh.
pub(crate) struct RusshSession {
    handle: Arc<Handle<Listener>>,
    heard: Arc<Heard>,
    learnt: SharedLearnt,
    peer: Peer,
    /// The jump host's connection lives as long as we do.
    via: Option<Arc<SharedJump>>,
    /// Last, so that the rest is gone before the socket is.
    switch: KillSwitch,
}

impl RusshSession {
    pub(crate) fn new(
        handle: Handle<Listener>,
        heard: Arc<Heard>,
        learnt: SharedLearnt,
        ident: String,
        via: Option<Arc<SharedJump>>,
        switch: KillSwitch,
    ) -> Self {
        let (kex, cipher) = {
            let mut learnt = learnt.lock().unwrap_or_else(PoisonError::into_inner);
            learnt.algorithms.take().unwrap_or_default()
        };
        Self {
            handle: Arc::new(handle),
            heard,
            learnt,
            peer: Peer { ident, kex, cipher },
            via,
            switch,
        }
    }

    /// Ends it at once, for all who use it.
    pub(crate) fn abort(&self) {
        self.switch.kill();
    }

    /// Says goodbye and waits until it has left. Whoever is the last to leave a jump host says it there too.
    async fn say_goodbye(self) {
        let said = self
            .handle
            .disconnect(Disconnect::ByApplication, BYE, "")
            .await;
        while said.is_ok() && !self.handle.is_closed() {
            tokio::time::sleep(LOOK).await;
        }
        if let Some(jump) = self.via.and_then(Arc::into_inner) {
            Box::pin(jump.into_session().say_goodbye()).await;
        }
    }

    /// A TCP connection from the peer to somewhere else: how a jump host is used. The deadline is the caller's.
    pub(crate) async fn open_tcp(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Channel<russh::client::Msg>, Failure> {
        let opened = self
            .handle
            .channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0)
            .await;
        opened.map_err(|error| match error {
            Error::ChannelOpenFailure(_, words) => {
                let why = refusal_words(&words);
                Failure::new(refusal(&why), format!("the jump host says: {why}"))
            }
            error => Failure {
                cause: Cause::JumpDown,
                ..failure_of(&error)
            },
        })
    }
}

/// What a jump host's words on a failed connection (the kernel's strerror(3), by sshd's channels.c) say of the target.
fn refusal(why: &str) -> Cause {
    if why.contains("refused") {
        Cause::Refused
    } else if why.contains("unreachable") {
        Cause::NoRoute
    } else if why.contains("resolve") || why.contains("not known") {
        Cause::Dns
    } else if why.contains("prohibited") {
        Cause::Config
    } else {
        Cause::Silent
    }
}

impl Session for RusshSession {
    fn beat(&self) -> Beat {
        let handle = Arc::clone(&self.handle);
        Box::pin(async move {
            let sent = Instant::now();
            // Never send_ping, which answers Ok when the session has died, nor any request without a reply, which would
            // shift every later reply by one (facts/russh.md, section 4).
            match handle.send_global_request(KEEPALIVE, &[], true).await {
                Ok(_) | Err(Error::RequestDenied) => Ok(sent.elapsed()),
                Err(error) => Err(failure_of(&error)),
            }
        })
    }

    fn heard(&self) -> &Arc<Heard> {
        &self.heard
    }

    fn tcp_evidence(&self) -> Option<TcpEvidence> {
        self.switch.tcp_evidence()
    }

    fn ends(&self) -> Option<Ends> {
        match &self.via {
            Some(jump) => jump.session().ends(),
            None => self.switch.ends(),
        }
    }

    fn is_direct(&self) -> bool {
        self.via.is_none()
    }

    fn ask_jump(&self) -> bool {
        self.via.as_ref().is_some_and(|jump| {
            jump.ask();
            jump.is_in_doubt()
        })
    }

    fn hold_channel(&self) {
        tokio::spawn(hold::keep_a_channel(Arc::downgrade(&self.handle)));
    }

    fn guard(&self, rule: GuardRule) -> Guard {
        Guarding::start(Arc::downgrade(&self.handle), rule)
    }

    fn exec(&self, request: ExecRequest) -> Executing {
        let (session, learnt) = (Arc::downgrade(&self.handle), Arc::clone(&self.learnt));
        Box::pin(exec::start(session, learnt, request))
    }

    fn forwards(&self) -> Forwards {
        Forwards::new(Arc::downgrade(&self.handle), Arc::clone(&self.learnt))
    }

    fn inspect(&self, patience: Duration) -> Inspecting {
        Box::pin(inspect::start(Arc::downgrade(&self.handle), patience))
    }

    fn disconnect(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let _ = timeout(GOODBYE, self.say_goodbye()).await;
        })
    }

    fn peer(&self) -> &Peer {
        &self.peer
    }
}

/// OpenSSH's PROTOCOL, section 2.2 of its extensions; RFC 4254 section 4 makes every peer answer it, if only by failure.
const KEEPALIVE: &str = "keepalive@openssh.com";
/// As OpenSSH's client says it (clientloop.c): what reads an sshd's log knows these words for a clean end.
const BYE: &str = "disconnected by user";
/// The longest wait for a clean end.
pub const GOODBYE: Duration = Duration::from_secs(2);
/// How often we look whether the goodbye has left.
const LOOK: Duration = Duration::from_millis(5);
