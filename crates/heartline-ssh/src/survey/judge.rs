//! Whether somebody holds a session: a pure function of what the node and this machine know.
//!
//! What is not certain is unknown. A client that came from here and has no connection here any more is gone, whatever its
//! machine's kernel, which is ours, has answered before; of any other client only its machine's silence tells.

use std::net::SocketAddr;
use std::time::Duration;

use super::reading::{Ends, Facts, Found};
use super::tcp::{Socket, State};
use super::{Here, Standing};
use crate::far::FarSession;

/// Whether a living client holds a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One does, or its machine answers.
    Held,
    /// None does.
    Ghost,
    /// Nobody can tell.
    Unknown,
}

/// What shows whether a session is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// It is the one we have come by.
    Own,
    /// Its client's end is on this machine.
    ClientHere,
    /// Its client's machine has answered lately.
    Answered,
    /// Its connection is no more on the node.
    Gone,
    /// Its client has closed the connection.
    Closed,
    /// It came from this machine, and nobody here has its connection.
    NotHere,
    /// What is sent to its client's machine is not answered.
    Unanswered,
    /// Nothing was sent for long that its client's machine would have had to answer.
    Idle,
    /// It came from this machine, which forwards for others: one of those may have it.
    MaybeBehind,
    /// Which connection is its is not known.
    Unmatched,
    /// The node does not show its connections.
    Unseen,
    /// Two looks do not agree.
    Changing,
}

impl Verdict {
    /// One word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Ghost => "ghost",
            Self::Unknown => "unknown",
        }
    }
}

impl Evidence {
    /// One word, for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::ClientHere => "client_here",
            Self::Answered => "answered",
            Self::Gone => "gone",
            Self::Closed => "closed",
            Self::NotHere => "not_here",
            Self::Unanswered => "unanswered",
            Self::Idle => "idle",
            Self::MaybeBehind => "maybe_behind",
            Self::Unmatched => "unmatched",
            Self::Unseen => "unseen",
            Self::Changing => "changing",
        }
    }

    /// For a person.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Own => "it is this command's own",
            Self::ClientHere => "its client is on this machine",
            Self::Answered => "its client's machine has answered lately",
            Self::Gone => "its connection is no more on the node",
            Self::Closed => "its client has closed the connection",
            Self::NotHere => "it came from this machine, and nobody here has its connection",
            Self::Unanswered => "its client's machine leaves what is sent to it unanswered",
            Self::Idle => "nothing was sent for long that its client's machine would answer",
            Self::MaybeBehind => {
                "it came from this machine, or from one that this machine forwards for"
            }
            Self::Unmatched => "which connection is its is not known",
            Self::Unseen => "the node does not show its connections",
            Self::Changing => "two looks do not agree; look again",
        }
    }

    /// Whether its user may know better.
    pub(super) const fn leaves_the_choice(self) -> bool {
        matches!(self, Self::Idle | Self::MaybeBehind)
    }
}

/// Every session and what is to be held of it.
pub(super) fn judge(facts: &Facts, here: Option<&Here>) -> Vec<Standing> {
    let unexplained = facts.unexplained();
    let is_open = |found: &&Found| found.ends.is_none() && !found.is_misnamed && !found.is_own;
    let open = facts.sessions.iter().filter(is_open).count();
    let sessions = facts.sessions.iter();
    let standing = |found: &Found| {
        let socket = match &found.ends {
            Some(ends) => facts.socket(ends),
            None => match unexplained.as_slice() {
                [only] if open == 1 && is_open(&found) => Some(*only),
                _ => None,
            },
        };
        let (verdict, evidence) = match (&found.ends, socket) {
            _ if found.is_own => (Verdict::Held, Evidence::Own),
            (Some(_), Some(socket)) => weigh(facts, here, socket),
            (Some(_), None) => gone(facts, here, &unexplained),
            (None, _) if found.is_misnamed || open > unexplained.len() => NOT_KNOWN,
            (None, _) => by_elimination(facts, here, &unexplained),
        };
        let client = found.ends.as_ref().map(|ends| ends.client);
        Standing {
            far: far(facts, found),
            pid: found.pid,
            start: found.start,
            age: found.age(facts),
            source: client.or(socket.map(|socket| socket.peer)),
            terminal: found.terminal.clone(),
            last_sign: socket.and_then(|socket| socket.heard),
            processes: found.processes,
            verdict,
            evidence,
        }
    };
    sessions.map(standing).collect()
}

