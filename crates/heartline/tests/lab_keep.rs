//! `keep` in health and in need: what passes through a tunnel, what becomes of it when lines fall, and what is said of what cannot
//! be forwarded.

mod keeping;
mod watching;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use keeping::{
    Echo, TIMING, answers, connect, echo_at, expect, first_answer, is_forward, keep, socks4a,
    socks5, standing, unix,
};
use lab::{Cable, Direction, Fault, Lab, Node, NodeSpec, Part, Running};
use watching::{CEILING, Watch, until};

fn place(name: &str) -> Result<Option<(Lab, Node, Cable)>> {
    let Some(lab) = Lab::or_skip(name) else {
        return Ok(None);
    };
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    Ok(Some((lab, node, cable)))
}

#[test]
fn everything_that_ssh_forwards_is_forwarded() -> Result<()> {
    let Some((lab, node, _cable)) = place("everything_is_forwarded")? else {
        return Ok(());
    };
    let (here, there) = (
        Echo::on(lab.watcher(), "here ")?,
        Echo::on(node.host(), "there ")?,
    );
    let dir = lab.dir().join("sockets");
    fs::create_dir(&dir)?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777))?;
    let of = |name: &str| dir.join(name);
    echo_at(&of("there"), "unix there ")?;
    echo_at(&of("here"), "unix here ")?;
    let shown = |name: &str| of(name).display().to_string();
    let words = format!(
        "{TIMING} -L 7001:localhost:{t} -L {a}:127.0.0.1:{t} -L 7002:{ut} -L {b}:{ut} \
         -R 7003:localhost:{h} -R {c}:localhost:{h} -R 7004:{uh} -D 7005 -R 7006",
        t = there.port,
        h = here.port,
        a = shown("a"),
        b = shown("b"),
        c = shown("c"),
        ut = shown("there"),
        uh = shown("here"),
    );
    let mut held = standing(&lab, "db1", &words, 9)?;
    let (us, them) = (lab.watcher(), node.host());
    answers(&mut connect(us, 7001)?, "there ")?;
    answers(&mut unix(&of("a"))?, "there ")?;
    answers(&mut connect(us, 7002)?, "unix there ")?;
    answers(&mut unix(&of("b"))?, "unix there ")?;
    answers(&mut connect(them, 7003)?, "here ")?;
    answers(&mut unix(&of("c"))?, "here ")?;
    answers(&mut connect(them, 7004)?, "unix here ")?;
    answers(&mut socks5(us, 7005, "localhost", there.port)?, "there ")?;
    answers(&mut socks4a(us, 7005, "localhost", there.port)?, "there ")?;
    answers(&mut socks5(them, 7006, "localhost", here.port)?, "here ")?;
    // What one side sends no more the other may still answer.
    let mut half = connect(us, 7001)?;
    half.write_all(b"all of it")?;
    half.shutdown(Shutdown::Write)?;
    let mut all = String::new();
    half.read_to_string(&mut all)?;
    assert_eq!(all, "there all of it");
    held.running().terminate()?;
    assert_eq!(held.ended()?.status.code(), Some(0));
    until("the sockets are gone", || {
        Ok(!of("a").exists() && !of("b").exists())
    })
}

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

