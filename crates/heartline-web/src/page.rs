//! The page, for people: whole without a script, and live with one.

mod list;
mod login;
mod one;
mod parts;
mod shell;

use std::sync::Arc;

use axum::extract::{Extension, Form, Path, Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use heartline_watch::status_socket::Request;
use maud::Markup;
use serde::Deserialize;

use crate::accept::Peer;
use crate::access::{Refusal, Rights};
use crate::api::{Detail, StreamQuery};
use crate::live::For;
use crate::reads::Busy;
use crate::routes::App;
use crate::{answer, link, order as orders};

use list::Wanted;

/// Whose page it is.
#[derive(Debug, Deserialize)]
pub(crate) struct NodeQuery {
    #[serde(default)]
    name: String,
}

/// What is asked of the watcher by a button.
#[derive(Debug, Deserialize)]
pub(crate) struct OrderForm {
    node: String,
    what: String,
    #[serde(default)]
    for_s: u64,
}

/// Whoever logs in.
#[derive(Debug, Deserialize)]
pub(crate) struct LoginForm {
    token: String,
    #[serde(default)]
    next: String,
}

/// Where they go then.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LoginQuery {
    next: String,
}

pub(crate) async fn nodes(
    State(app): State<Arc<App>>,
    Extension(rights): Extension<Rights>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let uptimes = app.uptimes.all().await;
    // First which event is the last that it shows, then what it shows: so it may show more, and never less.
    let frame = shell::Frame {
        is_early: app.watched.journal.is_some() && uptimes.is_empty(),
        ..frame(&app, rights, For::Page)
    };
    let seen = app.watched.board.read(list::Seen::of);
    shown(
        StatusCode::OK,
        &list::page(&frame, &seen, &uptimes, &wanted),
    )
}

pub(crate) async fn node(
    State(app): State<Arc<App>>,
    Extension(rights): Extension<Rights>,
    Path(name): Path<String>,
) -> Response {
    one(&app, rights, &name).await
}

pub(crate) async fn node_by_query(
    State(app): State<Arc<App>>,
    Extension(rights): Extension<Rights>,
    Query(asked): Query<NodeQuery>,
) -> Response {
    one(&app, rights, &asked.name).await
}

async fn one(app: &App, rights: Rights, name: &str) -> Response {
    let frame = frame(app, rights, For::Page);
    match Detail::read(&app.watched, name).await {
        Ok(Some(detail)) => shown(StatusCode::OK, &one::page(&frame, &detail, rights)),
        Ok(None) => shown(StatusCode::NOT_FOUND, &one::nobody(&frame, name)),
        Err(Busy) => answer::later(shown(
            StatusCode::SERVICE_UNAVAILABLE,
            &one::busy(&frame, name),
        )),
    }
}

/// What the script listens to.
pub(crate) async fn live(
    State(app): State<Arc<App>>,
    Query(asked): Query<StreamQuery>,
    headers: HeaderMap,
) -> Response {
    let seen = asked.seen(&headers);
    app.hub.stream(For::Page, seen.as_ref(), &app.streams)
}

/// Whoever comes here may give orders; that is decided before.
pub(crate) async fn order(State(app): State<Arc<App>>, Form(form): Form<OrderForm>) -> Response {
    let back = link::node(&form.node);
    let nodes = vec![form.node];
    let for_ms = (form.for_s > 0).then(|| form.for_s.saturating_mul(1_000));
    let request = match form.what.as_str() {
        "pause" => Request::Pause { nodes, for_ms },
        "resume" => Request::Resume { nodes },
        "redial" => Request::Redial { nodes },
        _ => return answer::problem(StatusCode::BAD_REQUEST, "no such order"),
    };
    match orders::give(&app.watched.wishes, request).await {
        Some(_) => Redirect::to(&back).into_response(),
        None => answer::problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "the watcher did not answer in time",
        ),
    }
}

pub(crate) async fn login(
    State(app): State<Arc<App>>,
    Query(asked): Query<LoginQuery>,
) -> Response {
    let frame = frame(&app, Rights::None, For::Api);
    shown(StatusCode::OK, &login::page(&frame, &asked.next, None))
}

pub(crate) async fn log_in(
    State(app): State<Arc<App>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Form(form): Form<LoginForm>,
) -> Response {
    let peer = peer.map_or(Peer(None), |Extension(peer)| peer);
    let made = app.gate.log_in(form.token.trim(), &headers, peer);
    let cookie =
        made.and_then(|cookie| HeaderValue::from_str(&cookie).map_err(|_| Refusal::WrongToken));
    match cookie {
        Ok(cookie) => ([(SET_COOKIE, cookie)], Redirect::to(local(&form.next))).into_response(),
        Err(refusal) => {
            let (status, why) = answer::words(refusal);
            let frame = frame(&app, Rights::None, For::Api);
            shown(status, &login::page(&frame, &form.next, Some(why)))
        }
    }
}

pub(crate) async fn log_out(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let gone = app.gate.log_out(&headers);
    match gone.and_then(|gone| HeaderValue::from_str(&gone).ok()) {
        Some(gone) => ([(SET_COOKIE, gone)], Redirect::to("/")).into_response(),
        None => Redirect::to("/").into_response(),
    }
}

/// A place of ours, whatever was asked for.
fn local(next: &str) -> &str {
    let is_ours = next.starts_with('/')
        && !next.starts_with("//")
        && next
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_ours { next } else { "/" }
}

fn frame(app: &App, rights: Rights, whom: For) -> shell::Frame {
    let (seq, plans, isolated) = app
        .watched
        .board
        .read(|known| (known.seq, known.plans, known.is_isolated));
    shell::Frame {
        seq,
        plans,
        isolated,
        begun: app.watched.board.begun(),
        is_live: whom == For::Page,
        is_early: false,
        can_log_in: app.gate.has_token() && rights < Rights::Order,
        can_log_out: app.gate.has_token() && rights == Rights::Order,
    }
}

fn shown(status: StatusCode, page: &Markup) -> Response {
    let html = answer::typed("text/html; charset=utf-8", page.0.clone());
    (status, html).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere_after_they_have_logged_in() {
        assert_eq!(local("/node/a%20b?x"), "/node/a%20b?x");
        for elsewhere in [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "",
            "/a\r\nb",
            "javascript:1",
        ] {
            assert_eq!(local(elsewhere), "/", "{elsewhere:?}");
        }
    }
}