/// What is true of every connection that may be its.
fn by_elimination(
    facts: &Facts,
    here: Option<&Here>,
    unexplained: &[&Socket],
) -> (Verdict, Evidence) {
    if !facts.own_is_in(&facts.sockets) {
        return NOT_KNOWN;
    }
    let mut all = unexplained.iter().map(|socket| weigh(facts, here, socket));
    match all.next() {
        Some(first) if first.0 != Verdict::Unknown && all.all(|other| other.0 == first.0) => first,
        _ => NOT_KNOWN,
    }
}

/// The connection that it names is no more. A name may be wrong, though: then its connection is one of those that are left.
fn gone(facts: &Facts, here: Option<&Here>, unexplained: &[&Socket]) -> (Verdict, Evidence) {
    if !facts.own_is_in(&facts.sockets) {
        return (Verdict::Unknown, Evidence::Unseen);
    }
    let mut all = unexplained.iter();
    if all.all(|socket| weigh(facts, here, socket).0 == Verdict::Ghost) {
        (Verdict::Ghost, Evidence::Gone)
    } else {
        NOT_KNOWN
    }
}

fn weigh(facts: &Facts, here: Option<&Here>, socket: &Socket) -> (Verdict, Evidence) {
    match socket.state {
        State::Closing | State::Listen => return (Verdict::Ghost, Evidence::Gone),
        State::CloseWait => return (Verdict::Ghost, Evidence::Closed),
        State::Established => {}
    }
    let from_here = here.filter(|here| came_from(facts, here, socket.peer));
    match from_here {
        Some(here) if here.holds(socket.peer) => return (Verdict::Held, Evidence::ClientHere),
        Some(here) if !here.forwards(socket.peer.ip()) => {
            return (Verdict::Ghost, Evidence::NotHere);
        }
        _ => {}
    }
    let is_unanswered = match socket.heard {
        Some(heard) => heard >= SILENT && socket.unanswered >= FEW,
        None => socket.unanswered >= MANY,
    };
    if is_unanswered {
        (Verdict::Ghost, Evidence::Unanswered)
    } else if socket.heard.is_some_and(|heard| heard < LATELY) {
        (Verdict::Held, Evidence::Answered)
    } else if from_here.is_some() {
        (Verdict::Unknown, Evidence::MaybeBehind)
    } else {
        (Verdict::Unknown, Evidence::Idle)
    }
}

/// Whether that address is ours there too: our own connection comes from it, and nobody on the way has changed it.
fn came_from(facts: &Facts, here: &Here, client: SocketAddr) -> bool {
    facts.own.as_ref().is_some_and(|own: &Ends| {
        own.client.ip() == client.ip() && here.is_ours(own.client, own.server)
    })
}

fn far(facts: &Facts, found: &Found) -> Option<FarSession> {
    let Found {
        pid, start, ends, ..
    } = found;
    let connection = ends.as_ref().map_or(NOBODYS, |ends| &ends.words);
    let words = format!("{pid} {start} {} {connection}", facts.boot);
    words.parse().ok()
}

const NOT_KNOWN: (Verdict, Evidence) = (Verdict::Unknown, Evidence::Unmatched);
/// In place of a connection: no process ever has it.
const NOBODYS: &str = "- 0 - 0";
/// A machine that has answered since then is there.
const LATELY: Duration = Duration::from_mins(2);
/// For so long nothing has come from one that does not answer.
const SILENT: Duration = Duration::from_secs(30);
/// What one lost segment does not come to.
const FEW: u32 = 3;
/// Linux waits twice as long each time, from 200 ms on: this comes to 50 s.
const MANY: u32 = 8;

