//! Peers that lie, flood, stall and swear at the terminal: each line goes down with its cause, the watcher lives on and
//! stays small, a line that is well stays up, and not one byte of theirs is printed unescaped.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that finds something else than it needs has failed"
)]

mod program;

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use lab::hostile::{Act, Peer};
use lab::{Running, Stream};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use program::{CEILING, Home, go_first};
use serde_json::Value;

/// What a line goes down with, by what its peer does; where a race decides, both.
fn causes(act: Act) -> &'static [&'static str] {
    match act {
        Act::Silent | Act::BannerDrip => &["banner_timeout"],
        Act::EndlessBanner
        | Act::EndlessLine
        | Act::LongIdent
        | Act::Garbage
        | Act::OldProtocol => &["not_ssh"],
        Act::IdentThenSilence
        | Act::KexInitThenSilence
        | Act::EscapesInBanner
        | Act::EscapesInIdent => &["kex_timeout"],
        Act::HugePacket | Act::EmptyPacket => &["kex_failed"],
        // What we say may meet a socket that is gone already.
        Act::CloseAtOnce => &["closed_by_peer", "reset"],
        Act::ResetAtOnce => &["reset"],
    }
}

/// Says this to everybody and closes, for as long as the test lasts.
fn talker(words: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                // Read on until they leave, so that our words are not cut short by a reset.
                let _ = stream.write_all(words);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            });
        }
    });
    addr
}

/// Words that end up in what a person is told, and the cause that goes with them.
const TALKERS: [(&str, &[u8], &str); 4] = [
    (
        "old",
        b"SSH-1.5-\x1b[2J\x1b]0;owned\x07\xc2\x9b31m\x7f\r\n",
        "not_ssh",
    ),
    (
        "busy",
        b"Exceeded MaxStartups \x1b[6n\x08\x08\r\n",
        "penalty",
    ),
    (
        "rude",
        b"\x1b]0;owned\x07\rfake line\xe2\x80\xae\xff",
        "closed_by_peer",
    ),
    (
        "forger",
        b"{\"event\":\"node\"}\x00\x1b[31m",
        "closed_by_peer",
    ),
];

/// A `watch` of all of them, whose output goes to files.
struct Ordeal {
    home: Home,
    peers: Vec<(Act, Peer)>,
    _serve: Running,
    watch: Child,
}

impl Ordeal {
    fn begin(words: &[&str]) -> Self {
        go_first();
        let home = Home::new();
        home.key("host");
        home.key("id");
        let (serve, well) = serve(&home);
        home.write(
            "known",
            format!("[127.0.0.1]:{} {}", well.port(), home.read("host.pub")),
        );
        let peers = Act::ALL.map(|act| (act, Peer::start(act).unwrap()));
        let mut config =
            String::from("[defaults]\ninterval = \"1s\"\nconnect_timeout = \"700ms\"\n");
        config += &node("well", well);
        for (act, peer) in &peers {
            config += &node(&format!("{act:?}"), peer.addr());
        }
        for (name, words, _) in TALKERS {
            config += &node(name, talker(words));
        }
        home.write("heartline.toml", config);
        let known = format!("UserKnownHostsFile={}", home.path("known").display());
        let mut command = home.command();
        command
            .args([
                "watch",
                // The one peer that is well runs no command.
                "--fuse",
                "0",
                "-F",
                "none",
                "-o",
                &known,
                "-o",
                "GlobalKnownHostsFile=none",
            ])
            .arg("-i")
            .arg(home.path("id"))
            .args(words)
            .stdout(fs::File::create(home.path("stdout")).unwrap())
            .stderr(fs::File::create(home.path("stderr")).unwrap());
        let watch = command.spawn().unwrap();
        Self {
            home,
            peers: peers.into(),
            _serve: serve,
            watch,
        }
    }

    /// Lets it go on until everybody was dialed several times over, and returns by how much the watcher grew meanwhile,
    /// in KiB.
    fn endure(&mut self, is_settled: impl Fn(&str) -> bool) -> i64 {
        let begun = Instant::now();
        while !is_settled(&self.home.read_lossy("stdout")) {
            assert!(begun.elapsed() < CEILING, "{}", self.said());
            self.lives();
            thread::sleep(LOOK);
        }
        let before = self.resident();
        let mut most = before;
        let since = Instant::now();
        while since.elapsed() < ENDURE
            || !self.peers.iter().all(|(_, peer)| peer.visits().len() > 2)
        {
            assert!(begun.elapsed() < CEILING * 3, "{}", self.said());
            self.lives();
            most = most.max(self.resident());
            thread::sleep(LOOK);
        }
        most - before
    }

    fn lives(&mut self) {
        let ended = self.watch.try_wait().unwrap();
        assert_eq!(ended, None, "{}", self.said());
    }

