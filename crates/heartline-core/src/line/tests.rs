use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::timing::{Count, Interval};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A line and a peer that is well or dead, in virtual time.
struct Bed {
    line: Line,
    prober: Prober,
    /// What a session that beats by itself last heard.
    heard: Moment,
    now: Moment,
    peer: Peer,
    /// Of a peer that hangs.
    tcp: TcpEvidence,
    /// Whether TCP is asked of a peer that is silent, and when the last beat left, if not when it was due.
    has_kernel: bool,
    sent: Option<Moment>,
    said: Vec<LineEvent>,
    dials: Vec<Moment>,
    aborts: Vec<Moment>,
}

#[derive(Clone, Copy, PartialEq)]
enum Peer {
    Well,
    Silent,
    /// Acknowledges by TCP, answers nothing.
    Hung,
    Refusing,
    AuthRefusing,
    /// Lets us in and ends the session at once.
    Ending,
    /// Others are being dialed before it.
    Queued,
}

impl Bed {
    fn new(interval_ms: u64, count: u32) -> Self {
        Self::with(interval_ms, count, Prober::Us)
    }

    fn with(interval_ms: u64, count: u32, prober: Prober) -> Self {
        let timing = Timing {
            interval: Interval::new(ms(interval_ms)).unwrap(),
            count: Count::new(count).unwrap(),
            ..Timing::default()
        };
        let config = LineConfig {
            timing,
            seed: 1,
            prober,
            grain: Duration::ZERO,
        };
        let mut line = Line::new(config);
        line.handle(Moment::START, Observation::DialNow);
        let mut bed = Self {
            line,
            prober,
            heard: Moment::START,
            now: Moment::START,
            peer: Peer::Well,
            tcp: TcpEvidence::default(),
            has_kernel: false,
            sent: None,
            said: Vec::new(),
            dials: Vec::new(),
            aborts: Vec::new(),
        };
        bed.drain();
        bed
    }

    fn drain(&mut self) {
        while let Some(action) = self.line.poll_action() {
            match action {
                Action::Dial => {
                    self.dials.push(self.now);
                    self.answer_dial();
                }
                Action::Beat => {
                    if self.peer == Peer::Well {
                        self.now = self.now + ms(1);
                        self.line.handle(self.now, Observation::Beat(ms(1)));
                    }
                }
                Action::Abort => self.aborts.push(self.now),
                Action::Disconnect => {}
            }
        }
        while let Some(event) = self.line.poll_event() {
            self.said.push(event);
        }
    }

    fn answer_dial(&mut self) {
        if self.peer == Peer::Queued {
            return;
        }
        self.line
            .handle(self.now, Observation::Reached(Stage::Connect));
        let seen = match self.peer {
            Peer::Well => Observation::Connected,
            Peer::Ending => {
                self.line.handle(self.now, Observation::Connected);
                self.line.handle(self.now, Observation::Beat(ms(1)));
                Observation::Closed(Cause::ClosedByPeer.into())
            }
            Peer::Refusing => Observation::DialFailed(Cause::Refused.into()),
            Peer::AuthRefusing => Observation::DialFailed(Cause::AuthRefused.into()),
            Peer::Silent | Peer::Hung | Peer::Queued => return,
        };
        self.line.handle(self.now, seen);
    }

    fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.line.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.hear();
            if self.line.wants_tcp_evidence(self.now)
                && let Some(tcp) = self.evidence()
            {
                self.line.handle(self.now, Observation::Tcp(tcp));
            }
            self.line.handle_timeout(self.now);
            self.drain();
        }
        self.now = self.now.max(until);
        self.hear();
        self.line.poll_timeout();
    }

    fn evidence(&self) -> Option<TcpEvidence> {
        let interval = self.line.timing.interval;
        let heard = self.line.last_life()?;
        let due = heard + interval.less_slack();
        let ago = |at| u32::try_from(self.now.saturating_since(at).as_millis()).unwrap();
        let sent = TcpEvidence {
            last_ack_ms: ago(heard),
            last_sent_ms: ago(self
                .sent
                .filter(|at| *at <= self.now)
                .unwrap_or(if self.sent.is_some() { heard } else { due })),
            rtt_us: 200,
            rtt_var_us: 100,
            ..self.tcp
        };
        match self.peer {
            Peer::Hung | Peer::Well if self.has_kernel => Some(sent),
            Peer::Hung => Some(self.tcp),
            Peer::Silent if self.has_kernel => Some(TcpEvidence { unacked: 1, ..sent }),
            _ => None,
        }
    }

    /// A session that beats by itself to a peer that is well has heard its last answer a millisecond after the last
    /// interval that is over.
    fn hear(&mut self) {
        let Some(life) = self.line.last_life() else {
            return;
        };
        if self.prober == Prober::Us || self.peer != Peer::Well {
            return;
        }
        let interval = self.line.timing.interval;
        let each = ms(1)
            + if self.has_kernel {
                interval.less_slack()
            } else {
                interval.as_duration()
            };
        let whole = self.now.saturating_since(life).as_nanos() / each.as_nanos();
        self.heard = life + each * u32::try_from(whole).unwrap();
        if whole > 0 {
            self.line.handle(self.heard, Observation::Life);
        }
    }

    fn states(&self) -> Vec<LineState> {
        self.said.iter().map(|event| event.to).collect()
    }
}