#[cfg(test)]
mod tests {
    use super::super::reading::Reading;
    use super::*;

    const TOKEN: &str = "00112233445566778899aabbccddeeff";
    const OWN: &str = "ESTAB 0 0 10.77.1.2:22 10.77.1.1:50000 ino:1 sk:1 <->\n";

    fn facts(sessions: &str, sockets: &str) -> Facts {
        let mut reading = Reading::new(TOKEN.to_owned());
        let text = format!(
            "{TOKEN} b 100.50 100 6c2ea14c-4f6d-4d9c-8a52-0f6f1e6c5a11.4026531836.7 1000 70 10.77.1.1 50000 10.77.1.2 22\n\
             s 70 69 40 9000 sshd: me@notty\n{sessions}{OWN}{sockets}\n{TOKEN} e\n"
        );
        reading.take_in(text.as_bytes()).unwrap();
        reading.finish().unwrap()
    }

    /// A session from this client, whose connection looks so.
    fn one(client: &str, socket: &str) -> Facts {
        facts(
            &format!(
                "s 50 49 40 5000 sshd: me@notty\np 51 50 51 5001 {client} 40000 10.77.1.2 22\n"
            ),
            socket,
        )
    }

    fn verdict(facts: &Facts, here: Option<&Here>) -> (Verdict, Evidence) {
        let all = judge(facts, here);
        let found = all.iter().find(|standing| standing.pid == 50).unwrap();
        assert!(found.far.is_some());
        let own = all.iter().find(|standing| standing.pid == 70).unwrap();
        assert_eq!((own.verdict, own.evidence), (Verdict::Held, Evidence::Own));
        (found.verdict, found.evidence)
    }

    fn socket(words: &str) -> Socket {
        Socket::of_ss(words).unwrap()
    }

    /// This machine, with our own connection and this one.
    fn here(other: &str, forwards: bool) -> Here {
        let own = socket("ESTAB 0 0 10.77.1.1:50000 10.77.1.2:22");
        let sockets = [Some(own), Socket::of_ss(other)];
        Here::of(sockets.into_iter().flatten().collect(), forwards)
    }

    fn heard(seconds: u64, timer: &str) -> String {
        let ms = seconds * 1_000;
        format!(
            "ESTAB 0 0 10.77.1.2:22 10.77.1.9:40000 {timer} ino:1\n\t cubic lastsnd:{ms} lastrcv:{ms} lastack:{ms}\n"
        )
    }

    #[test]
    fn another_machine_is_judged_by_its_silence() {
        let of = |seconds, timer: &str| verdict(&one("10.77.1.9", &heard(seconds, timer)), None);
        let unanswered = (Verdict::Ghost, Evidence::Unanswered);
        let answered = (Verdict::Held, Evidence::Answered);
        let idle = (Verdict::Unknown, Evidence::Idle);
        assert_eq!(of(5, ""), answered);
        assert_eq!(of(29, "timer:(on,1sec,6)"), answered);
        assert_eq!(of(30, "timer:(on,1sec,6)"), unanswered);
        assert_eq!(of(30, "timer:(on,1sec,2)"), answered);
        assert_eq!(of(300, "timer:(persist,1sec,3)"), unanswered);
        assert_eq!(of(300, "timer:(keepalive,1sec,0)"), idle);
        let blind = "ESTAB 0 0 10.77.1.2:22 10.77.1.9:40000 timer:(on,1sec,7) ino:1\n";
        assert_eq!(verdict(&one("10.77.1.9", blind), None), idle);
        let blind = blind.replace(",7)", ",8)");
        assert_eq!(verdict(&one("10.77.1.9", &blind), None), unanswered);
    }

