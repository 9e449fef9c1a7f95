//! Who may do what: decided here, once for each request, before anything else looks at it.
//!
//! | door | who | may |
//! |---|---|---|
//! | Unix socket | whoever opens it, that is its owner | everything |
//! | TCP on loopback | anybody who asks by a name of this machine | read |
//! | TCP on loopback | with the token | everything |
//! | TCP elsewhere | anybody | log in |
//! | TCP elsewhere | with the token | everything |
//!
//! * The token comes as `Authorization: Bearer …`, or once by the form; then a cookie stands for it (`SameSite=Strict`, `HttpOnly`), which is worth nothing after twelve
//!   hours or a restart.
//! * The cookie has the port in its name, as the browser asked for it: cookies know no ports, and another watcher of this host has one of its own.
//! * A page elsewhere whose name is made to mean 127.0.0.1 (DNS rebinding) asks by its own name, and is refused on loopback. Orders by cookie need the `Origin` of this very page.
//! * Ten wrong tokens of an address in a minute, and it is not listened to until that is over; unless the right one came from there in the last ten minutes.

mod limit;
mod sessions;
mod token;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

pub use token::{Token, TokenError};

use crate::accept::Peer;
use crate::answer;
use crate::door::is_loopback;
use limit::Limit;
use sessions::Sessions;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rights {
    /// Log in.
    None,
    /// See everything.
    Read,
    /// Give orders, too.
    Order,
}

/// What stands at a door.
#[derive(Debug)]
pub(crate) enum Gate {
    Unix,
    Tcp {
        address: SocketAddr,
        token: Option<Token>,
        state: Mutex<GateState>,
    },
}

#[derive(Debug, Default)]
pub(crate) struct GateState {
    sessions: Sessions,
    limit: Limit,
}

/// What a request shows of who sends it.
enum Shown {
    Nothing,
    Bearer,
    Cookie,
}

/// Why nobody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Asked by a name that is not this machine's.
    Host,
    /// A token, and not ours.
    WrongToken,
    /// Too many of these.
    TooMany,
    /// Sent by a page of somebody else.
    Origin,
}

impl Gate {
    pub(crate) fn unix() -> Self {
        Self::Unix
    }

    pub(crate) fn tcp(address: SocketAddr, token: Option<Token>) -> Self {
        Self::Tcp {
            address,
            token,
            state: Mutex::default(),
        }
    }

    /// Whether there is anything to log in with.
    pub(crate) fn has_token(&self) -> bool {
        matches!(self, Self::Tcp { token: Some(_), .. })
    }

    /// What this request may do.
    fn judge(&self, method: &Method, headers: &HeaderMap, peer: Peer) -> Result<Rights, Refusal> {
        let Self::Tcp {
            address,
            token,
            state,
        } = self
        else {
            return Ok(Rights::Order);
        };
        match Self::shown(
            &cookie_name(headers, *address),
            headers,
            token.as_ref(),
            state,
            peer,
        )? {
            Shown::Bearer => Ok(Rights::Order),
            Shown::Cookie if method.is_safe() || is_same_origin(headers) => Ok(Rights::Order),
            Shown::Cookie => Err(Refusal::Origin),
            Shown::Nothing if !is_loopback(address.ip()) => Ok(Rights::None),
            Shown::Nothing if is_name_of(headers, address.ip()) => Ok(Rights::Read),
            Shown::Nothing => Err(Refusal::Host),
        }
    }

    fn shown(
        name: &str,
        headers: &HeaderMap,
        token: Option<&Token>,
        state: &Mutex<GateState>,
        peer: Peer,
    ) -> Result<Shown, Refusal> {
        let now = Instant::now();
        let mut state = lock(state);
        if cookie(headers, name).is_some_and(|cookie| state.sessions.holds(cookie, now)) {
            return Ok(Shown::Cookie);
        }
        let Some(bearer) = bearer(headers) else {
            return Ok(Shown::Nothing);
        };
        state.try_token(bearer, token, peer, now)?;
        Ok(Shown::Bearer)
    }

