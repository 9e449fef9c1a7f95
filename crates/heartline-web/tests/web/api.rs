use heartline_core::{Cause, Evidence, NodeState};
use heartline_watch::status_socket::Request;
use heartline_web::client;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::site::{HOSTILE, Site, get, line_told, many, node};

/// Holds an answer against what `openapi.json` says of it.
fn fits(document: &Value, schema: &str, answer: &Value) {
    let root = json!({
        "$ref": format!("#/components/schemas/{schema}"),
        "components": document["components"],
    });
    let validator = jsonschema::validator_for(&root).unwrap();
    let wrong: Vec<_> = validator
        .iter_errors(answer)
        .map(|error| error.to_string())
        .collect();
    assert!(wrong.is_empty(), "{schema}: {wrong:?} in {answer:#}");
}

#[test]
fn every_answer_is_as_the_document_says() {
    let site = Site::open(many(100));
    site.sample(3);
    site.turn("web000.example.org", NodeState::Down(Cause::Silent));
    let evidence = Evidence::default();
    site.board
        .note(line_told("web000.example.org", "10.0.0.1", evidence), None);
    let document = site.get("/api/v1/openapi.json").json();
    fits(&document, "Nodes", &site.get("/api/v1/nodes").json());
    let nodes = site.get("/api/v1/nodes?trails=true").json();
    fits(&document, "Nodes", &nodes);
    assert_eq!(nodes["nodes"].as_array().unwrap().len(), 100);
    assert_eq!(nodes["nodes"][0]["state"], "down");
    assert_eq!(
        nodes["nodes"][1]["trails_ms"]["10.0.0.1"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    let detail = site.get("/api/v1/nodes/web000.example.org").json();
    fits(&document, "NodeDetail", &detail);
    assert_eq!(detail["evidence"]["10.0.0.1"]["ssh"]["unanswered"], 0);
    let events = site.get("/api/v1/events").json();
    fits(&document, "Events", &events);
    assert_eq!(events["events"].as_array().unwrap().len(), 2);
    fits(&document, "Health", &site.get("/healthz").json());
    for wrong in [
        "/api/v1/nodes/nobody",
        "/nowhere",
        "/api/v1/nodes?trails=x",
        "/api/v1/events?since=x",
    ] {
        let answer = site.get(wrong);
        assert!(answer.status >= 400, "{wrong}");
        fits(&document, "Problem", &answer.json());
    }
}

#[test]
fn every_path_of_the_document_is_there_and_no_other_method() {
    let site = Site::open(many(3));
    let document = site.get("/api/v1/openapi.json").json();
    for (path, methods) in document["paths"].as_object().unwrap() {
        if path == "/api/v1/stream" {
            continue;
        }
        let path = path.replace("{name}", "web000.example.org");
        let path = path.replace("{file}", "web000.example.org.svg");
        let status = site.get(&path).status;
        let is_get = methods.get("get").is_some();
        assert_eq!(status, if is_get { 200 } else { 405 }, "{path}");
    }
}

#[test]
fn the_round_trip_is_the_last_one_taken_and_not_the_one_of_the_last_event() {
    let site = Site::open(vec![node("db1", NodeState::Up)]);
    assert_eq!(
        site.get("/api/v1/nodes").json()["nodes"][0]["lines"][0]["rtt_ms"],
        12.5
    );
    site.sample(1);
    let rtt = site.get("/api/v1/nodes").json()["nodes"][0]["lines"][0]["rtt_ms"].as_f64();
    assert!(rtt.unwrap() < 5.0, "{rtt:?}");
}

#[test]
fn events_are_chosen() {
    let site = Site::open(vec![node("a", NodeState::Up), node("b", NodeState::Up)]);
    for _ in 0..3 {
        site.turn("a", NodeState::Down(Cause::Silent));
        site.turn("b", NodeState::Down(Cause::Reset));
    }
    let seqs = |query: &str| -> Vec<u64> {
        let answer = site.get(&format!("/api/v1/events{query}")).json();
        let events = answer["events"].as_array().unwrap().clone();
        events
            .iter()
            .map(|event| event["seq"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(seqs(""), [101, 102, 103, 104, 105, 106]);
    assert_eq!(seqs("?node=a"), [101, 103, 105]);
    assert_eq!(seqs("?after=104"), [105, 106]);
    assert_eq!(seqs("?limit=1&node=b"), [106]);
    assert_eq!(seqs("?since=2999-01-01T00:00:00Z"), [0_u64; 0]);
    assert_eq!(seqs("?limit=0"), [0_u64; 0]);
}

#[test]
fn what_was_told_before_comes_from_the_journal_and_what_is_new_after_it() {
    let nodes = many(20);
    let folder = crate::figures::journal(&nodes);
    let path = folder.path().join("journal.db");
    let site = Site::start(nodes, "127.0.0.1:0", None, Some(path));
    site.turn("web000.example.org", NodeState::Down(Cause::Silent));
    let document = site.get("/api/v1/openapi.json").json();
    let answer = site.get("/api/v1/events?node=web000.example.org").json();
    fits(&document, "Events", &answer);
    let told: Vec<_> = answer["events"].as_array().unwrap().iter().collect();
    assert_eq!(told.len(), 2);
    assert_eq!(
        (&told[0]["seq"], &told[0]["cause"]),
        (&json!(50), &json!("refused"))
    );
    assert_eq!(
        (&told[1]["seq"], &told[1]["cause"]),
        (&json!(101), &json!("silent"))
    );
    let detail = site.get("/api/v1/nodes/web000.example.org").json();
    fits(&document, "NodeDetail", &detail);
    assert!(detail["availability"].as_f64().unwrap() > 0.9);
    let page = site.get("/node/web000.example.org");
    for said in [
        "nothing listens on the port; 1.2 s after its last sign of life",
        "% in 90 days",
        "Two days by the hour",
    ] {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
    let list = site.get("/");
    assert_eq!(list.text().matches("% in 90 days").count(), 20);
}

#[test]
fn a_journal_that_hangs_holds_up_a_few_and_the_rest_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    // Whoever opens it to read waits until somebody opens it to write, which is never.
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let site = Site::start(many(3), "127.0.0.1:0", None, Some(path));
    let document = site.get("/api/v1/openapi.json").json();
    let address = site.address;
    let ask = move || get(address, "/api/v1/events").status;
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..24).map(|_| scope.spawn(ask)).collect();
        for one in asking {
            assert_eq!(one.join().unwrap(), 503);
        }
    });
    // Nobody waits any more, and those that hang have not let go: many who ask now do not wait at all.
    for _ in 0..20 {
        let late = site.get("/api/v1/events");
        assert_eq!((late.status, late.header("retry-after")), (503, Some("10")));
        fits(&document, "Problem", &late.json());
    }
    assert_eq!(site.get("/api/v1/nodes/web000.example.org").status, 503);
    let page = site.get("/node/web000.example.org");
    assert_eq!(page.status, 503);
    assert!(page.text().contains("journal does not answer"));
    assert_eq!(site.get("/").status, 200);
    assert_eq!(site.get("/node/nobody").status, 404);
}

#[test]
fn a_node_of_any_name_is_found() {
    let long = "x".repeat(1_000);
    let names: Vec<&str> = HOSTILE.into_iter().chain([long.as_str(), "büro"]).collect();
    let nodes = names.iter().map(|name| node(name, NodeState::Up)).collect();
    let site = Site::open(nodes);
    for name in names {
        let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC);
        let detail = site.get(&format!("/api/v1/nodes/{encoded}"));
        assert_eq!(detail.json()["node"], name);
        assert_eq!(site.get(&format!("/node/{encoded}")).status, 200, "{name}");
        let badge = site.get(&format!("/badge/{encoded}.svg"));
        assert_eq!(badge.header("content-type"), Some("image/svg+xml"));
        assert!(
            !badge.text().contains("<img") && !badge.text().contains("<script"),
            "{name}"
        );
    }
}

#[test]
fn who_judges_no_more_or_hears_nobody_is_not_healthy() {
    let site = Site::open(many(3));
    site.sample(1);
    assert_eq!(site.get("/healthz").status, 200);
    let isolated = |over| {
        heartline_watch::Told::Watcher(heartline_watch::told::WatcherTold {
            t: jiff::Timestamp::now(),
            cause: Cause::WatcherIsolated,
            over,
            lost_ms: None,
        })
    };
    site.board.note(isolated(false), None);
    let answer = site.get("/healthz");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["isolated"], true);
    assert!(answer.json()["why"].as_str().unwrap().contains("cut off"));
    assert!(!site.get("/").text().contains("role=\"alert\" hidden"));
    site.board.note(isolated(true), None);
    assert_eq!(site.get("/healthz").status, 200);
}

#[tokio::test]
async fn the_client_reads_and_orders_by_the_socket() {
    let site = Site::open(many(5));
    let nodes = client::get_nodes(&site.socket).await.unwrap();
    assert_eq!(nodes.len(), 5);
    let pause = Request::Pause {
        nodes: vec!["web000.example.org".to_owned()],
        for_ms: Some(60_000),
    };
    let redial = Request::Redial { nodes: Vec::new() };
    for request in [&pause, &redial] {
        assert_eq!(client::order(&site.socket, request).await.unwrap().len(), 5);
    }
    assert_eq!(*site.wished.lock().unwrap(), [pause, redial]);
    let nobody = site.socket.with_file_name("nobody.sock");
    assert!(client::get_nodes(&nobody).await.is_none());
    assert!(client::order(&nobody, &Request::Status).await.is_err());
}
