//! What `watch` says to systemd: ready, how its nodes are, that it works, that it ends.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that finds something else than it needs has failed"
)]

mod program;

use std::fs::File;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use program::{CEILING, Home};

/// Where systemd would listen.
struct Ear {
    socket: UnixDatagram,
    heard: Vec<(Instant, String)>,
}

impl Ear {
    fn at(home: &Home) -> Self {
        let socket = UnixDatagram::bind(home.path("notify")).unwrap();
        let patience = Some(Duration::from_millis(50));
        socket.set_read_timeout(patience).unwrap();
        Self {
            socket,
            heard: Vec::new(),
        }
    }

    /// Listens until what was heard is enough.
    fn until(&mut self, what: &str, is_enough: impl Fn(&[String]) -> bool) {
        let begun = Instant::now();
        let mut text = [0; 4096];
        loop {
            let all: Vec<_> = self.heard.iter().map(|(_, said)| said.clone()).collect();
            if is_enough(&all) {
                return;
            }
            assert!(begun.elapsed() < CEILING, "{what}: {all:?}");
            if let Ok(len) = self.socket.recv(&mut text) {
                let said = String::from_utf8_lossy(text.get(..len).unwrap());
                for line in said.lines() {
                    self.heard.push((Instant::now(), line.to_owned()));
                }
            }
        }
    }
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn watch_is_ready_and_says_how_its_nodes_are_and_that_it_works() {
    let home = Home::new();
    let mut ear = Ear::at(&home);
    // Nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let config = format!("[[node]]\nname = \"a\"\nhost = \"127.0.0.1:{port}\"\n");
    home.write("heartline.toml", config);
    let child = home
        .command()
        .args(["watch", "-F", "none", "--json"])
        .env("NOTIFY_SOCKET", home.path("notify"))
        .env("WATCHDOG_USEC", "600000")
        .env_remove("WATCHDOG_PID")
        .env("XDG_STATE_HOME", home.path("state"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Ended(child);
    ear.until("ready", |all| all.iter().any(|said| said == "READY=1"));
    ear.until("down", |all| {
        all.iter()
            .any(|said| said == "STATUS=1 node: 1 down; down: a")
    });
    let beats = |all: &[String]| all.iter().filter(|said| *said == "WATCHDOG=1").count();
    let before: Vec<_> = ear.heard.iter().map(|(_, said)| said.clone()).collect();
    let before = beats(&before);
    ear.until("watchdog", |all| beats(all) >= before + 3);
    kill(
        Pid::from_raw(i32::try_from(child.0.id()).unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    ear.until("stopping", |all| {
        all.iter().any(|said| said == "STOPPING=1")
    });
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
    let ready = ear.heard.iter().filter(|(_, said)| said == "READY=1");
    assert_eq!(ready.count(), 1, "{:?}", ear.heard);
}

#[test]
fn status_says_whether_a_watcher_answers_whatever_its_nodes_are() {
    let home = Home::new();
    let nobody = home.run(&["status", "--alive", "--socket", "socket"]);
    assert_eq!(nobody.code, Some(2), "{nobody:?}");
    let mut ear = Ear::at(&home);
    home.write(
        "heartline.toml",
        "[[node]]\nname = \"a\"\nhost = \"127.0.0.1:9\"\n",
    );
    let child = home
        .command()
        .args(["watch", "-F", "none", "--socket", "socket"])
        .env("NOTIFY_SOCKET", home.path("notify"))
        .env("XDG_STATE_HOME", home.path("state"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _child = Ended(child);
    ear.until("down", |all| {
        all.iter()
            .any(|said| said.starts_with("STATUS=1 node: 1 down"))
    });
    assert_eq!(home.run(&["status", "--socket", "socket"]).code, Some(2));
    let alive = home.run(&["status", "--alive", "--socket", "socket"]);
    assert_eq!(alive.code, Some(0), "{alive:?}");
    assert!(alive.stdout.is_empty(), "{alive:?}");
}

#[test]
fn hooks_that_have_changed_when_it_is_read_again_are_said_to_need_a_restart() {
    let home = Home::new();
    let mut ear = Ear::at(&home);
    let node = "[[node]]\nname = \"a\"\nhost = \"127.0.0.1:9\"\npaused = true\n";
    let hook = "[[hook]]\nname = \"page\"\nrun = [\"/bin/true\"]\n";
    home.write("heartline.toml", format!("{node}{hook}"));
    let child = home
        .command()
        .args(["watch", "-v", "-F", "none"])
        .env("NOTIFY_SOCKET", home.path("notify"))
        .env("XDG_STATE_HOME", home.path("state"))
        .stdout(Stdio::null())
        .stderr(File::create(home.path("said")).unwrap())
        .spawn()
        .unwrap();
    let child = Ended(child);
    ear.until("ready", |all| all.iter().any(|said| said == "READY=1"));
    let pid = Pid::from_raw(i32::try_from(child.0.id()).unwrap());
    let hang_up_until = |what: &str| {
        kill(pid, Signal::SIGHUP).unwrap();
        let begun = Instant::now();
        while !home.read("said").contains(what) {
            assert!(begun.elapsed() < CEILING, "{what}: {}", home.read("said"));
            sleep(Duration::from_millis(10));
        }
    };
    hang_up_until("Configuration read again.");
    assert!(!home.read("said").contains("restart"));
    home.write("heartline.toml", format!("{node}{hook}after = \"30s\"\n"));
    hang_up_until("says of hooks has changed. It is used after a restart.");
    assert!(!home.read("said").contains("journal has changed"));
}