#[test]
fn a_cut_line_is_doubted_then_down_at_the_bound_and_up_again_after_rise_beats() {
    let mut bed = Bed::new(1_000, 1);
    bed.run_for(ms(10_000));
    assert_eq!(bed.states(), [LineState::Dialing, LineState::Up]);
    bed.peer = Peer::Silent;
    bed.run_for(ms(60_000));
    assert_eq!(
        bed.states().get(2..),
        Some(
            &[
                LineState::Suspect(Cause::Silent),
                LineState::Down(Cause::Silent)
            ][..]
        )
    );
    assert_eq!(bed.said.last().unwrap().after, Some(ms(2_000)));
    assert!(!bed.aborts.is_empty());
    bed.peer = Peer::Well;
    bed.run_for(ms(90_000));
    assert_eq!(bed.line.state(), LineState::Up);
    assert_eq!(bed.states().len(), 5, "one event for the healing");
}

#[test]
fn a_kernel_that_acknowledges_makes_it_sshd_hung() {
    let mut bed = Bed::new(1_000, 1);
    bed.run_for(ms(5_000));
    bed.peer = Peer::Hung;
    bed.run_for(ms(2_500));
    assert_eq!(bed.line.state(), LineState::Down(Cause::SshdHung));
}

#[test]
fn bytes_that_were_acknowledged_show_a_kernel_that_lives_and_nothing_else_does() {
    let none = TcpEvidence {
        unacked: 1,
        last_ack_ms: 10,
        window: 65_000,
        bytes_acked: 5_000,
        ..TcpEvidence::default()
    };
    let acked = |bytes_acked| TcpEvidence {
        bytes_acked,
        ..none
    };
    for (first, last, cause) in [
        // The acknowledgement of the last ones is on its way.
        (none, acked(5_036), Cause::SshdHung),
        // None, though the peer's kernel is heard: it repeats what it said, since it does not hear us.
        (none, none, Cause::Silent),
        // Our own kernel could not send, and then sent all in one segment that was lost.
        (
            TcpEvidence {
                unacked: 0,
                unsent: 52,
                ..none
            },
            none,
            Cause::Silent,
        ),
        (
            none,
            TcpEvidence {
                unacked: 0,
                unsent: 36,
                ..none
            },
            Cause::Silent,
        ),
        // The first was acknowledged; then the line was cut.
        (TcpEvidence { unacked: 0, ..none }, none, Cause::Silent),
        (
            none,
            TcpEvidence {
                retransmits: 1,
                ..acked(5_036)
            },
            Cause::Silent,
        ),
        // Theirs takes no more, and says so.
        (
            none,
            TcpEvidence {
                unsent: 36,
                window: 0,
                ..none
            },
            Cause::SshdHung,
        ),
    ] {
        let mut bed = Bed::with(1_000, 1, Prober::Session);
        bed.run_for(ms(5_000));
        bed.line.handle(bed.now, Observation::Life);
        bed.peer = Peer::Hung;
        bed.tcp = first;
        bed.run_for(ms(1_600));
        bed.tcp = last;
        bed.run_for(ms(900));
        let down = LineState::Down(cause);
        assert_eq!(bed.line.state(), down, "{first:?} then {last:?}");
    }
}

