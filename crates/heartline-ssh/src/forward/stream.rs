//! One connection through a session, as bytes both ways.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelWriteHalf};

use super::ForwardError;
use crate::inbox::{Inbox, Inboxes, Piece};

/// One connection. When its output is dropped it is closed.
#[derive(Debug)]
pub struct FarStream {
    /// What goes there.
    pub input: FarInput,
    /// What comes from there.
    pub output: FarOutput,
}

/// Sends. Every call waits for the channel's window, which is as long as the far end lets it.
#[derive(Debug)]
pub struct FarInput {
    write: Arc<ChannelWriteHalf<Msg>>,
}

/// Receives.
#[derive(Debug)]
pub struct FarOutput {
    inbox: Arc<Inbox>,
}

impl FarStream {
    pub(crate) fn new(channel: Channel<Msg>, inboxes: &Inboxes) -> Self {
        let filler = inboxes.open(channel.id());
        let (read, write) = channel.split();
        let (write, inbox) = (Arc::new(write), filler.inbox());
        tokio::spawn(filler.fill(read, Arc::clone(&write), piece_of));
        Self {
            input: FarInput { write },
            output: FarOutput { inbox },
        }
    }
}

impl FarInput {
    /// Sends bytes; an error, when the connection or the session is over.
    pub async fn write(&self, bytes: Bytes) -> Result<(), ForwardError> {
        let sent = self.write.data_bytes(bytes).await;
        sent.map_err(|_| ForwardError::Over)
    }

    /// No more will be sent. What comes goes on coming.
    pub async fn end(&self) -> Result<(), ForwardError> {
        self.write.eof().await.map_err(|_| ForwardError::Over)
    }
}

impl FarOutput {
    /// The next bytes; none, when no more of them will come. Losing the future loses nothing.
    pub async fn next(&self) -> Option<Bytes> {
        match self.inbox.next().await? {
            Piece::Out(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The same, and what is there beside it, up to so many pieces.
    pub async fn next_few(&self, most: usize) -> Option<VecDeque<Bytes>> {
        let mut pieces = VecDeque::from([self.next().await?]);
        while pieces.len() < most {
            match self.inbox.next_now() {
                Some(bytes) => pieces.push_back(bytes),
                None => break,
            }
        }
        Some(pieces)
    }

    /// Whether it was closed here, since too much waited of all connections of the session, and the most of this one.
    pub fn is_sacrificed(&self) -> bool {
        self.inbox.is_sacrificed()
    }

    /// Returns when the far end has closed the connection, or the session is over. For after [`next`](Self::next) has given
    /// none. Losing the future loses nothing.
    pub async fn closed(&self) {
        while !matches!(self.inbox.next().await, None | Some(Piece::Closed)) {}
    }
}

impl Drop for FarOutput {
    fn drop(&mut self) {
        self.inbox.hang_up();
    }
}

fn piece_of(message: ChannelMsg) -> Option<Piece> {
    match message {
        ChannelMsg::Data { data } => Some(Piece::Out(data)),
        ChannelMsg::Eof => Some(Piece::Eof),
        ChannelMsg::Close => Some(Piece::Closed),
        _ => None,
    }
}
