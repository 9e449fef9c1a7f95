use axum::http::HeaderValue;

use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut all = HeaderMap::new();
    for (name, value) in pairs {
        all.insert(*name, HeaderValue::from_str(value).unwrap());
    }
    all
}

fn gate(address: &str, token: Option<&str>) -> Gate {
    let token = token.map(|token| Token::new(token).unwrap());
    Gate::tcp(address.parse().unwrap(), token)
}

const PEER: Peer = Peer(None);
const SECRET: &str = "0123456789abcdef";

#[test]
fn loopback_is_open_to_who_asks_by_a_name_of_this_machine() {
    let gate = gate("127.0.0.1:8080", None);
    let judge = |host| gate.judge(&Method::GET, &headers(&[("host", host)]), PEER);
    for host in [
        "127.0.0.1:8080",
        "localhost:8080",
        "LOCALHOST",
        "[::1]:1",
        "127.0.0.5",
    ] {
        assert_eq!(judge(host), Ok(Rights::Read), "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.0.2.1",
        "",
        "a b",
    ] {
        assert_eq!(judge(host), Err(Refusal::Host), "{host}");
    }
    assert_eq!(
        gate.judge(&Method::GET, &HeaderMap::new(), PEER),
        Err(Refusal::Host)
    );
}

#[test]
fn elsewhere_nobody_comes_in_without_the_token() {
    let gate = gate("192.0.2.1:80", Some(SECRET));
    let judge = |pairs: &[(&'static str, &str)]| gate.judge(&Method::POST, &headers(pairs), PEER);
    assert_eq!(judge(&[("host", "192.0.2.1")]), Ok(Rights::None));
    assert_eq!(judge(&[("host", "localhost")]), Ok(Rights::None));
    let right = format!("bearer {SECRET}");
    assert_eq!(judge(&[("authorization", &right)]), Ok(Rights::Order));
    assert_eq!(
        judge(&[("authorization", "Bearer 0123456789abcdeF")]),
        Err(Refusal::WrongToken)
    );
    assert_eq!(judge(&[("authorization", "Basic abc")]), Ok(Rights::None));
}

#[test]
fn a_token_that_nobody_set_lets_nobody_in() {
    let gate = gate("127.0.0.1:80", None);
    let wrong = headers(&[("authorization", "Bearer "), ("host", "localhost")]);
    assert_eq!(
        gate.judge(&Method::GET, &wrong, PEER),
        Err(Refusal::WrongToken)
    );
}

#[test]
fn a_session_gives_orders_from_its_own_page_alone() {
    let gate = gate("127.0.0.1:80", Some(SECRET));
    let ours = [("host", "localhost:80"), ("origin", "http://localhost:80")];
    let made = gate.log_in(SECRET, &headers(&ours), PEER).unwrap();
    assert!(made.contains("HttpOnly; SameSite=Strict"), "{made}");
    let cookie = format!("other=1; {}", made.split(';').next().unwrap());
    let judge = |origin: Option<&str>, method| {
        let mut pairs = vec![("host", "localhost:80"), ("cookie", cookie.as_str())];
        pairs.extend(origin.map(|origin| ("origin", origin)));
        gate.judge(&method, &headers(&pairs), PEER)
    };
    assert_eq!(judge(None, Method::GET), Ok(Rights::Order));
    assert_eq!(
        judge(Some("http://localhost:80"), Method::POST),
        Ok(Rights::Order)
    );
    for origin in [
        None,
        Some("http://evil.example"),
        Some("null"),
        Some("http://localhost:8080"),
    ] {
        assert_eq!(
            judge(origin, Method::POST),
            Err(Refusal::Origin),
            "{origin:?}"
        );
    }
    gate.log_out(&headers(&[("cookie", &cookie)]));
    assert_eq!(judge(None, Method::GET), Ok(Rights::Read));
}

#[test]
fn who_guesses_is_not_listened_to_even_if_the_guess_is_right() {
    let gate = gate("127.0.0.1:80", Some(SECRET));
    let ours = headers(&[("host", "localhost"), ("origin", "http://localhost")]);
    for _ in 0..10 {
        assert_eq!(gate.log_in("guess", &ours, PEER), Err(Refusal::WrongToken));
    }
    assert_eq!(gate.log_in(SECRET, &ours, PEER), Err(Refusal::TooMany));
    let elsewhere = Peer(Some("192.0.2.9".parse().unwrap()));
    assert!(gate.log_in(SECRET, &ours, elsewhere).is_ok());
}

#[test]
fn a_form_of_somebody_else_logs_nobody_in() {
    let gate = gate("127.0.0.1:80", Some(SECRET));
    let theirs = headers(&[("host", "localhost"), ("origin", "http://evil.example")]);
    assert_eq!(gate.log_in(SECRET, &theirs, PEER), Err(Refusal::Origin));
}

#[test]
fn watchers_on_two_ports_of_a_host_do_not_log_each_other_out() {
    let (one, other) = (
        gate("127.0.0.1:80", Some(SECRET)),
        gate("127.0.0.1:8080", Some(SECRET)),
    );
    let log_in = |gate: &Gate, host: &str| {
        let origin = format!("http://{host}");
        let ours = headers(&[("host", host), ("origin", &origin)]);
        let made = gate.log_in(SECRET, &ours, PEER).unwrap();
        made.split(';').next().unwrap().to_owned()
    };
    let jar = [log_in(&one, "localhost"), log_in(&other, "localhost:8080")];
    let names: Vec<_> = jar
        .iter()
        .map(|pair| pair.split('=').next().unwrap())
        .collect();
    assert_eq!(names, ["heartline-80", "heartline-8080"]);
    let jar = jar.join("; ");
    let judge = |gate: &Gate, host: &str| {
        let shown = headers(&[("host", host), ("cookie", &jar)]);
        gate.judge(&Method::GET, &shown, PEER)
    };
    assert_eq!(judge(&one, "localhost"), Ok(Rights::Order));
    assert_eq!(judge(&other, "localhost:8080"), Ok(Rights::Order));
    // Through a forward the browser knows another port.
    assert!(log_in(&one, "localhost:9000").starts_with("heartline-9000="));
}