#[test]
fn what_cannot_be_forwarded_is_said_and_the_others_go_on() -> Result<()> {
    let Some(lab) = Lab::or_skip("cannot_be_forwarded") else {
        return Ok(());
    };
    let node = lab.node_with(&NodeSpec::new("db1").config("PermitListen 7003"))?;
    lab.cable(&node)?;
    let there = Echo::on(node.host(), "there ")?;
    let held_port = lab
        .watcher()
        .enter(|| TcpListener::bind("127.0.0.1:7009"))??;
    let words = format!(
        "{TIMING} -L 7001:localhost:{t} -L 7009:localhost:{t} -R 7777:localhost:1 -L 7002:no-such-host:80 -L 7004:localhost:1",
        t = there.port
    );
    let mut held = standing(&lab, "db1", &words, 3)?;
    let refused = held.until("the node refuses one", |told| is_forward(told, "fails"))?;
    let failed = |told: &watching::Told, spec: &str| {
        is_forward(told, "fails") && told.text("forward").starts_with(spec)
    };
    let _ = refused;
    held.until("-R fails", |told| failed(told, "-R 7777"))?;
    let busy = held.until("-L 7009 fails", |told| failed(told, "-L 7009"))?;
    let why = busy.text("why").to_owned();
    let us = std::process::id().to_string();
    ensure!(why.contains("in use by") && why.contains(&us), "{why}");
    drop(held_port);
    answers(&mut connect(lab.watcher(), 7001)?, "there ")?;
    for port in [7002, 7004] {
        let mut stream = connect(lab.watcher(), port)?;
        let error = stream.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    answers(&mut connect(lab.watcher(), 7001)?, "there ")
}

#[test]
fn it_gives_up_where_trying_on_is_senseless_and_says_why() -> Result<()> {
    let Some((lab, node, _cable)) = place("gives_up")? else {
        return Ok(());
    };
    fs::write(node.authorized_keys(), "")?;
    let ended = Running::spawn(keep(&lab, "db1", &format!("{TIMING} -L 7001:localhost:1")))?;
    let ended = ended.finish(CEILING)?;
    assert_eq!(ended.code(), Some(255), "{ended:?}");
    ensure!(
        ended
            .stderr
            .contains("gave up: trying on is senseless: auth_refused"),
        "{}",
        ended.stderr
    );
    // A cut line is something else: it goes on, unless told how often.
    node.kill(Part::Listener)?;
    let words = format!("{TIMING} --max-tries 2 -L 7001:localhost:1");
    let ended = Running::spawn(keep(&lab, "db1", &words))?.finish(CEILING)?;
    assert_eq!(ended.code(), Some(255), "{ended:?}");
    ensure!(
        ended.stderr.contains("2 tries in a row") && ended.stderr.contains("refused"),
        "{}",
        ended.stderr
    );
    let words = format!("{TIMING} --gate-time 1s -L 7001:localhost:1");
    let ended = Running::spawn(keep(&lab, "db1", &words))?.finish(CEILING)?;
    assert_eq!(ended.code(), Some(255), "{ended:?}");
    ensure!(
        ended.stderr.contains("no session stood within 1s"),
        "{}",
        ended.stderr
    );
    let words = format!("{TIMING} --max-lifetime 2s -L 7001:localhost:1");
    let begun = Instant::now();
    let ended = Running::spawn(keep(&lab, "db1", &words))?.finish(CEILING)?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    ensure!(begun.elapsed() >= Duration::from_secs(2));
    Ok(())
}

/// Its own connection waits; whoever else uses the tunnel does not, nor do the beats.
#[test]
fn who_reads_nothing_stops_nobody_else() -> Result<()> {
    let Some((lab, node, _cable)) = place("reads_nothing")? else {
        return Ok(());
    };
    let there = Echo::on(node.host(), "there ")?;
    let floods = node.host().enter(|| TcpListener::bind("127.0.0.1:0"))??;
    let port = floods.local_addr()?.port();
    thread::spawn(move || {
        for mut stream in floods.incoming().flatten() {
            thread::spawn(move || while stream.write_all(&[7; 8 * 1024]).is_ok() {});
        }
    });
    let words = format!(
        "{TIMING} -L 7001:localhost:{} -L 7002:localhost:{port}",
        there.port
    );
    let mut held = standing(&lab, "db1", &words, 2)?;
    let mut never_read: Vec<_> = (0..10)
        .map(|_| connect(lab.watcher(), 7002))
        .collect::<Result<_>>()?;
    for _ in 0..30 {
        answers(&mut connect(lab.watcher(), 7001)?, "there ")?;
        thread::sleep(Duration::from_millis(100));
    }
    let told = held.told()?;
    ensure!(
        !told.iter().any(|told| told.is("node", "db1", "down")),
        "{told:?}"
    );
    let resident = resident_kb(&held)?;
    println!("{resident} KiB with ten connections that nobody reads");
    // Each may have a window of 2 MiB and half a backlog on its way.
    ensure!(resident < 100_000, "{resident} KiB");
    // Once it is read, it comes.
    let mut first = never_read.remove(0);
    let mut bytes = vec![0; 64 * 1024];
    let mut got = 0;
    while got < 20_000_000 {
        got += first.read(&mut bytes)?;
    }
    Ok(())
}

fn resident_kb(held: &Watch) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", held.running().pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line
        .context("no VmRSS")?
        .trim()
        .trim_end_matches("kB")
        .trim();
    Ok(number.parse()?)
}