#[test]
fn it_dozes_in_health_only() {
    let mut bed = Bed::with(1_000, 1, Prober::Session);
    bed.run_for(ms(5_300));
    assert!(bed.line.dozes());
    let due = bed.line.poll_timeout();
    bed.line.handle(bed.now, Observation::Life);
    assert!(bed.line.poll_timeout() > due, "put off by as much");
    bed.peer = Peer::Silent;
    bed.run_for(ms(1_700));
    assert!(!bed.line.dozes(), "in doubt");
    bed.run_for(ms(500));
    assert!(!bed.line.dozes(), "down");
    assert!(!Bed::new(1_000, 1).line.dozes(), "it probes itself");
}

/// What a stall has put off does not go by the last sign of life any more, but only until there is another.
#[test]
fn it_does_not_doze_after_a_stall_until_there_is_life() {
    for is_told in [true, false] {
        let mut bed = Bed::with(1_000, 1, Prober::Session);
        bed.run_for(ms(5_300));
        assert!(bed.line.dozes());
        bed.now = bed.now + ms(10_000);
        if is_told {
            bed.line.handle(bed.now, Observation::Stalled(ms(10_000)));
        } else {
            bed.line.handle_timeout(bed.now);
        }
        bed.drain();
        assert_eq!(bed.line.state(), LineState::Up);
        assert!(!bed.line.dozes(), "the stall was told: {is_told}");
        bed.line.handle(bed.now + ms(5), Observation::Life);
        assert!(bed.line.dozes(), "the stall was told: {is_told}");
    }
}

#[test]
fn a_session_ended_by_the_peer_is_no_down_if_a_dial_brings_it_back() {
    let mut bed = Bed::new(5_000, 1);
    bed.run_for(ms(60_000));
    bed.line
        .handle(bed.now, Observation::Closed(Cause::ClosedByPeer.into()));
    bed.drain();
    bed.run_for(ms(60_000));
    assert_eq!(
        bed.states(),
        [
            LineState::Dialing,
            LineState::Up,
            LineState::Suspect(Cause::ClosedByPeer),
            LineState::Up
        ]
    );
}

#[test]
fn a_session_ended_by_the_peer_is_down_with_the_cause_that_the_next_dial_meets() {
    let mut bed = Bed::new(5_000, 1);
    bed.run_for(ms(60_000));
    bed.peer = Peer::Refusing;
    bed.line
        .handle(bed.now, Observation::Closed(Cause::ClosedByPeer.into()));
    bed.drain();
    assert_eq!(bed.line.state(), LineState::Down(Cause::Refused));
}

#[test]
fn a_session_ended_by_the_peer_is_down_at_the_bound_while_the_next_dial_meets_silence() {
    let mut bed = Bed::new(1_000, 1);
    bed.run_for(ms(60_000));
    bed.peer = Peer::Silent;
    bed.line
        .handle(bed.now, Observation::Closed(Cause::Reset.into()));
    bed.drain();
    bed.run_for(ms(2_000));
    assert_eq!(bed.line.state(), LineState::Down(Cause::Reset));
    assert!(bed.said.last().unwrap().after.unwrap() <= ms(2_000));
}

#[test]
fn a_peer_that_ends_every_session_sees_no_login_storm() {
    let mut bed = Bed::new(1_000, 1);
    bed.peer = Peer::Ending;
    bed.line
        .handle(bed.now, Observation::Closed(Cause::ClosedByPeer.into()));
    bed.drain();
    bed.run_for(Duration::from_hours(1));
    // Full jitter below a ceiling of 60 s: 30 s on average.
    assert!(
        (60..250).contains(&bed.dials.len()),
        "{} dials in an hour",
        bed.dials.len()
    );
    let gaps = bed.dials.windows(2).map(|w| w[1].saturating_since(w[0]));
    let soon = gaps.filter(|gap| *gap < Duration::from_secs(1));
    assert_eq!(soon.count(), 1, "one dial at once, and no other");
}

#[test]
fn refused_login_is_not_tried_again_until_told() {
    let mut bed = Bed::new(1_000, 1);
    bed.run_for(ms(5_000));
    bed.peer = Peer::AuthRefusing;
    bed.line
        .handle(bed.now, Observation::Closed(Cause::ClosedByPeer.into()));
    bed.drain();
    bed.run_for(Duration::from_hours(100));
    assert_eq!(bed.dials.len(), 2);
    assert_eq!(bed.line.state(), LineState::Down(Cause::AuthRefused));
    assert_eq!(bed.line.poll_timeout(), None);
    bed.peer = Peer::Well;
    bed.line.handle(bed.now, Observation::DialNow);
    bed.drain();
    bed.run_for(ms(5_000));
    assert_eq!(bed.line.state(), LineState::Up);
}

