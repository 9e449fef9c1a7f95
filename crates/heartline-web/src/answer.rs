//! What every answer has: headers that keep a page from doing what it should not, a deadline, and errors in one form.

use std::time::Duration;

use axum::Json;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::time::timeout;

use crate::access::Refusal;

/// Nothing runs that is not ours, nothing is loaded from elsewhere, nobody frames it, and nobody elsewhere learns where one came from. (`no-referrer` would
/// take the origin from our own forms, too, and with it what they are known by.) What is not said to last is not kept.
pub(crate) async fn guarded(request: Request, next: Next) -> Response {
    let answered = timeout(DEADLINE, next.run(request)).await;
    let mut response =
        answered.unwrap_or_else(|_| problem(StatusCode::SERVICE_UNAVAILABLE, "it took too long"));
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        // What says something else of itself, as a badge does, means it.
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// An error, in the form of the API.
pub(crate) fn problem(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

/// The journal does not answer, or too many wait for it.
pub(crate) fn busy() -> Response {
    later(problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "the journal does not answer; try again later",
    ))
}

/// It is worth to ask again soon.
pub(crate) fn later(mut response: Response) -> Response {
    let seconds = HeaderValue::from_static("10");
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

/// Nobody is let in without a token.
pub(crate) fn unauthorized() -> Response {
    let mut response = problem(
        StatusCode::UNAUTHORIZED,
        "this needs the token: Authorization: Bearer TOKEN",
    );
    let bearer = HeaderValue::from_static("Bearer");
    response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
    response
}

/// Somebody is not let in.
pub(crate) fn refused(refusal: Refusal) -> Response {
    match refusal {
        Refusal::WrongToken => unauthorized(),
        Refusal::TooMany | Refusal::Host | Refusal::Origin => {
            let (status, why) = words(refusal);
            problem(status, why)
        }
    }
}

/// Why, for a person.
pub(crate) fn words(refusal: Refusal) -> (StatusCode, &'static str) {
    match refusal {
        Refusal::WrongToken => (StatusCode::UNAUTHORIZED, "that is not the token"),
        Refusal::TooMany => (
            StatusCode::TOO_MANY_REQUESTS,
            "too many wrong tokens; try again in a minute",
        ),
        Refusal::Host => (
            StatusCode::MISDIRECTED_REQUEST,
            "ask by the address that this watcher listens on, or by localhost",
        ),
        Refusal::Origin => (
            StatusCode::FORBIDDEN,
            "this was sent by a page of somebody else",
        ),
    }
}

/// Whether a person reads what is there.
pub(crate) fn wants_page(path: &str) -> bool {
    path == "/" || path.starts_with("/node")
}

/// Something with its type.
pub(crate) fn typed(kind: &'static str, body: impl IntoResponse) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    (headers, body).into_response()
}

/// Whose pages may show it.
pub(crate) const SHARING: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

const ALWAYS: [(HeaderName, &str); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "same-origin"),
    (SHARING, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];
/// For an answer to begin.
const DEADLINE: Duration = Duration::from_secs(10);
