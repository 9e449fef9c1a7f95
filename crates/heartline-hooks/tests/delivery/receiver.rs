//! An HTTP server that remembers what it was sent.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether it was answered with 2xx.
    pub(crate) is_taken: bool,
}

/// What is answered: status, headers, body.
pub(crate) type Answer = (u16, Vec<(&'static str, String)>, String);

/// See the module. Gone when it is dropped.
pub(crate) struct Receiver {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _end: oneshot::Sender<()>,
}

impl Receiver {
    /// One that takes all.
    pub(crate) fn start() -> Self {
        Self::answering(|_, _| (204, Vec::new(), String::new()))
    }

    /// One that answers so to the request of this number, from 0.
    pub(crate) fn answering(
        answer: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (end, ended) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let (kept, answer) = (Arc::clone(&seen), Arc::new(answer));
        let handler = move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
            async move {
                let mut one = Seen {
                    at: Instant::now(),
                    path: uri.path().to_owned(),
                    headers,
                    body,
                    is_taken: false,
                };
                let mut kept = kept.lock().unwrap();
                let (status, headers, body) = answer(kept.len(), &one);
                one.is_taken = (200..300).contains(&status);
                kept.push(one);
                let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
                for (name, value) in headers {
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
                response
            }
        };
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let serve = axum::serve(listener, Router::new().fallback(handler));
                tokio::select! {
                    served = async { serve.await } => served.unwrap(),
                    _ = ended => {}
                }
            });
        });
        let address = told.recv().unwrap();
        Self {
            url: format!("http://{address}/hook"),
            seen,
            _end: end,
        }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// What was taken, each key once, in the order of the first time.
    pub(crate) fn taken(&self) -> Vec<Seen> {
        let mut keys = HashSet::new();
        let mut seen = self.seen();
        seen.retain(|one| one.is_taken && keys.insert(one.key()));
        seen
    }

    /// Waits until so many different ones were taken.
    pub(crate) fn wait_for(&self, count: usize, limit: Duration) -> Vec<Seen> {
        let until = Instant::now() + limit;
        loop {
            let taken = self.taken();
            if taken.len() >= count {
                return taken;
            }
            assert!(Instant::now() < until, "{} of {count} came", taken.len());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn key(&self) -> String {
        self.header("idempotency-key").to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A field that is text.
    pub(crate) fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_default().to_owned()
    }
}