    /// The cookie of a new session, for whoever knows the token.
    pub(crate) fn log_in(
        &self,
        given: &str,
        headers: &HeaderMap,
        peer: Peer,
    ) -> Result<String, Refusal> {
        let Self::Tcp {
            address,
            token,
            state,
        } = self
        else {
            return Err(Refusal::WrongToken);
        };
        if !is_same_origin(headers) {
            return Err(Refusal::Origin);
        }
        let now = Instant::now();
        let mut state = lock(state);
        state.try_token(given.as_bytes(), token.as_ref(), peer, now)?;
        let id = state.sessions.begin(now).ok_or(Refusal::TooMany)?;
        let name = cookie_name(headers, *address);
        let age = sessions::AGE.as_secs();
        Ok(format!(
            "{name}={id}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict"
        ))
    }

    /// Ends the session of this cookie; the cookie that says so. None where there are no sessions.
    pub(crate) fn log_out(&self, headers: &HeaderMap) -> Option<String> {
        let Self::Tcp { address, state, .. } = self else {
            return None;
        };
        let name = cookie_name(headers, *address);
        if let Some(cookie) = cookie(headers, &name) {
            lock(state).sessions.end(cookie);
        }
        Some(format!(
            "{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
        ))
    }
}

impl GateState {
    fn try_token(
        &mut self,
        given: &[u8],
        token: Option<&Token>,
        peer: Peer,
        now: Instant,
    ) -> Result<(), Refusal> {
        if !self.limit.may_try(peer, now) {
            return Err(Refusal::TooMany);
        }
        if token.is_some_and(|token| token.is(given)) {
            self.limit.succeeded(peer, now);
            return Ok(());
        }
        self.limit.failed(peer, now);
        Err(Refusal::WrongToken)
    }
}

/// Lets in who may come in, and notes what they may do.
pub(crate) async fn enter(
    State(gate): State<Arc<Gate>>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let is_open = OPEN.contains(&path);
    let peer = request.extensions().get().copied().unwrap_or(Peer(None));
    let judged = gate.judge(request.method(), request.headers(), peer);
    let rights = match judged {
        Ok(rights) => rights,
        Err(_) if is_open => Rights::None,
        Err(refusal) => return answer::refused(refusal),
    };
    if rights == Rights::None && !is_open {
        return if answer::wants_page(path) {
            let back = request
                .uri()
                .path_and_query()
                .map_or("/", |uri| uri.as_str());
            let back = crate::link::encode(back);
            Redirect::to(&format!("/login?next={back}")).into_response()
        } else {
            answer::unauthorized()
        };
    }
    if rights < Rights::Order && !request.method().is_safe() && !is_open {
        return answer::problem(StatusCode::FORBIDDEN, NO_ORDERS);
    }
    request.extensions_mut().insert(rights);
    next.run(request).await
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, given) = value.split_at_checked(BEARER.len())?;
    scheme
        .eq_ignore_ascii_case(BEARER)
        .then_some(given.trim_ascii())
}

/// By the port that the browser knows, which is another where somebody forwards it; ours, where it says none.
fn cookie_name(headers: &HeaderMap, address: SocketAddr) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<Authority>().ok());
    let port = authority.and_then(|authority| authority.port_u16());
    format!("{COOKIE_NAME}-{}", port.unwrap_or(address.port()))
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).iter();
    let pairs = all.filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Whether it was asked by the address, or another name of loopback.
fn is_name_of(headers: &HeaderMap, address: IpAddr) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        let host = authority.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(literal) => literal == address || is_loopback(literal),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        }
    })
}

/// Whether the page that sends this is ours. Browsers say so for whatever changes something.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let of = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match (of(ORIGIN), of(HOST)) {
        (Some(origin), Some(host)) => origin
            .split_once("://")
            .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(host)),
        _ => false,
    }
}

fn lock(state: &Mutex<GateState>) -> MutexGuard<'_, GateState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

const BEARER: &[u8] = b"Bearer ";
const COOKIE_NAME: &str = "heartline";
const NO_ORDERS: &str =
    "orders need the token: start the watcher with --token-file, or use its Unix socket";
/// What the form to log in is made of.
const OPEN: [&str; 4] = ["/login", "/app.css", "/app.js", "/icon.svg"];

#[cfg(test)]
mod tests;
