//! A send buffer that is full: russh waits in a write, where no clock of its own runs, and the line is down at its bound
//! all the same. The buffers of these machines are as small as the kernel makes them, so that beats alone fill one.

mod watching;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Direction, Fault, Lab, Part, Running, Span};
use watching::{CEILING, Watch, until};

/// A node with small buffers at both ends of its line, and a watch of it that is up.
fn watched(lab: &Lab, options: &str) -> Result<(lab::Node, lab::Cable, Watch)> {
    lab.watcher().sysctl("net.ipv4.tcp_wmem", SMALLEST)?;
    let node = lab.node("db1")?;
    node.host().sysctl("net.ipv4.tcp_rmem", SMALLEST)?;
    // Its listening socket hands down what it was made with.
    node.restart()?;
    let cable = lab.cable(&node)?;
    // So small a buffer drops what starts a guard, and a kernel that drops does not count as one that lives.
    let mut watch = Watch::start(lab, &format!("db1 --fuse 0 {options}"))?;
    watch.node("db1", "up")?;
    watch.forget()?;
    Ok((node, cable, watch))
}

/// Waits until the kernel holds as many bytes of the one connection as it takes: `skmem:(…,tb<most>,…,w<held>,…)`.
fn is_full(lab: &Lab) -> Result<()> {
    until("a full send buffer", || {
        let mut command = lab.watcher().command("ss");
        command.args(["-tnmH", "state", "established"]);
        let seen = Running::spawn(command)?.finish(CEILING)?.success()?;
        let words = seen.stdout.split(['(', ')', ',']);
        let number = |prefix: &str| {
            let mut found = words.clone().filter_map(|word| word.strip_prefix(prefix));
            found.find_map(|rest| rest.parse::<u64>().ok())
        };
        let most = number("tb").with_context(|| format!("no tb in {:?}", seen.stdout))?;
        let held = number("w").with_context(|| format!("no w in {:?}", seen.stdout))?;
        Ok(held >= most)
    })
}

#[test]
fn a_cut_line_whose_buffer_is_full_is_down_at_its_bound() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_cut_line_whose_buffer_is_full_is_down_at_its_bound") else {
        return Ok(());
    };
    let (_node, cable, mut watch) =
        watched(&lab, "--interval 100ms --count 79 --detector openssh")?;
    let cut = cable.inject(Fault::Silent(Direction::Both))?;
    is_full(&lab)?;
    let down = watch.node("db1", "down")?;
    down.is_at_bound(BOUND, cut)?;
    assert_eq!(down.text("cause"), "silent", "{}", down.json);
    Ok(())
}

/// Its kernel acknowledges, then says that it has no room, and goes on saying so when asked.
#[test]
fn a_hung_sshd_whose_buffer_is_full_is_down_at_its_bound() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_hung_sshd_whose_buffer_is_full_is_down_at_its_bound") else {
        return Ok(());
    };
    let (node, _cable, mut watch) =
        watched(&lab, "--interval 10ms --count 799 --detector openssh")?;
    let begun = Instant::now();
    ensure!(node.stop(Part::User)? > 0, "no session to stop");
    let complete = Instant::now();
    is_full(&lab)?;
    let down = watch.node("db1", "down")?;
    down.is_at_bound(BOUND, Span { begun, complete })?;
    assert_eq!(down.text("cause"), "sshd_hung", "{}", down.json);
    Ok(())
}

/// `tcp_wmem` and `tcp_rmem`: least, default, most; the kernel makes some more of it.
const SMALLEST: &str = "4096 4096 4096";
/// `interval · (count + 1)` of both tests.
const BOUND: Duration = Duration::from_secs(8);
