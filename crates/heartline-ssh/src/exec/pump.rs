//! Empties a command's channel, always.

use std::collections::VecDeque;
use std::sync::Arc;

use russh::{ChannelMsg, ChannelReadHalf, Sig};
use tokio::sync::{mpsc, oneshot};

use super::backlog::Backlog;
use super::{Ending, ExecError, Part};
use crate::escape::escape;

/// What was asked of a channel, in the order of the answers.
#[derive(Debug, Default)]
pub(super) struct Asked(VecDeque<Question>);

#[derive(Debug)]
enum Question {
    Env(String),
    Terminal,
    Command,
}

/// What was not granted of it, the command itself being started.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) refused_env: Vec<String>,
    pub(super) refused_terminal: bool,
}

/// Carries what comes to whoever takes it.
pub(super) struct Pump {
    asked: Asked,
    answers: Answers,
    send: mpsc::UnboundedSender<Part>,
    backlog: Arc<Backlog>,
    started: Option<oneshot::Sender<Result<Answers, ExecError>>>,
}

impl Asked {
    pub(super) fn env(&mut self, name: &str) {
        self.0.push_back(Question::Env(name.to_owned()));
    }

    pub(super) fn terminal(&mut self) {
        self.0.push_back(Question::Terminal);
    }

    pub(super) fn command(&mut self) {
        self.0.push_back(Question::Command);
    }
}

impl Pump {
    pub(super) fn new(
        asked: Asked,
        send: mpsc::UnboundedSender<Part>,
        backlog: Arc<Backlog>,
        started: oneshot::Sender<Result<Answers, ExecError>>,
    ) -> Self {
        Self {
            asked,
            answers: Answers::default(),
            send,
            backlog,
            started: Some(started),
        }
    }

    /// Until the channel or the session is over.
    pub(super) async fn run(mut self, mut read: ChannelReadHalf) {
        while let Some(message) = read.wait().await {
            let part = match message {
                ChannelMsg::Data { data } => Part::Out(data),
                // RFC 4254, section 5.2: SSH_EXTENDED_DATA_STDERR, and nothing else is defined.
                ChannelMsg::ExtendedData { data, ext: 1 } => Part::Err(data),
                ChannelMsg::ExitStatus { exit_status } => Part::Ended(Ending::Status(exit_status)),
                ChannelMsg::ExitSignal { signal_name, .. } => {
                    Part::Ended(Ending::Signal(signal_name_of(signal_name)))
                }
                ChannelMsg::Success => {
                    self.answered(true);
                    continue;
                }
                ChannelMsg::Failure => {
                    self.answered(false);
                    continue;
                }
                ChannelMsg::Close => Part::Closed,
                _ => continue,
            };
            let is_last = part == Part::Closed;
            self.backlog.came(part.weight());
            if self.send.send(part).is_err() {
                // Nobody takes it; the channel is emptied all the same, so that the session goes on.
                self.backlog.abandon();
            }
            if is_last {
                break;
            }
        }
        self.backlog.abandon();
    }

    fn answered(&mut self, granted: bool) {
        match self.asked.0.pop_front() {
            Some(Question::Env(name)) if !granted => self.answers.refused_env.push(name),
            Some(Question::Terminal) if !granted => self.answers.refused_terminal = true,
            Some(Question::Command) => {
                let answers = std::mem::take(&mut self.answers);
                let answer = if granted {
                    Ok(answers)
                } else {
                    Err(ExecError::Refused)
                };
                if let Some(started) = self.started.take() {
                    let _ = started.send(answer);
                }
            }
            Some(Question::Env(_) | Question::Terminal) | None => {}
        }
    }
}

/// What the peer calls it, escaped.
pub(crate) fn signal_name_of(signal: Sig) -> String {
    let name = match signal {
        Sig::Custom(name) => name,
        known => format!("{known:?}"),
    };
    escape(name.as_bytes(), MAX_NAME)
}

const MAX_NAME: usize = 40;
