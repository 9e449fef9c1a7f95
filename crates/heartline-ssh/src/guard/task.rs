//! Carries a session's guard over a channel.
//!
//! The channel is read at all times, also while a beat waits to be sent: what is not read would fill a queue and stop the
//! session's own beats.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::{Fuse as Once, FusedFuture, FutureExt};
use heartline_core::Moment;
use russh::client::{Handle, Msg};
use russh::{Channel, ChannelMsg, Error};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::debug;

use super::dialogue::{Dialogue, Meant};
use super::script::guard_request;
use super::{Duty, Guard, GuardRule, Known, Settled, Stage, Unguarded};
use crate::escape::escape;
use crate::exec::signal_name_of;
use crate::handler::{Listener, refusal_words};

/// A guard's task.
pub(crate) struct Guarding {
    session: Weak<Handle<Listener>>,
    rule: GuardRule,
    known: Arc<Known>,
}

/// How one channel ended, the session being well.
enum End {
    /// There is no use in another.
    Unfit(Unguarded),
    /// It has ended everything, as it was asked to, but for so many.
    Done(u32),
    /// It was closed, when nothing had passed for this long.
    Closed(Duration),
}

impl Guarding {
    /// Starts a guard for the session, which lives no longer than that.
    pub(crate) fn start(session: Weak<Handle<Listener>>, rule: GuardRule) -> Guard {
        let (tell, end) = oneshot::channel();
        let (guard, known) = Guard::new(rule, end);
        let task = Self {
            session,
            rule,
            known: Arc::clone(&known),
        };
        tokio::spawn(async move {
            let stage = match task.run().await {
                Some(End::Done(left)) => Stage::Ended(left),
                None | Some(End::Closed(_)) => Stage::Settled(Settled::Over),
                Some(End::Unfit(why)) => {
                    let _ = tell.send(why.clone());
                    Stage::Settled(Settled::Cannot(why))
                }
            };
            known.stage.send_replace(stage);
        });
        guard
    }

    /// Keeps a guard until the session is over; or says how it came that there is none any more.
    async fn run(self) -> Option<End> {
        let mut period = self.period();
        let mut times = 0;
        loop {
            let begun = Instant::now();
            let end = self.hold(period).await?;
            self.known.set_holds(false);
            let after = match end {
                End::Closed(after) => after,
                end => return Some(end),
            };
            // One that lasted was ended by somebody who had a reason; that says nothing of the next.
            if begun.elapsed() > self.rule.fuse.as_duration() * LASTED {
                times = 0;
            }
            times += 1;
            if times >= MOST {
                return Some(End::Unfit(Unguarded::Lost { times, after }));
            }
            debug!(?after, "The guard's channel was closed; another is opened.");
            // As a `ChannelTimeout` does. One that is used more often lives on.
            period = period.min((after / 3).max(SHORTEST));
            sleep(PAUSE).await;
            if self.known.is_asked.load(Ordering::Acquire) {
                return Some(End::Closed(after));
            }
        }
    }

    /// Holds one guard; none, when the session is over.
    async fn hold(&self, period: Duration) -> Option<End> {
        let deadline = Instant::now() + self.rule.patience;
        let opened = open_channel(&self.session, self.rule.patience).await;
        let channel = match opened? {
            Ok(channel) => channel,
            Err(why) => return Some(End::Unfit(why)),
        };
        let (mut read, write) = channel.split();
        let mut talk = Talk::new(&self.rule)?;
        let request = guard_request(&talk.token, self.rule.fuse, self.rule.duty);
        write.exec(true, request).await.ok()?;
        let mut next = deadline;
        let mut sending = pin!(Once::terminated());
        let mut is_told = false;
        loop {
            let is_sending = !sending.is_terminated();
            let is_idle = !is_sending && !is_told;
            tokio::select! {
                message = read.wait() => {
                    let was_ready = talk.dialogue.is_ready();
                    if let Some(end) = talk.take_in(message?, &self.known) {
                        if matches!(end, End::Unfit(_)) {
                            let _ = write.close().await;
                        }
                        return Some(end);
                    }
                    if talk.dialogue.is_ready() && !was_ready {
                        next = Instant::now();
                    }
                }
                () = sleep_until(next), if is_idle => {
                    if !talk.dialogue.is_ready() {
                        let _ = write.close().await;
                        let after = self.rule.patience;
                        return Some(End::Unfit(Unguarded::Mute { after }));
                    }
                    next = Instant::now() + period;
                    self.look_at_shell(&talk, period);
                    if let Some(beat) = talk.dialogue.beat(self.rule.clock.now()) {
                        sending.set(write.data_bytes(beat).fuse());
                    }
                }
                () = self.known.asked.notified(), if is_idle && talk.dialogue.is_ready() => {
                    if self.known.is_beat_wanted.swap(false, Ordering::AcqRel) {
                        next = Instant::now();
                    }
                    let signal = self.known.signals().pop_front();
                    if let Some(name) = signal {
                        // There may be more, or an end.
                        self.known.asked.notify_one();
                        sending.set(write.data_bytes(Dialogue::signal(name)).fuse());
                        continue;
                    }
                    if !self.known.is_asked.load(Ordering::Acquire) {
                        continue;
                    }
                    // It beats no more: the guard reads nothing until it has done that, and then never.
                    is_told = true;
                    sending.set(write.data_bytes(talk.dialogue.end()).fuse());
                }
                sent = sending.as_mut(), if is_sending => sent.ok()?,
            }
        }
    }

