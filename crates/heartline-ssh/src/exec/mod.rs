//! A command at the far end of a session: its input, its output as it comes, how it ended.
//!
//! Bytes flow both ways with back-pressure, and none of it stops the beats: what is sent waits here for the channel's window;
//! what comes and is not taken waits in an inbox, and when that is full the node waits, with this command alone.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use russh::client::{Handle, Msg};
use russh::{Channel, ChannelWriteHalf, Error, Sig};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::handler::{Listener, SharedLearnt, refusal_words};
use crate::inbox::{Inbox, Piece};

mod pump;
mod terminal;

use pump::{Asked, Pump};

pub(crate) use pump::signal_name_of;

pub use terminal::{Size, Terminal};

/// What to run, and how.
#[derive(Clone, Debug, Default)]
pub struct ExecRequest {
    /// For the user's login shell there, as ssh sends it.
    pub command: Vec<u8>,
    /// A terminal to run it on, if any.
    pub terminal: Option<Terminal>,
    /// Variables to set, as far as the node takes them (`AcceptEnv`).
    pub env: Vec<(String, String)>,
    /// The longest wait for each of the channel and the answers to what is asked for.
    pub patience: Duration,
}

/// A command that was started. When its output is dropped what still comes is let go; the command goes on.
#[derive(Debug)]
pub struct Exec {
    /// Where its input goes and who signals it.
    pub input: ExecInput,
    /// What comes of it.
    pub output: ExecOutput,
    /// Variables that the node did not take.
    pub refused_env: Vec<String>,
    /// The node gave it no terminal though one was asked for.
    pub refused_terminal: bool,
}

/// Sends to a command. Every call waits for the channel's window, which is as long as the command lets it.
#[derive(Debug)]
pub struct ExecInput {
    write: Arc<ChannelWriteHalf<Msg>>,
}

/// What comes of a command.
#[derive(Debug)]
pub struct ExecOutput {
    inbox: Arc<Inbox>,
}

/// One piece of what comes of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Of its standard output.
    Out(Bytes),
    /// Of its standard error.
    Err(Bytes),
    /// How it ended. More output may come after it: its last, and that of others that hold its output open.
    Ended(Ending),
    /// All has come, and its channel is closed. Without this the session was over before that.
    Closed,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this status.
    Status(u32),
    /// By a signal of this name (`TERM`), escaped.
    Signal(String),
}

/// Why a command was not started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The node opens no channel.
    #[error("the node opens no channel for it: {why}")]
    NoChannel {
        /// What it says, escaped.
        why: String,
    },
    /// The node runs no command.
    #[error("the node runs no command")]
    Refused,
    /// No answer.
    #[error("no answer within {after:?}")]
    Mute {
        /// For this long.
        after: Duration,
    },
    /// The session is over.
    #[error("the session is over")]
    Over,
}

/// The future of [`Session::exec`](crate::Session::exec).
pub type Executing = Pin<Box<dyn Future<Output = Result<Exec, ExecError>> + Send>>;

impl ExecInput {
    /// Sends bytes to its standard input; an error, when the channel or the session is over.
    pub async fn write(&self, bytes: Bytes) -> Result<(), ExecError> {
        self.write.data_bytes(bytes).await.map_err(over)
    }

    /// Ends its standard input.
    pub async fn end(&self) -> Result<(), ExecError> {
        self.write.eof().await.map_err(over)
    }

    /// Signals it by a name of RFC 4254, section 6.10 (`INT`). OpenSSH does since 7.9, its whole process group, but not for
    /// root (`session_signal_req`: "session signalling requires privilege separation"); whether it was done is not told.
    pub async fn signal(&self, name: &str) -> Result<(), ExecError> {
        let signal = Sig::Custom(name.to_owned());
        self.write.signal(signal).await.map_err(over)
    }

    /// Its terminal has another size now.
    pub async fn resize(&self, size: Size) -> Result<(), ExecError> {
        let Size { columns, rows } = size;
        let done = self.write.window_change(columns, rows, 0, 0);
        done.await.map_err(over)
    }
}

impl ExecOutput {
    /// The next piece; none, when its channel or its session is over. Losing the future loses nothing.
    pub async fn next(&mut self) -> Option<Part> {
        loop {
            return Some(match self.inbox.next().await? {
                Piece::Out(bytes) => Part::Out(bytes),
                Piece::Err(bytes) => Part::Err(bytes),
                Piece::Ended(ending) => Part::Ended(ending),
                Piece::Closed => Part::Closed,
                Piece::Eof => continue,
            });
        }
    }
}

impl Drop for ExecOutput {
    fn drop(&mut self) {
        // What still comes waits for nobody.
        self.inbox.abandon();
    }
}

/// Opens a channel and starts a command on it.
pub(crate) async fn start(
    session: Weak<Handle<Listener>>,
    learnt: SharedLearnt,
    request: ExecRequest,
) -> Result<Exec, ExecError> {
    let patience = request.patience;
    let channel = timeout(patience, open(&session)).await;
    let (read, write) = channel
        .unwrap_or(Err(ExecError::Mute { after: patience }))?
        .split();
    let (tell, started) = oneshot::channel();
    let write = Arc::new(write);
    let inboxes = {
        let learnt = learnt.lock().unwrap_or_else(PoisonError::into_inner);
        learnt.inboxes.clone()
    };
    let filler = inboxes.open(write.id());
    let inbox = filler.inbox();
    let mut asked = Asked::default();
    let ask = async {
        for (name, value) in &request.env {
            asked.env(name);
            write.set_env(true, name.as_str(), value.as_str()).await?;
        }
        if let Some(terminal) = &request.terminal {
            asked.terminal();
            let Size { columns, rows } = terminal.size;
            let modes = terminal.modes();
            let done = write.request_pty(true, &terminal.term, columns, rows, 0, 0, &modes);
            done.await?;
        }
        asked.command();
        write.exec(true, request.command).await
    };
    // The session takes what is sent as fast as it is written, or is over.
    let sent: Result<Result<(), Error>, _> = timeout(patience, ask).await;
    sent.map_err(|_| ExecError::Mute { after: patience })?
        .map_err(over)?;
    let mut pump = Pump::new(asked, tell);
    let fill = filler.fill(read, Arc::clone(&write), move |message| pump.sort(message));
    tokio::spawn(fill);
    let started = timeout(patience, started).await;
    let answers = match started {
        Ok(Ok(answers)) => answers?,
        Ok(Err(_)) => return Err(ExecError::Over),
        Err(_) => {
            let _ = write.close().await;
            return Err(ExecError::Mute { after: patience });
        }
    };
    Ok(Exec {
        input: ExecInput { write },
        output: ExecOutput { inbox },
        refused_env: answers.refused_env,
        refused_terminal: answers.refused_terminal,
    })
}

async fn open(session: &Weak<Handle<Listener>>) -> Result<Channel<Msg>, ExecError> {
    let handle = session.upgrade().ok_or(ExecError::Over)?;
    handle
        .channel_open_session()
        .await
        .map_err(|error| match error {
            Error::ChannelOpenFailure(_, words) => ExecError::NoChannel {
                why: refusal_words(&words),
            },
            _ => ExecError::Over,
        })
}

fn over(_: Error) -> ExecError {
    ExecError::Over
}
