//! ssh-agent over its socket, each wait with a deadline.

use std::path::{Path, PathBuf};
use std::time::Duration;

use russh::SendError;
use russh::keys::HashAlg;
use russh::keys::agent::client::AgentClient;
use russh::keys::agent::{AgentIdentity, AgentSessionBinding};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// What went wrong with the agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AgentFault {
    /// Its socket cannot be connected to.
    #[error("cannot reach the agent at {}: {why}", socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// The system's words.
        why: String,
    },
    /// It did not answer in time; a key that wants a touch or a confirmation did not get it.
    #[error("the agent at {} did not {what} within {} s", socket.display(), after.as_secs())]
    Timeout {
        /// The socket.
        socket: PathBuf,
        /// What it was asked.
        what: &'static str,
        /// How long we waited.
        after: Duration,
    },
    /// It said no: it is locked, lost the key, or somebody declined.
    #[error("the agent at {} refused to {what}", socket.display())]
    Refused {
        /// The socket.
        socket: PathBuf,
        /// What it was asked.
        what: &'static str,
    },
    /// What it said makes no sense.
    #[error("the agent at {} broke its protocol when asked to {what}: {why}", socket.display())]
    Protocol {
        /// The socket.
        socket: PathBuf,
        /// What it was asked.
        what: &'static str,
        /// What was wrong.
        why: String,
    },
}

/// A connection to the agent.
pub(super) struct Agent {
    socket: PathBuf,
    client: AgentClient<UnixStream>,
    /// An answer may still be on its way: what comes next would be taken for another's.
    broken: bool,
}

/// Why a signature did not come.
#[derive(Debug)]
pub(super) enum SignError {
    /// The agent's fault.
    Agent(AgentFault),
    /// The key itself would not sign.
    Key(String),
    /// The SSH session ended meanwhile.
    Session,
}

impl From<SendError> for SignError {
    fn from(_: SendError) -> Self {
        Self::Session
    }
}

impl Agent {
    pub(super) async fn connect(socket: &Path) -> Result<Self, AgentFault> {
        let stream = timeout(CONNECT_DEADLINE, UnixStream::connect(socket)).await;
        let stream = stream.map_err(|_| AgentFault::Timeout {
            socket: socket.to_owned(),
            what: "accept a connection",
            after: CONNECT_DEADLINE,
        })?;
        let stream = stream.map_err(|error| AgentFault::Unreachable {
            socket: socket.to_owned(),
            why: error.to_string(),
        })?;
        Ok(Self {
            socket: socket.to_owned(),
            client: AgentClient::connect(stream),
            broken: false,
        })
    }

    /// Tells the agent which session it signs for, so that keys tied to destinations are shown and work. Agents that do not
    /// know the extension refuse, which is no fault (as in OpenSSH's `ssh_agent_bind_hostkey`).
    pub(super) async fn bind(&mut self, session: &AgentSessionBinding) -> Result<(), AgentFault> {
        let bound = timeout(ANSWER_DEADLINE, self.client.bind_session(session, false)).await;
        match self.fault_of(bound, "bind to a session", ANSWER_DEADLINE) {
            Err(AgentFault::Refused { .. }) => Ok(()),
            other => other,
        }
    }

    /// The keys and certificates it holds, at most [`MAX_IDENTITIES`].
    pub(super) async fn identities(&mut self) -> Result<Vec<AgentIdentity>, AgentFault> {
        let listed = timeout(ANSWER_DEADLINE, self.client.request_identities()).await;
        let mut identities = self.fault_of(listed, "list its keys", ANSWER_DEADLINE)?;
        identities.truncate(MAX_IDENTITIES);
        Ok(identities)
    }

    /// `data` with the signature over it appended, as russh wants it.
    pub(super) async fn sign(
        &mut self,
        identity: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, AgentFault> {
        let request = self.client.sign_request(identity, hash, data);
        let signed = timeout(SIGN_DEADLINE, request).await;
        self.fault_of(signed, "sign", SIGN_DEADLINE)
    }

    /// Whether it can still be asked.
    pub(super) fn is_sound(&self) -> bool {
        !self.broken
    }

    fn fault_of<T>(
        &mut self,
        outcome: Result<Result<T, russh::keys::Error>, tokio::time::error::Elapsed>,
        what: &'static str,
        after: Duration,
    ) -> Result<T, AgentFault> {
        let socket = self.socket.clone();
        let error = match outcome {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(russh::keys::Error::AgentFailure)) => {
                return Err(AgentFault::Refused { socket, what });
            }
            Ok(Err(error)) => AgentFault::Protocol {
                socket,
                what,
                why: error.to_string(),
            },
            Err(_) => AgentFault::Timeout {
                socket,
                what,
                after,
            },
        };
        self.broken = true;
        Err(error)
    }
}

/// How long the agent has to accept a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// How long it has to answer what needs no person.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// How long it has to sign. A key on hardware may wait for a touch meanwhile.
const SIGN_DEADLINE: Duration = Duration::from_secs(10);

/// Keys of one agent we look at; OpenSSH's `MAX_AGENT_IDENTITIES` is 2048.
const MAX_IDENTITIES: usize = 2048;
