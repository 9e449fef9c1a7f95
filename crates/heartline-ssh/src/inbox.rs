//! What has come on a channel and was not taken yet, and when its peer must wait.
//!
//! russh's queue of a channel is emptied at all times, since the whole session would wait for one that is full. What was
//! taken off it waits here for its reader; and a channel of which too much waits has its window opened no more, until that
//! was taken (RFC 4254, section 5.2). So only that channel's peer waits: the session reads on, and all else in it goes on.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use russh::client::Msg;
use russh::{ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::Notify;

use crate::exec::Ending;

/// One piece of what comes on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Data.
    Out(Bytes),
    /// Data beside it: a command's standard error.
    Err(Bytes),
    /// How its command ended.
    Ended(Ending),
    /// No more data comes.
    Eof,
    /// Nothing comes any more: the channel is closed.
    Closed,
}

/// The channels of a session that have an inbox.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inboxes(Arc<All>);

#[derive(Debug, Default)]
struct All {
    inboxes: Mutex<HashMap<u32, Arc<Inbox>>>,
    /// Bytes that wait in all of them.
    bytes: Arc<AtomicUsize>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    /// There is something to take, or nothing will come any more.
    filled: Notify,
    /// Enough was taken for the window to be opened again.
    drained: Notify,
    /// The channel is to be closed.
    hung_up: Notify,
    /// Bytes that wait in all of its session.
    all: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct State {
    parts: VecDeque<Piece>,
    bytes: usize,
    /// What they take up, each with a little more than its bytes.
    weight: usize,
    is_withheld: bool,
    is_abandoned: bool,
    is_over: bool,
    /// It was ended since too much waited in all.
    is_sacrificed: bool,
}

/// A channel's inbox as it is filled. When this is dropped nothing comes any more, and its window is always opened.
#[derive(Debug)]
pub(crate) struct Filler {
    channel: u32,
    inboxes: Inboxes,
    inbox: Arc<Inbox>,
}

/// The peer has sent more than its window allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overrun;

impl Inboxes {
    /// An inbox for this channel.
    pub(crate) fn open(&self, channel: ChannelId) -> Filler {
        self.open_numbered(channel.into())
    }

