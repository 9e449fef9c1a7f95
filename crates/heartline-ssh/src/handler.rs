//! What russh tells us of one connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use heartline_core::{Cause, Failure};
use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelId};
use tokio::sync::oneshot;
use tracing::warn;

use crate::escape::escape;
use crate::forward::{Arriving, Doors};
use crate::hostkey::{HostKeyError, Verifier};
use crate::inbox::Inboxes;
use crate::socket::cause_of;

/// What is learnt during a handshake, and when the session ends.
#[derive(Debug, Default)]
pub(crate) struct Learnt {
    /// Why the host key was refused.
    pub(crate) host_key: Option<HostKeyError>,
    /// The key exchange and cipher that were negotiated.
    pub(crate) algorithms: Option<(String, String)>,
    /// What the peer said when it ended the session.
    pub(crate) last_word: Option<Failure>,
    /// What has come on channels.
    pub(crate) inboxes: Inboxes,
    /// Where the node listens for us.
    pub(crate) doors: Doors,
}

/// Shared between the handler and whoever dials.
pub(crate) type SharedLearnt = Arc<Mutex<Learnt>>;

/// See the module.
pub(crate) struct Listener {
    verifier: Arc<Verifier>,
    learnt: SharedLearnt,
    ended: Option<oneshot::Sender<Failure>>,
    /// Those of `learnt`, since they are asked for every packet.
    inboxes: Inboxes,
}

impl Listener {
    /// A handler for one connection, what it learns, and how it says that the session is over.
    pub(crate) fn new(verifier: Arc<Verifier>) -> (Self, SharedLearnt, oneshot::Receiver<Failure>) {
        let learnt = SharedLearnt::default();
        let (ended, end) = oneshot::channel();
        let inboxes = Inboxes::default();
        learnt
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .inboxes = inboxes.clone();
        let listener = Self {
            verifier,
            learnt: Arc::clone(&learnt),
            ended: Some(ended),
            inboxes,
        };
        (listener, learnt, end)
    }

    fn learn(&self, what: impl FnOnce(&mut Learnt)) {
        what(&mut self.learnt.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Handler for Listener {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        presented: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        match self.verifier.check(presented, SystemTime::now()) {
            Ok(trust) => {
                if let Some(warning) = trust.warning() {
                    warn!("{warning}");
                }
                Ok(true)
            }
            Err(error) => {
                self.learn(|learnt| learnt.host_key = Some(error));
                Ok(false)
            }
        }
    }

    async fn kex_done(
        &mut self,
        _shared_secret: Option<&[u8]>,
        names: &russh::Names,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let (kex, cipher): (&str, &str) = (names.kex.as_ref(), names.cipher.as_ref());
        self.learn(|learnt| learnt.algorithms = Some((kex.to_owned(), cipher.to_owned())));
        Ok(())
    }

    fn withholds_window(&mut self, channel: ChannelId) -> bool {
        self.inboxes.withholds(channel)
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        connected_address: &str,
        connected_port: u32,
        originator_address: &str,
        originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let mut door = None;
        self.learn(|learnt| door = learnt.doors.tcp(connected_address, connected_port));
        let from = Arriving::origin(originator_address, originator_port);
        let arriving = Arriving {
            channel,
            reply,
            from,
        };
        arriving.send_to(door).await;
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        socket_path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let mut door = None;
        self.learn(|learnt| door = learnt.doors.unix(socket_path));
        let arriving = Arriving {
            channel,
            reply,
            from: None,
        };
        arriving.send_to(door).await;
        Ok(())
    }

    // What nobody has asked for is refused: russh would take it in. Dropping `reply` is the refusal.

    async fn server_channel_open_agent_forward(
        &mut self,
        _channel: Channel<Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host: &str,
        _port: u32,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _socket_path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _channel: Channel<Msg>,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<Self::Error>,
    ) -> Result<(), Self::Error> {
        let failure = match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                let said = escape(info.message.as_bytes(), MAX_WORDS);
                Failure::new(Cause::ClosedByPeer, said)
            }
            DisconnectReason::Error(error) => failure_of(&error),
        };
        let last_word = failure.clone();
        self.learn(|learnt| learnt.last_word = Some(last_word));
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(failure);
        }
        Ok(())
    }
}

/// What russh's word on the end of a session means.
pub(crate) fn failure_of(error: &russh::Error) -> Failure {
    let cause = match error {
        russh::Error::IO(error) => match cause_of(error) {
            // The kernel's own time-out speaks of silence; so it is.
            cause @ (Cause::Reset | Cause::Silent | Cause::LinkDown | Cause::NoRoute) => cause,
            _ => Cause::ClosedByPeer,
        },
        russh::Error::Disconnect | russh::Error::HUP | russh::Error::SendError => {
            Cause::ClosedByPeer
        }
        _ => Cause::Protocol,
    };
    Failure::new(cause, escape(error.to_string().as_bytes(), MAX_WORDS))
}

/// What a peer says of a channel that it does not open, escaped.
pub(crate) fn refusal_words(words: &str) -> String {
    escape(words.as_bytes(), MAX_WORDS)
}

/// How much of a peer's words is kept.
const MAX_WORDS: usize = 255;
