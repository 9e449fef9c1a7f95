//! What is made of a survey's output: between two lines with the token only lines that we foresaw mean something.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::SurveyError;
use super::tcp::{Order, Socket, State, endpoint_of};
use crate::escape::escape;

/// What is known of a node's sessions.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) uptime: Duration,
    ticks: u64,
    pub(super) boot: String,
    user: u32,
    /// The process that started the survey: this session's sshd.
    starter: u32,
    /// The connection that the survey came over.
    pub(super) own: Option<Ends>,
    pub(super) sessions: Vec<Found>,
    processes: Vec<Process>,
    pub(super) sockets: Vec<Socket>,
}

/// A session's sshd.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) pid: u32,
    parent: u32,
    /// The session of all sshds.
    group: i64,
    pub(super) start: u64,
    pub(super) terminal: Option<String>,
    /// Set by [`Facts::settle`].
    pub(super) ends: Option<Ends>,
    /// Its children name a connection that is none, or several, or another session's too.
    pub(super) is_misnamed: bool,
    pub(super) processes: usize,
    pub(super) is_own: bool,
}

/// The two ends of a session's connection, as the node sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
    /// As `SSH_CONNECTION` says it.
    pub(super) words: String,
}

#[derive(Clone, Debug)]
struct Process {
    pid: u32,
    parent: u32,
    group: i64,
    /// It has an `SSH_CONNECTION`.
    is_named: bool,
    ends: Option<Ends>,
}

/// Reads a survey, piece by piece.
#[derive(Debug)]
pub(super) struct Reading {
    token: String,
    line: Vec<u8>,
    taken: usize,
    facts: Option<Facts>,
    /// Behind `q`: addresses in hexadecimal, of an order that is not known yet.
    raw: Option<Vec<String>>,
    /// The last words before it began, for a person.
    last: Vec<u8>,
    /// It has said that nothing can be found out.
    is_blind: bool,
    is_complete: bool,
}

impl Ends {
    /// The four words of `SSH_CONNECTION`.
    fn new(words: &[&str]) -> Option<Self> {
        let [client, client_port, server, server_port] = words else {
            return None;
        };
        Some(Self {
            client: endpoint_of(client, client_port)?,
            server: endpoint_of(server, server_port)?,
            words: words.join(" "),
        })
    }
}

impl Found {
    /// Since it began.
    pub(super) fn age(&self, facts: &Facts) -> Duration {
        let began = Duration::from_millis(self.start.saturating_mul(1_000) / facts.ticks);
        facts.uptime.saturating_sub(began)
    }
}

impl Reading {
    pub(super) fn new(token: String) -> Self {
        Self {
            token,
            line: Vec::new(),
            taken: 0,
            facts: None,
            raw: None,
            last: Vec::new(),
            is_blind: false,
            is_complete: false,
        }
    }

    /// Takes in standard output.
    pub(super) fn take_in(&mut self, bytes: &[u8]) -> Result<(), SurveyError> {
        self.waste(bytes.len())?;
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.take_line(&line);
            } else {
                self.line.push(*byte);
                // Of a long line before it begins the end is enough; no line of ours is so long.
                if self.line.len() >= MAX_LINE {
                    self.line.drain(..MAX_LINE / 2);
                }
            }
        }
        Ok(())
    }

    /// So much came that can mean nothing.
    pub(super) fn waste(&mut self, bytes: usize) -> Result<(), SurveyError> {
        self.taken = self.taken.saturating_add(bytes);
        let most = if self.facts.is_some() {
            MAX_FACTS
        } else {
            MAX_GREETING
        };
        if self.taken > most {
            return Err(SurveyError::TooMuch);
        }
        Ok(())
    }

    /// Whether nothing more is to be waited for.
    pub(super) fn is_over(&self) -> bool {
        self.is_complete || self.is_blind
    }

    /// What was read.
    pub(super) fn finish(self) -> Result<Facts, SurveyError> {
        if self.is_blind {
            return Err(SurveyError::Blind);
        }
        match self.facts {
            Some(mut facts) if self.is_complete => {
                facts.settle(&self.raw.unwrap_or_default());
                Ok(facts)
            }
            Some(_) => Err(SurveyError::Cut),
            None => Err(SurveyError::NotRun {
                said: escape(self.last.trim_ascii(), MAX_SAID),
            }),
        }
    }

    fn take_line(&mut self, line: &[u8]) {
        let Ok(text) = std::str::from_utf8(line) else {
            return;
        };
        if self.is_complete {
            return;
        }
        if let Some((_, words)) = text.rsplit_once(&self.token) {
            let words: Vec<_> = words.split_ascii_whitespace().collect();
            match (words.as_slice(), &self.facts) {
                (["n"], None) => self.is_blind = true,
                (["e"], Some(_)) => self.is_complete = true,
                (["b", words @ ..], None) => self.facts = Facts::begin(words),
                _ => {}
            }
            return;
        }
        let Some(facts) = &mut self.facts else {
            if !text.trim().is_empty() {
                self.last = line.to_vec();
            }
            return;
        };
        if let Some(raw) = &mut self.raw {
            raw.push(text.to_owned());
        } else if text == "q" {
            self.raw = Some(Vec::new());
            facts.sockets.clear();
        } else {
            facts.take(text);
        }
    }
}

