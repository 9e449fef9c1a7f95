//! `heartline keep` under test, and services that its forwards lead to.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Cable, Host, Lab, Node};

use crate::watching::{CEILING, Told, Watch, heartline};

/// Fast enough for a test, slow enough for a busy machine.
pub(crate) const TIMING: &str = "--interval 500ms --count 1 --connect-timeout 5s";

/// A lab of one node and one cable.
pub(crate) fn place(name: &str) -> Result<Option<(Lab, Node, Cable)>> {
    let Some(lab) = Lab::or_skip(name) else {
        return Ok(None);
    };
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    Ok(Some((lab, node, cable)))
}

/// `heartline keep --json NODE`, the words split at spaces.
pub(crate) fn keep(lab: &Lab, node: &str, words: &str) -> Command {
    let mut command = heartline(lab, lab.watcher());
    command.args(["keep", "--json", node, "-F"]);
    command.arg(lab.ssh_config()).args(words.split_whitespace());
    command
}

/// The same, at work: every forward stands.
pub(crate) fn standing(lab: &Lab, node: &str, words: &str, forwards: usize) -> Result<Watch> {
    let mut keep = Watch::of(keep(lab, node, words))?;
    keep.until("a line that carries", |told| {
        told.text("event") == "carrier" && !told.text("line").is_empty()
    })?;
    for number in 0..forwards {
        let mut seen = 0;
        keep.until(&format!("forward {number} stands"), |told| {
            seen += usize::from(is_forward(told, "stands"));
            seen > number
        })?;
    }
    Ok(keep)
}

pub(crate) fn is_forward(told: &Told, to: &str) -> bool {
    told.text("event") == "forward" && told.text("to") == to
}

/// A service that gives back what it gets, with a mark before it.
pub(crate) struct Echo {
    pub(crate) port: u16,
    taken: Arc<AtomicUsize>,
}

impl Echo {
    /// On this machine's loopback; the port is the system's choice.
    pub(crate) fn on(host: &Host, mark: &'static str) -> Result<Self> {
        let listener = host.enter(listen)??;
        let port = listener.local_addr()?.port();
        let taken = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&taken);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || echo(stream, mark));
            }
        });
        Ok(Self { port, taken })
    }

    /// How many connections it has had.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

/// With room for a crowd: std leaves it at 128, and the kernel lets a further one believe that it is connected.
fn listen() -> std::io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(4_096)?;
    Ok(socket.into())
}

fn echo(stream: impl Read + Write, mark: &str) {
    let mut stream = stream;
    let _ = stream.write_all(mark.as_bytes());
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        let got = buffer.get(..read).unwrap_or_default();
        if stream.write_all(got).is_err() {
            return;
        }
    }
}

/// The same on a Unix socket.
pub(crate) fn echo_at(path: &Path, mark: &'static str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || echo(stream, mark));
        }
    });
    Ok(())
}

/// A connection on a machine to a port of its loopback.
pub(crate) fn connect(host: &Host, port: u16) -> Result<TcpStream> {
    connect_at(host, [127, 0, 0, 1].into(), port)
}

/// The same to any address.
pub(crate) fn connect_at(host: &Host, address: IpAddr, port: u16) -> Result<TcpStream> {
    let address = SocketAddr::new(address, port);
    let stream = host.enter(|| TcpStream::connect_timeout(&address, CEILING))?;
    let stream = stream.with_context(|| format!("port {port} of {}", host.name()))?;
    stream.set_read_timeout(Some(CEILING))?;
    stream.set_write_timeout(Some(CEILING))?;
    Ok(stream)
}

/// The mark comes, and what is sent comes back.
pub(crate) fn answers(stream: &mut (impl Read + Write), mark: &str) -> Result<()> {
    expect(stream, mark.as_bytes())?;
    for text in ["one", "two, which is longer"] {
        stream.write_all(text.as_bytes())?;
        expect(stream, text.as_bytes())?;
    }
    Ok(())
}

/// Just these bytes come.
pub(crate) fn expect(stream: &mut impl Read, wanted: &[u8]) -> Result<()> {
    let mut got = vec![0; wanted.len()];
    stream
        .read_exact(&mut got)
        .with_context(|| format!("waiting for {:?}", String::from_utf8_lossy(wanted)))?;
    ensure!(
        got == wanted,
        "{:?} instead of {:?}",
        String::from_utf8_lossy(&got),
        String::from_utf8_lossy(wanted)
    );
    Ok(())
}

/// A client of SOCKS 5 that has asked for a name.
pub(crate) fn socks5(host: &Host, port: u16, name: &str, to: u16) -> Result<TcpStream> {
    let mut stream = connect(host, port)?;
    stream.write_all(b"\x05\x01\x00")?;
    expect(&mut stream, b"\x05\x00")?;
    let length = u8::try_from(name.len())?;
    let mut request = vec![5, 1, 0, 3, length];
    request.extend(name.as_bytes());
    request.extend(to.to_be_bytes());
    stream.write_all(&request)?;
    expect(&mut stream, b"\x05\x00\x00\x01\0\0\0\0\0\0")?;
    Ok(stream)
}

/// One of SOCKS 4A.
pub(crate) fn socks4a(host: &Host, port: u16, name: &str, to: u16) -> Result<TcpStream> {
    let mut stream = connect(host, port)?;
    let mut request = vec![4, 1];
    request.extend(to.to_be_bytes());
    request.extend([0, 0, 0, 1, 0]);
    request.extend(name.as_bytes());
    request.push(0);
    stream.write_all(&request)?;
    expect(&mut stream, b"\0\x5a\0\0\0\0\0\0")?;
    Ok(stream)
}

/// A Unix socket of any machine here: they share their files.
pub(crate) fn unix(path: &Path) -> Result<UnixStream> {
    let stream = UnixStream::connect(path).with_context(|| path.display().to_string())?;
    stream.set_read_timeout(Some(CEILING))?;
    Ok(stream)
}

/// How long until a new connection through this port gets its answer, from now on; each try has a second.
pub(crate) fn first_answer(host: &Host, port: u16, mark: &str) -> Result<Duration> {
    let begun = Instant::now();
    while begun.elapsed() < CEILING {
        if let Ok(mut stream) = connect(host, port) {
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            if expect(&mut stream, mark.as_bytes()).is_ok() {
                return Ok(begun.elapsed());
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
    anyhow::bail!("nothing came through port {port}")
}
