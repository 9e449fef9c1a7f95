//! What a watcher tells as it happens.

use std::path::Path;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use super::{AskError, PATIENCE, read, refused, send};

/// A stream of what happens.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    come: BytesMut,
}

/// Something on it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Happening {
    /// The stream begins, with this event as the last one before it.
    Hello {
        /// Its number.
        seq: u64,
        /// Which plan it is, counted from the watcher's begin: another means that other nodes are watched.
        plan: u64,
        /// When the watcher began: another means that it is another process.
        begun: String,
    },
    /// Something was told.
    Told(Event),
    /// Something was missed: what is known is to be read anew.
    Resync,
}

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its number.
    pub seq: u64,
    /// All of it, as `watch --json` prints it, and its number.
    pub json: Value,
}

impl Events {
    /// Listens to the watcher at `path`: to what was told after that event, or to what is told from now on.
    pub async fn open(path: &Path, after: Option<u64>) -> Result<Self, AskError> {
        let to = match after {
            Some(after) => format!("/api/v1/stream?after={after}"),
            None => "/api/v1/stream".to_owned(),
        };
        let opened = async {
            let response = send(path, Method::GET, &to, None).await?;
            let status = response.status();
            if status != StatusCode::OK {
                return Err(refused(status, &read(response.into_body()).await?));
            }
            Ok(Self {
                body: response.into_body(),
                come: BytesMut::new(),
            })
        };
        timeout(PATIENCE, opened)
            .await
            .unwrap_or(Err(AskError::Late))
    }

    /// The next; none at the end, which is also when the watcher has not even shown that it is there for half a minute. Losing the future loses nothing.
    pub async fn next(&mut self) -> Option<Happening> {
        loop {
            while let Some(message) = self.message() {
                if let Some(happening) = parse(&message) {
                    return Some(happening);
                }
            }
            if self.come.len() > MAX_MESSAGE {
                return None;
            }
            let frame = timeout(SILENCE, self.body.frame()).await.ok()??.ok()?;
            if let Some(data) = frame.data_ref() {
                self.come.extend_from_slice(data);
            }
        }
    }

    /// A whole message, if one has come: up to an empty line.
    fn message(&mut self) -> Option<String> {
        let end = self.come.windows(2).position(|two| two == b"\n\n")?;
        let message = self.come.split_to(end);
        self.come.advance(2);
        Some(String::from_utf8_lossy(&message).into_owned())
    }
}

/// None for a comment, and for what is not known.
fn parse(message: &str) -> Option<Happening> {
    let field = |name: &str| {
        let mut lines = message.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let data = || serde_json::from_str::<Value>(field("data")?).ok();
    match field("event")? {
        "hello" => {
            let json = data()?;
            Some(Happening::Hello {
                seq: json.get("seq")?.as_u64()?,
                plan: json.get("plan")?.as_u64()?,
                begun: json.get("begun")?.as_str()?.to_owned(),
            })
        }
        "told" => {
            let json = data()?;
            let seq = json.get("seq")?.as_u64()?;
            Some(Happening::Told(Event { seq, json }))
        }
        "resync" => Some(Happening::Resync),
        _ => None,
    }
}

/// Of an event with all its lines.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// Three signs of life that did not come.
const SILENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_what_is_not_known_are_passed_over() {
        assert_eq!(parse(": still here"), None);
        assert_eq!(parse("event: news\ndata: {}"), None);
        assert_eq!(
            parse("id: 3\nevent: resync\ndata: {}"),
            Some(Happening::Resync)
        );
        let told = parse("id: 3\nevent: told\ndata: {\"seq\":3,\"event\":\"node\"}");
        assert!(matches!(told, Some(Happening::Told(Event { seq: 3, .. }))));
    }
}
