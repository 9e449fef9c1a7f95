//! The JSON API, as `openapi.json` describes it: what is known, what was told, and orders.

mod detail;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use heartline_watch::NodeBrief;
use heartline_watch::board::Known;
use heartline_watch::status_socket::Request;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub(crate) use detail::{Detail, HOURS};

use crate::events::{self, Wanted};
use crate::health::Health;
use crate::live::{For, Seen};
use crate::reads::Busy;
use crate::routes::App;
use crate::{answer, badge as drawing, order};

/// All nodes.
#[derive(Debug, Serialize)]
struct Everything {
    /// The number of the last event that is in it.
    seq: u64,
    watcher: Health,
    nodes: Vec<NodeNow>,
}

/// A node.
#[derive(Debug, Serialize)]
pub(crate) struct NodeNow {
    #[serde(flatten)]
    pub(crate) brief: NodeBrief,
    /// The last round trips of each line in milliseconds, oldest first; null where it was not up.
    #[serde(skip_serializing_if = "Option::is_none")]
    trails_ms: Option<Trails>,
}

type Trails = BTreeMap<Arc<str>, Vec<Option<f64>>>;

impl NodeNow {
    /// With the round trips as they were taken last, not as they were when something was told last.
    pub(crate) fn of(known: &Known, brief: &NodeBrief, with_trails: bool) -> Self {
        let mut brief = brief.clone();
        let mut trails = Trails::new();
        let NodeBrief { node, lines, .. } = &mut brief;
        for line in lines {
            let Some(trail) = known.trail(node, &line.line) else {
                continue;
            };
            let ms = trail
                .iter()
                .map(|trip| trip.map(|trip| trip.as_secs_f64() * 1_000.0));
            if line.state == "up" {
                line.rtt_ms = ms.clone().next_back().flatten().or(line.rtt_ms);
            }
            if with_trails {
                trails.insert(Arc::clone(&line.line), ms.collect());
            }
        }
        Self {
            brief,
            trails_ms: with_trails.then_some(trails),
        }
    }

    /// The last round trips of a line.
    pub(crate) fn trail(&self, line: &str) -> Vec<Option<Duration>> {
        let trail = self.trails_ms.as_ref().and_then(|trails| trails.get(line));
        let each = trail.into_iter().flatten();
        each.map(|ms| ms.map(|ms| Duration::from_secs_f64(ms / 1_000.0)))
            .collect()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodesQuery {
    trails: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EventsQuery {
    node: Option<String>,
    since: Option<Timestamp>,
    after: Option<u64>,
    limit: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StreamQuery {
    after: Option<String>,
}

impl StreamQuery {
    /// What somebody has seen who comes again, or who says so.
    pub(crate) fn seen(&self, headers: &HeaderMap) -> Option<Seen> {
        match headers.get(LAST_SEEN) {
            // A number alone is one of an older version, so of another process.
            Some(id) => Some(Seen::Id(id.to_str().unwrap_or_default().to_owned())),
            None => self.after.as_deref().map(Seen::asked),
        }
    }
}

/// Which nodes, and for how long.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Order {
    nodes: Vec<String>,
    for_ms: Option<u64>,
}

/// A query, or why it is none.
type Asked<T> = Result<Query<T>, QueryRejection>;

pub(crate) async fn nodes(State(app): State<Arc<App>>, query: Asked<NodesQuery>) -> Response {
    let query = match query {
        Ok(query) => query,
        Err(why) => return answer::problem(StatusCode::BAD_REQUEST, &why.body_text()),
    };
    let board = &app.watched.board;
    let (seq, nodes) = board.read(|known| {
        let each = known.nodes.iter();
        let nodes = each
            .map(|brief| NodeNow::of(known, brief, query.trails))
            .collect();
        (known.seq, nodes)
    });
    let watcher = Health::of(board);
    Json(Everything {
        seq,
        watcher,
        nodes,
    })
    .into_response()
}

pub(crate) async fn node(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    match Detail::read(&app.watched, &name).await {
        Ok(Some(detail)) => Json(detail).into_response(),
        Ok(None) => no_such_node(),
        Err(Busy) => answer::busy(),
    }
}

pub(crate) async fn events(State(app): State<Arc<App>>, query: Asked<EventsQuery>) -> Response {
    let query = match query {
        Ok(Query(query)) => query,
        Err(why) => return answer::problem(StatusCode::BAD_REQUEST, &why.body_text()),
    };
    let wanted = Wanted {
        node: query.node,
        since: query.since,
        after: query.after,
        limit: query.limit.unwrap_or(USUAL).min(events::MOST),
    };
    let Ok(events) = events::read(&app.watched, wanted).await else {
        return answer::busy();
    };
    let events: Vec<_> = events.into_iter().map(|event| event.json).collect();
    Json(json!({ "events": events })).into_response()
}

pub(crate) async fn stream(
    State(app): State<Arc<App>>,
    query: Asked<StreamQuery>,
    headers: HeaderMap,
) -> Response {
    let asked = query.map(|Query(query)| query).unwrap_or_default();
    let seen = asked.seen(&headers);
    app.hub.stream(For::Api, seen.as_ref(), &app.streams)
}

pub(crate) async fn pause(State(app): State<Arc<App>>, body: Bytes) -> Response {
    give(&app, &body, |order| Request::Pause {
        nodes: order.nodes,
        for_ms: order.for_ms,
    })
    .await
}

pub(crate) async fn resume(State(app): State<Arc<App>>, body: Bytes) -> Response {
    give(&app, &body, |order| Request::Resume { nodes: order.nodes }).await
}

pub(crate) async fn redial(State(app): State<Arc<App>>, body: Bytes) -> Response {
    give(&app, &body, |order| Request::Redial { nodes: order.nodes }).await
}

async fn give(app: &App, body: &[u8], request: impl FnOnce(Order) -> Request) -> Response {
    let order = match serde_json::from_slice::<Order>(body) {
        Ok(order) => order,
        Err(why) => return answer::problem(StatusCode::BAD_REQUEST, &why.to_string()),
    };
    match order::give(&app.watched.wishes, request(order)).await {
        Some(nodes) => Json(json!({ "nodes": nodes })).into_response(),
        None => answer::problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "the watcher did not answer in time",
        ),
    }
}

pub(crate) async fn health(State(app): State<Arc<App>>) -> Response {
    let health = Health::of(&app.watched.board);
    let status = if health.ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(health)).into_response()
}

pub(crate) async fn badge(State(app): State<Arc<App>>, Path(file): Path<String>) -> Response {
    let Some(name) = file.strip_suffix(".svg") else {
        return answer::problem(StatusCode::NOT_FOUND, "badges end in .svg");
    };
    let board = &app.watched.board;
    let state = board.read(|known| known.node(name).map(|brief| brief.state.word()));
    match state {
        Some(state) => {
            let mut response = answer::typed(SVG, drawing::draw(name, state));
            let headers = response.headers_mut();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            // It is for other people's pages.
            headers.insert(answer::SHARING, HeaderValue::from_static("cross-origin"));
            response
        }
        None => no_such_node(),
    }
}

pub(crate) async fn document() -> Response {
    answer::typed("application/json", DOCUMENT)
}

pub(crate) fn no_such_node() -> Response {
    answer::problem(StatusCode::NOT_FOUND, "no node of this name is watched")
}

/// What all of this is, for programs.
pub(crate) const DOCUMENT: &str = include_str!("openapi.json");
pub(crate) const SVG: &str = "image/svg+xml";
const LAST_SEEN: HeaderName = HeaderName::from_static("last-event-id");
/// Events, where nobody says how many.
const USUAL: usize = 100;
