use std::time::{Duration, Instant};

use heartline_core::{Cause, NodeState};

use crate::site::{HOSTILE, Site, many, node};

#[test]
fn the_page_is_whole_without_a_script_and_what_is_not_up_comes_first() {
    let site = Site::open(many(100));
    site.sample(20);
    let page = site.get("/");
    let text = page.text();
    assert!(
        text.contains("<h1 class=\"down\" id=\"headline\">1 down, 1 unknown, 1 degraded</h1>"),
        "{}",
        &text[..3_000]
    );
    let at = |name: &str| {
        text.find(&format!(">{name}<"))
            .unwrap_or_else(|| panic!("{name}"))
    };
    assert!(at("cache017.example.org") < at("cache077.example.org"));
    assert!(at("cache077.example.org") < at("web040.example.org"));
    assert!(at("web040.example.org") < at("web000.example.org"));
    assert!(text.contains("nothing comes back: host down, or the line is cut"));
}

#[test]
fn nothing_of_the_page_runs_that_is_not_a_file_of_ours() {
    let nodes = HOSTILE
        .iter()
        .map(|name| node(name, NodeState::Down(Cause::Silent)));
    let site = Site::open(nodes.collect());
    for name in HOSTILE {
        site.turn(name, NodeState::Up);
    }
    for path in [
        "/",
        "/?q=%22%3E%3Cscript%3E",
        "/?state=%22%3E%3Cscript%3E",
        "/node/%22%3E%3Cscript%3E",
        "/login?next=%22%3E%3Cscript%3E",
    ] {
        let page = site.get(path);
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("same-origin"));
        let text = page.text();
        assert_eq!(text.matches("<script").count(), 1, "{path}");
        assert!(
            !text.contains("<img") && !text.contains(" style="),
            "{path}"
        );
    }
}

#[test]
fn the_filter_works_as_a_form() {
    let site = Site::open(many(100));
    let count = |path: &str| {
        let page = site.get(path);
        let hidden = page.text().split("class=\"n ").skip(1);
        hidden
            .filter(|row| !row.split('>').next().unwrap().ends_with(" hidden"))
            .count()
    };
    assert_eq!(count("/"), 100);
    assert_eq!(count("/?state=down"), 1);
    assert_eq!(count("/?q=DB0&state="), 20);
    assert_eq!(count("/?q=host+key"), 1);
    assert_eq!(count("/?q=nobody"), 0);
    assert!(
        site.get("/?q=nobody")
            .text()
            .contains("No node is like that.")
    );
}

#[test]
fn the_first_load_of_a_thousand_nodes_is_small_and_soon_there() {
    let site = Site::open(many(1_000));
    site.sample(60);
    let mut bytes = 0;
    let begun = Instant::now();
    let page = site.get("/").text().to_owned();
    let links = page
        .split(['"', ' '])
        .filter(|part| part.starts_with("/app.") || part.starts_with("/icon."));
    let parts: Vec<_> = links.chain(["/"]).collect();
    assert_eq!(parts.len(), 4);
    for path in parts {
        let request =
            format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
        let answer = site.send(&request);
        assert_eq!(answer.status, 200);
        println!("{path}: {} bytes", answer.body.len());
        bytes += answer.body.len();
    }
    println!("first load: {bytes} bytes, twice in {:?}", begun.elapsed());
    assert!(bytes < 100_000, "{bytes}");
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_node_shows_what_each_layer_knew() {
    let site = Site::open(vec![node("db1", NodeState::Up)]);
    let mut evidence = heartline_core::Evidence::default();
    evidence.ssh.unanswered = 2;
    evidence.ssh.detail = Some("Connection reset by <peer>".to_owned());
    evidence.tcp = Some(heartline_core::TcpEvidence {
        unacked: 3,
        ..heartline_core::TcpEvidence::default()
    });
    let told = crate::site::line_told("db1", "10.0.0.1", evidence);
    site.board.note(told, None);
    let page = site.get("/node/db1");
    for said in [
        "2 beats unanswered; Connection reset by &lt;peer&gt;",
        "3 segments not acknowledged",
        "9.8 s after its last sign of life",
    ] {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
    assert!(
        !page.text().contains("Pause"),
        "whoever may not does not see it"
    );
    assert_eq!(site.get("/node/nobody").status, 404);
}
