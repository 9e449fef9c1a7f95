//! One line's driver: sockets into observations, actions into sockets. It decides nothing.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::future::OptionFuture;
use heartline_core::{
    Action, Cause, Failure, Line, LineConfig, LineEvent, LineState, LinkEvidence, Moment,
    Observation,
};
use heartline_ssh::{
    Cable, Dialer, Ends, Established, Guard, Heard, Progress, Session, Target, Tries, Unguarded,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::hold::Holding;
use crate::lookout::Lookout;
use crate::our_side::{Followed, OurSides};
use crate::pace::{Hurry, Pace};

use live::{Live, MOST_UNTOLD, Reached};

mod live;

/// What a driver may be told.
pub(crate) enum Command {
    /// The watcher did not run for so long.
    Stalled(Duration),
    /// The configuration was read again: dial the next time by this, and now if the line had given up.
    Retarget(Arc<Target>),
    /// The operator's pause, or its end.
    Pause(bool),
    /// Another line is in doubt: ask this one out of turn.
    Ask,
    /// Whatever it waits for is over: dial now.
    Dial,
    /// Its thread works in rounds of this length from now on; zero: whenever there is something to do.
    Grain(Duration),
    /// Something to do with the session that stands, or with the next one.
    Use(Use),
}

/// What somebody does with a session.
pub(crate) type Use = Box<dyn FnOnce(&dyn Session) + Send>;

/// Where a driver tells what happened.
pub(crate) struct Told {
    /// Which line.
    pub(crate) key: usize,
    /// What.
    pub(crate) news: News,
}

/// What happened.
pub(crate) enum News {
    /// The line changed.
    Line(LineEvent),
    /// Its far end has no fuse.
    Unguarded(Unguarded),
    /// A session stands: where it is seen that it lives, and what it leaves this machine by.
    Stands(Arc<Heard>, Option<Ends>),
    /// It owes an answer since this moment, and is asked again; not told again before it was heard.
    InDoubt(Moment),
    /// The kernel says nothing of its TCP connection.
    NoTcp,
    /// A dial came to nothing, for this.
    InVain(Cause),
}

/// One line's driver.
pub(crate) struct Driver {
    key: usize,
    line: Line,
    interval: Duration,
    target: Arc<Target>,
    dialer: Arc<Dialer>,
    /// What it dials over, if that is to be cut one day.
    cable: Option<Arc<Cable>>,
    events: mpsc::Sender<Told>,
    dial: Option<Dial>,
    live: Option<Live>,
    holding: Holding,
    guards: Tries,
    progress: Arc<Reached>,
    lookout: Lookout,
    /// The look-out wakes us.
    asleep: Option<oneshot::Receiver<()>>,
    pace: Pace,
    /// A session is in doubt, or rises.
    hurry: Option<Hurry>,
    /// Those who wait for a session.
    uses: Vec<Use>,
    /// How often it may still dial; none: for ever.
    dials_left: Option<u32>,
    our_sides: OurSides,
    /// Our own side of the last session.
    followed: Option<Followed>,
    /// That it is in doubt was told.
    doubt_told: bool,
}

type Dial = Pin<Box<dyn Future<Output = Result<Established, Failure>> + Send>>;

/// What woke a driver.
enum Woken {
    Told(Option<Command>),
    Dialed(Result<Established, Failure>),
    Answered(Result<Duration, Failure>),
    Ended(Failure),
    Unguarded(Unguarded),
    Shell(Option<Moment>),
    Link(Option<LinkEvidence>),
    Due,
}

impl Driver {
    pub(crate) fn new(
        key: usize,
        config: LineConfig,
        target: Arc<Target>,
        dialer: Arc<Dialer>,
        lookout: Lookout,
        pace: Pace,
        events: mpsc::Sender<Told>,
    ) -> Self {
        Self {
            key,
            line: Line::new(config),
            interval: config.timing.interval.as_duration(),
            target,
            dialer,
            cable: None,
            events,
            dial: None,
            live: None,
            holding: Holding::default(),
            guards: Tries::new(config.timing),
            progress: Arc::default(),
            lookout,
            asleep: None,
            pace,
            hurry: None,
            uses: Vec::new(),
            dials_left: None,
            our_sides: OurSides::default(),
            followed: None,
            doubt_told: false,
        }
    }

    /// One that is told of our own side.
    pub(crate) fn beside(self, our_sides: OurSides) -> Self {
        Self { our_sides, ..self }
    }

    /// One that dials once, and is over when its session is.
    pub(crate) fn once(self) -> Self {
        Self {
            dials_left: Some(1),
            ..self
        }
    }

    /// One that dials over this cable.
    pub(crate) fn over(self, cable: Option<Arc<Cable>>) -> Self {
        Self { cable, ..self }
    }

    /// Runs until the command channel closes; then ends the session cleanly.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>, paused: bool) {
        let first = if paused {
            Observation::Pause
        } else {
            Observation::DialNow
        };
        self.line.handle(self.now(), first);
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        loop {
            if self.carry_out().await.is_err() || self.is_done() {
                break;
            }
            let due = self.line.poll_timeout();
            self.fall_asleep(due);
            if let Some(due) = due.filter(|_| self.asleep.is_none()) {
                let due = self.dialer.clock().instant(due);
                if timer.deadline() != due {
                    timer.as_mut().reset(due);
                }
            }
            let is_awake = self.asleep.is_none();
            // An answer that is there is taken before a deadline that has passed.
            let woken = tokio::select! {
                biased;
                told = commands.recv() => Woken::Told(told),
                woken = Self::session_or_dial(&mut self.live, &mut self.dial) => woken,
                Some(link) = OptionFuture::from(self.followed.as_mut().map(Followed::changed)) => {
                    Woken::Link(link)
                }
                () = &mut timer, if due.is_some() && is_awake => Woken::Due,
                Some(_) = OptionFuture::from(self.asleep.as_mut()) => {
                    self.asleep = None;
                    Woken::Due
                }
            };
            self.catch_up();
            match woken {
                Woken::Told(None) => break,
                Woken::Told(Some(command)) => self.obey(command),
                Woken::Dialed(result) => self.dialed(result).await,
                Woken::Answered(Ok(rtt)) => self.answered(rtt),
                Woken::Answered(Err(failure)) | Woken::Ended(failure) => self.ended(failure).await,
                Woken::Unguarded(why) => self.unguarded(why).await,
                Woken::Shell(owes) => self.shell(owes),
                Woken::Link(link) => {
                    if link.is_none() {
                        self.followed = None;
                    }
                    self.see(Observation::Link(link));
                }
                Woken::Due => self.due().await,
            }
        }
        self.dial = None;
        if let Some(live) = self.live.take() {
            live.session.disconnect().await;
        }
    }

    /// Leaves it to the look-out to see that the session lives, while that is all there is to do.
    fn fall_asleep(&mut self, due: Option<Moment>) {
        self.asleep = match (&self.live, due, self.line.last_life()) {
            (Some(live), Some(due), Some(life)) if self.line.dozes() => {
                let asleep = self.asleep.take();
                let heard = || Arc::clone(live.session.heard());
                asleep.or_else(|| Some(self.lookout.wake_at(due, life, heard())))
            }
            _ => None,
        };
        let in_doubt = self.live.is_some() && self.asleep.is_none();
        match &self.hurry {
            None if in_doubt => self.hurry = Some(self.pace.hurry()),
            Some(_) if !in_doubt => self.hurry = None,
            _ => {}
        }
    }

    /// Tells the line of what its session has heard since it was last told.
    fn catch_up(&mut self) {
        let Some(live) = &self.live else { return };
        let heard = live.session.heard();
        let (last, rtt) = (heard.last(), heard.round_trip());
        if self.line.last_life().is_none_or(|life| last > life) {
            self.line.handle(last, Observation::Life);
            self.line.handle(last, Observation::RoundTrip(rtt));
        }
        if let Some((at, rtt)) = live.guard.as_ref().and_then(Guard::echo) {
            self.line.handle(at, Observation::Echo(rtt));
        }
    }

    fn now(&self) -> Moment {
        self.dialer.clock().now()
    }

    fn see(&mut self, observation: Observation) {
        self.line.handle(self.now(), observation);
    }

    /// A beat out of turn was answered, and it was so long until we saw that. The network may have taken less.
    fn answered(&mut self, seen_after: Duration) {
        let heard = self.live.as_ref().map(|live| live.session.heard());
        let exchange = heard.map(|heard| heard.round_trip());
        let rtt = exchange.filter(|rtt| !rtt.is_zero());
        let rtt = rtt.map_or(seen_after, |rtt| rtt.min(seen_after));
        self.see(Observation::Beat(rtt));
    }

    /// Does what the line asks and tells what it has to tell; an error when nobody listens any more.
    async fn carry_out(&mut self) -> Result<(), ()> {
        while let Some(action) = self.line.poll_action() {
            match action {
                Action::Dial => self.begin_dial(),
                Action::Beat => {
                    if let Some(live) = &mut self.live {
                        live.beat();
                    }
                }
                Action::Abort => {
                    self.dial = None;
                    self.live = None;
                }
                Action::Disconnect => {
                    if let Some(live) = self.live.take() {
                        tokio::spawn(live.session.disconnect());
                    }
                }
            }
        }
        while let Some(event) = self.line.poll_event() {
            self.tell(News::Line(event)).await?;
        }
        self.guard();
        let is_in_doubt = self.line.is_in_doubt();
        if is_in_doubt && !self.doubt_told {
            self.tell(News::InDoubt(self.now())).await?;
        }
        self.doubt_told = is_in_doubt;
        Ok(())
    }

    /// The guard's shell owes an answer since that moment, or no longer any. It says something only of a session that was heard
    /// since.
    fn shell(&mut self, owes: Option<Moment>) {
        let Some(live) = &self.live else { return };
        let heard = live.session.heard().last();
        if owes.is_none_or(|since| heard > since + self.interval) {
            self.see(Observation::ShellHangs(owes.is_some()));
        }
    }

    /// A session stands.
    fn stands(&mut self, session: &dyn Session) -> News {
        let ends = session.ends();
        if let Some(ends) = &ends
            && let Some(followed) = self.our_sides.follow(ends)
        {
            self.followed = Some(followed);
        }
        News::Stands(Arc::clone(session.heard()), ends)
    }

    /// Starts a guard for a session once its line is up. Not before: what a guard says is a sign of life, and a line that is
    /// rising counts those for answers to its beats.
    fn guard(&mut self) {
        let state = self.line.state();
        let is_up = matches!(state, LineState::Up | LineState::Down(Cause::ShellHung));
        if let Some(live) = self.live.as_mut().filter(|live| is_up && !live.guarded) {
            live.guarded = true;
            live.guard = self.guards.start(&*live.session, self.dialer.clock());
        }
    }

    async fn tell(&mut self, news: News) -> Result<(), ()> {
        let told = Told {
            key: self.key,
            news,
        };
        self.events.send(told).await.map_err(|_| ())
    }

    fn is_done(&self) -> bool {
        self.dials_left == Some(0) && self.dial.is_none() && self.live.is_none()
    }

    fn begin_dial(&mut self) {
        self.live = None;
        match &mut self.dials_left {
            Some(0) => return,
            Some(left) => *left -= 1,
            None => {}
        }
        self.progress = Arc::default();
        let (dialer, target) = (Arc::clone(&self.dialer), Arc::clone(&self.target));
        let progress: Arc<dyn Progress> = Arc::clone(&self.progress) as _;
        let cable = self.cable.clone();
        self.dial = Some(Box::pin(async move {
            match cable {
                Some(cable) => dialer.dial_over(&target, &progress, &cable).await,
                None => dialer.dial(&target, &progress).await,
            }
        }));
    }

    async fn dialed(&mut self, result: Result<Established, Failure>) {
        self.see_progress();
        self.dial = None;
        match result {
            Ok(Established { session, ended }) => {
                if session.ends().is_some()
                    && session.is_direct()
                    && session.tcp_evidence().is_none()
                {
                    let _ = self.tell(News::NoTcp).await;
                }
                let news = self.stands(&*session);
                // Whoever does not listen any more is found out when the line's own event is told.
                let _ = self.tell(news).await;
                // A guard's channel is one.
                for once in self.uses.drain(..) {
                    once(&*session);
                }
                let held = !self.guards.are_wanted() && self.holding.is_needed();
                if held {
                    session.hold_channel();
                }
                self.live = Some(Live {
                    session,
                    ended,
                    owed: VecDeque::new(),
                    begun: self.now(),
                    guard: None,
                    guarded: false,
                    held,
                    patience: self.interval.saturating_mul(MOST_UNTOLD),
                });
                self.see(Observation::Connected);
            }
            Err(failure) => {
                let _ = self.tell(News::InVain(failure.cause)).await;
                self.see(Observation::DialFailed(failure));
            }
        }
    }

    async fn ended(&mut self, failure: Failure) {
        // A beat that fails and the session's own last word come together; the word says more.
        let Some(mut live) = self.live.take() else {
            return;
        };
        yield_now().await;
        let failure = live.ended.try_recv().unwrap_or(failure);
        let failure = live.session.blame(failure);
        let why = self.guards.session_ended(live.guard.as_ref(), &failure);
        if let Some(why) = why {
            // Whoever does not listen any more is found out when the line's own event is told.
            let _ = self.tell(News::Unguarded(why)).await;
        }
        if !live.has_channel() && failure.cause == Cause::ClosedByPeer {
            let age = self.now().saturating_since(live.begun);
            self.holding.ended_by_peer(age);
        }
        self.see(Observation::Closed(failure));
    }

    /// The session that stands has no guard; it goes on without a fuse.
    async fn unguarded(&mut self, why: Unguarded) {
        // Nobody knows any more how its shell is.
        self.see(Observation::ShellHangs(false));
        if let Some(live) = &mut self.live {
            live.guard = None;
            if !live.held && self.holding.is_needed() {
                live.held = true;
                live.session.hold_channel();
            }
        }
        if self.guards.unguarded(&why) {
            let _ = self.tell(News::Unguarded(why)).await;
        }
    }

    /// A timer is due. What has arrived meanwhile is looked at first: after a stall the deadline and the answer are there
    /// together, and the answer wins.
    async fn due(&mut self) {
        self.see_progress();
        if self.line.wants_tcp_evidence(self.now()) {
            yield_now().await;
            yield_now().await;
            while let Some(answer) = self.live.as_mut().and_then(Live::answer_now) {
                match answer {
                    Ok(rtt) => self.answered(rtt),
                    Err(failure) => return self.ended(failure).await,
                }
            }
        }
        self.catch_up();
        if let Some(live) = &self.live {
            if live.is_mute(live.session.heard().last()) {
                let text = "the peer has answered no beat in a form we know for a long time";
                let failure = Failure::new(Cause::Protocol, text);
                return self.ended(failure).await;
            }
            if self.line.wants_tcp_evidence(self.now()) {
                let in_doubt = live.session.ask_jump();
                let tcp = live.session.tcp_evidence();
                self.see(Observation::JumpInDoubt(in_doubt));
                if let Some(tcp) = tcp {
                    self.see(Observation::Tcp(tcp));
                }
            }
        }
        self.see(Observation::Lag(self.lookout.lag()));
        let now = self.now();
        self.line.handle_timeout(now);
    }

    fn see_progress(&mut self) {
        if let Some((stage, at)) = self.progress.last().filter(|_| self.dial.is_some()) {
            let at = Moment::at(at.duration_since(self.dialer.clock().instant(Moment::START)));
            self.line.handle(at, Observation::Reached(stage));
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Stalled(lost) => self.see(Observation::Stalled(lost)),
            Command::Retarget(target) => {
                self.target = target;
                self.guards.try_again();
                if let Some(live) = &mut self.live {
                    live.guarded = live.guard.is_some();
                }
                self.see(Observation::DialNow);
            }
            Command::Pause(true) => self.see(Observation::Pause),
            Command::Pause(false) => self.see(Observation::Resume),
            Command::Ask => self.see(Observation::Ask),
            Command::Dial => self.see(Observation::DialNow),
            Command::Grain(grain) => self.see(Observation::Grain(grain)),
            Command::Use(once) => match &self.live {
                Some(live) => once(&*live.session),
                None => self.uses.push(once),
            },
        }
    }

    /// Whatever a session or a dial has to say; never, if there is neither.
    async fn session_or_dial(live: &mut Option<Live>, dial: &mut Option<Dial>) -> Woken {
        poll_fn(|cx| {
            if let Some(live) = live {
                if let Poll::Ready(answer) = live.poll_answer(cx) {
                    return Poll::Ready(Woken::Answered(answer));
                }
                if let Poll::Ready(end) = Pin::new(&mut live.ended).poll(cx) {
                    let silent_end = || Cause::ClosedByPeer.into();
                    return Poll::Ready(Woken::Ended(end.unwrap_or_else(|_| silent_end())));
                }
                if let Some(Poll::Ready(why)) = live.guard.as_mut().map(|guard| guard.poll_end(cx))
                {
                    return Poll::Ready(Woken::Unguarded(why));
                }
                if let Some(Poll::Ready(owes)) =
                    live.guard.as_ref().map(|guard| guard.poll_shell(cx))
                {
                    return Poll::Ready(Woken::Shell(owes));
                }
            }
            if let Some(dial) = dial
                && let Poll::Ready(result) = dial.as_mut().poll(cx)
            {
                return Poll::Ready(Woken::Dialed(result));
            }
            Poll::Pending
        })
        .await
    }
}
