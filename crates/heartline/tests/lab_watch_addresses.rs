//! Where a line goes from and to: IPv6, a source address, an interface, a name with a dead address, a name that does not resolve yet.

mod watching;

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Direction, End, Fault, Lab, Node, Running, Signal};
use watching::{CEILING, Watch, config_file, go_first};

/// `--interval 400ms --count 1`.
const BOUND: Duration = Duration::from_millis(800);
const TIMING: &str = "--interval 400ms --count 1 --connect-timeout 2s --detector openssh";
const CUT: Fault = Fault::Silent(Direction::Both);

#[test]
fn a_line_over_ipv6_is_cut_while_the_one_over_ipv4_lives() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_line_over_ipv6") else {
        return Ok(());
    };
    if !lab.has_ipv6() {
        lab::skipped("a_line_over_ipv6", "this kernel has no IPv6");
        return Ok(());
    }
    go_first()?;
    let node = lab.node("db1")?;
    let (four, six) = (lab.cable(&node)?, lab.cable(&node)?);
    let address = six.v6().context("no IPv6 address")?;
    let words = format!("db1 --line {} --line {address} {TIMING}", four.v4());
    let mut watch = Watch::start(&lab, &words)?;
    watch.line("db1", "fd77:0:0:2::2", "up")?;
    watch.line("db1", "10.77.1.2", "up")?;
    ensure!(came_from(&node, "fd77:0:0:2::1")?);
    watch.told_within(BOUND)?;
    watch.forget()?;
    let fault = six.inject(CUT)?;
    let down = watch.line("db1", "fd77:0:0:2::2", "down")?;
    down.is_at_bound(BOUND, fault)?;
    assert_eq!(down.text("cause"), "silent");
    watch.node("db1", "degraded")?;
    six.heal()?;
    watch.node("db1", "up").map(drop)
}

#[test]
fn a_line_leaves_by_its_source_address_and_its_interface() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_line_leaves_by") else {
        return Ok(());
    };
    go_first()?;
    let node = lab.node("db1")?;
    let (first, second) = (lab.cable(&node)?, lab.cable(&node)?);
    let add = format!("ip addr add 10.77.1.9/24 dev {}", first.watcher_interface());
    run(lab.watcher(), &add)?;
    // By the second cable to the address of the first: Linux answers for all its addresses on every interface.
    let words = format!(
        "db1 --line 10.77.1.2,src=10.77.1.9,name=src --line 10.77.1.2,dev={},name=dev {TIMING}",
        second.watcher_interface(),
    );
    let mut watch = Watch::start(&lab, &words)?;
    watch.line("db1", "src", "up")?;
    watch.line("db1", "dev", "up")?;
    ensure!(came_from(&node, "10.77.1.9")?);
    ensure!(came_from(&node, "10.77.2.1")?);
    ensure!(!came_from(&node, "10.77.1.1")?);
    watch.told_within(BOUND)?;
    watch.forget()?;
    let fault = second.inject(CUT)?;
    let down = watch.line("db1", "dev", "down")?;
    down.is_at_bound(BOUND, fault)?;
    watch.node("db1", "degraded")?;
    second.heal()?;

    // ssh's own flags mean the same.
    let mut watch = Watch::start(&lab, &format!("db1 -b 10.77.1.1 -B w1 {TIMING}"))?;
    watch.node("db1", "up")?;
    ensure!(came_from(&node, "10.77.1.1")?);
    Ok(())
}

#[test]
fn a_name_with_a_dead_address_is_reached_by_the_other() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_name_with_a_dead_address") else {
        return Ok(());
    };
    go_first()?;
    let node = lab.node("db1")?;
    let (first, second) = (lab.cable(&node)?, lab.cable(&node)?);
    let addresses = [first.v4(), second.v4()].map(IpAddr::V4);
    lab.watcher().set_names(&[("twin", &addresses)])?;
    first.inject(CUT)?;
    let mut watch = Watch::start(&lab, &format!("twin -o HostKeyAlias=db1 {TIMING}"))?;
    watch.node("twin", "up")?;
    ensure!(came_from(&node, "10.77.2.1")? && !came_from(&node, "10.77.1.1")?);

    watch.told_within(BOUND)?;
    watch.forget()?;
    let fault = second.inject(CUT)?;
    watch.node("twin", "down")?.is_at_bound(BOUND, fault)?;
    first.heal()?;
    watch.node("twin", "up")?;
    ensure!(came_from(&node, "10.77.1.1")?);
    assert_eq!(node.logins()?, 2);
    assert_eq!(first.end(End::Watcher).v4.to_string(), "10.77.1.1");
    Ok(())
}

#[test]
fn a_name_that_does_not_resolve_yet_keeps_nothing_from_starting() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_name_that_does_not_resolve_yet") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    lab.watcher().set_names(&[])?;
    let good = "[[node]]\nname = \"db1\"\n[[node]]\nname = \"late\"\n\
                [[node]]\nname = \"both\"\nline = [{ host = \"10.77.1.2\" }, { host = \"late\" }]\n";
    fs::write(config_file(&lab), good)?;
    let mut watch = Watch::start(&lab, &format!("-o HostKeyAlias=db1 {TIMING}"))?;
    watch.node("db1", "up")?;
    watch.line_for("late", "down", "dns")?;
    watch.node_for("late", "unknown", "dns")?;
    watch.line_for("both", "down", "dns")?;
    watch.node_for("both", "degraded", "dns")?;
    let said = |watch: &Watch, whose: &str| {
        let words = format!("{whose}: cannot resolve late: ");
        watch.complaints().matches(&words).count()
    };
    watch.complains("late: cannot resolve late: ")?;
    watch.complains("both: cannot resolve late: ")?;

    // A second reading with one more such name is taken, too, and nobody else hears of it.
    let logins = node.logins()?;
    watch.forget()?;
    let more = format!("{good}[[node]]\nname = \"later\"\n");
    fs::write(config_file(&lab), more)?;
    watch.hang_up()?;
    watch.node_for("later", "unknown", "dns")?;
    watch.complains("later: cannot resolve later: ")?;
    assert_eq!(node.logins()?, logins);

    // It comes up by itself as soon as the name is there, and was complained of once.
    lab.watcher()
        .set_names(&[("late", &[IpAddr::V4(cable.v4())])])?;
    watch.node("late", "up")?;
    watch.node("both", "up")?;
    assert_eq!((said(&watch, "late"), said(&watch, "both")), (1, 1));
    ensure!(watch.running().is_alive());

    // Nor does it matter that there is no other, or that it was named on the command line.
    let mut watch = Watch::start(&lab, &format!("later {TIMING}"))?;
    watch.node_for("later", "unknown", "dns")?;
    watch.complains("later: cannot resolve later: ")?;
    watch.running().signal(Signal::SIGTERM)?;
    assert_eq!(watch.ended()?.status.code(), Some(0));
    Ok(())
}

/// Whether a connection from this address was noted by the node's sshd.
fn came_from(node: &Node, address: &str) -> Result<bool> {
    Ok(node
        .log()?
        .contains(&format!("Connection from {address} port ")))
}

fn run(host: &lab::Host, words: &str) -> Result<()> {
    let mut command = host.command("sh");
    command.args(["-c", words]);
    Running::spawn(command)?
        .finish(CEILING)?
        .success()
        .map(drop)
}
