//! What passes on a cable is seen, with its direction and its moment, also what a fault then drops.

mod reach;

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Result;
use lab::{Capture, Direction, Fault, Lab, Running, Stream};
use reach::{CEILING, until};

#[test]
fn segments_are_seen_with_direction_and_time() -> Result<()> {
    let Some(lab) = Lab::or_skip("capture") else {
        return Ok(());
    };
    let cable = lab.cable(&lab.node("db1")?)?;
    let (watcher, node) = (Ipv4Addr::new(10, 77, 1, 1), cable.v4());
    let capture = Capture::start(lab.watcher())?;
    let data = |from, to| {
        let segments = capture.segments(from, to);
        segments.into_iter().rfind(|segment| segment.payload > 0)
    };
    let mut command = lab.ssh("db1");
    command.arg("cat").stdin(Stdio::piped());
    let mut ssh = Running::spawn(command)?;
    for word in ["one\n", "two\n"] {
        let asked = Instant::now();
        ssh.write_stdin(word)?;
        let echo = ssh.wait_for("echo", CEILING, |line| line.stream == Stream::Stdout)?;
        until("question and answer", || {
            let times = data(watcher, node).zip(data(node, watcher));
            Ok(times.is_some_and(|(out, back)| {
                let soon = echo.at + Duration::from_millis(500);
                asked < out.at && out.at <= back.at && back.at < soon
            }))
        })?;
    }
    cable.inject(Fault::Silent(Direction::ToWatcher))?;
    let cut = Instant::now();
    ssh.write_stdin("three\n")?;
    until("a lost answer", || {
        Ok(data(node, watcher).is_some_and(|back| back.at > cut))
    })?;
    Ok(())
}
