//! A program that is told: no shell, a process group of its own, an end to everything it may do to us.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use heartline_ssh::escape;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::letter::Letter;
use crate::outcome::Outcome;

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
}

impl Program {
    /// Runs it once. Whoever drops this kills it, with its process group.
    pub(crate) async fn tell(&self, letter: &Letter, body: &str, limit: Duration) -> Outcome {
        let mut command = Command::new(&self.program);
        for name in OURS_ALONE {
            command.env_remove(name);
        }
        command
            .args(&self.arguments)
            .envs(environment(letter))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                let program = escape(self.program.as_bytes(), SHOWN);
                return Outcome::Failed(format!("cannot run {program}: {error}"));
            }
        };
        let mut group = Group(child);
        let mut said = (Vec::new(), Vec::new());
        let ended = group.talk(body, &mut said, limit).await;
        let (out, err) = said;
        let said = if err.is_empty() { out } else { err };
        match ended {
            Ended::Itself(status) => judge(status, &said),
            Ended::Late => Outcome::Failed(with_words(
                format!("not done within {limit:?}, and ended"),
                &said,
            )),
            Ended::Lost(error) => Outcome::Failed(format!("cannot be waited for: {error}")),
        }
    }
}

fn judge(status: ExitStatus, said: &[u8]) -> Outcome {
    match status.code() {
        Some(0) => Outcome::Done,
        Some(TRY_AGAIN) => Outcome::Later {
            wait: None,
            why: with_words(status.to_string(), said),
        },
        _ => Outcome::Failed(with_words(status.to_string(), said)),
    }
}

fn with_words(mut why: String, said: &[u8]) -> String {
    let said = said.trim_ascii();
    if !said.is_empty() {
        why.push_str("; it said: ");
        why.push_str(&escape(said, MOST_SAID));
    }
    why
}

/// What it finds in its environment, beside ours. A NUL cannot be there.
fn environment(letter: &Letter) -> Vec<(&'static str, String)> {
    let cause = letter.cause.map(|cause| cause.word().to_owned());
    let after = letter.after_ms.map(|after| after.to_string());
    let token = letter.token.map(|token| token.to_string());
    let changes = letter.changes.map(|changes| changes.to_string());
    let all = [
        ("HEARTLINE_HOOK", Some(letter.hook.clone())),
        ("HEARTLINE_KEY", Some(letter.key.clone())),
        ("HEARTLINE_TOKEN", token),
        ("HEARTLINE_NODE", letter.node.clone()),
        ("HEARTLINE_LINE", letter.line.clone()),
        ("HEARTLINE_TAGS", Some(letter.tags.join(","))),
        ("HEARTLINE_FROM", Some(letter.from.clone())),
        ("HEARTLINE_TO", Some(letter.to.clone())),
        ("HEARTLINE_CAUSE", cause),
        ("HEARTLINE_T", Some(letter.t.clone())),
        ("HEARTLINE_AFTER_MS", after),
        (
            "HEARTLINE_FLAPPING",
            Some(i32::from(letter.flapping).to_string()),
        ),
        ("HEARTLINE_CHANGES", changes),
    ];
    all.into_iter()
        .map(|(name, value)| {
            let value = value.unwrap_or_default().replace('\0', "\u{fffd}");
            let cut = value.floor_char_boundary(MOST_IN_ENVIRONMENT);
            (name, value.get(..cut).unwrap_or_default().to_owned())
        })
        .collect()
}

/// How it ended.
enum Ended {
    Itself(ExitStatus),
    /// By us.
    Late,
    Lost(io::Error),
}

/// A child that leads a process group. As long as nobody has waited for it, its number is nobody else's, nor its group's.
struct Group(Child);

impl Group {
    /// Gives it the body, takes what it says, and waits for it; ends it when the limit has passed.
    async fn talk(&mut self, body: &str, said: &mut (Vec<u8>, Vec<u8>), limit: Duration) -> Ended {
        let (stdin, out, err) = (
            self.0.stdin.take(),
            self.0.stdout.take(),
            self.0.stderr.take(),
        );
        // Nothing of it is waited for longer than the program itself.
        let (keep_out, keep_err) = said;
        let streams = async {
            tokio::join!(give(stdin, body), keep(out, keep_out), keep(err, keep_err));
        };
        tokio::pin!(streams);
        let mut are_closed = false;
        let until = Instant::now() + limit;
        loop {
            tokio::select! {
                status = self.0.wait() => {
                    if !are_closed {
                        // What it left behind may hold its pipes for ever.
                        let _ = timeout(LAST_WORDS, streams).await;
                    }
                    return status.map_or_else(Ended::Lost, Ended::Itself);
                }
                () = &mut streams, if !are_closed => are_closed = true,
                () = tokio::time::sleep_until(until) => break,
            }
        }
        tokio::select! {
            () = self.end() => {}
            // So that it can say why.
            () = async { streams.await; std::future::pending().await }, if !are_closed => {}
        }
        Ended::Late
    }

    /// TERM, and KILL two seconds later at the latest.
    async fn end(&mut self) {
        self.signal(Signal::TERM);
        let until = Instant::now() + GRACE;
        while Instant::now() < until && !self.is_over() {
            sleep(LOOK).await;
        }
        self.signal(Signal::KILL);
        // Only a process in the kernel's hands outlives this, and that one is not waited for.
        let _ = timeout(GRACE, self.0.wait()).await;
    }

    fn pid(&self) -> Option<Pid> {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        id.and_then(Pid::from_raw)
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // That there is nobody left is as good.
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Whether it has ended; it is not waited for, so that its group's number stays its own.
    fn is_over(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.pid()
            .is_none_or(|pid| matches!(waitid(WaitId::Pid(pid), options), Ok(Some(_))))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // None, once somebody has waited for it.
        self.signal(Signal::KILL);
    }
}

/// The body and a line end, and then nothing. One who does not read it misses it.
async fn give(stdin: Option<ChildStdin>, body: &str) {
    if let Some(mut stdin) = stdin
        && stdin.write_all(body.as_bytes()).await.is_ok()
    {
        let _ = stdin.write_all(b"\n").await;
    }
}

/// Reads until the end, and keeps the beginning.
async fn keep(from: Option<impl AsyncRead + Unpin>, said: &mut Vec<u8>) {
    let Some(mut from) = from else {
        return;
    };
    let mut buffer = vec![0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let room = MOST_SAID.saturating_sub(said.len()).min(count);
        said.extend_from_slice(buffer.get(..room).unwrap_or_default());
    }
}

/// By these we speak with systemd; nobody speaks in our name.
const OURS_ALONE: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];
/// `EX_TEMPFAIL` of sysexits.h.
const TRY_AGAIN: i32 = 75;
/// Bytes of what it says that are kept, of each stream.
const MOST_SAID: usize = 4096;
const SHOWN: usize = 200;
/// Linux takes 128 KiB a string.
const MOST_IN_ENVIRONMENT: usize = 32 * 1024;
const PIECE: usize = 64 * 1024;
const LAST_WORDS: Duration = Duration::from_millis(500);
const GRACE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
