//! A passphrase typed on the controlling terminal.

use std::fs::{File, OpenOptions};
use std::thread;
use std::time::Duration;

use nix::sys::termios::{SetArg, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::passphrase::{AskError, Passphrase};

/// Whether there is a controlling terminal and we are in its foreground; in its background, reading it would stop us.
pub(super) fn is_ours() -> bool {
    open().is_some_and(|terminal| tcgetpgrp(&terminal) == Ok(getpgrp()))
}

/// Shows the prompt and reads a line without echo.
pub(super) async fn ask(prompt: &str) -> Result<Passphrase, AskError> {
    let terminal = open().ok_or(AskError::NoWay)?;
    let before = tcgetattr(&terminal).map_err(|errno| AskError::Failed {
        why: errno.to_string(),
    })?;
    let prompt = prompt.to_owned();
    let (sender, receiver) = oneshot::channel();
    // A thread of its own: a read that nobody answers must not hold up the runtime's end.
    thread::spawn(move || {
        let _ = sender.send(rpassword::prompt_password(prompt));
    });
    match timeout(TYPING_DEADLINE, receiver).await {
        Ok(Ok(Ok(text))) => Ok(Passphrase::new(text)),
        Ok(Ok(Err(error))) => Err(AskError::Failed {
            why: error.to_string(),
        }),
        Ok(Err(_)) => Err(AskError::Declined),
        Err(_) => {
            // The thread still waits with the echo off; give the terminal back as it was.
            let _ = tcsetattr(&terminal, SetArg::TCSANOW, &before);
            Err(AskError::Timeout {
                after: TYPING_DEADLINE,
            })
        }
    }
}

fn open() -> Option<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .ok()
}

/// How long a person has to type. ssh waits without end; a watcher's start must not.
const TYPING_DEADLINE: Duration = Duration::from_mins(2);
