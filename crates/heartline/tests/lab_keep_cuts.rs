//! `keep` in need: what becomes of a tunnel and of who uses it when lines fall, and how soon it is back.

mod keeping;
mod watching;

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use keeping::{Echo, TIMING, answers, connect, expect, first_answer, is_forward, place, standing};
use lab::{Direction, Fault, Lab, Nat, Part, Stranger};
use watching::until;

/// The listener stays bound, and whoever comes meanwhile waits.
#[test]
fn a_connection_that_comes_while_no_line_is_up_waits_for_one() -> Result<()> {
    let Some((lab, node, cable)) = place("waits_for_a_line")? else {
        return Ok(());
    };
    let there = Echo::on(node.host(), "there ")?;
    let words = format!("{TIMING} --hold 30s -L 7001:localhost:{}", there.port);
    let mut held = standing(&lab, "db1", &words, 1)?;
    answers(&mut connect(lab.watcher(), 7001)?, "there ")?;
    held.forget()?;
    cable.inject(Fault::Silent(Direction::Both))?;
    held.node("db1", "down")?;
    let mut early = connect(lab.watcher(), 7001)?;
    thread::sleep(Duration::from_secs(2));
    cable.heal()?;
    answers(&mut early, "there ")?;
    // And over a new sshd, when all is begun anew.
    held.forget()?;
    node.kill(Part::Listener)?;
    node.kill(Part::User)?;
    held.node("db1", "down")?;
    let mut early = connect(lab.watcher(), 7001)?;
    node.start()?;
    answers(&mut early, "there ")?;
    held.running().terminate()?;
    assert_eq!(held.ended()?.status.code(), Some(0));
    Ok(())
}

#[test]
fn a_connection_that_has_waited_long_enough_is_reset() -> Result<()> {
    let Some((lab, node, cable)) = place("waited_long_enough")? else {
        return Ok(());
    };
    let there = Echo::on(node.host(), "there ")?;
    let words = format!(
        "{TIMING} --hold 1s -L 7001:localhost:{} -D 7002",
        there.port
    );
    let mut held = standing(&lab, "db1", &words, 2)?;
    cable.inject(Fault::Silent(Direction::Both))?;
    held.node("db1", "down")?;
    until("the session is over", || {
        Ok(node.sessions().is_empty() || {
            let mut socks = connect(lab.watcher(), 7002)?;
            socks.write_all(b"\x05\x01\x00\x05\x01\x00\x01\x7f\0\0\x01\0\x16")?;
            let mut told = Vec::new();
            let _ = socks.read_to_end(&mut told);
            // Host unreachable.
            told.get(..4) == Some(b"\x05\x00\x05\x04")
        })
    })?;
    let mut late = connect(lab.watcher(), 7001)?;
    let error = late.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    Ok(())
}

/// With two lines new connections go on within a moment; the node's port goes over too.
#[test]
fn when_the_line_that_carries_falls_another_takes_over() -> Result<()> {
    let Some((lab, node, first)) = place("another_takes_over")? else {
        return Ok(());
    };
    let second = lab.cable(&node)?;
    let (here, there) = (
        Echo::on(lab.watcher(), "here ")?,
        Echo::on(node.host(), "there ")?,
    );
    let words = format!(
        "{TIMING} --line {} --line {} -L 7001:localhost:{} -R 7003:localhost:{}",
        first.v4(),
        second.v4(),
        there.port,
        here.port
    );
    let mut held = standing(&lab, "db1", &words, 2)?;
    for line in [&first, &second] {
        held.line("db1", &line.v4().to_string(), "up")?;
    }
    let carrier = held.until("a line carries", |told| told.text("event") == "carrier")?;
    // By then the node has said what it calls the session, so that it can be ended there.
    thread::sleep(Duration::from_secs(1));
    let falls = if carrier.text("line") == first.v4().to_string() {
        &first
    } else {
        &second
    };
    held.forget()?;
    let cut = falls.inject(Fault::Silent(Direction::Both))?;
    let took = first_answer(lab.watcher(), 7001, "there ")?;
    let moved = held.until("another carries", |told| told.text("event") == "carrier")?;
    println!(
        "another line carries {:?} after the cut, an answer came through {took:?} after it",
        moved.at - cut.begun
    );
    assert_ne!(moved.text("line"), falls.v4().to_string());
    held.until("the node's port stands again", |told| {
        is_forward(told, "stands") && told.text("forward").starts_with("-R")
    })?;
    answers(&mut connect(node.host(), 7003)?, "here ")
}