#[test]
fn a_thousand_connections_at_once() -> Result<()> {
    let Some((lab, node, _cable)) = place("a_thousand_connections")? else {
        return Ok(());
    };
    let there = Echo::on(node.host(), "there ")?;
    let words = format!(
        "--interval 500ms --count 5 -L 7001:localhost:{}",
        there.port
    );
    let _held = standing(&lab, "db1", &words, 1)?;
    let mut all = (0..1_000)
        .map(|_| connect(lab.watcher(), 7001))
        .collect::<Result<Vec<_>>>()?;
    for stream in &mut all {
        expect(stream, b"there ")?;
    }
    for (number, stream) in all.iter_mut().enumerate() {
        stream.write_all(format!("{number:>6}").as_bytes())?;
    }
    for (number, stream) in all.iter_mut().enumerate() {
        expect(stream, format!("{number:>6}").as_bytes())?;
    }
    assert_eq!(there.taken(), 1_000);
    Ok(())
}

/// READY when all stands, STATUS with state and cause, and a file that says the same.
#[test]
fn systemd_and_a_file_are_told_how_it_stands() -> Result<()> {
    let Some((lab, node, cable)) = place("systemd_is_told")? else {
        return Ok(());
    };
    let there = Echo::on(node.host(), "there ")?;
    let (socket, status) = (lab.dir().join("notify"), lab.dir().join("status.json"));
    let notify = UnixDatagram::bind(&socket)?;
    notify.set_read_timeout(Some(CEILING))?;
    let words = format!(
        "{TIMING} --status-file {} -L 7001:localhost:{}",
        status.display(),
        there.port
    );
    let mut command = keep(&lab, "db1", &words);
    command.env("NOTIFY_SOCKET", &socket);
    command.env("WATCHDOG_USEC", "1000000");
    let mut held = Watch::of(command)?;
    let mut said = Vec::new();
    let mut until_said = |what: &str| -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < CEILING {
            let mut buffer = [0; 4_096];
            let length = notify.recv(&mut buffer)?;
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let is_it = text.contains(what);
            said.push(text);
            if is_it {
                return Ok(());
            }
        }
        anyhow::bail!("{what} was not said: {said:?}")
    };
    until_said("READY=1")?;
    until_said("WATCHDOG=1")?;
    let read = || -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&fs::read_to_string(&status)?)?)
    };
    until("the file says so", || {
        Ok(read().is_ok_and(|now| now["whole"] == true))
    })?;
    assert_eq!(read()?["forwards"][0]["to"], "stands");
    cable.inject(Fault::Silent(Direction::Both))?;
    held.node("db1", "down")?;
    until_said("STATUS=down (silent")?;
    until("the file says so", || {
        Ok(read().is_ok_and(|now| now["cause"] == "silent"))
    })?;
    held.running().terminate()?;
    until_said("STOPPING=1")?;
    assert_eq!(held.ended()?.status.code(), Some(0));
    ensure!(!status.exists());
    Ok(())
}

#[test]
fn a_forward_that_passes_nothing_is_found_out() -> Result<()> {
    let Some((lab, node, _cable)) = place("passes_nothing")? else {
        return Ok(());
    };
    let (here, there) = (
        Echo::on(lab.watcher(), "here ")?,
        Echo::on(node.host(), "there ")?,
    );
    let words = format!(
        "{TIMING} --prove-forwards=1s -L 7001:localhost:{} -L 7002:localhost:1 -R 7003:localhost:{} -R 7004:localhost:1",
        there.port, here.port
    );
    let mut held = standing(&lab, "db1", &words, 4)?;
    for (spec, passes) in [
        ("-L 7001", true),
        ("-L 7002", false),
        ("-R 7003", true),
        ("-R 7004", false),
    ] {
        let proof = held.until(&format!("a proof of {spec}"), |told| {
            told.text("event") == "proof" && told.text("forward").starts_with(spec)
        })?;
        assert_eq!(proof.json["passes"], passes, "{}", proof.json);
    }
    Ok(())
}
