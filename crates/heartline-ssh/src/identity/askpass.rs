//! A passphrase by way of the `SSH_ASKPASS` program.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::passphrase::{AskError, Passphrase};

/// Runs the program, without a shell, with the prompt as its only argument, and takes the first line it prints.
pub(super) async fn ask(program: &Path, prompt: &str) -> Result<Passphrase, AskError> {
    let mut child = Command::new(program)
        .arg(prompt)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| AskError::Failed {
            why: format!("{}: {error}", program.display()),
        })?;
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let answer = timeout(ANSWER_DEADLINE, answer(&mut child)).await;
    if !matches!(answer, Ok(Ok(_)))
        && let Some(group) = group
    {
        // The program may be a script with children of its own that keep the dialogue open.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    answer.unwrap_or(Err(AskError::Timeout {
        after: ANSWER_DEADLINE,
    }))
}

async fn answer(child: &mut Child) -> Result<Passphrase, AskError> {
    let failed = |error: std::io::Error| AskError::Failed {
        why: error.to_string(),
    };
    // Never grown, so that no copy of a part is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_ANSWER + 1));
    if let Some(stdout) = child.stdout.take() {
        let mut stdout = stdout.take(MAX_ANSWER as u64 + 1);
        while stdout.read_buf(&mut *bytes).await.map_err(failed)? > 0 {}
    }
    if bytes.len() > MAX_ANSWER {
        return Err(AskError::NotAPassphrase);
    }
    if !child.wait().await.map_err(failed)?.success() {
        return Err(AskError::Declined);
    }
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next();
    let text = str::from_utf8(line.unwrap_or_default()).map_err(|_| AskError::NotAPassphrase)?;
    Ok(Passphrase::new(text.to_owned()))
}

/// How long a person has to answer the program.
const ANSWER_DEADLINE: Duration = Duration::from_mins(1);

/// The longest answer, in bytes; ssh reads as much.
const MAX_ANSWER: usize = 1024;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    async fn say(script: &str) -> Result<String, AskError> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("ask");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let answer = ask(&program, "Enter it: ").await;
        answer.map(|passphrase| passphrase.reveal().to_owned())
    }

    #[tokio::test]
    async fn the_first_line_is_the_passphrase() {
        assert_eq!(say("echo one; echo two").await, Ok("one".to_owned()));
        assert_eq!(say("printf 'a b'").await, Ok("a b".to_owned()));
        assert_eq!(say("echo \"$1\"").await, Ok("Enter it: ".to_owned()));
    }

    #[tokio::test]
    async fn what_is_no_answer_is_told_apart() {
        assert_eq!(say("exit 1").await, Err(AskError::Declined));
        assert_eq!(say("printf '\\377'").await, Err(AskError::NotAPassphrase));
        let endless = say("yes").await;
        assert_eq!(endless, Err(AskError::NotAPassphrase));
        let absent = ask(Path::new("/nowhere/ask"), "").await;
        assert!(matches!(absent, Err(AskError::Failed { .. })), "{absent:?}");
    }
}
