//! The hostile peers and the relay that freezes, judged with plain TCP and with OpenSSH. Needs no
//! lab.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::Running;
use lab::hostile::{Act, How, Peer, Step, StepRelay, is_held};

const CEILING: Duration = Duration::from_secs(30);
/// Long enough for loopback to have delivered what passes.
const QUIET: Duration = Duration::from_millis(150);

fn connect(addr: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(CEILING))?;
    Ok(stream)
}

fn is_silent(stream: &mut TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(QUIET))?;
    let heard = stream.read(&mut [0; 64]);
    stream.set_read_timeout(Some(CEILING))?;
    match heard {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(()),
        other => anyhow::bail!("not silent: {other:?}"),
    }
}

fn hear(stream: &mut TcpStream, count: usize) -> Result<Vec<u8>> {
    let mut heard = vec![0; count];
    stream.read_exact(&mut heard)?;
    Ok(heard)
}

#[test]
fn every_act_says_its_part() -> Result<()> {
    for act in Act::ALL {
        let peer = Peer::start(act)?;
        let mut stream = connect(peer.addr())?;
        let context = || format!("{act:?}");
        match act {
            Act::Silent => is_silent(&mut stream).with_context(context)?,
            Act::CloseAtOnce => {
                let read = stream.read(&mut [0; 8]).with_context(context)?;
                assert_eq!(read, 0);
            }
            Act::ResetAtOnce => {
                let error = stream.read(&mut [0; 8]).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            }
            Act::BannerDrip => {
                let begun = Instant::now();
                hear(&mut stream, 3)?;
                assert!(begun.elapsed() > Duration::from_millis(1900));
            }
            Act::LongIdent | Act::IdentThenSilence => {
                let mut first = Vec::new();
                while first.last() != Some(&b'\n') {
                    first.extend(hear(&mut stream, 1)?);
                }
                assert!(first.starts_with(b"SSH-2.0-"));
                assert_eq!(first.len() > 255, act == Act::LongIdent);
                is_silent(&mut stream).with_context(context)?;
            }
            Act::OldProtocol => assert_eq!(hear(&mut stream, 8)?, b"SSH-1.5-"),
            Act::HugePacket => assert!(hear(&mut stream, 100)?.windows(4).any(|w| w == [0xff; 4])),
            Act::EscapesInBanner | Act::EscapesInIdent => {
                assert!(hear(&mut stream, 20)?.contains(&0x1b));
            }
            _ => drop(hear(&mut stream, 100)?),
        }
        if act.is_endless() && act != Act::BannerDrip {
            hear(&mut stream, 1 << 20).with_context(context)?;
        }
    }
    Ok(())
}

#[test]
fn who_left_and_how_is_noted_at_once() -> Result<()> {
    for act in [Act::Silent, Act::IdentThenSilence, Act::EndlessLine] {
        let peer = Peer::start(act)?;
        let mut polite = connect(peer.addr())?;
        polite.write_all(b"SSH-2.0-me\r\n")?;
        let reset = connect(peer.addr())?;
        socket2::SockRef::from(&reset).set_linger(Some(Duration::ZERO))?;
        let addrs = [polite.local_addr()?, reset.local_addr()?];
        let visits = peer.wait_for_visits(2, CEILING)?;
        assert!(visits.iter().all(|visit| visit.left.is_none()));
        let closed = Instant::now();
        drop((polite, reset));
        let visits = peer.wait_until_left(2, CEILING)?;
        for (addr, how) in addrs.into_iter().zip([How::Eof, How::Reset]) {
            let visit = visits.iter().find(|visit| visit.client == addr);
            let left = visit.and_then(|visit| visit.left).context("a visit")?;
            // Who closes with bytes unread resets as well.
            assert!(left.how == how || act != Act::Silent, "{act:?}: {left:?}");
            assert!(left.at < closed + Duration::from_secs(2));
            assert!(!is_held(addr, peer.addr())?);
        }
        assert!(visits.iter().any(|visit| visit.received == 12));
    }
    Ok(())
}

#[test]
fn a_dropped_peer_closes_everything() -> Result<()> {
    let peer = Peer::start(Act::EndlessBanner)?;
    let mut stream = connect(peer.addr())?;
    hear(&mut stream, 10)?;
    let addr = peer.addr();
    let begun = Instant::now();
    drop(peer);
    assert!(begun.elapsed() < Duration::from_secs(2));
    // What was on its way still comes, then the end.
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(TcpStream::connect(addr).is_err());
    Ok(())
}

/// A server that sends what it is given, and both ends of a connection to it through a relay.
struct Bench {
    relay: StepRelay,
    listener: TcpListener,
}

impl Bench {
    fn new(step: Option<Step>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let relay = StepRelay::start(listener.local_addr()?, step)?;
        Ok(Self { relay, listener })
    }