#[test]
fn a_dial_that_never_ends_is_ended() {
    let mut bed = Bed::new(1_000, 1);
    bed.run_for(ms(5_000));
    bed.peer = Peer::Silent;
    bed.run_for(Duration::from_mins(10));
    assert!(bed.dials.len() > 3);
    assert!(bed.aborts.len() >= bed.dials.len() - 1);
}

#[test]
fn waiting_for_its_turn_counts_against_nobody() {
    let mut bed = Bed::new(1_000, 1);
    bed.peer = Peer::Queued;
    bed.line
        .handle(bed.now, Observation::Closed(Cause::Reset.into()));
    bed.run_for(Duration::from_mins(10));
    let asked = bed.dials.len();
    bed.run_for(Duration::from_mins(10));
    assert_eq!(bed.dials.len(), asked, "it still waits for the same turn");
    assert!(bed.aborts.is_empty());
    // Its turn comes, and it gets the whole time from then on.
    bed.line
        .handle(bed.now, Observation::Reached(Stage::Connect));
    let begun = bed.now;
    bed.run_for(Duration::from_mins(2));
    let took = bed.aborts[0].saturating_since(begun);
    assert_eq!(took, bed.line.timing.dial_timeout());
}

#[test]
fn a_stopped_watcher_calls_nobody_down_nor_even_doubts() {
    for prober in [Prober::Us, Prober::Session] {
        let mut bed = Bed::with(1_000, 1, prober);
        bed.run_for(ms(10_300));
        bed.now = bed.now + Duration::from_secs(20);
        // Nothing was sent meanwhile, so nothing was answered; that comes a moment after we run again.
        bed.line.handle_timeout(bed.now);
        bed.drain();
        bed.now = bed.now + ms(5);
        bed.line.handle(bed.now, Observation::Life);
        bed.run_for(ms(30_000));
        assert_eq!(bed.states(), [LineState::Dialing, LineState::Up]);
    }
}

#[test]
fn a_paused_line_rests_until_resumed() {
    let mut bed = Bed::new(1_000, 1);
    bed.run_for(ms(3_000));
    bed.line.handle(bed.now, Observation::Pause);
    bed.drain();
    let dials = bed.dials.len();
    bed.run_for(Duration::from_hours(1));
    assert_eq!(bed.dials.len(), dials);
    assert_eq!(bed.line.state(), LineState::Paused);
    bed.line.handle(bed.now, Observation::Resume);
    bed.drain();
    bed.run_for(ms(3_000));
    assert_eq!(bed.line.state(), LineState::Up);
}

#[test]
fn a_peer_whose_replies_are_not_told_apart_comes_up_by_its_signs_of_life() {
    let mut bed = Bed::new(1_000, 1);
    bed.peer = Peer::Silent;
    bed.line.handle(bed.now, Observation::Pause);
    bed.line.handle(bed.now, Observation::Resume);
    bed.line.handle(bed.now, Observation::Connected);
    bed.drain();
    for _ in 0..3 {
        bed.line.handle(bed.now + ms(1), Observation::Life);
        bed.run_for(ms(1_000));
    }
    assert_eq!(bed.line.state(), LineState::Up);
}

#[test]
fn the_guards_last_answer_is_evidence_of_its_session_alone() {
    let mut bed = Bed::new(1_000, 1);
    let shell = |bed: &Bed| bed.said.last().unwrap().evidence.shell;
    bed.run_for(ms(500));
    assert_eq!(shell(&bed), None);
    bed.line.handle(bed.now, Observation::Echo(ms(3)));
    let echoed = bed.now;
    bed.peer = Peer::Silent;
    bed.run_for(ms(4_000));
    let down = bed.said.iter().find(|event| event.to.word() == "down");
    let down = down.unwrap();
    let evidence = down.evidence.shell.unwrap();
    assert!((evidence.rtt_ms - 3.0).abs() < 1e-9);
    assert_eq!(
        ms(evidence.age_ms),
        ms(u64::try_from((down.at.saturating_since(echoed)).as_millis()).unwrap())
    );
    bed.peer = Peer::Well;
    // The dial that is under way is given up first.
    bed.run_for(ms(70_000));
    assert_eq!(bed.line.state(), LineState::Up);
    assert_eq!(shell(&bed), None, "another session's");
}