/// The session of before holds the port there: its end was never told, and its fuse is long.
#[test]
fn a_port_that_our_own_ghost_holds_is_freed() -> Result<()> {
    let Some((lab, node, cable)) = place("own_ghost")? else {
        return Ok(());
    };
    let here = Echo::on(lab.watcher(), "here ")?;
    let words = format!("{TIMING} --fuse 1h -R 7003:localhost:{}", here.port);
    let mut held = standing(&lab, "db1", &words, 1)?;
    answers(&mut connect(node.host(), 7003)?, "here ")?;
    thread::sleep(Duration::from_secs(1));
    let before = node.sessions();
    held.forget()?;
    // What we send is lost; so the node hears of no end.
    cable.inject(Fault::Silent(Direction::ToNode))?;
    held.until("our end is over", |told| is_forward(told, "waits"))?;
    thread::sleep(Duration::from_secs(1));
    cable.heal()?;
    held.until("it stands again", |told| is_forward(told, "stands"))?;
    answers(&mut connect(node.host(), 7003)?, "here ")?;
    println!(
        "{} sessions before, {} after",
        before.len(),
        node.sessions().len()
    );
    until("the ghost is gone", || Ok(node.sessions().len() == 1))
}

/// What a firewall forgets is kept by beats; a beat in a minute would not.
#[test]
fn behind_a_nat_that_forgets_after_8_s_one_connection_stays() -> Result<()> {
    let Some(lab) = Lab::or_skip("behind_a_nat") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let router = lab.router("nat")?;
    let _cable = lab.cable_through(&router, &node)?;
    router.masquerade(Nat {
        forgets_after: Duration::from_secs(8),
        takes_up_again: false,
        stranger: Stranger::Dropped,
    })?;
    let there = Echo::on(node.host(), "there ")?;
    let words = format!(
        "--keep-alive 4s --bound 10s -L 7001:localhost:{}",
        there.port
    );
    let mut held = standing(&lab, "db1", &words, 1)?;
    let mut stream = connect(lab.watcher(), 7001)?;
    expect(&mut stream, b"there ")?;
    let long: u64 = std::env::var("HEARTLINE_NAT").map_or(Ok(20), |text| text.parse())?;
    thread::sleep(Duration::from_secs(long));
    stream.write_all(b"still")?;
    expect(&mut stream, b"still")?;
    assert_eq!(node.logins()?, 1);
    let told = held.told()?;
    ensure!(
        !told.iter().any(|told| told.is("line", "db1", "down")),
        "{told:?}"
    );
    Ok(())
}

/// A beat a minute, and the end of a dead session within seconds of one that goes unanswered; or never.
#[test]
fn how_long_to_wait_for_an_answer_is_apart_from_how_often_to_ask() -> Result<()> {
    let Some((lab, node, cable)) = place("apart")? else {
        return Ok(());
    };
    let there = Echo::on(node.host(), "there ")?;
    let forward = format!("-L 7001:localhost:{}", there.port);
    let words = format!("--keep-alive 3s --bound 1s --detector openssh {forward}");
    let mut held = standing(&lab, "db1", &words, 1)?;
    held.forget()?;
    let cut = cable.inject(Fault::Silent(Direction::Both))?;
    let down = held.line("db1", "10.77.1.2", "down")?;
    let took = down.at - cut.begun;
    println!("down {took:?} after the cut");
    ensure!(took < Duration::from_millis(4_500), "{took:?}");
    cable.heal()?;
    held.running().terminate()?;
    held.ended()?;
    let words = format!("--interval 500ms --bound never {forward}");
    let mut held = standing(&lab, "db1", &words, 1)?;
    let mut stream = connect(lab.watcher(), 7001)?;
    expect(&mut stream, b"there ")?;
    held.forget()?;
    let logins = node.logins()?;
    cable.inject(Fault::Silent(Direction::Both))?;
    held.line("db1", "10.77.1.2", "down")?;
    thread::sleep(Duration::from_secs(8));
    cable.heal()?;
    stream.write_all(b"still the same")?;
    expect(&mut stream, b"still the same")?;
    held.line("db1", "10.77.1.2", "up")?;
    assert_eq!(node.logins()?, logins);
    Ok(())
}

/// The bound, once for real; the figures are `bench keep`'s.
#[test]
fn after_a_cut_of_five_seconds_it_is_back_within_a_second() -> Result<()> {
    let Some((lab, node, cable)) = place("back_within_a_second")? else {
        return Ok(());
    };
    let there = Echo::on(node.host(), "there ")?;
    for timing in ["--interval 1s --count 1", "--interval 5s --count 1"] {
        let words = format!("{timing} -L 7001:localhost:{}", there.port);
        let mut held = standing(&lab, "db1", &words, 1)?;
        // Also when it falls again and again.
        for _ in 0..3 {
            thread::sleep(Duration::from_secs(2));
            cable.inject(Fault::Silent(Direction::Both))?;
            thread::sleep(Duration::from_secs(5));
            let healed = cable.heal()?;
            first_answer(lab.watcher(), 7001, "there ")?;
            let took = healed.complete.elapsed();
            println!("{timing}: {took:?} after the healing");
            ensure!(took < Duration::from_millis(1_500), "{timing}: {took:?}");
        }
        held.running().terminate()?;
        held.ended()?;
    }
    Ok(())
}
