//! How the lab's own tests find out whether a path works: a TCP connection that gets sshd's
//! banner, a session that echoes, datagrams that are counted.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::{Cable, Host, Lab, Running};

/// Longer than anything here takes on a busy machine.
pub(crate) const CEILING: Duration = Duration::from_secs(30);
/// Shorter than any retry that could make a faulty path look well.
pub(crate) const SOON: Duration = Duration::from_millis(800);

/// Connects to sshd and reads the first bytes of its banner.
pub(crate) fn banner(
    from: &Host,
    to: IpAddr,
    port: u16,
    patience: Duration,
) -> Result<io::Result<()>> {
    from.enter(|| {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::new(to, port), patience)?;
        stream.set_read_timeout(Some(patience))?;
        let mut bytes = [0; 8];
        stream.read_exact(&mut bytes)?;
        if &bytes == b"SSH-2.0-" {
            Ok(())
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    })
}

/// Fails unless every address of the cable answers, by a ceiling.
pub(crate) fn works(lab: &Lab, cable: &Cable) -> Result<()> {
    for address in cable.addresses() {
        let deadline = Instant::now() + CEILING;
        while let Err(why) = banner(lab.watcher(), address, 22, CEILING)? {
            if Instant::now() > deadline {
                bail!("{address} does not answer: {why}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// How each address of the cable fails, IPv4 first; an error if one of them answers.
pub(crate) fn failures(lab: &Lab, cable: &Cable) -> Result<Vec<io::ErrorKind>> {
    failures_within(lab, cable, SOON)
}

/// As [`failures`], waiting longer for each address.
pub(crate) fn failures_within(
    lab: &Lab,
    cable: &Cable,
    patience: Duration,
) -> Result<Vec<io::ErrorKind>> {
    let mut kinds = Vec::new();
    for address in cable.addresses() {
        match banner(lab.watcher(), address, 22, patience)? {
            Ok(()) => bail!("{address} answers"),
            Err(why) => kinds.push(why.kind()),
        }
    }
    Ok(kinds)
}

/// A session whose command sends back each line it gets.
pub(crate) struct Echo {
    ssh: Running,
    sent: usize,
}

impl Echo {
    pub(crate) fn over(lab: &Lab, target: &str, options: &[&str]) -> Result<Self> {
        let mut command = lab.ssh(target);
        for option in options {
            command.args(["-o", option]);
        }
        command.arg("exec cat").stdin(Stdio::piped());
        let mut echo = Self {
            ssh: Running::spawn(command)?,
            sent: 0,
        };
        ensure!(echo.answers(CEILING), "no echo from {target}");
        Ok(echo)
    }

    /// Sends a line and says whether it came back in time. One that comes later is passed over.
    pub(crate) fn answers(&mut self, patience: Duration) -> bool {
        self.sent += 1;
        let line = format!("line {}", self.sent);
        // One that has ended takes nothing any more.
        if self.ssh.write_stdin(&format!("{line}\n")).is_err() {
            return false;
        }
        self.ssh
            .wait_for(&line, patience, |seen| seen.text == line)
            .is_ok()
    }

    pub(crate) fn ssh(&mut self) -> &mut Running {
        &mut self.ssh
    }
}

/// Sends `count` datagrams of `bytes` over the cable to the node and counts those that arrive.
pub(crate) fn datagrams(lab: &Lab, cable: &Cable, count: u32, bytes: usize) -> Result<u32> {
    let to = SocketAddr::new(cable.v4().into(), 7777);
    let node = &cable.end(lab::End::Node).host;
    let receiver = node.enter(|| UdpSocket::bind(to))??;
    let sender = lab.watcher().enter(|| UdpSocket::bind("0.0.0.0:0"))??;
    let payload = vec![b'x'; bytes];
    let mut arrived = 0;
    let mut buffer = vec![0; bytes];
    // A veth pair delivers before the send returns to user space or very soon after.
    receiver.set_read_timeout(Some(Duration::from_millis(50)))?;
    for _ in 0..count {
        sender.send_to(&payload, to).context("send")?;
        arrived += u32::from(receiver.recv(&mut buffer).is_ok());
    }
    Ok(arrived)
}

/// Polls until `holds`, by a ceiling.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let begun = Instant::now();
    while !holds()? {
        ensure!(
            begun.elapsed() < CEILING,
            "{what} did not happen within {CEILING:?}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(begun.elapsed())
}

/// What a shell command prints on a machine.
pub(crate) fn shell(host: &Host, script: &str) -> Result<String> {
    let mut command = host.command("sh");
    command.args(["-c", script]);
    Ok(Running::spawn(command)?.finish(CEILING)?.stdout)
}