    /// Two beats and more unanswered, and it hangs. Called when a beat is due.
    fn look_at_shell(&self, talk: &Talk, period: Duration) {
        let now = self.rule.clock.now();
        let owed = talk.dialogue.owed_since();
        let hangs = owed.filter(|owed| now.saturating_since(*owed) + period / 2 > period * 2);
        self.known.owes(hangs);
    }

    /// Between two beats. What a guard of everything ends late is more than a session.
    fn period(&self) -> Duration {
        let period = self.rule.fuse.period();
        match self.rule.duty {
            Duty::Session => period,
            Duty::All => period.min(LONGEST),
        }
    }
}

/// A talk over one channel.
struct Talk {
    token: String,
    dialogue: Dialogue,
    rule: GuardRule,
    /// When something last passed.
    passed: Moment,
    /// How what ran there ended.
    how: Option<String>,
}

impl Talk {
    /// None, where the system gives no random numbers.
    fn new(rule: &GuardRule) -> Option<Self> {
        let token = new_token()?;
        Some(Self {
            dialogue: Dialogue::new(token.clone(), rule.duty),
            token,
            rule: *rule,
            passed: rule.clock.now(),
            how: None,
        })
    }

    /// What a message means; an end, if it is one.
    fn take_in(&mut self, message: ChannelMsg, known: &Known) -> Option<End> {
        let now = self.rule.clock.now();
        match message {
            ChannelMsg::Data { data } => {
                self.passed = now;
                let meant = self.dialogue.take_in(now, &data);
                meant.into_iter().find_map(|meant| match meant {
                    Meant::Ready(hello) => {
                        debug!(method = ?hello.method, fuse = %self.rule.fuse, "A guard holds the fuse.");
                        known.said(hello);
                        None
                    }
                    Meant::Echo(round_trip, sessions) => {
                        known.echo(now, round_trip, sessions);
                        // One that is always late hangs all the same.
                        let owed = self.dialogue.owed_since();
                        let is_young = |owed| now.saturating_since(owed) < self.rule.fuse.period() / 2;
                        if owed.is_none_or(is_young) {
                            known.owes(None);
                        }
                        None
                    }
                    Meant::Ended(left) => Some(End::Done(left)),
                    Meant::Unfit(why) => Some(End::Unfit(why)),
                })
            }
            ChannelMsg::ExtendedData { data, .. } => match self.dialogue.waste(data.len())? {
                Meant::Unfit(why) => Some(End::Unfit(why)),
                Meant::Ready(_) | Meant::Echo(..) | Meant::Ended(_) => None,
            },
            ChannelMsg::Failure => Some(End::Unfit(Unguarded::NotRun)),
            ChannelMsg::ExitStatus { exit_status } => {
                self.how = Some(format!("status {exit_status}"));
                None
            }
            ChannelMsg::ExitSignal { signal_name, .. } => {
                self.how = Some(format!("signal {}", signal_name_of(signal_name)));
                None
            }
            ChannelMsg::Close => Some(self.closed(now)),
            _ => None,
        }
    }

    fn closed(&mut self, now: Moment) -> End {
        if self.dialogue.is_ready() {
            return End::Closed(now.saturating_since(self.passed));
        }
        let said = escape(self.dialogue.said().trim_ascii(), MAX_SAID);
        End::Unfit(Unguarded::Ended {
            how: self.how.take().unwrap_or_else(|| "no status".to_owned()),
            said: if said.is_empty() {
                said
            } else {
                format!("; it said: {said}")
            },
        })
    }
}

/// A channel; none, when the session is over.
pub(crate) async fn open_channel(
    session: &Weak<Handle<Listener>>,
    patience: Duration,
) -> Option<Result<Channel<Msg>, Unguarded>> {
    let handle = session.upgrade()?;
    let opened = timeout(patience, handle.channel_open_session()).await;
    match opened {
        Ok(Ok(channel)) => Some(Ok(channel)),
        Ok(Err(Error::ChannelOpenFailure(_, words))) => Some(Err(Unguarded::NoChannel {
            why: refusal_words(&words),
        })),
        Ok(Err(_)) => None,
        Err(_) => Some(Err(Unguarded::Mute { after: patience })),
    }
}

/// What nobody there can know. None, where the system gives no random numbers.
pub(crate) fn new_token() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// So often in a row a guard's channel may be closed.
const MOST: u32 = 5;
/// So many fuses after its beginning a guard has lasted.
const LASTED: u32 = 10;
/// Between two channels: `UnusedConnectionTimeout` is counted in seconds, so this is in time for any of them.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two beats of a guard of everything.
const LONGEST: Duration = Duration::from_secs(1);
/// Between two beats where channels are closed early: `ChannelTimeout` is counted in seconds too.
const SHORTEST: Duration = Duration::from_millis(250);
/// How much of the first words is shown, once escaped.
const MAX_SAID: usize = 160;