    /// `VmRSS`, in KiB.
    fn resident(&self) -> i64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.watch.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.unwrap().parse().unwrap()
    }

    /// Ends it as a person would.
    fn end(&mut self) -> ExitStatus {
        let pid = Pid::from_raw(self.watch.id().try_into().unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        let begun = Instant::now();
        loop {
            if let Some(status) = self.watch.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < CEILING, "it does not end");
            thread::sleep(LOOK);
        }
    }

    /// Both outputs hold lines of text and nothing that a terminal acts upon.
    fn is_printable(&self) {
        for name in ["stdout", "stderr"] {
            let bytes = fs::read(self.home.path(name)).unwrap();
            let text = String::from_utf8(bytes).unwrap();
            let bad = text.lines().find(|line| line.contains(acts_on_a_terminal));
            assert_eq!(bad, None, "{name}");
            assert!(!text.contains('\r'), "{name}");
        }
    }

    fn said(&self) -> String {
        self.home.read_lossy("stdout") + &self.home.read_lossy("stderr")
    }
}

impl Drop for Ordeal {
    fn drop(&mut self) {
        let _ = self.watch.kill();
        let _ = self.watch.wait();
    }
}

/// C0, DEL, C1, and what turns a line around.
fn acts_on_a_terminal(character: char) -> bool {
    character.is_control() || matches!(character, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
}

/// heartline's endpoint as a process of its own.
fn serve(home: &Home) -> (Running, SocketAddr) {
    let mut command = home.command();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--host-key"])
        .arg(home.path("host"))
        .arg("--authorized-keys")
        .arg(home.path("id.pub"));
    let mut running = Running::spawn(command).unwrap();
    let line = running.wait_for("address", CEILING, |line| line.stream == Stream::Stdout);
    let text = line.unwrap().text;
    let addr = text.split(' ').next().unwrap().replace(['[', ']'], "");
    (running, addr.parse().unwrap())
}

fn node(name: &str, addr: SocketAddr) -> String {
    format!("[[node]]\nname = {name:?}\nhost = \"{addr}\"\n")
}

#[test]
fn hostile_peers_seen_by_a_program() {
    let mut ordeal = Ordeal::begin(&["--json", "-vv"]);
    let events = |text: &str| -> Vec<Value> {
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().unwrap()
    };
    let is = |event: &Value, kind: &str, node: &str, to: &str| {
        event["event"] == kind && event["node"] == node && event["to"] == to
    };
    let all: Vec<_> = Act::ALL.map(|act| format!("{act:?}")).into();
    let talkers = TALKERS.map(|(name, ..)| name.to_owned());
    let hostile: Vec<_> = all.into_iter().chain(talkers).collect();
    let grown = ordeal.endure(|text| {
        let events = events(text);
        let has = |node: &str, to: &str| events.iter().any(|event| is(event, "line", node, to));
        has("well", "up") && hostile.iter().all(|name| has(name, "down"))
    });
    assert!(ordeal.end().success(), "{}", ordeal.said());
    let events = events(&ordeal.home.read("stdout"));
    for act in Act::ALL {
        let name = format!("{act:?}");
        went_down(&events, &name, causes(act));
    }
    for (name, _, cause) in TALKERS {
        went_down(&events, name, &[cause]);
    }
    let well: Vec<_> = events
        .iter()
        .filter(|event| event["node"] == "well")
        .collect();
    let words: Vec<_> = well
        .iter()
        .map(|event| event["to"].as_str().unwrap())
        .collect();
    assert_eq!(words, ["dialing", "up", "up"], "{well:?}");
    ordeal.is_printable();
    assert!(grown < MOST_GROWN, "the watcher grew by {grown} KiB");
}

/// Every time, and for no other cause; nor was it ever up.
fn went_down(events: &[Value], name: &str, causes: &[&str]) {
    let of = events.iter().filter(|event| event["node"] == name);
    let mut downs = 0;
    for event in of {
        assert_ne!(event["to"], "up", "{event}");
        if event["event"] == "line" && event["to"] == "down" {
            let cause = event["cause"].as_str().unwrap();
            assert!(causes.contains(&cause), "{event}, expected {causes:?}");
            downs += 1;
        }
    }
    assert!(downs > 0, "{name} never went down");
}

#[test]
fn hostile_peers_seen_by_a_person() {
    let mut ordeal = Ordeal::begin(&["-vv"]);
    let grown = ordeal.endure(|text| {
        let has = |name: &str, word: &str| {
            let of = |line: &&str| line.contains(&format!("  {name}  "));
            text.lines().filter(of).any(|line| line.contains(word))
        };
        let talkers = TALKERS.iter().all(|(name, _, cause)| has(name, cause));
        let all = Act::ALL.iter().all(|act| {
            let name = format!("{act:?}");
            causes(*act).iter().any(|cause| has(&name, cause))
        });
        talkers && all && has("well", "up")
    });
    assert!(ordeal.end().success(), "{}", ordeal.said());
    ordeal.is_printable();
    let text = ordeal.home.read("stdout");
    let well: Vec<_> = text
        .lines()
        .filter(|line| line.contains("  well  "))
        .collect();
    assert!(well.iter().all(|line| line.contains("up")), "{well:?}");
    // What they said is shown, but as text.
    assert!(text.contains("SSH-1.5-\\x1b[2J"), "{text}");
    assert!(grown < MOST_GROWN, "the watcher grew by {grown} KiB");
}

/// How long it goes on once everybody has been met.
const ENDURE: Duration = Duration::from_secs(8);
/// In KiB; the peers together send a hundred times as much.
const MOST_GROWN: i64 = 8 * 1024;
const LOOK: Duration = Duration::from_millis(50);
