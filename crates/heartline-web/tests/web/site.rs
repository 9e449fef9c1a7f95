//! A watcher that watches nothing: its board is filled by hand, and what is wished of it is noted.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use heartline_core::{Cause, Evidence, NodeState};
use heartline_ssh::RoundTripCounts;
use heartline_watch::board::Wishes;
use heartline_watch::status_socket::Request;
use heartline_watch::{
    Board, Dials, LineBrief, LineSample, LineTold, NodeBrief, NodeTold, Samples, Told,
};
use heartline_web::{Door, JournalHealth, Server, Token, Watched};
use jiff::Timestamp;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

/// It.
pub(crate) struct Site {
    pub(crate) board: Board,
    pub(crate) address: SocketAddr,
    pub(crate) socket: PathBuf,
    pub(crate) wished: Arc<Mutex<Vec<Request>>>,
    _server: Server,
    _folder: TempDir,
}

pub(crate) const TOKEN: &str = "0123456789abcdef";

impl Site {
    /// These nodes, on loopback without a token, and on a Unix socket.
    pub(crate) fn open(nodes: Vec<NodeBrief>) -> Self {
        Self::start(nodes, "127.0.0.1:0", None, None)
    }

    pub(crate) fn start(
        nodes: Vec<NodeBrief>,
        listen: &str,
        token: Option<&str>,
        journal: Option<PathBuf>,
    ) -> Self {
        let board = Board::new(100);
        board.set(nodes);
        let (wishes, mut wanted) = Wishes::new();
        let wished = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&wished);
        let of = board.clone();
        std::thread::spawn(move || {
            while let Some(wish) = wanted.blocking_recv() {
                noted.lock().unwrap().push(wish.request);
                let known = of.read(|known| known.nodes.clone());
                let _ = wish
                    .done
                    .send(known.iter().map(|brief| (**brief).clone()).collect());
            }
        });
        let mut watched = Watched::new(board.clone(), wishes);
        if let Some(path) = journal {
            watched = watched.with_journal(path, || JournalHealth {
                is_written: true,
                lost: 3,
            });
        }
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("heartline.sock");
        let token = token.map(|token| Token::new(token).unwrap());
        let tcp = Door::tcp(listen.parse().unwrap(), token).unwrap();
        let address = tcp.address().unwrap();
        let doors = vec![tcp, Door::unix(&socket).unwrap()];
        Self {
            board,
            address: ([127, 0, 0, 1], address.port()).into(),
            socket,
            wished,
            _server: Server::start(doors, &watched).unwrap(),
            _folder: folder,
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        get(self.address, path)
    }

    /// As it is written.
    pub(crate) fn send(&self, request: &str) -> Answer {
        send(self.address, request)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A node is that, from now on.
    pub(crate) fn turn(&self, name: &str, state: NodeState) {
        let before = self
            .board
            .read(|known| Arc::clone(known.node(name).unwrap()));
        let mut brief = node(name, state);
        brief.tags = Arc::clone(&before.tags);
        let told = Told::Node(NodeTold {
            t: Timestamp::now(),
            node: Arc::clone(&brief.node),
            from: before.state.word(),
            to: state.word(),
            cause: state.cause(),
            after_ms: state.cause().map(|_| 4_321),
            token: 1,
            tags: Arc::default(),
            lines: brief.lines.clone(),
        });
        self.board.note(told, Some(brief));
    }

    /// Round trips of every line, taken so often.
    pub(crate) fn sample(&self, times: u32) {
        for time in 0..times {
            let nodes = self.board.read(|known| known.nodes.clone());
            let lines = nodes.iter().enumerate().flat_map(|(at, brief)| {
                brief
                    .lines
                    .iter()
                    .map(move |line| sample(brief, line, at, time))
            });
            let mut dials = Dials {
                stood: 7,
                ..Dials::default()
            };
            dials.in_vain.insert(Cause::Refused, 2);
            self.board.sample(Samples {
                lines: lines.collect(),
                dials,
                lag: Duration::from_millis(3),
            });
        }
    }
}

fn sample(brief: &NodeBrief, line: &LineBrief, at: usize, time: u32) -> LineSample {
    let mut round_trips = RoundTripCounts::default();
    round_trips.classes[6] = u64::from(time) + 1;
    round_trips.sum_us = 7_000 * (u64::from(time) + 1);
    // It strays as round trips do, and now and then one stands out.
    let mut random = fastrand::Rng::with_seed((at as u64) << 32 | u64::from(time));
    let usual = 400 + (at as u64 * 7_919) % 60_000;
    let stray = random.u64(0..25);
    let outlier = if random.u32(..40) == 0 { 6 } else { 1 };
    let us = usual * (100 + stray) / 100 * outlier;
    LineSample {
        node: Arc::clone(&brief.node),
        line: Arc::clone(&line.line),
        round_trips,
        last: (line.state == "up").then(|| Duration::from_micros(us)),
        extremes: None,
    }
}

/// Asks for something.
pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    send(
        address,
        &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"),
    )
}

