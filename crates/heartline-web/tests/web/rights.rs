use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use heartline_core::NodeState;

use crate::site::{Site, TOKEN, connect_from, many, node};

fn post(site: &Site, path: &str, headers: &str, body: &str) -> crate::site::Answer {
    let length = body.len();
    site.send(&format!(
        "POST {path} HTTP/1.0\r\nHost: {}\r\nContent-Length: {length}\r\n{headers}\r\n{body}",
        site.address
    ))
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

#[test]
fn without_a_token_loopback_reads_and_gives_no_orders() {
    let site = Site::open(many(3));
    assert_eq!(site.get("/").status, 200);
    for order in [
        "/api/v1/pause",
        "/api/v1/resume",
        "/api/v1/redial",
        "/order",
    ] {
        let answer = post(&site, order, "", r#"{"nodes":[]}"#);
        assert_eq!(answer.status, 403, "{order}");
        assert!(answer.text().contains("token"), "{}", answer.text());
    }
    assert!(site.wished.lock().unwrap().is_empty());
}

#[test]
fn a_page_elsewhere_that_is_made_to_mean_loopback_reads_nothing() {
    let site = Site::open(many(3));
    for host in ["evil.example", "evil.example:80", "localhost.evil.example"] {
        let answer = site.send(&format!(
            "GET /api/v1/nodes HTTP/1.0\r\nHost: {host}\r\n\r\n"
        ));
        assert_eq!(answer.status, 421, "{host}");
    }
    assert_eq!(site.send("GET / HTTP/1.0\r\n\r\n").status, 421);
}

#[test]
fn elsewhere_everything_needs_the_token_but_what_the_form_is_made_of() {
    let site = Site::start(many(3), "0.0.0.0:0", Some(TOKEN), None);
    for path in [
        "/api/v1/nodes",
        "/healthz",
        "/metrics",
        "/live",
        "/badge/x.svg",
        "/api/v1/stream",
        "/nowhere",
    ] {
        let answer = site.get(path);
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let page = site.get("/node/a%2Fb?x=1");
    assert_eq!(page.status, 303);
    assert_eq!(
        page.header("location"),
        Some("/login?next=%2Fnode%2Fa%252Fb%3Fx%3D1")
    );
    for path in ["/login", "/app.css", "/app.js", "/icon.svg"] {
        assert_eq!(site.get(path).status, 200, "{path}");
    }
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let request = format!("GET /api/v1/nodes HTTP/1.0\r\nHost: x\r\n{bearer}\r\n");
    assert_eq!(site.send(&request).status, 200);
    assert_eq!(post(&site, "/api/v1/resume", &bearer, "{}").status, 200);
    assert_eq!(site.wished.lock().unwrap().len(), 1);
}

#[test]
fn who_logs_in_gives_orders_from_this_page_alone_and_then_is_out() {
    let site = Site::start(many(3), "127.0.0.1:0", Some(TOKEN), None);
    let origin = format!("Origin: http://{}\r\n{FORM}", site.address);
    let wrong = post(&site, "/login", &origin, "token=wrong&next=/");
    assert_eq!(wrong.status, 401);
    assert!(wrong.text().contains("that is not the token"));
    let right = post(
        &site,
        "/login",
        &origin,
        &format!("token={TOKEN}&next=//evil.example"),
    );
    assert_eq!((right.status, right.header("location")), (303, Some("/")));
    let cookie = right.header("set-cookie").unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    assert!(!cookie.contains(TOKEN));
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());

    let order = "node=web000.example.org&what=pause&for_s=60";
    let ours = format!("{cookie}{origin}");
    let done = post(&site, "/order", &ours, order);
    assert_eq!(
        (done.status, done.header("location")),
        (303, Some("/node/web000.example.org"))
    );
    let theirs = format!("{cookie}Origin: http://evil.example\r\n{FORM}");
    assert_eq!(post(&site, "/order", &theirs, order).status, 403);
    assert_eq!(
        post(&site, "/order", &format!("{cookie}{FORM}"), order).status,
        403
    );
    assert_eq!(site.wished.lock().unwrap().len(), 1);

    assert_eq!(post(&site, "/logout", &ours, "").status, 303);
    assert_eq!(post(&site, "/order", &ours, order).status, 403);
}

#[test]
fn who_guesses_is_stopped() {
    let site = Site::start(many(3), "0.0.0.0:0", Some(TOKEN), None);
    let get = |token: &str| {
        let request = format!("GET /healthz HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n");
        site.send(&request).status
    };
    for _ in 0..10 {
        assert_eq!(get("wrong"), 401);
    }
    assert_eq!(get(TOKEN), 429);
}

#[test]
fn too_much_is_refused_and_the_next_is_served() {
    let site = Site::start(many(3), "127.0.0.1:0", Some(TOKEN), None);
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let big = format!("{{\"nodes\":[\"{}\"]}}", "x".repeat(70_000));
    assert_eq!(post(&site, "/api/v1/pause", &bearer, &big).status, 413);
    let long = format!(
        "GET /{} HTTP/1.0\r\nHost: localhost\r\n\r\n",
        "x".repeat(200_000)
    );
    assert!(site.send(&long).status >= 400);
    assert_eq!(site.get("/healthz").status, 200);
}

#[test]
fn who_says_nothing_is_let_go_and_holds_up_nobody() {
    let site = Site::open(many(3));
    let silent: Vec<TcpStream> = (0..300).map(|_| connect_from(2, site.address)).collect();
    let begun = Instant::now();
    assert_eq!(site.get("/healthz").status, 200);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    // A little at a time is not enough either.
    let mut slow = &silent[0];
    slow.set_nonblocking(true).unwrap();
    let mut rest = [0; 64];
    slow.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    loop {
        if slow.write_all(b"x").is_err() {
            break;
        }
        match slow.read(&mut rest) {
            Ok(0) => break,
            // Cut off, with or without a word: what counts is that it comes to an end.
            Err(why) if why.kind() != ErrorKind::WouldBlock => break,
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
        assert!(
            begun.elapsed() < Duration::from_secs(13),
            "{:?}",
            begun.elapsed()
        );
    }
}

/// A stream, and how its answer begins; nothing, if it is not let in.
fn listen_from(last: u8, site: &Site) -> (TcpStream, String) {
    let mut stream = connect_from(last, site.address);
    let request = format!("GET /live HTTP/1.1\r\nHost: {}\r\n\r\n", site.address);
    let mut begin = [0; 12];
    let said = stream
        .write_all(request.as_bytes())
        .and_then(|()| stream.read_exact(&mut begin));
    let begin = said.map(|()| String::from_utf8_lossy(&begin).into_owned());
    (stream, begin.unwrap_or_default())
}

#[test]
fn one_address_has_its_share_of_the_door_and_leaves_the_rest_to_others() {
    let site = Site::open(vec![node("db1", NodeState::Up)]);
    let mut all: Vec<_> = (0..32).map(|_| listen_from(2, &site)).collect();
    assert!(all.iter().all(|(_, begin)| begin.ends_with("200")));
    assert_eq!(listen_from(2, &site).1, "");
    assert_eq!(site.get("/healthz").status, 200);
    assert!(listen_from(3, &site).1.ends_with("200"));
    // One that goes makes room.
    all.pop();
    let begun = Instant::now();
    while listen_from(2, &site).1.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never let in");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn streams_are_bounded_by_door() {
    let site = Site::open(vec![node("db1", NodeState::Up)]);
    let from = (0..65).map(|at| 2 + at / 30);
    let all: Vec<_> = from.map(|last| listen_from(last, &site)).collect();
    let full = all
        .iter()
        .filter(|(_, begin)| begin.ends_with("503"))
        .count();
    assert_eq!(full, 1);
    assert_eq!(site.get("/healthz").status, 200);
}