    fn connect(&self) -> Result<(TcpStream, TcpStream)> {
        let client = connect(self.relay.addr())?;
        let (server, _) = self.listener.accept()?;
        server.set_read_timeout(Some(CEILING))?;
        Ok((client, server))
    }
}

#[test]
fn without_a_step_everything_passes() -> Result<()> {
    let bench = Bench::new(None)?;
    let (mut client, mut server) = bench.connect()?;
    let big = vec![3; 3 << 20];
    std::thread::scope(|scope| {
        scope.spawn(|| server.write_all(&big).unwrap());
        assert_eq!(hear(&mut client, big.len()).unwrap(), big);
    });
    client.write_all(b"up")?;
    assert_eq!(hear(&mut server, 2)?, b"up");
    client.shutdown(std::net::Shutdown::Write)?;
    assert_eq!(server.read(&mut [0; 8])?, 0);
    server.write_all(b"late")?;
    assert_eq!(hear(&mut client, 4)?, b"late");
    drop(server);
    assert_eq!(client.read(&mut [0; 8])?, 0);
    let visits = bench.relay.wait("both have left", CEILING, |visits| {
        visits
            .iter()
            .all(|visit| visit.client_left.is_some() && visit.server_left.is_some())
    })?;
    assert_eq!(
        (visits[0].to_server, visits[0].to_client),
        (2, (3 << 20) + 4)
    );
    Ok(())
}

#[test]
fn at_the_step_nothing_passes_and_unfrozen_all_of_it_does() -> Result<()> {
    let bench = Bench::new(Some(Step::AfterBanner))?;
    let (mut client, mut server) = bench.connect()?;
    client.write_all(b"before")?;
    assert_eq!(hear(&mut server, 6)?, b"before");
    server.write_all(b"SSH-2.0-x\r\nbehind")?;
    assert_eq!(hear(&mut client, 11)?, b"SSH-2.0-x\r\n");
    let visits = bench.relay.wait_until_at_step(1, CEILING)?;
    assert_eq!(visits[0].to_client, 11);
    client.write_all(b"after")?;
    is_silent(&mut server)?;
    is_silent(&mut client)?;
    bench.relay.unfreeze();
    assert_eq!(hear(&mut client, 6)?, b"behind");
    assert_eq!(hear(&mut server, 5)?, b"after");
    let (mut second, mut second_server) = bench.connect()?;
    second_server.write_all(b"SSH-2.0-x\r\nmore")?;
    hear(&mut second, 15)?;
    Ok(())
}

#[test]
fn frozen_on_command_both_ways_and_who_leaves_is_noted_but_not_told() -> Result<()> {
    let bench = Bench::new(None)?;
    let (mut client, mut server) = bench.connect()?;
    client.write_all(b"x")?;
    hear(&mut server, 1)?;
    bench.relay.freeze();
    client.write_all(b"up")?;
    server.write_all(b"down")?;
    is_silent(&mut server)?;
    is_silent(&mut client)?;
    let closed = Instant::now();
    drop(client);
    let visits = bench.relay.wait_until_left(1, CEILING)?;
    let left = visits[0].client_left.context("the client left")?;
    assert_eq!(left.how, How::Eof);
    assert!(left.at >= closed && left.at < closed + Duration::from_secs(2));
    assert!(visits[0].server_left.is_none());
    is_silent(&mut server)?;
    bench.relay.unfreeze();
    assert_eq!(hear(&mut server, 2)?, b"up");
    assert!(matches!(server.read(&mut [0; 8]), Ok(0) | Err(_)));
    Ok(())
}

#[test]
fn a_reset_is_noted_while_frozen() -> Result<()> {
    let bench = Bench::new(Some(Step::BeforeBanner))?;
    let (client, mut server) = bench.connect()?;
    bench.relay.wait_until_at_step(1, CEILING)?;
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
    drop(client);
    let visits = bench.relay.wait_until_left(1, CEILING)?;
    assert_eq!(visits[0].client_left.map(|left| left.how), Some(How::Reset));
    is_silent(&mut server)?;
    bench.relay.unfreeze();
    assert!(matches!(server.read(&mut [0; 8]), Ok(0) | Err(_)));
    Ok(())
}

