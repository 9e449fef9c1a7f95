//! What a SOCKS client asks for: version 5 by RFC 1928, without authentication, as ssh has it; version 4, and 4A with a name.
//!
//! Names are not resolved here: the node does that. Only CONNECT is done, as by ssh. The time for all of it is the caller's
//! to bound; its length is bounded here.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use heartline_ssh::FarEnd;
use socks5_impl::protocol::handshake::{Request as Greeting, Response as Choice};
use socks5_impl::protocol::{AuthMethod, Command, Reply, Request, Response};
use socks5_impl::{Address, AsyncStreamOperation};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What one has asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Where to connect it.
    pub(crate) to: FarEnd,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Four,
    Five,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is connected.
    Connected,
    /// The node could not.
    Failed,
    /// The node does not do that.
    Prohibited,
}

/// Why one is not served.
#[derive(Debug, Error)]
pub(crate) enum SocksError {
    /// It ended in between.
    #[error("the client ended in between: {0}")]
    Io(#[from] io::Error),
    /// Something else than SOCKS.
    #[error("no SOCKS: it begins with byte {0}")]
    NotSocks(u8),
    /// It asks for something that nobody does over SSH.
    #[error("the client asks for {0}, and only CONNECT can be done")]
    Command(String),
    /// It insists on a password.
    #[error("the client insists on authentication, and there is none")]
    Auth,
    /// A name too long, or empty, or none.
    #[error("the client asks for a name that is none")]
    Name,
}

/// Learns what a client wants.
pub(crate) async fn ask<S>(stream: &mut S) -> Result<Asked, SocksError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    match stream.read_u8().await? {
        4 => four(stream).await,
        5 => five(stream).await,
        other => Err(SocksError::NotSocks(other)),
    }
}

/// Tells it what became of that.
pub(crate) async fn answer<S>(stream: &mut S, asked: &Asked, outcome: Outcome) -> io::Result<()>
where
    S: AsyncWrite + Unpin + Send,
{
    match asked.version {
        Version::Four => {
            // Granted, or rejected, and a port and an address that nobody reads.
            let code = if outcome == Outcome::Connected {
                90
            } else {
                91
            };
            stream.write_all(&[0, code, 0, 0, 0, 0, 0, 0]).await
        }
        Version::Five => {
            let reply = match outcome {
                Outcome::Connected => Reply::Succeeded,
                Outcome::Failed => Reply::HostUnreachable,
                Outcome::Prohibited => Reply::ConnectionNotAllowed,
            };
            reply_five(stream, reply).await
        }
    }
}

async fn five<S>(stream: &mut S) -> Result<Asked, SocksError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut whole = (&[5_u8][..]).chain(&mut *stream);
    let greeting = Greeting::retrieve_from_async_stream(&mut whole).await?;
    if !greeting.evaluate_method(AuthMethod::NoAuth) {
        let none = Choice::new(AuthMethod::NoAcceptableMethods);
        none.write_to_async_stream(stream).await?;
        return Err(SocksError::Auth);
    }
    let none = Choice::new(AuthMethod::NoAuth);
    none.write_to_async_stream(stream).await?;
    let request = Request::retrieve_from_async_stream(stream).await?;
    if request.command != Command::Connect {
        reply_five(stream, Reply::CommandNotSupported).await?;
        return Err(SocksError::Command(format!("{:?}", request.command)));
    }
    let (host, port) = match request.address {
        Address::SocketAddress(address) => (address.ip().to_string(), address.port()),
        Address::DomainAddress(name, port) => (checked(name.as_bytes())?, port),
    };
    Ok(Asked {
        to: FarEnd::Tcp { host, port },
        version: Version::Five,
    })
}

async fn reply_five<S: AsyncWrite + Unpin + Send>(stream: &mut S, reply: Reply) -> io::Result<()> {
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let response = Response::new(reply, Address::SocketAddress(nowhere));
    response.write_to_async_stream(stream).await
}

/// The draft has no number: "SOCKS: A protocol for TCP proxy across firewalls", and its extension 4A.
async fn four<S>(stream: &mut S) -> Result<Asked, SocksError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let command = stream.read_u8().await?;
    let port = stream.read_u16().await?;
    let mut address = [0; 4];
    stream.read_exact(&mut address).await?;
    word(stream).await?;
    if command != 1 {
        stream.write_all(&[0, 91, 0, 0, 0, 0, 0, 0]).await?;
        return Err(SocksError::Command(format!("command {command}")));
    }
    // 0.0.0.x, x not being 0: a name follows.
    let host = match address {
        [0, 0, 0, last] if last != 0 => checked(&word(stream).await?)?,
        address => Ipv4Addr::from(address).to_string(),
    };
    Ok(Asked {
        to: FarEnd::Tcp { host, port },
        version: Version::Four,
    })
}