    #[test]
    fn a_client_from_here_is_looked_for_here() {
        let facts = one(
            "10.77.1.1",
            "ESTAB 0 0 10.77.1.2:22 10.77.1.1:40000 ino:1\n\t cubic lastsnd:5 lastrcv:5 lastack:5\n",
        );
        let of = |words, forwards| verdict(&facts, Some(&here(words, forwards)));
        let held = (Verdict::Held, Evidence::ClientHere);
        assert_eq!(of("ESTAB 0 0 10.77.1.1:40000 10.77.1.2:22", false), held);
        let ghost = (Verdict::Ghost, Evidence::NotHere);
        assert_eq!(of("", false), ghost);
        assert_eq!(
            of("FIN-WAIT-1 0 0 10.77.1.1:40000 10.77.1.2:22", false),
            ghost
        );
        let answered = (Verdict::Held, Evidence::Answered);
        assert_eq!(of("", true), answered, "somebody behind us may have it");
        let behind_nat = Here::of(Vec::new(), false);
        assert_eq!(verdict(&facts, Some(&behind_nat)), answered);
        assert_eq!(verdict(&facts, None), answered);
    }

    #[test]
    fn a_connection_that_is_no_more_is_nobodys() {
        assert_eq!(
            verdict(&one("10.77.1.9", ""), None),
            (Verdict::Ghost, Evidence::Gone)
        );
        let half = "CLOSE-WAIT 0 0 10.77.1.2:22 10.77.1.9:40000 ino:1\n";
        assert_eq!(
            verdict(&one("10.77.1.9", half), None),
            (Verdict::Ghost, Evidence::Closed)
        );
        let mut unseen = one("10.77.1.9", "");
        unseen.sockets.clear();
        assert_eq!(verdict(&unseen, None), (Verdict::Unknown, Evidence::Unseen));
    }

    #[test]
    fn a_connection_that_is_named_wrongly_ends_nobody() {
        let held = "ESTAB 0 0 10.77.1.2:22 10.77.1.8:40000 ino:1\n\t cubic lastsnd:5 lastrcv:5\n";
        assert_eq!(verdict(&one("10.77.1.9", held), None), NOT_KNOWN);
        let ghost = heard(300, "timer:(on,1sec,9)");
        let twice = facts(
            "s 50 49 40 5000 sshd: me@notty\np 51 50 51 5001 10.77.1.9 40000 10.77.1.2 22\n\
             s 60 59 40 5000 sshd: me@notty\np 61 60 61 5001 10.77.1.9 40000 10.77.1.2 22\n",
            &ghost,
        );
        assert_eq!(verdict(&twice, None), NOT_KNOWN);
    }

    #[test]
    fn a_session_without_children_is_what_all_that_are_left_are() {
        let session = "s 50 49 40 5000 sshd: me\n";
        let ghost = heard(300, "timer:(on,1sec,9)");
        let held = "ESTAB 0 0 10.77.1.2:22 10.77.1.8:40000 ino:1\n\t cubic lastsnd:5 lastrcv:5\n";
        assert_eq!(verdict(&facts(session, &ghost), None).0, Verdict::Ghost);
        assert_eq!(verdict(&facts(session, held), None).0, Verdict::Held);
        let mixed = facts(session, &format!("{ghost}{held}"));
        assert_eq!(verdict(&mixed, None), NOT_KNOWN);
        assert_eq!(verdict(&facts(session, ""), None), NOT_KNOWN);
        let two = facts(&format!("{session}s 60 59 40 5000 sshd: me\n"), &ghost);
        assert_eq!(verdict(&two, None), NOT_KNOWN, "one of them has another");
    }

    #[test]
    fn a_ghost_is_one_twice_and_not_heard_in_between() {
        let facts = one("10.77.1.9", &heard(300, "timer:(on,1sec,9)"));
        let all = judge(&facts, None);
        let ghost = all.into_iter().find(|found| found.pid == 50).unwrap();
        let apart = Duration::from_millis(500);
        assert_eq!(ghost.clone().since(Some(&ghost), apart), ghost);
        let new = ghost.clone().since(None, apart);
        assert_eq!((new.verdict, new.may_be_ended()), (Verdict::Unknown, false));
        let mut lively = ghost.clone();
        lively.last_sign = Some(apart / 2);
        assert_eq!(lively.since(Some(&ghost), apart).verdict, Verdict::Held);
    }
}
