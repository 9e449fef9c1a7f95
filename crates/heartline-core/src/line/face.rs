//! What goes into a line and what comes out of it.

use std::time::Duration;

use serde::Serialize;

use crate::alive::Prober;
use crate::cause::Cause;
use crate::event::{LinkEvidence, TcpEvidence};
use crate::timing::Timing;

/// How far a dial has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Looking the name up.
    Resolve,
    /// Through the jump hosts, or the proxy command.
    Proxy,
    /// TCP connect.
    Connect,
    /// The peer's SSH identification.
    Banner,
    /// Key exchange and host key.
    Kex,
    /// Authentication.
    Auth,
    /// A session stands.
    Session,
}

/// What a driver saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// A dial has come this far, at the moment that is told. The first one says that its turn has come: until then it waits
    /// for others that are being dialed, and no time counts against its peer.
    Reached(Stage),
    /// A dial succeeded: a session stands.
    Connected,
    /// A dial failed.
    DialFailed(Failure),
    /// A complete packet of the peer that passed its MAC.
    Life,
    /// A beat was answered (SUCCESS, FAILURE or UNIMPLEMENTED), after this round trip.
    Beat(Duration),
    /// The session is over, by the peer or by the network.
    Closed(Failure),
    /// The round trip of a beat that the session sent by itself; its sign of life is told by [`Observation::Life`].
    RoundTrip(Duration),
    /// The guard answered a beat of its own, at the moment that is told, after this round trip. Its sign of life is told by
    /// [`Observation::Life`].
    Echo(Duration),
    /// What TCP knows of the connection now; asked for by [`Line::wants_tcp_evidence`](super::Line::wants_tcp_evidence).
    Tcp(TcpEvidence),
    /// Whether the jump host that the line goes through owes an answer itself.
    JumpInDoubt(bool),
    /// What our own side has for the line now; told when it changes. None: nobody tells any more.
    Link(Option<LinkEvidence>),
    /// Whether the guard's shell has owed an answer for too long, the session being well.
    ShellHangs(bool),
    /// [`LineConfig::grain`] from now on.
    Grain(Duration),
    /// How late timers are handled where the line is driven, lately.
    Lag(Duration),
    /// Another line is in doubt: ask this one out of turn, so that all that fell together is known together.
    Ask,
    /// The watcher did not run for this long, until now.
    Stalled(Duration),
    /// Begin, or dial again at once, whatever the backoff says, and also after a cause that stops dialing.
    DialNow,
    /// The operator's pause.
    Pause,
    /// The end of the operator's pause.
    Resume,
}

/// Why a dial or a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The cause.
    pub cause: Cause,
    /// For a person; bytes of the peer in it are already escaped.
    pub detail: Option<String>,
}

impl Failure {
    /// A failure with its explanation.
    pub fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self {
            cause,
            detail: Some(detail.into()),
        }
    }
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            detail: None,
        }
    }
}

/// What a driver is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Dial.
    Dial,
    /// Send a beat.
    Beat,
    /// Tear the connection or the dial down at once, with a reset: nobody is there to say goodbye to.
    Abort,
    /// End the session cleanly.
    Disconnect,
}

/// What a line is to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineConfig {
    /// Its timing.
    pub timing: Timing,
    /// Makes its jitter its own.
    pub seed: u64,
    /// Who sends its routine beats.
    pub prober: Prober,
    /// How late whoever drives the line may send a beat and take an answer, because it does much at once.
    pub grain: Duration,
}
