//! The script, the style and the sign: part of the program, nothing of them comes from elsewhere.

use std::sync::LazyLock;

use axum::extract::RawQuery;
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::response::Response;

use crate::row::STATES;
use crate::{answer, api, badge};

/// What is asked for with them, so that a browser that keeps them asks anew for others.
pub(crate) static VERSION: LazyLock<String> = LazyLock::new(|| {
    // FNV-1a: which they are, not a secret.
    let bytes = CSS.bytes().chain(JS.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:x}")
});

pub(crate) async fn css(RawQuery(asked): RawQuery) -> Response {
    kept(asked, answer::typed("text/css; charset=utf-8", CSS))
}

pub(crate) async fn js(RawQuery(asked): RawQuery) -> Response {
    kept(asked, answer::typed("text/javascript; charset=utf-8", JS))
}

/// In the colour of a state: `?down`.
pub(crate) async fn icon(RawQuery(asked): RawQuery) -> Response {
    let asked = asked.unwrap_or_default();
    let state = STATES.iter().find(|state| **state == asked);
    let drawn = badge::icon(state.copied().unwrap_or("up"));
    let mut response = answer::typed(api::SVG, drawn);
    keep(&mut response);
    response
}

/// What names its version stays as it is.
fn kept(asked: Option<String>, mut response: Response) -> Response {
    if asked.is_some_and(|asked| asked == *VERSION) {
        keep(&mut response);
    }
    response
}

fn keep(response: &mut Response) {
    let value = HeaderValue::from_static("private, max-age=31536000, immutable");
    response.headers_mut().insert(CACHE_CONTROL, value);
}

const CSS: &str = include_str!("assets/app.css");
const JS: &str = include_str!("assets/app.js");
