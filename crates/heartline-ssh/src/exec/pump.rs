//! What comes on a command's channel: answers to what was asked, its output, its end.

use std::collections::VecDeque;

use russh::{ChannelMsg, Sig};
use tokio::sync::oneshot;

use super::{Ending, ExecError};
use crate::escape::escape;
use crate::inbox::Piece;

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

/// Sorts what comes of a command.
pub(super) struct Pump {
    asked: Asked,
    answers: Answers,
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
    pub(super) fn new(asked: Asked, started: oneshot::Sender<Result<Answers, ExecError>>) -> Self {
        Self {
            asked,
            answers: Answers::default(),
            started: Some(started),
        }
    }

    /// What of it is for whoever takes the output.
    pub(super) fn sort(&mut self, message: ChannelMsg) -> Option<Piece> {
        match message {
            ChannelMsg::Data { data } => Some(Piece::Out(data)),
            // RFC 4254, section 5.2: SSH_EXTENDED_DATA_STDERR, and nothing else is defined.
            ChannelMsg::ExtendedData { data, ext: 1 } => Some(Piece::Err(data)),
            ChannelMsg::ExitStatus { exit_status } => {
                Some(Piece::Ended(Ending::Status(exit_status)))
            }
            ChannelMsg::ExitSignal { signal_name, .. } => {
                Some(Piece::Ended(Ending::Signal(signal_name_of(signal_name))))
            }
            ChannelMsg::Success => {
                self.answered(true);
                None
            }
            ChannelMsg::Failure => {
                self.answered(false);
                None
            }
            ChannelMsg::Close => Some(Piece::Closed),
            _ => None,
        }
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