/// Bytes up to a zero, of which there may be so many.
async fn word<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, SocksError> {
    let mut word = Vec::new();
    loop {
        match stream.read_u8().await? {
            0 => return Ok(word),
            _ if word.len() == MAX_NAME => return Err(SocksError::Name),
            byte => word.push(byte),
        }
    }
}

/// A name that may be sent on.
fn checked(name: &[u8]) -> Result<String, SocksError> {
    let name = std::str::from_utf8(name).map_err(|_| SocksError::Name)?;
    let is_one = !name.is_empty() && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    is_one.then(|| name.to_owned()).ok_or(SocksError::Name)
}

/// RFC 1035.
const MAX_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::duplex;

    use super::*;

    /// What is made of these bytes, and what was answered.
    async fn says(bytes: &[u8]) -> (Result<Asked, SocksError>, Vec<u8>) {
        let (mut client, mut server) = duplex(4_096);
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let asked = ask(&mut server).await;
        if let Ok(asked) = &asked {
            answer(&mut server, asked, Outcome::Connected)
                .await
                .unwrap();
        }
        drop(server);
        let mut answered = Vec::new();
        client.read_to_end(&mut answered).await.unwrap();
        (asked, answered)
    }

    fn to(asked: Result<Asked, SocksError>) -> String {
        asked.unwrap().to.to_string()
    }

    #[tokio::test]
    async fn version_5_by_address_and_by_name() {
        let (asked, answered) = says(b"\x05\x01\x00\x05\x01\x00\x01\x0a\x00\x00\x07\x00\x50").await;
        assert_eq!(to(asked), "10.0.0.7:80");
        assert_eq!(answered, b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0");
        let (asked, _) = says(b"\x05\x02\x02\x00\x05\x01\x00\x03\x07db.home\x15\x38").await;
        assert_eq!(to(asked), "db.home:5432");
        let v6 = b"\x05\x01\x00\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x16";
        assert_eq!(to(says(v6).await.0), "[::1]:22");
    }

    #[tokio::test]
    async fn version_4_and_4a() {
        let (asked, answered) = says(b"\x04\x01\x00\x50\x0a\x00\x00\x07me\0").await;
        assert_eq!(to(asked), "10.0.0.7:80");
        assert_eq!(answered, b"\0\x5a\0\0\0\0\0\0");
        let (asked, _) = says(b"\x04\x01\x15\x38\x00\x00\x00\x01\0db.home\0").await;
        assert_eq!(to(asked), "db.home:5432");
    }

    #[tokio::test]
    async fn what_cannot_be_done_is_told_to_the_client() {
        let (asked, answered) = says(b"\x05\x01\x02").await;
        assert!(matches!(asked, Err(SocksError::Auth)));
        assert_eq!(answered, b"\x05\xff");
        let (asked, answered) = says(b"\x05\x01\x00\x05\x03\x00\x01\x0a\x00\x00\x07\x00\x50").await;
        assert!(matches!(asked, Err(SocksError::Command(_))));
        assert_eq!(answered[..4], *b"\x05\x00\x05\x07");
        let (asked, answered) = says(b"\x04\x02\x00\x50\x0a\x00\x00\x07\0").await;
        assert!(matches!(asked, Err(SocksError::Command(_))));
        assert_eq!(answered[..2], *b"\0\x5b");
        assert!(matches!(
            says(b"GET /").await.0,
            Err(SocksError::NotSocks(b'G'))
        ));
        let mut endless = b"\x04\x01\x00\x50\x0a\x00\x00\x07".to_vec();
        endless.extend([b'x'; 1_000]);
        assert!(matches!(says(&endless).await.0, Err(SocksError::Name)));
        let newline = b"\x05\x01\x00\x05\x01\x00\x03\x03a\nb\x00\x16";
        assert!(matches!(says(newline).await.0, Err(SocksError::Name)));
    }

    proptest! {
        #[test]
        fn no_bytes_hang_it_or_bring_it_down(version in 3_u8..7, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let whole = [&[version][..], &bytes].concat();
            let (_, answered) = runtime.block_on(says(&whole));
            prop_assert!(answered.len() < 100);
        }
    }
}