impl Facts {
    fn begin(words: &[&str]) -> Option<Self> {
        let [uptime, ticks, boot, user, starter, connection @ ..] = words else {
            return None;
        };
        let (seconds, hundredths) = uptime.split_once('.')?;
        let (seconds, hundredths): (u64, u64) = (seconds.parse().ok()?, hundredths.parse().ok()?);
        Some(Self {
            uptime: Duration::from_secs(seconds) + Duration::from_millis(hundredths.min(99) * 10),
            ticks: ticks.parse().ok().filter(|ticks| *ticks > 0)?,
            boot: (*boot).to_owned(),
            user: user.parse().ok()?,
            starter: starter.parse().ok()?,
            own: Ends::new(connection),
            sessions: Vec::new(),
            processes: Vec::new(),
            sockets: Vec::new(),
        })
    }

    fn take(&mut self, text: &str) {
        if text.starts_with([' ', '\t']) {
            if let Some(socket) = self.sockets.last_mut() {
                socket.learn(text);
            }
            return;
        }
        let words: Vec<_> = text.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["s", pid, parent, group, start, title @ ..] => {
                let found = || {
                    Some(Found {
                        pid: pid.parse().ok().filter(|pid| *pid > 1)?,
                        parent: parent.parse().ok()?,
                        group: group.parse().ok()?,
                        start: start.parse().ok()?,
                        terminal: terminal(title),
                        ends: None,
                        is_misnamed: false,
                        processes: 0,
                        is_own: false,
                    })
                };
                if is_session(title, self.user) {
                    self.sessions.extend(found());
                }
            }
            ["p", pid, parent, group, _start, connection @ ..] => {
                let process = || {
                    Some(Process {
                        pid: pid.parse().ok()?,
                        parent: parent.parse().ok()?,
                        group: group.parse().ok()?,
                        is_named: !connection.is_empty(),
                        ends: Ends::new(connection),
                    })
                };
                self.processes.extend(process());
            }
            _ => self.sockets.extend(Socket::of_ss(text)),
        }
    }

    /// Puts together what belongs together.
    fn settle(&mut self, raw: &[String]) {
        // An sshd that has forked for a channel is one session.
        let pids: BTreeSet<_> = self.sessions.iter().map(|found| found.pid).collect();
        self.sessions.retain(|found| !pids.contains(&found.parent));
        if !raw.is_empty() {
            self.sockets = self.read_raw(raw);
        }
        for found in &mut self.sessions {
            let children = || {
                let all = self.processes.iter();
                all.filter(|process| process.parent == found.pid)
            };
            let mut named: Vec<_> = children()
                .filter(|child| child.is_named)
                .map(|child| &child.ends)
                .collect();
            named.dedup();
            found.ends = match named.as_slice() {
                [ends] => (*ends).clone(),
                _ => None,
            };
            found.is_misnamed = !named.is_empty() && found.ends.is_none();
            let groups: BTreeSet<_> = children()
                .map(|child| child.group)
                .filter(|group| *group != found.group)
                .collect();
            let belongs = |process: &&Process| {
                let by_name = found.ends.is_some() && process.ends == found.ends;
                process.pid != found.pid && (by_name || groups.contains(&process.group))
            };
            found.processes = self.processes.iter().filter(belongs).count();
            let same = found.ends.is_some() && found.ends == self.own;
            found.is_own = same || found.pid == self.starter;
            if found.is_own && found.ends.is_none() {
                found.ends.clone_from(&self.own);
            }
        }
        self.doubt_twice_named();
    }

    /// Two sessions have two connections: somebody has passed on a name.
    fn doubt_twice_named(&mut self) {
        let named: Vec<_> = self
            .sessions
            .iter()
            .map(|found| found.ends.clone())
            .collect();
        for found in self
            .sessions
            .iter_mut()
            .filter(|found| found.ends.is_some())
        {
            if named.iter().filter(|ends| **ends == found.ends).count() > 1 {
                found.is_misnamed = true;
                found.ends = None;
            }
        }
    }

    /// In that order in which our own connection is found.
    fn read_raw(&self, raw: &[String]) -> Vec<Socket> {
        let read = |order| -> Vec<Socket> {
            let lines = raw.iter();
            lines
                .filter_map(|line| Socket::of_proc(line, order))
                .collect()
        };
        let (little, big) = (read(Order::Little), read(Order::Big));
        if self.own_is_in(&big) { big } else { little }
    }

    /// Whether our own connection is among them: then they are those of the sessions too, and none is missing.
    pub(super) fn own_is_in(&self, sockets: &[Socket]) -> bool {
        self.own.as_ref().is_some_and(|own| {
            let mut all = sockets.iter();
            all.any(|socket| socket.joins(own.server, own.client))
        })
    }

    /// The connection between these ends.
    pub(super) fn socket(&self, ends: &Ends) -> Option<&Socket> {
        let mut all = self.sockets.iter();
        all.find(|socket| socket.joins(ends.server, ends.client))
    }

    /// The connections that may be an sshd's, and are no known session's: accepted by root or by whoever has accepted our
    /// own, at a port that is no client's.
    pub(super) fn unexplained(&self) -> Vec<&Socket> {
        let listening: BTreeSet<_> = self
            .sockets
            .iter()
            .filter(|socket| socket.state == State::Listen)
            .map(|socket| socket.local.port())
            .collect();
        let own = self.own.as_ref().and_then(|own| self.socket(own));
        let acceptor = own.map_or(0, |own| own.user);
        let explained = |socket: &Socket| {
            let mut all = self
                .sessions
                .iter()
                .filter_map(|found| found.ends.as_ref())
                .chain(&self.own);
            all.any(|ends| socket.joins(ends.server, ends.client))
        };
        self.sockets
            .iter()
            .filter(|socket| matches!(socket.state, State::Established | State::CloseWait))
            .filter(|socket| socket.user == 0 || socket.user == acceptor)
            .filter(|socket| {
                let port = socket.local.port();
                port < EPHEMERAL || listening.contains(&port)
            })
            .filter(|socket| !explained(socket))
            .collect()
    }
}