#[test]
fn silence_behind_a_silent_jump_host_is_the_jump_hosts() {
    let mut bed = Bed::new(1_000, 1);
    bed.run_for(ms(5_000));
    bed.peer = Peer::Silent;
    bed.line.handle(bed.now, Observation::JumpInDoubt(true));
    bed.run_for(ms(2_000));
    assert_eq!(bed.line.state(), LineState::Down(Cause::JumpDown));
}

mod detection;

proptest! {
    /// Cut at any phase: down no later than the bound after the last sign of life, and not before the silence began;
    /// whoever sends the beats.
    #[test]
    fn down_by_the_bound_at_any_phase(
        interval in 100_u64..10_000,
        count in 1_u32..4,
        cut in 0_u64..100_000,
        by_session: bool,
    ) {
        let prober = if by_session { Prober::Session } else { Prober::Us };
        let mut bed = Bed::with(interval, count, prober);
        bed.run_for(ms(cut));
        prop_assert_eq!(bed.line.state(), LineState::Up);
        bed.peer = Peer::Silent;
        let bound = bed.line.bound();
        bed.run_for(bound + ms(1));
        prop_assert_eq!(bed.line.state(), LineState::Down(Cause::Silent));
        let after = bed.said.last().unwrap().after.unwrap();
        prop_assert!(after <= bound, "{:?} > {:?}", after, bound);
    }

    /// What dozes may be called by the difference of two signs of life: that is neither early nor late, however slow the
    /// line, and it is down at its bound.
    #[test]
    fn called_by_the_last_sign_of_life_of_a_doze_it_is_called_in_time(
        interval in 100_u64..100_000,
        count in 1_u32..4,
        well in 0_u64..100_000,
        lives in prop::collection::vec(1_u64..1_000_000_000, 1..10),
    ) {
        let mut bed = Bed::with(interval, count, Prober::Session);
        bed.run_for(ms(well));
        prop_assert!(bed.line.dozes());
        let (due, life) = (bed.line.poll_timeout().unwrap(), bed.line.last_life().unwrap());
        bed.peer = Peer::Silent;
        let mut last = life;
        for nanos in lives {
            last = last + Duration::from_nanos(nanos);
        }
        bed.line.handle(last, Observation::Life);
        prop_assert!(bed.line.dozes());
        bed.now = due + last.saturating_since(life);
        prop_assert_eq!(bed.line.poll_timeout(), Some(bed.now));
        bed.line.handle_timeout(bed.now);
        prop_assert_eq!(bed.line.state(), LineState::Suspect(Cause::Silent));
        let bound = bed.line.bound();
        bed.run_for(bound);
        let down = bed.said.last().unwrap();
        prop_assert_eq!(down.to, LineState::Down(Cause::Silent));
        prop_assert_eq!(down.after, Some(bound));
    }

    /// No order of observations makes it panic, or wait for nothing while it is neither resting nor paused.
    #[test]
    fn takes_any_observation_at_any_time(
        script in prop::collection::vec((0_u8..13, 0_u64..5_000), 0..200),
    ) {
        let mut bed = Bed::new(1_000, 2);
        bed.peer = Peer::Silent;
        for (what, wait) in script {
            bed.run_for(ms(wait));
            let seen = match what {
                0 => Observation::Connected,
                1 => Observation::Life,
                2 => Observation::Beat(ms(3)),
                3 => Observation::Closed(Cause::Reset.into()),
                4 => Observation::DialFailed(Cause::Refused.into()),
                5 => Observation::DialFailed(Cause::HostKeyChanged.into()),
                6 => Observation::Stalled(ms(wait)),
                7 => Observation::DialNow,
                8 => Observation::Pause,
                9 => Observation::Resume,
                10 => Observation::Tcp(TcpEvidence::default()),
                11 => Observation::Echo(ms(wait)),
                _ => Observation::Reached(Stage::Kex),
            };
            bed.line.handle(bed.now, seen);
            bed.drain();
            let rests = match bed.line.state() {
                LineState::Down(cause) => cause.stops_dialing(),
                state => state == LineState::Paused,
            };
            prop_assert!(rests || bed.line.poll_timeout().is_some());
        }
    }
}
