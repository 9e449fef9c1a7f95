//! Asks a running watcher by its Unix socket: the API, with deadlines and bounds, for other processes of the same user.

mod events;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use heartline_watch::NodeBrief;
use heartline_watch::status_socket::Request;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::time::timeout;

pub use events::{Event, Events, Happening};

use crate::door::{is_of_a_service, is_ours};

/// Why there is no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AskError {
    /// Nobody listens there, or somebody who is neither this user nor root.
    #[error("no watcher of this user answers on {0}")]
    Nobody(String),
    /// It took too long.
    #[error("the watcher did not answer within {} s", PATIENCE.as_secs())]
    Late,
    /// It would not.
    #[error("the watcher said {status}: {why}")]
    Refused {
        /// The status of HTTP.
        status: u16,
        /// What it said, in its own words.
        why: String,
    },
    /// It could not be understood.
    #[error("what answers there is not a watcher of this version")]
    Strange,
}

#[derive(Deserialize)]
struct Nodes {
    nodes: Vec<NodeBrief>,
}

#[derive(Deserialize)]
struct Problem {
    error: String,
}

/// What the watcher at `path` knows of its nodes; none, if none answers there.
pub async fn get_nodes(path: &Path) -> Option<Vec<NodeBrief>> {
    ask(path, Method::GET, "/api/v1/nodes", None).await.ok()
}

/// Has the watcher at `path` do something; what it knows of its nodes then.
pub async fn order(path: &Path, request: &Request) -> Result<Vec<NodeBrief>, AskError> {
    let (to, body) = match request {
        Request::Status => return ask(path, Method::GET, "/api/v1/nodes", None).await,
        Request::Pause { nodes, for_ms } => {
            ("/api/v1/pause", json!({ "nodes": nodes, "for_ms": for_ms }))
        }
        Request::Resume { nodes } => ("/api/v1/resume", json!({ "nodes": nodes })),
        Request::Redial { nodes } => ("/api/v1/redial", json!({ "nodes": nodes })),
    };
    ask(path, Method::POST, to, Some(body.to_string())).await
}

async fn ask(
    path: &Path,
    method: Method,
    to: &str,
    body: Option<String>,
) -> Result<Vec<NodeBrief>, AskError> {
    let asked = async {
        let response = send(path, method, to, body).await?;
        let status = response.status();
        let text = read(response.into_body()).await?;
        match status {
            StatusCode::OK => serde_json::from_slice::<Nodes>(&text)
                .map(|known| known.nodes)
                .map_err(|_| AskError::Strange),
            _ => Err(refused(status, &text)),
        }
    };
    timeout(PATIENCE, asked)
        .await
        .unwrap_or(Err(AskError::Late))
}

fn refused(status: StatusCode, text: &[u8]) -> AskError {
    let said = serde_json::from_slice::<Problem>(text);
    AskError::Refused {
        status: status.as_u16(),
        why: said.map_or_else(|_| "nothing".to_owned(), |said| said.error),
    }
}

async fn read(body: Incoming) -> Result<Bytes, AskError> {
    let limited = Limited::new(body, MAX_ANSWER).collect().await;
    limited
        .map(http_body_util::Collected::to_bytes)
        .map_err(|_| AskError::Strange)
}

/// One request on a connection of its own.
async fn send(
    path: &Path,
    method: Method,
    to: &str,
    body: Option<String>,
) -> Result<Response<Incoming>, AskError> {
    let nobody = || AskError::Nobody(path.display().to_string());
    if !is_ours(path) && !is_of_a_service(path) {
        return Err(nobody());
    }
    let stream = UnixStream::connect(path).await.map_err(|_| nobody())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|_| AskError::Strange)?;
    // It ends with the answer, or when nobody waits for that any more.
    tokio::spawn(connection);
    let request = hyper::Request::builder()
        .method(method)
        .uri(to)
        .header(HOST, "localhost")
        .header(ACCEPT, "application/json, text/event-stream")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.unwrap_or_default())))
        .map_err(|_| AskError::Strange)?;
    sender
        .send_request(request)
        .await
        .map_err(|_| AskError::Strange)
}

/// For an answer, a little longer than the watcher has for it.
const PATIENCE: Duration = Duration::from_secs(3);
/// A hundred thousand lines fit.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
