//! The floor's answering side: every message is opened, and one is sent back.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Result;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::sealed::Sealed;

/// Listens on a free port, prints it, and answers until standard input ends.
pub(crate) fn run() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    epoll.add(
        std::io::stdin(),
        EpollEvent::new(EpollFlags::EPOLLIN, STDIN),
    )?;
    let mut connections: Vec<Sealed> = Vec::new();
    let mut events = [EpollEvent::empty(); EVENTS];
    loop {
        let count = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in events.iter().take(count) {
            match event.data() {
                STDIN => return Ok(()),
                LISTENER => {
                    let (stream, from) = listener.accept()?;
                    let number = u64::try_from(connections.len())?;
                    epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
                    connections.push(Sealed::new(stream, from.port(), false)?);
                }
                number => {
                    let Some(connection) = connections.get_mut(usize::try_from(number)?) else {
                        continue;
                    };
                    if !connection.receive()? {
                        return Ok(());
                    }
                    connection.send()?;
                }
            }
        }
    }
}

const STDIN: u64 = u64::MAX;
const LISTENER: u64 = u64::MAX - 1;
const EVENTS: usize = 256;
