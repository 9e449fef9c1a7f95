//! Standard input, output and error, on threads of their own: reading and writing them may block for as long as it likes.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;

use bytes::{Bytes, BytesMut};
use heartline_ssh::{Ending, ExecInput, ExecOutput, Part};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Ours, not read or written yet.
pub(super) struct Streams {
    input: OwnedFd,
    output: OwnedFd,
    error: OwnedFd,
}

/// What became of the command's output.
pub(super) enum Drained {
    /// All has come and was written, and its channel was closed, after it had ended so.
    Closed(Option<Ending>),
    /// The session was over before that.
    Cut,
    /// Ours could not be written.
    Failed(io::Error),
}

impl Streams {
    /// Takes hold of them, so that what can fail has failed before anything is begun.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            input: io::stdin().as_fd().try_clone_to_owned()?,
            output: io::stdout().as_fd().try_clone_to_owned()?,
            error: io::stderr().as_fd().try_clone_to_owned()?,
        })
    }

    /// Carries them from now on, both ways: when the first is done, the command has all of our input, or why not.
    pub(super) fn carry(
        self,
        input: Arc<ExecInput>,
        output: ExecOutput,
    ) -> io::Result<(JoinHandle<io::Result<()>>, JoinHandle<Drained>)> {
        let out = Writer::start(self.output, "heartline-out")?;
        let err = Writer::start(self.error, "heartline-err")?;
        let pieces = read(self.input)?;
        let sending = tokio::spawn(carry_in(pieces, input));
        Ok((sending, tokio::spawn(carry_out(output, out, err))))
    }
}

async fn carry_in(
    mut pieces: mpsc::Receiver<io::Result<Bytes>>,
    input: Arc<ExecInput>,
) -> io::Result<()> {
    while let Some(piece) = pieces.recv().await {
        if input.write(piece?).await.is_err() {
            return Ok(());
        }
    }
    let _ = input.end().await;
    Ok(())
}

async fn carry_out(mut output: ExecOutput, mut out: Writer, mut err: Writer) -> Drained {
    let mut ending = None;
    let mut is_closed = false;
    loop {
        // What could not be written is not found out by the next that is: there may be none.
        let part = tokio::select! {
            biased;
            error = out.failed() => return Drained::Failed(error),
            error = err.failed() => return Drained::Failed(error),
            part = output.next() => part,
        };
        let (to, bytes) = match part {
            Some(Part::Out(bytes)) => (&mut out, bytes),
            Some(Part::Err(bytes)) => (&mut err, bytes),
            Some(Part::Ended(how)) => {
                ending = Some(how);
                continue;
            }
            Some(Part::Closed) => {
                is_closed = true;
                break;
            }
            None => break,
        };
        if !to.write(bytes).await {
            return Drained::Failed(to.failed().await);
        }
    }
    match out.finish().await.and(err.finish().await) {
        Ok(()) if is_closed => Drained::Closed(ending),
        Ok(()) => Drained::Cut,
        Err(error) => Drained::Failed(error),
    }
}

/// Writes to one of our outputs what it is given, on a thread of its own.
struct Writer {
    send: mpsc::Sender<Bytes>,
    done: oneshot::Receiver<io::Result<()>>,
}

impl Writer {
    fn start(fd: OwnedFd, name: &str) -> io::Result<Self> {
        let (send, receive) = mpsc::channel(PIECES);
        let (tell, done) = oneshot::channel();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _ = tell.send(write_all(File::from(fd), receive));
            })?;
        Ok(Self { send, done })
    }

    /// Waits until it is taken; false, when nothing can be written there any more.
    async fn write(&self, bytes: Bytes) -> bool {
        self.send.send(bytes).await.is_ok()
    }

    /// Waits for as long as all can be written.
    async fn failed(&mut self) -> io::Error {
        // While it may be given more, the thread ends by an error only.
        let done = (&mut self.done).await;
        let error = done.ok().and_then(Result::err);
        error.unwrap_or_else(|| ErrorKind::BrokenPipe.into())
    }

    /// Waits until all is written, or cannot be.
    async fn finish(self) -> io::Result<()> {
        drop(self.send);
        self.done.await.unwrap_or(Ok(()))
    }
}

/// Reads from now on: what comes, until its end, or why not.
fn read(fd: OwnedFd) -> io::Result<mpsc::Receiver<io::Result<Bytes>>> {
    let (send, receive) = mpsc::channel(PIECES);
    thread::Builder::new()
        .name("heartline-in".to_owned())
        .spawn(move || read_all(File::from(fd), &send))?;
    Ok(receive)
}

fn read_all(mut file: File, send: &mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let mut piece = BytesMut::zeroed(PIECE);
        let read = match file.read(&mut piece) {
            Ok(0) => return,
            Ok(length) => {
                piece.truncate(length);
                Ok(piece.freeze())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // Whoever shares it with us has set it so; that is theirs to change.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait(&file, PollFlags::IN);
                continue;
            }
            Err(error) if is_end(&error, &file) => return,
            Err(error) => Err(error),
        };
        let is_last = read.is_err();
        if send.blocking_send(read).is_err() || is_last {
            return;
        }
    }
}

/// There never was an input (nohup opens it for writing alone), or its terminal is not ours any more.
fn is_end(error: &io::Error, file: &File) -> bool {
    let errno = Errno::from_io_error(error);
    errno == Some(Errno::BADF) || (errno == Some(Errno::IO) && file.is_terminal())
}

fn write_all(mut file: File, mut receive: mpsc::Receiver<Bytes>) -> io::Result<()> {
    while let Some(piece) = receive.blocking_recv() {
        let mut left = piece.as_ref();
        while !left.is_empty() {
            match file.write(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(length) => left = left.get(length..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait(&file, PollFlags::OUT),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn wait(file: &File, flags: PollFlags) {
    let _ = poll(&mut [PollFd::new(file, flags)], None);
}

/// Pieces between a thread and its user.
const PIECES: usize = 2;
/// The capacity of a pipe.
const PIECE: usize = 64 * 1024;
