//! Metrics, as a real Prometheus takes them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use heartline_core::{Cause, NodeState};
use lab::Running;
use serde_json::Value;

use crate::site::{HOSTILE, Site, TOKEN, many, node};

fn find(program: &str, test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut all = std::env::split_paths(&path).map(|folder| folder.join(program));
    let found = all.find(|path| path.is_file());
    if found.is_none() {
        lab::skipped(
            test,
            &format!("{program} is missing (Debian package prometheus)"),
        );
    }
    found
}

fn packaging(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../packaging")
        .join(file)
}

#[test]
fn metrics_say_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("none.db");
    let site = Site::start(many(100), "127.0.0.1:0", None, Some(journal));
    site.sample(2);
    site.turn("web000.example.org", NodeState::Down(Cause::SshdHung));
    let answer = site.get("/metrics");
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = answer.text();
    for line in [
        r#"heartline_node_state{node="web000.example.org",state="down"} 1"#,
        r#"heartline_node_state{node="web000.example.org",state="up"} 0"#,
        r#"heartline_node_cause{node="web000.example.org",cause="sshd_hung"} 1"#,
        r#"heartline_line_up{node="db001.example.org",line="10.0.0.1"} 1"#,
        r#"heartline_beats_answered_total{node="db001.example.org",line="10.0.0.1"} 2"#,
        r#"heartline_round_trip_seconds_bucket{le="0.01",node="db001.example.org",line="10.0.0.1"} 2"#,
        r#"heartline_round_trip_seconds_bucket{le="+Inf",node="db001.example.org",line="10.0.0.1"} 2"#,
        r#"heartline_dials_total{outcome="stood"} 7"#,
        r#"heartline_dials_total{outcome="refused"} 2"#,
        r#"heartline_events_total{kind="node"} 1"#,
        "heartline_watcher_isolated 0",
        "heartline_watcher_lag_seconds 0.003",
        "heartline_journal_ok 1",
        "heartline_journal_lost_total 3",
        r#"heartline_metrics_detail_info{round_trips_by="line"} 1"#,
        "# EOF",
    ] {
        let parts: Vec<_> = line.split(['{', ',', '}']).collect();
        let is_there = text.lines().any(|one| {
            one == line
                || parts.iter().all(|part| one.contains(part.trim()))
                    && one.rsplit(' ').next() == line.rsplit(' ').next()
        });
        assert!(is_there, "{line}:\n{}", &text[..4_000.min(text.len())]);
    }
}

#[test]
fn labels_stay_bounded_where_there_is_very_much() {
    let site = Site::open(many(2_100));
    site.sample(1);
    let text = site.get("/metrics").text().to_owned();
    assert!(text.contains(r#"heartline_metrics_detail_info{round_trips_by="watcher"} 1"#));
    assert_eq!(text.matches("heartline_round_trip_seconds_sum").count(), 1);
    assert_eq!(text.matches("heartline_node_state{").count(), 2_100);
}

#[test]
fn promtool_takes_the_rules_and_their_tests_pass() {
    let Some(promtool) = find("promtool", "promtool_takes_the_rules_and_their_tests_pass") else {
        return;
    };
    for (what, file) in [
        ("check", "heartline.rules.yml"),
        ("test", "heartline.rules.test.yml"),
    ] {
        let path = packaging("prometheus").join(file);
        let output = Command::new(&promtool)
            .args([what, "rules"])
            .arg(&path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
}

/// Asks the API of a Prometheus.
fn query(port: u16, path: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut all = String::new();
    stream.read_to_string(&mut all).ok()?;
    serde_json::from_str(all.split_once("\r\n\r\n")?.1).ok()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_mins(1), "never: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_real_prometheus_scrapes_it_and_alerts() {
    let Some(prometheus) = find("prometheus", "a_real_prometheus_scrapes_it_and_alerts") else {
        return;
    };
    let mut nodes = many(100);
    nodes.extend(HOSTILE.iter().map(|name| node(name, NodeState::Up)));
    let site = Site::start(nodes, "0.0.0.0:0", Some(TOKEN), None);
    site.sample(5);
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("prometheus.yml");
    let rules = packaging("prometheus/heartline.rules.yml");
    std::fs::write(folder.path().join("token"), TOKEN).unwrap();
    std::fs::write(
        &settings,
        format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: ['{}']\nscrape_configs:\n  - job_name: heartline\n    authorization: {{ credentials_file: token }}\n    static_configs: [{{ targets: ['{}'] }}]\n",
            rules.canonicalize().unwrap().display(),
            site.address
        ),
    )
    .unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut command = Command::new(prometheus);
    command
        .arg(format!("--config.file={}", settings.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.path().join("data").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let running = Running::spawn(command).unwrap();
    let value = |path: &str| {
        let result = query(port, &format!("/api/v1/query?query={path}"))?;
        result["data"]["result"][0]["value"][1]
            .as_str()
            .map(str::to_owned)
    };
    until("scraped", || {
        value("up%7Bjob=%22heartline%22%7D").as_deref() == Some("1")
    });
    until("all nodes", || {
        value("count(heartline_node_state%7Bstate=%22up%22%7D)").as_deref() == Some("108")
    });
    assert_eq!(
        value("heartline_node_state%7Bnode=%22cache017.example.org%22,state=%22down%22%7D")
            .as_deref(),
        Some("1")
    );
    assert!(
        value("histogram_quantile(0.5,sum(heartline_round_trip_seconds_bucket)by(le))").is_some()
    );
    assert_eq!(
        value("sum(heartline_beats_answered_total%7Bnode=%22web000.example.org%22%7D)").as_deref(),
        Some("5")
    );
    let names = query(port, "/api/v1/label/node/values").unwrap();
    for name in HOSTILE {
        assert!(
            names["data"]
                .as_array()
                .unwrap()
                .iter()
                .any(|found| found == name),
            "{name}: {names}"
        );
    }
    let targets = query(port, "/api/v1/targets").unwrap();
    assert_eq!(
        targets["data"]["activeTargets"][0]["lastError"], "",
        "{targets}"
    );
    until("an alert", || {
        let alerts = query(port, "/api/v1/alerts").unwrap_or_default();
        let all = alerts["data"]["alerts"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        all.iter().any(|alert| {
            alert["labels"]["alertname"] == "HeartlineNodeDown"
                && alert["labels"]["node"] == "cache017.example.org"
        })
    });
    drop(running);
}

#[test]
fn the_dashboard_asks_for_nothing_that_is_not_told() {
    let dashboard: Value =
        serde_json::from_slice(&std::fs::read(packaging("grafana/heartline.json")).unwrap())
            .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(
        many(100),
        "127.0.0.1:0",
        None,
        Some(folder.path().join("none.db")),
    );
    site.sample(2);
    site.turn("web000.example.org", NodeState::Down(Cause::Silent));
    let told = site.get("/metrics").text().to_owned();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut asked = 0;
    for panel in panels {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            for word in expression.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
                if word.starts_with("heartline_") {
                    assert!(
                        told.contains(&format!("\n{word}")),
                        "{word} in {expression}"
                    );
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 8, "{asked}");
}
