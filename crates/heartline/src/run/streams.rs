//! Standard input, output and error, on threads of their own: reading and writing them may block for as long as it likes.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::thread;

use bytes::{Bytes, BytesMut};
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::mpsc;

/// Reads standard input from now on: what comes, until its end.
pub(super) fn input() -> io::Result<mpsc::Receiver<Bytes>> {
    let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (send, receive) = mpsc::channel(PIECES);
    thread::Builder::new()
        .name("heartline-in".to_owned())
        .spawn(move || read_all(file, &send))?;
    Ok(receive)
}

/// Writes to one of our outputs what it is given. It is done when the sender is dropped and the thread's word has come;
/// an error, when it could not be written.
pub(super) struct Output {
    send: mpsc::Sender<Bytes>,
    done: tokio::sync::oneshot::Receiver<io::Result<()>>,
}

impl Output {
    /// To standard output.
    pub(super) fn stdout() -> io::Result<Self> {
        Self::to(io::stdout().as_fd(), "heartline-out")
    }

    /// To standard error.
    pub(super) fn stderr() -> io::Result<Self> {
        Self::to(io::stderr().as_fd(), "heartline-err")
    }

    fn to(fd: impl AsFd, name: &str) -> io::Result<Self> {
        let file = File::from(fd.as_fd().try_clone_to_owned()?);
        let (send, receive) = mpsc::channel(PIECES);
        let (tell, done) = tokio::sync::oneshot::channel();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _ = tell.send(write_all(file, receive));
            })?;
        Ok(Self { send, done })
    }

    /// Waits until it is taken; false, when nothing can be written there any more.
    pub(super) async fn write(&self, bytes: Bytes) -> bool {
        self.send.send(bytes).await.is_ok()
    }

    /// Waits until all is written.
    pub(super) async fn finish(self) -> io::Result<()> {
        drop(self.send);
        self.done.await.unwrap_or(Ok(()))
    }
}

fn read_all(mut file: File, send: &mpsc::Sender<Bytes>) {
    loop {
        let mut piece = BytesMut::zeroed(PIECE);
        match file.read(&mut piece) {
            Ok(0) => return,
            Ok(length) => {
                piece.truncate(length);
                if send.blocking_send(piece.freeze()).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Whoever shares it with us has set it so; that is theirs to change.
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait(&file, PollFlags::IN),
            Err(_) => return,
        }
    }
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
