//! `keep` in health: what passes through a tunnel, what is said of what cannot be forwarded, and how others are told how it stands.

mod keeping;
mod watching;

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use keeping::{
    Echo, TIMING, answers, connect, connect_at, echo_at, first_answer, is_forward, keep, place,
    socks4a, socks5, standing, unix,
};
use lab::{Cable, Direction, Fault, Lab, NodeSpec, Part, Running};
use watching::{CEILING, Watch, until};

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
    for why in [
        "-L 7002:no-such-host:80 was not carried",
        "-L 7004:localhost:1 was not carried",
        "Connection refused",
    ] {
        held.complains(why)?;
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
    // A name that does not resolve may do so soon, at boot; not one that is no name.
    let words = format!("{TIMING} --max-tries 2 -L 7001:localhost:1");
    let ended = Running::spawn(keep(&lab, "no-such-node", &words))?.finish(CEILING)?;
    assert_eq!(ended.code(), Some(255), "{ended:?}");
    ensure!(
        ended.stderr.contains("tried again until it resolves"),
        "{}",
        ended.stderr
    );
    let ended = Running::spawn(keep(&lab, "no name", &words))?.finish(CEILING)?;
    assert_eq!(ended.code(), Some(255), "{ended:?}");
    ensure!(!ended.stderr.contains("tried again"), "{}", ended.stderr);
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

/// As its scripts have it: nothing but the name of the program is another.
#[test]
fn called_as_autossh_it_does_what_autossh_does() -> Result<()> {
    let Some((lab, node, _cable)) = place("as_autossh")? else {
        return Ok(());
    };
    let there = Echo::on(node.host(), "there ")?;
    let autossh = lab.dir().join("autossh");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_heartline"), &autossh)?;
    let (pid_file, log) = (lab.dir().join("autossh.pid"), lab.dir().join("autossh.log"));
    let mut command = lab.watcher().command(&autossh);
    command
        .env("AUTOSSH_PIDFILE", &pid_file)
        .env("AUTOSSH_LOGFILE", &log);
    command
        .args(["-M", "20000", "-f", "-N", "-F"])
        .arg(lab.ssh_config());
    command.args(["-o", "ServerAliveInterval=1", "-L"]);
    command
        .arg(format!("7001:localhost:{}", there.port))
        .arg("db1");
    let begun = Running::spawn(command)?.finish(CEILING)?;
    assert_eq!(begun.code(), Some(0), "{begun:?}");
    ensure!(
        begun.stderr.contains("the monitoring port"),
        "{}",
        begun.stderr
    );
    first_answer(lab.watcher(), 7001, "there ")?;
    let pid: i32 = fs::read_to_string(&pid_file)?.trim().parse()?;
    let said = fs::read_to_string(&log)?;
    ensure!(said.contains("connections go by"), "{said}");
    nix::sys::signal::kill(lab::Pid::from_raw(pid), lab::Signal::SIGTERM)?;
    until("it is gone", || {
        Ok(!pid_file.exists() && node.sessions().is_empty())
    })
}

#[test]
fn forwards_of_ssh_config_are_made_and_a_failing_one_may_end_it() -> Result<()> {
    let Some((lab, node, cable)) = place("of_ssh_config")? else {
        return Ok(());
    };
    let (here, there) = (
        Echo::on(lab.watcher(), "here ")?,
        Echo::on(node.host(), "there ")?,
    );
    let config = lab.dir().join("with-forwards");
    let write = |more: &str| -> Result<()> {
        let text = fs::read_to_string(lab.ssh_config())?;
        let forwards = format!(
            "Host db1\n LocalForward 7001 localhost:{}\n RemoteForward 7003 localhost:{}\n DynamicForward 7005\n GatewayPorts yes\n{more}",
            there.port, here.port
        );
        Ok(fs::write(&config, format!("{forwards}\n{text}"))?)
    };
    write("")?;
    let keep = || {
        let mut command = watching::heartline(&lab, lab.watcher());
        command.args(["keep", "--json", "db1", "-F"]).arg(&config);
        command.args(TIMING.split_whitespace());
        command
    };
    let mut held = Watch::of(keep())?;
    for spec in ["-L 7001", "-R 7003", "-D 7005"] {
        held.until(&format!("{spec} stands"), |told| {
            is_forward(told, "stands") && told.text("forward").starts_with(spec)
        })?;
    }
    answers(&mut connect(node.host(), 7003)?, "here ")?;
    answers(
        &mut socks5(lab.watcher(), 7005, "localhost", there.port)?,
        "there ",
    )?;
    // For everybody, by GatewayPorts: the node is somebody else.
    let us = watchers_address(&lab, &cable)?;
    answers(&mut connect_at(node.host(), us, 7001)?, "there ")?;
    held.running().terminate()?;
    held.ended()?;
    write(" ExitOnForwardFailure yes\n RemoteForward 7009 localhost:9\n")?;
    node.set_config("PermitListen 7003")?;
    node.restart()?;
    let ended = Running::spawn(keep())?.finish(CEILING)?;
    assert_eq!(ended.code(), Some(255), "{ended:?}");
    Ok(())
}

/// The watcher's address on this cable, as the node reaches it.
fn watchers_address(lab: &Lab, cable: &Cable) -> Result<IpAddr> {
    let mut ip = lab.watcher().command("ip");
    ip.args([
        "-4",
        "-o",
        "address",
        "show",
        "dev",
        cable.watcher_interface(),
    ]);
    let out = Running::spawn(ip)?.finish(CEILING)?;
    let words: Vec<_> = out.stdout.split_whitespace().collect();
    let at = words
        .iter()
        .position(|word| *word == "inet")
        .context("no address")?;
    let address = words.get(at + 1).context("no address")?;
    Ok(address.split('/').next().unwrap_or_default().parse()?)
}

#[test]
fn through_a_jump_host_and_told_to_try_at_once() -> Result<()> {
    let Some(lab) = Lab::or_skip("keep_jump") else {
        return Ok(());
    };
    let (jump, node) = (lab.node("jump")?, lab.node("db1")?);
    lab.cable(&jump)?;
    lab.cable_from(jump.host(), &node)?;
    let (here, there) = (
        Echo::on(lab.watcher(), "here ")?,
        Echo::on(node.host(), "there ")?,
    );
    let words = format!(
        "{TIMING} -J jump -L 7001:localhost:{} -R 7003:localhost:{}",
        there.port, here.port
    );
    let mut held = standing(&lab, "db1", &words, 2)?;
    answers(&mut connect(lab.watcher(), 7001)?, "there ")?;
    answers(&mut connect(node.host(), 7003)?, "here ")?;
    held.forget()?;
    jump.kill(Part::Listener)?;
    jump.kill(Part::User)?;
    held.node("db1", "unknown")?;
    jump.start()?;
    held.running().signal(lab::Signal::SIGUSR1)?;
    held.node("db1", "up")?;
    first_answer(lab.watcher(), 7001, "there ")?;
    Ok(())
}
