//! `check` asks a running watcher first.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn heartline(args: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heartline"));
    command
        .args(args)
        .current_dir(folder)
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn first_line(running: &mut Running) -> String {
    let mut line = String::new();
    let out = running.0.stdout.take().unwrap();
    BufReader::new(out).read_line(&mut line).unwrap();
    line
}

fn check(folder: &Path) -> Output {
    heartline(&["check", "db1", "--socket", "sock"], folder)
        .output()
        .unwrap()
}

#[test]
fn check_asks_the_watcher_and_the_socket_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = heartline_serve::host_key::generate().unwrap();
    heartline_serve::host_key::save(&folder.join("key"), &key).unwrap();
    let public = key.public_key().to_openssh().unwrap();
    fs::write(folder.join("keys"), public).unwrap();
    let serve = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--authorized-keys",
        "keys",
    ];
    let mut serve = Running(heartline(&serve, folder).spawn().unwrap());
    let known = first_line(&mut serve);
    fs::write(folder.join("known"), &known).unwrap();
    let port = known.split(['[', ']', ':', ' ']).nth(3).unwrap().to_owned();
    let config = format!(
        "[defaults]\ninterval = '200ms'\n[[node]]\nname = 'db1'\nhost = 'u@127.0.0.1:{port}'\nidentity_file = 'key'\n"
    );
    fs::write(folder.join("heartline.toml"), config).unwrap();
    let watch = [
        "watch",
        "-F",
        "none",
        "-o",
        "UserKnownHostsFile=known",
        "-o",
        "GlobalKnownHostsFile=none",
        "--socket",
        "sock",
        "--json",
    ];
    let mut watch = Running(heartline(&watch, folder).spawn().unwrap());

    // Without the watcher, this check would fail: it has no known_hosts of its own.
    let until = Instant::now() + Duration::from_secs(30);
    let seen = loop {
        let seen = check(folder);
        if seen.status.code() == Some(0) {
            break String::from_utf8(seen.stdout).unwrap();
        }
        assert!(Instant::now() < until, "{seen:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(
        seen.starts_with("HEARTLINE UP: db1 1 of 1 lines up | lines_up=1;;;0;1 '127.0.0.1_rtt'="),
        "{seen}"
    );

    drop(serve);
    let until = Instant::now() + Duration::from_secs(30);
    while check(folder).status.code() != Some(2) {
        assert!(Instant::now() < until, "never down");
        std::thread::sleep(Duration::from_millis(50));
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(watch.0.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(watch.0.wait().unwrap().code(), Some(0));
    assert!(!folder.join("sock").exists());
}