/// By what it calls itself (`setproctitle`): neither the listener, nor what is not logged in yet, nor, of root, the monitor of
/// another user's.
fn is_session(title: &[&str], user: u32) -> bool {
    let [first, rest @ ..] = title else {
        return false;
    };
    let is_sshd = first.starts_with("sshd") && first.ends_with(':');
    let no_session = ["listener", "accepted", "net", "preauth", "pam"];
    let is_other = rest.iter().skip(1).any(|word| no_session.contains(word));
    is_sshd && !rest.is_empty() && !is_other && (user != 0 || rest.len() == 1)
}

/// `sshd: user@pts/0`; without one `user@notty`.
fn terminal(title: &[&str]) -> Option<String> {
    let (_, terminal) = title.last()?.rsplit_once('@')?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b',');
    let is_one = terminal != "notty" && terminal.len() <= MAX_TERMINAL;
    (is_one && terminal.bytes().all(is_plain)).then(|| terminal.to_owned())
}

/// More than any line of ours.
const MAX_LINE: usize = 4_096;
/// What may come before it begins.
const MAX_GREETING: usize = 64 * 1024;
/// Forty thousand connections.
const MAX_FACTS: usize = 16 * 1024 * 1024;
/// Linux gives clients ports from here on (`ip_local_port_range`).
const EPHEMERAL: u16 = 32_768;
const MAX_SAID: usize = 200;
const MAX_TERMINAL: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "00112233445566778899aabbccddeeff";
    const BOOT: &str = "6c2ea14c-4f6d-4d9c-8a52-0f6f1e6c5a11";
    const OWN: &str = "10.77.1.1 50000 10.77.1.2 22";

    fn read(text: &str) -> Result<Facts, SurveyError> {
        let mut reading = Reading::new(TOKEN.to_owned());
        for piece in text.as_bytes().chunks(7) {
            reading.take_in(piece)?;
        }
        reading.finish()
    }

    fn survey(body: &str) -> Facts {
        let text = format!(
            "\x1b[2JWelcome! {TOKEN} b 100.50 100 {BOOT} 1000 70 {OWN}\n{body}\n{TOKEN} e\n"
        );
        read(&text).unwrap()
    }

    #[test]
    fn sessions_are_put_together() {
        let facts = survey(
            "s 50 49 40 5000 sshd: me@pts/0\ns 51 50 40 5100 sshd: me@pts/0\n\
             s 60 59 40 6000 sshd: me\ns 70 69 40 9000 sshd-session: me@notty\n\
             s 80 1 40 1 sshd: /usr/sbin/sshd -D listener 0 of 10-100 startups\n\
             s 90 89 90 2 sshd: me@notty\n\
             p 52 50 52 5001 10.77.1.9 40000 10.77.1.2 22\np 53 52 53 5002 10.77.1.9 40000 10.77.1.2 22\n\
             p 71 70 71 9001 10.77.1.1 50000 10.77.1.2 22\np 91 90 91 1 UNKNOWN 65535 UNKNOWN 65535\n\
             garbage \x1b[2J\n\
             ESTAB 0 0 10.77.1.2:22 10.77.1.1:50000 ino:1 sk:1 <->\n\t cubic lastsnd:1 lastrcv:1 lastack:1\n\
             ESTAB 0 0 10.77.1.2:22 10.77.1.9:40001 ino:2 sk:1 <->\n",
        );
        let pids: Vec<_> = facts.sessions.iter().map(|found| found.pid).collect();
        assert_eq!(pids, [50, 60, 70, 90]);
        let [first, second, own, piped] = facts.sessions.as_slice() else {
            panic!("{facts:?}");
        };
        assert_eq!(
            (first.processes, first.terminal.as_deref()),
            (2, Some("pts/0"))
        );
        assert_eq!(first.age(&facts), Duration::from_millis(50_500));
        assert!(second.ends.is_none() && !second.is_misnamed);
        assert!(own.is_own && piped.is_misnamed);
        assert!(facts.own_is_in(&facts.sockets));
        assert_eq!(facts.unexplained().len(), 1);
    }

    #[test]
    fn the_tables_of_proc_are_read_as_our_own_connection_shows() {
        let rest = "01 00000000:00000000 00:00000000 00000000 0 0 5569519 2";
        let facts = survey(&format!("q\n 1: 02014D0A:0016 01014D0A:C350 {rest}\n"));
        assert!(facts.own_is_in(&facts.sockets));
        let facts = survey(&format!("q\n 1: 0A4D0102:0016 0A4D0101:C350 {rest}\n"));
        assert!(facts.own_is_in(&facts.sockets));
    }

    #[test]
    fn what_is_cut_or_did_not_begin_is_no_survey() {
        let begin = format!("{TOKEN} b 100.50 100 {BOOT} 1000 70 {OWN}\n");
        assert!(matches!(read(&begin), Err(SurveyError::Cut)));
        assert!(matches!(
            read(&format!("{TOKEN} n\n")),
            Err(SurveyError::Blind)
        ));
        let said = read("This account is not available.\n").unwrap_err();
        assert!(said.to_string().contains("This account is not available."));
        let much = "x".repeat(MAX_GREETING + 1);
        assert!(matches!(read(&much), Err(SurveyError::TooMuch)));
        let other = begin.replace(TOKEN, &TOKEN.replace('0', "1"));
        assert!(matches!(read(&other), Err(SurveyError::NotRun { .. })));
    }

    proptest! {
        #[test]
        fn takes_any_bytes(pieces: Vec<Vec<u8>>) {
            let mut reading = Reading::new(TOKEN.to_owned());
            for piece in &pieces {
                let _ = reading.take_in(piece);
            }
            prop_assert!(reading.finish().is_err());
        }

        #[test]
        fn takes_any_lines(lines in proptest::collection::vec("[spqE][0-9a-z:. -]{0,60}", 0..20)) {
            let facts = survey(&lines.join("\n"));
            prop_assert!(facts.sessions.iter().all(|found| found.pid > 1));
        }
    }
}
