//! Bytes both ways between a socket of ours and a connection through a session, until both are done.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};
use heartline_ssh::{FarInput, FarOutput, FarStream};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Our side of a connection.
pub(crate) type Halves = (
    Box<dyn AsyncRead + Send + Unpin>,
    Box<dyn AsyncWrite + Send + Unpin>,
);

/// Carries them. Each side waits for the other to take what it has sent, so nothing gathers here. When either is gone, so is
/// the other; when one only sends no more, the other may go on. Says so, if it was ended for want of memory.
pub(crate) async fn splice(near: Halves, far: FarStream) -> Result<(), Overfull> {
    let FarStream { input, output } = far;
    carry(near, &input, &output).await;
    if output.is_sacrificed() {
        return Err(Overfull);
    }
    Ok(())
}

/// Too much waited for who does not read.
#[derive(Debug, Error)]
#[error(
    "it reads nothing, and too much waits for connections like it; it was ended, since it had the most"
)]
pub(crate) struct Overfull;

async fn carry((mut reader, mut writer): Halves, input: &FarInput, output: &FarOutput) {
    let there = send(&mut *reader, input);
    let back = receive(output, &mut *writer);
    tokio::pin!(there, back);
    let mut is_sending = true;
    let mut is_receiving = true;
    while is_sending || is_receiving {
        tokio::select! {
            done = &mut there, if is_sending => match done {
                // Where the far end is over its last words may still be on their way.
                Done::Well | Done::FarIsOver => is_sending = false,
                Done::NearIsOver => return,
            },
            done = &mut back, if is_receiving => match done {
                Done::Well => is_receiving = false,
                Done::FarIsOver | Done::NearIsOver => return,
            },
            // Whoever has closed a connection there reads nothing more of it.
            () = output.closed(), if !is_receiving => return,
        }
    }
}

enum Done {
    /// One direction is at its end.
    Well,
    FarIsOver,
    NearIsOver,
}

async fn send(reader: &mut (dyn AsyncRead + Send + Unpin), input: &FarInput) -> Done {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE);
        match (&mut *reader)
            .take(PIECE as u64)
            .read_buf(&mut buffer)
            .await
        {
            Err(_) => return Done::NearIsOver,
            Ok(0) => {
                return match input.end().await {
                    Ok(()) => Done::Well,
                    Err(_) => Done::FarIsOver,
                };
            }
            Ok(_) => {
                if input.write(buffer.split().freeze()).await.is_err() {
                    return Done::FarIsOver;
                }
            }
        }
    }
}

async fn receive(output: &FarOutput, writer: &mut (dyn AsyncWrite + Send + Unpin)) -> Done {
    while let Some(mut pieces) = output.next_few(AT_ONCE).await {
        while !pieces.is_empty() {
            let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let Ok(written @ 1..) = writer.write_vectored(&slices).await else {
                return Done::NearIsOver;
            };
            advance(&mut pieces, written);
        }
    }
    match writer.shutdown().await {
        Ok(()) => Done::Well,
        Err(_) => Done::NearIsOver,
    }
}

/// So much of them is gone.
fn advance(pieces: &mut VecDeque<Bytes>, mut gone: usize) {
    while let Some(first) = pieces.front_mut() {
        if gone < first.len() {
            first.advance(gone);
            return;
        }
        gone -= first.len();
        pieces.pop_front();
    }
}

/// Pieces that are written together, if they are there.
const AT_ONCE: usize = 16;
/// What fits into one packet (RFC 4253, section 6.1).
const PIECE: usize = 32 << 10;