    fn open_numbered(&self, channel: u32) -> Filler {
        let inbox = Arc::new(Inbox {
            state: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
            hung_up: Notify::new(),
            all: Arc::clone(&self.0.bytes),
        });
        self.all().insert(channel, Arc::clone(&inbox));
        Filler {
            channel,
            inboxes: self.clone(),
            inbox,
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.all().len()
    }

    /// Whether so much waits that the channel's window is not to be opened now.
    pub(crate) fn withholds(&self, channel: ChannelId) -> bool {
        self.withholds_numbered(channel.into())
    }

    fn withholds_numbered(&self, channel: u32) -> bool {
        let inbox = self.all().get(&channel).cloned();
        inbox.is_some_and(|inbox| {
            let mut state = inbox.state();
            state.is_withheld |= state.weight > HIGH && !state.is_abandoned;
            state.is_withheld
        })
    }

    /// Ends the channel for which the most waits, if too much does in all: its reader is slower than all others.
    fn make_room(&self) {
        if self.0.bytes.load(Ordering::Relaxed) <= MOST_IN_ALL {
            return;
        }
        let all: Vec<_> = self.all().values().cloned().collect();
        if let Some(fullest) = all.iter().max_by_key(|inbox| inbox.state().weight) {
            fullest.state().is_sacrificed = true;
            fullest.hang_up();
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u32, Arc<Inbox>>> {
        self.0
            .inboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Filler {
    /// Where it is taken from.
    pub(crate) fn inbox(&self) -> Arc<Inbox> {
        Arc::clone(&self.inbox)
    }

    /// This has come. What comes when nobody takes anything any more is let go.
    fn put(&self, part: Piece) -> Result<(), Overrun> {
        let mut state = self.inbox.state();
        if state.is_abandoned {
            return Ok(());
        }
        // Of these one is enough, and no window bounds them.
        let is_sign = part.len() == 0;
        if is_sign && state.parts.iter().any(|had| had.is_like(&part)) {
            return Ok(());
        }
        let before = state.weight;
        state.bytes = state.bytes.saturating_add(part.len());
        if state.bytes > MOST {
            return Err(Overrun);
        }
        let (last, rest) = match state.parts.pop_back() {
            Some(last) => {
                state.weight = state.weight.saturating_sub(last.weight());
                let (last, rest) = last.joined(part);
                (last, rest)
            }
            None => (part, None),
        };
        for part in [Some(last), rest].into_iter().flatten() {
            state.weight = state.weight.saturating_add(part.weight());
            state.parts.push_back(part);
        }
        let more = state.weight.saturating_sub(before);
        self.inbox.all.fetch_add(more, Ordering::Relaxed);
        drop(state);
        self.inbox.filled.notify_one();
        self.inboxes.make_room();
        Ok(())
    }

    /// Takes off russh's queue all that comes, for as long as anything does, puts here what `sort` makes of it, opens the
    /// window when enough was taken, and closes the channel when its reader hangs up or its peer does not heed the window.
    pub(crate) async fn fill(
        self,
        mut read: ChannelReadHalf,
        write: Arc<ChannelWriteHalf<Msg>>,
        mut sort: impl FnMut(ChannelMsg) -> Option<Piece>,
    ) {
        let inbox = self.inbox();
        let mut opening = pin!(inbox.open_window(&write));
        let mut is_closing = false;
        loop {
            let message = tokio::select! {
                biased;
                message = read.wait() => message,
                () = &mut opening => None,
                () = inbox.hung_up.notified(), if !is_closing => {
                    is_closing = true;
                    close(&write);
                    continue;
                }
            };
            let Some(message) = message else { return };
            let Some(part) = sort(message) else { continue };
            let is_last = part == Piece::Closed;
            if self.put(part).is_err() {
                inbox.abandon();
                close(&write);
            }
            if is_last {
                return;
            }
        }
    }
}

/// Nobody waits for that: the session takes it when it takes anything, which may be after our emptying its queue.
fn close(write: &Arc<ChannelWriteHalf<Msg>>) {
    let write = Arc::clone(write);
    tokio::spawn(async move {
        let _ = write.close().await;
    });
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.inboxes.all().remove(&self.channel);
        self.inbox.state().is_over = true;
        self.inbox.filled.notify_one();
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let weight = self.state().weight;
        self.all.fetch_sub(weight, Ordering::Relaxed);
    }
}

impl Inbox {
    /// Data that is there.
    pub(crate) fn next_now(&self) -> Option<Bytes> {
        let mut state = self.state();
        if !matches!(state.parts.front(), Some(Piece::Out(_))) {
            return None;
        }
        match self.take(&mut state) {
            Some(Piece::Out(bytes)) => Some(bytes),
            _ => None,
        }
    }

    fn take(&self, state: &mut State) -> Option<Piece> {
        let part = state.parts.pop_front()?;
        state.bytes = state.bytes.saturating_sub(part.len());
        self.less(state, part.weight());
        if state.weight <= LOW {
            self.release(state);
        }
        Some(part)
    }

    /// The next piece; none, when nothing will come any more. Losing the future loses nothing.
    pub(crate) async fn next(&self) -> Option<Piece> {
        loop {
            {
                let mut state = self.state();
                if let Some(part) = self.take(&mut state) {
                    return Some(part);
                }
                if state.is_over || state.is_abandoned {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Nobody will take anything any more.
    pub(crate) fn abandon(&self) {
        let mut state = self.state();
        state.is_abandoned = true;
        state.parts.clear();
        let weight = state.weight;
        state.bytes = 0;
        self.less(&mut state, weight);
        self.release(&mut state);
        // Whoever waits here learns that nothing comes.
        self.filled.notify_one();
    }

    /// Whether it was ended because too much waited in all inboxes of its session, and the most here.
    pub(crate) fn is_sacrificed(&self) -> bool {
        self.state().is_sacrificed
    }

    fn less(&self, state: &mut State, weight: usize) {
        state.weight = state.weight.saturating_sub(weight);
        self.all.fetch_sub(weight, Ordering::Relaxed);
    }

    /// Nobody will take anything any more, and the channel is to be closed.
    pub(crate) fn hang_up(&self) {
        self.abandon();
        self.hung_up.notify_one();
    }

    /// Opens the window whenever enough was taken, while the session lives.
    async fn open_window(&self, write: &ChannelWriteHalf<Msg>) {
        loop {
            self.drained.notified().await;
            if write.replenish_window().await.is_err() {
                return;
            }
        }
    }

    fn release(&self, state: &mut State) {
        if std::mem::take(&mut state.is_withheld) {
            self.drained.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Out(bytes) | Self::Err(bytes) => bytes.len(),
            Self::Ended(_) | Self::Eof | Self::Closed => 0,
        }
    }

    fn weight(&self) -> usize {
        self.len().saturating_add(OVERHEAD)
    }

    fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Both as one, if they are small and of one kind: a peer that sends byte by byte costs no more than one that does not.
    fn joined(self, next: Self) -> (Self, Option<Self>) {
        let is_small = self.len() + next.len() <= SMALL;
        match (self, next) {
            (Self::Out(one), Self::Out(two)) if is_small => (Self::Out(join(one, &two)), None),
            (Self::Err(one), Self::Err(two)) if is_small => (Self::Err(join(one, &two)), None),
            (one, two) => (one, Some(two)),
        }
    }
}

fn join(one: Bytes, two: &[u8]) -> Bytes {
    let mut both = one
        .try_into_mut()
        .unwrap_or_else(|one| BytesMut::from(&*one));
    both.extend_from_slice(two);
    both.freeze()
}

/// Of each channel; OpenSSH's own (channels.h, `CHAN_TCP_WINDOW_DEFAULT`), and russh's.
const WINDOW: usize = 2 << 20;
/// From here on the window is not opened again. So this and a window more may wait.
const HIGH: usize = 1 << 20;
/// From here on it is.
const LOW: usize = HIGH / 2;
/// More than a peer may send that heeds its window, what russh's own queue holds being counted late.
const MOST: usize = HIGH + 3 * WINDOW;
/// What a piece takes up beside its bytes.
const OVERHEAD: usize = 128;
/// In all inboxes of a session.
const MOST_IN_ALL: usize = 256 << 20;
/// Pieces up to this are made one.
const SMALL: usize = 8 << 10;

#[cfg(test)]
mod tests;
