//! A program under test: [`Running`] holds it, reads its output, times its end and ends it.
//!
//! Every line is stamped with the monotonic instant at which it was read, by a thread that does
//! nothing else, and the end of the process by a thread that sleeps in `waitid(2)`: both are exact
//! to the scheduler's delay, however busy the test is. Memory is bounded ([`KEPT_BYTES`]): what
//! comes after is read and thrown away, and the next wait says so.
//!
//! Not here: where the program runs. A [`Host`](crate::Host) makes the command.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// A program started by a test, in a process group of its own. Dropping it kills that group.
#[derive(Debug)]
pub struct Running {
    what: String,
    pid: Pid,
    child: Child,
    stdin: Option<ChildStdin>,
    status: Option<ExitStatus>,
    started: Instant,
    cursor: usize,
    seen: Arc<Seen>,
}

impl Running {
    /// Starts `command` with both outputs captured. Its standard input is what the command says
    /// (commands made by a [`Host`](crate::Host) read `/dev/null`).
    pub fn spawn(mut command: Command) -> Result<Self> {
        let what = describe(&command);
        let started = Instant::now();
        let mut child = command
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{what}`"))?;
        let pid = Pid::from_raw(i32::try_from(child.id()).context("pid out of range")?);
        let seen = Arc::new(Seen::default());
        if let Some(out) = child.stdout.take() {
            seen.clone().collect(out, Stream::Stdout);
        }
        if let Some(err) = child.stderr.take() {
            seen.clone().collect(err, Stream::Stderr);
        }
        seen.clone().watch_end(pid);
        let stdin = child.stdin.take();
        Ok(Self {
            what,
            pid,
            child,
            stdin,
            status: None,
            started,
            cursor: 0,
            seen,
        })
    }

    /// The process id; also the id of its process group.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// When it was started, taken just before the fork.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Writes to its standard input, which must have been set to [`Stdio::piped`].
    pub fn write_stdin(&mut self, text: &str) -> Result<()> {
        let Some(stdin) = self.stdin.as_mut() else {
            bail!("`{}` has no piped standard input", self.what)
        };
        stdin
            .write_all(text.as_bytes())
            .with_context(|| format!("stdin of `{}`", self.what))
    }

    /// Closes its standard input: the program reads end of file.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Sends `signal` to the process group. Does nothing once the program has been waited for.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if self.status.is_some() {
            return Ok(());
        }
        match killpg(self.pid, signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(errno).with_context(|| format!("{signal} to `{}`", self.what)),
        }
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// Freezes it (SIGSTOP).
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Thaws it (SIGCONT).
    pub fn cont(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Waits for the first line accepted by `wanted` among those that came after the line the last
    /// call returned. Fails, showing the last lines, when `ceiling` passes or both outputs end.
    pub fn wait_for(
        &mut self,
        wanted_name: &str,
        ceiling: Duration,
        mut wanted: impl FnMut(&Line) -> bool,
    ) -> Result<Line> {
        let deadline = Instant::now() + ceiling;
        let mut log = self.seen.lock();
        loop {
            while let Some(line) = log.lines.get(self.cursor) {
                self.cursor += 1;
                if wanted(line) {
                    return Ok(line.clone());
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let why = if log.overflow {
                format!("more than {KEPT_BYTES} bytes of output")
            } else if log.open == 0 {
                "its output ended".to_owned()
            } else if left.is_zero() {
                format!("{ceiling:?} passed")
            } else {
                log = self.seen.wait(log, left);
                continue;
            };
            bail!(
                "`{}`: no {wanted_name}: {why}; last lines:\n{}",
                self.what,
                log.tail()
            );
        }
    }

    /// Every line so far, in the order in which they were read.
    pub fn lines(&self) -> Vec<Line> {
        self.seen.lock().lines.clone()
    }

    /// True while the program has not ended.
    pub fn is_alive(&self) -> bool {
        self.seen.lock().ended.is_none()
    }

    /// Waits until the program has ended, at most for `ceiling`; on timeout it goes on running.
    pub fn wait(&mut self, ceiling: Duration) -> Result<Ended> {
        let deadline = Instant::now() + ceiling;
        let mut log = self.seen.lock();
        let at = loop {
            if let Some(at) = log.ended {
                break at;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let tail = log.tail();
                bail!(
                    "`{}` still runs after {ceiling:?}; last lines:\n{tail}",
                    self.what
                );
            }
            log = self.seen.wait(log, left);
        };
        drop(log);
        let status = match self.status {
            Some(status) => status,
            // The process is a zombie by now, so this does not block.
            None => self
                .child
                .wait()
                .with_context(|| format!("wait for `{}`", self.what))?,
        };
        self.status = Some(status);
        Ok(Ended {
            status,
            at,
            took: at.saturating_duration_since(self.started),
        })
    }

    /// Waits for the end as [`Running::wait`] does, and then for the rest of the output.
    pub fn finish(mut self, ceiling: Duration) -> Result<Finished> {
        let ended = self.wait(ceiling)?;
        let deadline = Instant::now() + OUTPUT_GRACE;
        let mut log = self.seen.lock();
        // A grandchild may hold the outputs open for ever: do not wait for it.
        while log.open > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            log = self.seen.wait(log, left);
        }
        Ok(Finished {
            ended,
            stdout: log.text(Stream::Stdout),
            stderr: log.text(Stream::Stderr),
            what: self.what.clone(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The group may hold processes that outlived the leader. Until `status` is known the
        // leader is at least a zombie, so its id cannot have been given to a stranger.
        if self.status.is_none() {
            let _ = killpg(self.pid, Signal::SIGKILL);
            if self.wait(KILL_CEILING).is_err() {
                eprintln!("lab: `{}` (pid {}) survived SIGKILL", self.what, self.pid);
            }
        }
    }
}

/// Which output a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line of output, without its line feed; bytes that are not UTF-8 are replaced.
#[derive(Debug, Clone)]
pub struct Line {
    /// When it was read (`CLOCK_MONOTONIC`).
    pub at: Instant,
    /// Where it came from.
    pub stream: Stream,
    /// What it says.
    pub text: String,
}

/// How and when a program ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// When it ended (`CLOCK_MONOTONIC`).
    pub at: Instant,
    /// From its start to its end.
    pub took: Duration,
}

/// All there is to know of a program that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How and when.
    pub ended: Ended,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    what: String,
}

impl Finished {
    /// The exit code; `None` when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.ended.status.code()
    }

    /// Itself if the exit code was 0, otherwise an error that shows what the program said.
    pub fn success(self) -> Result<Self> {
        if self.ended.status.success() {
            return Ok(self);
        }
        let Self {
            ended,
            stdout,
            stderr,
            what,
        } = self;
        bail!(
            "`{what}`: {}; stderr: {stderr:?}; stdout: {stdout:?}",
            ended.status
        )
    }
}

/// What the reading threads have seen.
#[derive(Debug, Default)]
struct Seen {
    log: Mutex<Log>,
    changed: Condvar,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, log: MutexGuard<'a, Log>, at_most: Duration) -> MutexGuard<'a, Log> {
        self.changed
            .wait_timeout(log, at_most)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// Reads `source` to its end on a thread of its own, which ends with the pipe.
    fn collect(self: Arc<Self>, source: impl Read + Send + 'static, stream: Stream) {
        self.lock().open += 1;
        thread::spawn(move || {
            let mut source = BufReader::new(source);
            loop {
                let mut raw = Vec::new();
                let read = source.by_ref().take(LINE_BYTES).read_until(b'\n', &mut raw);
                let at = Instant::now();
                if !matches!(read, Ok(1..)) {
                    break;
                }
                if raw.last() == Some(&b'\n') {
                    raw.pop();
                }
                let text = String::from_utf8_lossy(&raw).into_owned();
                self.lock().push(Line { at, stream, text });
                self.changed.notify_all();
            }
            self.lock().open -= 1;
            self.changed.notify_all();
        });
    }

    /// Notes when `pid` ends, without reaping it: the id stays ours until [`Running::wait`].
    fn watch_end(self: Arc<Self>, pid: Pid) {
        thread::spawn(move || {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            while waitid(Id::Pid(pid), flags) == Err(Errno::EINTR) {}
            self.lock().ended = Some(Instant::now());
            self.changed.notify_all();
        });
    }
}

#[derive(Debug, Default)]
struct Log {
    lines: Vec<Line>,
    bytes: usize,
    overflow: bool,
    open: u8,
    ended: Option<Instant>,
}

impl Log {
    fn push(&mut self, line: Line) {
        self.bytes += line.text.len() + size_of::<Line>();
        if self.bytes > KEPT_BYTES {
            self.overflow = true;
        } else {
            self.lines.push(line);
        }
    }

    fn text(&self, stream: Stream) -> String {
        let mut text = String::new();
        for line in self.lines.iter().filter(|line| line.stream == stream) {
            text.push_str(&line.text);
            text.push('\n');
        }
        text
    }

    /// The last lines, escaped: they may come from a peer.
    fn tail(&self) -> String {
        let from = self.lines.len().saturating_sub(TAIL_LINES);
        let show = |line: &Line| format!("  {:?}: {:?}\n", line.stream, line.text);
        self.lines.iter().skip(from).map(show).collect()
    }
}

fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy()));
    words.join(" ")
}

/// Output kept per program, in bytes.
const KEPT_BYTES: usize = 64 << 20;
/// A longer line is cut in pieces of this many bytes.
const LINE_BYTES: u64 = 1 << 20;
/// Lines shown when a wait fails.
const TAIL_LINES: usize = 40;
/// How long [`Running::finish`] waits for outputs still open after the end.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);
/// How long a killed process may take to go.
const KILL_CEILING: Duration = Duration::from_secs(10);