#[test]
fn towards_the_server_the_clients_buffer_fills_and_its_end_is_seen() -> Result<()> {
    let bench = Bench::new(None)?;
    let (mut client, mut server) = bench.connect()?;
    client.write_all(b"x")?;
    hear(&mut server, 1)?;
    bench.relay.freeze_towards_server();
    socket2::SockRef::from(&client).set_send_buffer_size(16 * 1024)?;
    client.set_write_timeout(Some(QUIET))?;
    let mut sent = 0_usize;
    let full = loop {
        match client.write(&[7; 4096]) {
            Ok(written) => sent += written,
            Err(error) => break error,
        }
        ensure!(sent < 8 << 20, "the relay reads on");
    };
    assert!(matches!(
        full.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
    is_silent(&mut server)?;
    server.write_all(b"still heard")?;
    assert_eq!(hear(&mut client, 11)?, b"still heard");
    // Its end waits behind what is not read: only the kernel's table tells.
    let (local, remote) = (client.local_addr()?, client.peer_addr()?);
    assert!(is_held(local, remote)?);
    drop(client);
    let visits = bench.relay.wait_until_left(1, CEILING)?;
    assert_eq!(
        visits[0].client_left.map(|left| left.how),
        Some(How::Orphaned)
    );
    bench.relay.unfreeze();
    assert_eq!(hear(&mut server, sent)?.len(), sent);
    Ok(())
}

#[test]
fn a_server_that_is_not_there_resets_the_client() -> Result<()> {
    let nobody = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.local_addr()?
    };
    let relay = StepRelay::start(nobody, None)?;
    let mut client = connect(relay.addr())?;
    let error = client.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    Ok(())
}

#[test]
fn a_dropped_relay_closes_everything_also_what_is_frozen() -> Result<()> {
    let bench = Bench::new(Some(Step::BeforeBanner))?;
    let (mut client, mut server) = bench.connect()?;
    bench.relay.wait_until_at_step(1, CEILING)?;
    let begun = Instant::now();
    drop(bench);
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(matches!(client.read(&mut [0; 8]), Ok(0) | Err(_)));
    assert!(matches!(server.read(&mut [0; 8]), Ok(0) | Err(_)));
    Ok(())
}

#[test]
fn openssh_stands_where_it_was_frozen() -> Result<()> {
    let Some(sshd) = Sshd::start("openssh_stands_where_it_was_frozen")? else {
        return Ok(());
    };
    for (step, last) in [
        (Step::BeforeBanner, "Local version string"),
        (Step::AfterBanner, "remote software version"),
        (Step::AfterKexInit, "SSH2_MSG_KEXINIT received"),
        (Step::AfterNewKeys, "SSH2_MSG_NEWKEYS received"),
    ] {
        let relay = StepRelay::start(sshd.addr, Some(step))?;
        let mut ssh = Running::spawn(sshd.ssh(relay.addr()))?;
        ssh.wait_for(last, CEILING, |line| line.text.contains(last))
            .with_context(|| format!("{step:?}"))?;
        relay.wait_until_at_step(1, CEILING)?;
        std::thread::sleep(QUIET);
        assert!(ssh.is_alive(), "{step:?}: ssh waits");
        assert!(relay.visits()[0].client_left.is_none());
        relay.unfreeze();
        // The key is not known there: refused, but by a conversation that went on.
        let done = ssh.finish(CEILING)?;
        assert!(
            done.stderr.contains("Permission denied"),
            "{step:?}: {}",
            done.stderr
        );
        relay.wait_until_left(1, CEILING)?;
    }
    Ok(())
}

/// A real sshd on loopback in which nobody can log in.
struct Sshd {
    _running: Running,
    folder: tempfile::TempDir,
    addr: SocketAddr,
}

impl Sshd {
    fn start(test: &str) -> Result<Option<Self>> {
        let missing = ["/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen"]
            .into_iter()
            .find(|tool| !std::path::Path::new(tool).exists());
        if let Some(tool) = missing {
            lab::skipped(test, &format!("no {tool}"));
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let key = folder.path().join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .stdin(Stdio::null())
            .status()?;
        ensure!(made.success(), "ssh-keygen failed");
        let port = {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.local_addr()?.port()
        };
        // As root it wants this; elsewhere it is not used.
        let _ = std::fs::create_dir_all("/run/sshd");
        let mut command = Command::new("/usr/sbin/sshd");
        command
            .args(["-D", "-e", "-f", "/dev/null", "-p", &port.to_string()])
            .args(["-o", "ListenAddress=127.0.0.1", "-o", "PidFile=none"])
            .args(["-o", "PasswordAuthentication=no", "-o", "UsePAM=no"])
            .args([
                "-o",
                "KbdInteractiveAuthentication=no",
                "-o",
                "AuthorizedKeysFile=none",
            ])
            .arg("-o")
            .arg(format!("HostKey={}", key.display()))
            .stdin(Stdio::null());
        let mut running = Running::spawn(command)?;
        running.wait_for("sshd listens", CEILING, |line| {
            line.text.contains("Server listening")
        })?;
        Ok(Some(Self {
            _running: running,
            folder,
            addr: (Ipv4Addr::LOCALHOST, port).into(),
        }))
    }

    fn ssh(&self, addr: SocketAddr) -> Command {
        let mut command = Command::new("ssh");
        command
            .args(["-v", "-N", "-F", "none", "-p", &addr.port().to_string()])
            .args(["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"])
            .args([
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
                "IdentityAgent=none",
            ])
            .arg("-i")
            .arg(self.folder.path().join("key"))
            .arg(format!("nobody@{}", addr.ip()))
            .stdin(Stdio::null());
        command
    }
}
