//! Which address is what.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

use crate::access::{self, Gate};
use crate::live::{Hub, STREAMS};
use crate::uptime::Uptimes;
use crate::watched::Watched;
use crate::{answer, api, assets, metrics, page};

/// What a request is answered from.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) watched: Watched,
    pub(crate) hub: Arc<Hub>,
    pub(crate) uptimes: Arc<Uptimes>,
    pub(crate) gate: Arc<Gate>,
    /// Who may still listen.
    pub(crate) streams: Arc<Semaphore>,
}

/// All of them, behind this gate.
pub(crate) fn all(gate: Gate, watched: &Watched, hub: &Arc<Hub>, uptimes: &Arc<Uptimes>) -> Router {
    let gate = Arc::new(gate);
    let app = Arc::new(App {
        watched: watched.clone(),
        hub: Arc::clone(hub),
        uptimes: Arc::clone(uptimes),
        gate: Arc::clone(&gate),
        streams: Arc::new(Semaphore::new(STREAMS)),
    });
    Router::new()
        .route("/", get(page::nodes))
        .route("/node", get(page::node_by_query))
        .route("/node/{name}", get(page::node))
        .route("/order", post(page::order))
        .route("/login", get(page::login).post(page::log_in))
        .route("/logout", post(page::log_out))
        .route("/live", get(page::live))
        .route("/app.css", get(assets::css))
        .route("/app.js", get(assets::js))
        .route("/icon.svg", get(assets::icon))
        .route("/badge/{file}", get(api::badge))
        .route("/healthz", get(api::health))
        .route("/metrics", get(metrics::scrape))
        .route("/api/v1/nodes", get(api::nodes))
        .route("/api/v1/nodes/{name}", get(api::node))
        .route("/api/v1/events", get(api::events))
        .route("/api/v1/stream", get(api::stream))
        .route("/api/v1/pause", post(api::pause))
        .route("/api/v1/resume", post(api::resume))
        .route("/api/v1/redial", post(api::redial))
        .route("/api/v1/openapi.json", get(api::document))
        .fallback(nowhere)
        .method_not_allowed_fallback(not_so)
        .with_state(app)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(gate, access::enter))
        .layer(compression())
        .layer(from_fn(answer::guarded))
}

/// Of all but numbers, which are asked for again and again, by somebody near: to make them small would be most of their cost.
fn compression() -> CompressionLayer<impl Predicate> {
    let small = DefaultPredicate::new().and(NotForContentType::const_new(metrics::KIND));
    CompressionLayer::new()
        .quality(CompressionLevel::Precise(LEVEL))
        .compress_when(small)
}

async fn nowhere() -> Response {
    answer::problem(StatusCode::NOT_FOUND, "there is nothing here")
}

async fn not_so() -> Response {
    answer::problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "that cannot be done here; see /api/v1/openapi.json",
    )
}

/// Of gzip: a page of a thousand nodes stays well under 100 KB.
const LEVEL: i32 = 4;
/// A thousand names fit.
const MAX_BODY: usize = 64 * 1024;