fn send(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    // Whoever is refused before all is read may be cut off; what was said counts.
    let _ = stream.read_to_end(&mut all);
    Answer::parse(&all)
}

/// A connection from another address of loopback than 127.0.0.1.
pub(crate) fn connect_from(last: u8, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from(([127, 0, 0, last], 0)).into())
        .unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

/// An answer of HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn parse(all: &[u8]) -> Self {
        let end = all.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(all)));
        let headers = String::from_utf8(all[..end].to_vec()).unwrap();
        let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            status,
            headers,
            body: all[end + 4..].to_vec(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("{why}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.lines().skip(1);
        lines.find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A node with one line, or with two if it is degraded.
pub(crate) fn node(name: &str, state: NodeState) -> NodeBrief {
    let now = Timestamp::now();
    let line = |line: &str, state: &'static str, cause| LineBrief {
        line: line.into(),
        state: state.into(),
        cause,
        rtt_ms: (state == "up").then_some(12.5),
        since: now,
        detail: None,
        flaps: 0,
    };
    let lines = match state {
        NodeState::Up => vec![line("10.0.0.1", "up", None)],
        NodeState::Degraded(cause) => vec![
            line("10.0.0.1", "up", None),
            line("10.0.9.1%eth1", "down", Some(cause)),
        ],
        NodeState::Paused => vec![line("10.0.0.1", "paused", None)],
        NodeState::Suspect(cause) => vec![line("10.0.0.1", "suspect", Some(cause))],
        NodeState::Down(cause) | NodeState::Unknown(cause) => {
            vec![line("10.0.0.1", "down", Some(cause))]
        }
    };
    NodeBrief {
        node: name.into(),
        state,
        since: now - jiff::SignedDuration::from_secs(40_000),
        token: 0,
        tags: Arc::default(),
        lines,
    }
}

/// So many nodes, nearly all of them up.
pub(crate) fn many(count: usize) -> Vec<NodeBrief> {
    let state = |at: usize| match at {
        17 => NodeState::Down(Cause::Silent),
        40 => NodeState::Degraded(Cause::LinkDown),
        77 => NodeState::Unknown(Cause::HostKeyChanged),
        90 => NodeState::Paused,
        _ => NodeState::Up,
    };
    let kinds = ["web", "db", "cache", "build", "edge"];
    (0..count)
        .map(|at| {
            node(
                &format!("{}{:03}.example.org", kinds[at % 5], at),
                state(at),
            )
        })
        .collect()
}

/// A line's event.
pub(crate) fn line_told(name: &str, line: &str, evidence: Evidence) -> Told {
    Told::Line(LineTold {
        t: Timestamp::now(),
        node: name.into(),
        line: line.into(),
        from: "up",
        to: "down",
        cause: Some(Cause::Silent),
        layer: Some("network"),
        after_ms: Some(9_804),
        evidence,
        flaps: 0,
        is_only: false,
    })
}

/// Names that want to be more than names.
pub(crate) const HOSTILE: [&str; 8] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(2)>",
    "' onmouseover='alert(3)",
    "a/../b?c#d%2e&e=f",
    "abc\u{202e}gpj.exe\u{200b}",
    "..",
    "javascript:alert(4)",
    "line\nbreak\ttab\\u{7}",
];
