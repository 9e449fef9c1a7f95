//! The inspector: tells how much of a session of the same user lives still on a node, and ends it where nobody else can.
//!
//! It runs over a connection of its own, since the session it looks after may be past hearing. A POSIX shell
//! ([`script`](self::script)) finds who belongs to a session as that session's guard does, and answers each question in one
//! line. What is made of its output is in [`answers`](self::answers).

use std::sync::{Arc, Weak};
use std::time::Duration;

use russh::client::{Handle, Msg};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use self::answers::{Answers, Said};
use crate::far::FarSession;
use crate::guard::{self, Unguarded};
use crate::handler::Listener;

mod answers;
mod script;

pub use script::inspect_request;

/// See the module. Dropping it ends it.
#[derive(Debug)]
pub struct Inspector {
    write: Arc<ChannelWriteHalf<Msg>>,
    said: watch::Receiver<Option<Said>>,
    /// Of the last question.
    number: u64,
    /// Session ids on the node, as words, each after a blank.
    known: String,
}

/// Why an inspector does not say what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InspectError {
    /// None could be started.
    #[error("nobody can look after the session on the node: {0}")]
    Unfit(#[from] Unguarded),
    /// The node cannot tell one process from another.
    #[error("the node's processes cannot be searched (no /proc, or no grep)")]
    Blind,
    /// The session is none of this node's: it has booted since, or another answers at its address. That says nothing of it.
    #[error(
        "that is not where the session was: the node has booted since, or another machine has its address"
    )]
    Elsewhere,
    /// Its channel or its session is over.
    #[error("the channel for it is over")]
    Over,
    /// It has not answered in time.
    #[error("no answer within {after:?}")]
    Unanswered {
        /// For this long.
        after: Duration,
    },
}

impl Inspector {
    /// What is asked about from now on had these session ids on the node when it was last heard ([`Guard::sessions`]): once
    /// its sshd is gone, they are all that is known of processes whose environment this user cannot read.
    ///
    /// [`Guard::sessions`]: crate::Guard::sessions
    pub fn recall(&mut self, sessions: &[u32]) {
        self.known = sessions
            .iter()
            .flat_map(|id| [" ".to_owned(), id.to_string()])
            .collect();
    }

    /// How many processes of that session live: its sshd, and what it has started, its guard too. Not counted is the
    /// inspector itself.
    ///
    /// # Errors
    /// Where it has not answered within `patience`, or never will.
    pub async fn count(
        &mut self,
        of: &FarSession,
        patience: Duration,
    ) -> Result<usize, InspectError> {
        self.ask("count", of, patience).await
    }

    /// Kills (SIGKILL) all of them first, the sshd before the others; then counts. Who is of another user stays, and counts.
    ///
    /// # Errors
    /// Where it has not answered within `patience`, or never will. They may be killed all the same.
    pub async fn kill(
        &mut self,
        all_of: &FarSession,
        patience: Duration,
    ) -> Result<usize, InspectError> {
        self.ask("kill", all_of, patience).await
    }

    /// As [`kill`](Self::kill), but the sshd gets TERM first and a second to tidy up.
    ///
    /// # Errors
    /// Where it has not answered within `patience`, or never will. They may be ended all the same.
    pub async fn end(
        &mut self,
        all_of: &FarSession,
        patience: Duration,
    ) -> Result<usize, InspectError> {
        self.ask("end", all_of, patience).await
    }

    async fn ask(
        &mut self,
        verb: &str,
        far: &FarSession,
        patience: Duration,
    ) -> Result<usize, InspectError> {
        self.number += 1;
        let number = self.number;
        let asked = async {
            let question = format!("{number} {verb} {far}{}\n", self.known).into_bytes();
            let sent = self.write.data_bytes(question).await;
            sent.map_err(|_| InspectError::Over)?;
            self.hear(|said| match said {
                Said::Answer { to, count } => (*to == number).then_some(Ok(*count)),
                Said::Elsewhere { to } => (*to == number).then_some(Err(InspectError::Elsewhere)),
                _ => None,
            })
            .await?
        };
        let answer = timeout_at(Instant::now() + patience, asked).await;
        answer.unwrap_or(Err(InspectError::Unanswered { after: patience }))
    }

    /// Waits for something that is said.
    async fn hear<T>(&mut self, wanted: impl Fn(&Said) -> Option<T>) -> Result<T, InspectError> {
        loop {
            match &*self.said.borrow_and_update() {
                Some(Said::Unfit(why)) => return Err(why.clone()),
                Some(said) => {
                    if let Some(found) = wanted(said) {
                        return Ok(found);
                    }
                }
                None => {}
            }
            let changed = self.said.changed().await;
            changed.map_err(|_| InspectError::Over)?;
        }
    }
}

/// Starts one; within `patience` there is a channel, and within that again a hello.
pub(crate) async fn start(
    session: Weak<Handle<Listener>>,
    patience: Duration,
) -> Result<Inspector, InspectError> {
    let opened = guard::open_channel(&session, patience).await;
    let channel = opened.ok_or(InspectError::Over)??;
    let token = guard::new_token().ok_or(InspectError::Over)?;
    let (read, write) = channel.split();
    let write = Arc::new(write);
    let request = inspect_request(&token);
    let (tell, said) = watch::channel(None);
    tokio::spawn(listen(read, Arc::clone(&write), Answers::new(token), tell));
    let mut inspector = Inspector {
        write,
        said,
        number: 0,
        known: String::new(),
    };
    let hello = async {
        let asked = inspector.write.exec(true, request).await;
        asked.map_err(|_| InspectError::Over)?;
        inspector
            .hear(|said| (*said == Said::Hello).then_some(()))
            .await
    };
    let mute = Err(Unguarded::Mute { after: patience }.into());
    let hello = timeout_at(Instant::now() + patience, hello).await;
    hello.unwrap_or(mute)?;
    Ok(inspector)
}

/// Reads the channel at all times, since what is not read would stop the session's own beats, until nobody wants to hear.
async fn listen(
    mut read: ChannelReadHalf,
    write: Arc<ChannelWriteHalf<Msg>>,
    mut answers: Answers,
    tell: watch::Sender<Option<Said>>,
) {
    loop {
        let message = tokio::select! {
            message = read.wait() => message,
            () = tell.closed() => break,
        };
        let said = match message {
            Some(ChannelMsg::Data { data }) => answers.take_in(&data),
            Some(ChannelMsg::ExtendedData { data, .. }) => answers.waste(data.len()),
            Some(ChannelMsg::Failure) => Some(Said::Unfit(Unguarded::NotRun.into())),
            Some(ChannelMsg::Close) | None => Some(Said::Unfit(answers.closed())),
            Some(_) => None,
        };
        if said.is_some() {
            let is_last = matches!(said, Some(Said::Unfit(_)));
            tell.send_replace(said);
            if is_last {
                break;
            }
        }
    }
    let _ = write.close().await;
}
