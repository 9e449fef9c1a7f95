//! A peer's banner: one TCP connection, nothing sent, no login.

use std::io;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use heartline_ssh::settings::{Proxy, Settings};
use heartline_ssh::{escape, resolve};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::request::MAX_BANNER;

/// The peer's identification, escaped and cut; `None` where it is not reached by plain TCP.
///
/// Takes `ConnectTimeout` at most, 10 s where that is not set.
pub(super) async fn banner(settings: &Settings) -> anyhow::Result<Option<String>> {
    if settings.proxy != Proxy::None {
        return Ok(None);
    }
    let after = settings.connect_timeout.unwrap_or(DEADLINE);
    match timeout(after, ask(settings)).await {
        Ok(banner) => banner.map(Some),
        Err(_) => Err(anyhow!("no answer within {} s", after.as_secs_f64())),
    }
}

async fn ask(settings: &Settings) -> anyhow::Result<String> {
    let addresses = resolve(settings).await?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return hear(stream).await,
            Err(error) => last = error,
        }
    }
    Err(last).context("cannot connect")
}

/// The first line that begins with `SSH-`; lines before it are allowed (RFC 4253 section 4.2).
async fn hear(stream: TcpStream) -> anyhow::Result<String> {
    let mut stream = stream.take(MAX_HEARD);
    let mut heard = Vec::new();
    loop {
        let whole_lines = heard.split_inclusive(|byte| *byte == b'\n');
        let mut whole_lines = whole_lines.filter(|line: &&[u8]| line.ends_with(b"\n"));
        if let Some(line) = whole_lines.find(|line| line.starts_with(b"SSH-")) {
            return Ok(escape(line.trim_ascii_end(), MAX_BANNER));
        }
        if stream
            .read_buf(&mut heard)
            .await
            .context("the connection broke")?
            == 0
        {
            let said = escape(heard.trim_ascii_end(), MAX_BANNER);
            bail!("what is there does not speak SSH; it said: {said:?}");
        }
    }
}

const DEADLINE: Duration = Duration::from_secs(10);
/// OpenSSH takes 1024 lines before the identification; 8 KiB holds any greeting that is one.
const MAX_HEARD: u64 = 8 * 1024;
