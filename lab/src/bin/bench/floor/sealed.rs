//! One connection of the floor: messages of fixed size, sealed.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Result, bail};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;

/// A connection, its two keys and counters.
pub(crate) struct Sealed {
    stream: TcpStream,
    sending: Direction,
    receiving: Direction,
}

struct Direction {
    key: LessSafeKey,
    count: u64,
}

impl Sealed {
    /// Both ends make the same keys of the client's port. They hide nothing; only their price counts.
    pub(crate) fn new(stream: TcpStream, client_port: u16, is_client: bool) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let (sending, receiving) = if is_client { (1, 2) } else { (2, 1) };
        Ok(Self {
            stream,
            sending: Direction::new(client_port, sending)?,
            receiving: Direction::new(client_port, receiving)?,
        })
    }

    /// The connection.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Seals a message and sends it.
    pub(crate) fn send(&mut self) -> Result<()> {
        let mut frame = [0; FRAME];
        let (message, place) = frame.split_at_mut(MESSAGE);
        let nonce = self.sending.nonce();
        let key = &self.sending.key;
        let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), message)?;
        place.copy_from_slice(tag.as_ref());
        let sent = self.stream.write(&frame)?;
        if sent != FRAME {
            bail!("{sent} of {FRAME} bytes sent");
        }
        Ok(())
    }

    /// Receives a message and opens it; `false` at the end of the connection.
    pub(crate) fn receive(&mut self) -> Result<bool> {
        let mut frame = [0; FRAME];
        match self.stream.read(&mut frame)? {
            0 => return Ok(false),
            FRAME => {}
            // They come as they were sent: one message, one segment.
            read => bail!("{read} of {FRAME} bytes received"),
        }
        let nonce = self.receiving.nonce();
        let key = &self.receiving.key;
        key.open_in_place(nonce, Aad::empty(), &mut frame)?;
        Ok(true)
    }
}

impl Direction {
    fn new(client_port: u16, direction: u8) -> Result<Self, Unspecified> {
        let [high, low] = client_port.to_be_bytes();
        let mut bytes = [0; 32];
        bytes[..3].copy_from_slice(&[high, low, direction]);
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes)?);
        Ok(Self { key, count: 0 })
    }

    fn nonce(&mut self) -> Nonce {
        let mut bytes = [0; 12];
        bytes[4..].copy_from_slice(&self.count.to_be_bytes());
        self.count += 1;
        Nonce::assume_unique_for_key(bytes)
    }
}

const MESSAGE: usize = 64;
/// With its tag.
const FRAME: usize = MESSAGE + 16;
