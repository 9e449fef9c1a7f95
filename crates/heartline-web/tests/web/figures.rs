//! What it costs: printed by `cargo test --release -p heartline-web --test web -- --ignored --nocapture figures`.

use std::path::Path;
use std::time::{Duration, Instant};

use heartline_core::{Cause, NodeState};
use heartline_journal::{Journal, Place, Settings};
use heartline_watch::NodeBrief;
use heartline_web::client::{Events, Happening};
use rusqlite::{Connection, params};
use tempfile::TempDir;

use crate::site::{Site, many};

/// A journal of ninety days of these nodes, a few of them not so well.
pub(crate) fn journal(nodes: &[NodeBrief]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let place = Place::take(&path).unwrap();
    drop(Journal::open(Some(place), Settings::default()));
    let mut connection = Connection::open(&path).unwrap();
    let filling = connection.transaction().unwrap();
    let now = jiff::Timestamp::now().as_second();
    let mut random = fastrand::Rng::with_seed(7);
    for (at, brief) in nodes.iter().enumerate() {
        for (id, line) in [(at * 2 + 1, ""), (at * 2 + 2, "10.0.0.1")] {
            filling
                .execute(
                    "INSERT INTO subject VALUES (?1, ?2, ?3)",
                    params![id, &*brief.node, line],
                )
                .unwrap();
            let first = if at % 13 == 5 { 40 } else { 0 };
            for ago in first..90 {
                let ms = 86_400_000_i64;
                let down = match random.u32(..if at % 9 == 0 { 30 } else { 400 }) {
                    0 => 7_500_000,
                    1 => 240_000,
                    _ => 0,
                };
                filling
                    .execute(
                        "INSERT INTO uptime VALUES (?1, ?2, ?3, 0, 0, ?4, 0, 0)",
                        params![id, now.div_euclid(86_400) - (89 - ago), ms - down, down],
                    )
                    .unwrap();
            }
        }
        for hour in 0..48 {
            let mean = 900 + random.i64(0..300) + 200 * (hour % 24 / 8);
            filling
                .execute(
                    "INSERT INTO round_trip VALUES (3600, ?1, ?2, 720, ?3, ?4, ?5)",
                    params![
                        now - 3_600 * (47 - hour),
                        at * 2 + 2,
                        mean * 720,
                        mean - 200,
                        mean + random.i64(0..2_000)
                    ],
                )
                .unwrap();
        }
    }
    let first = &nodes[0].node;
    let day_ago = (now - 86_400) * 1_000;
    let json = format!(
        "{{\"event\":\"node\",\"t\":\"{}\",\"node\":\"{first}\",\"from\":\"up\",\"to\":\"down\",\"cause\":\"refused\",\"after_ms\":1234}}",
        jiff::Timestamp::from_millisecond(day_ago).unwrap()
    );
    filling
        .execute(
            "INSERT INTO event VALUES (50, ?1, 'node', ?2, NULL, 'down', 'refused', 1, ?3)",
            params![day_ago, &**first, json],
        )
        .unwrap();
    filling.commit().unwrap();
    folder
}

/// Processor time of the thread of the page so far.
fn cpu() -> Duration {
    let mut ticks = 0;
    for task in Path::new("/proc/self/task").read_dir().unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else {
            continue;
        };
        let (name, rest) = stat.rsplit_once(')').unwrap();
        if name.ends_with("(heartline-web") {
            let fields: Vec<_> = rest.split_whitespace().collect();
            ticks += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
    }
    Duration::from_millis(ticks * 10)
}

fn median(mut all: Vec<Duration>) -> (Duration, Duration) {
    all.sort();
    (all[all.len() / 2], all[all.len() - 1])
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures; run it in a release build on a machine that does nothing else"]
async fn figures() {
    let nodes = many(1_000);
    let folder = journal(&nodes);
    let site = Site::start(
        nodes.clone(),
        "127.0.0.1:0",
        None,
        Some(folder.path().join("journal.db")),
    );
    site.sample(60);
    tokio::time::sleep(Duration::from_secs(1)).await;

    let mut loads = Vec::new();
    let mut bytes = 0;
    for _ in 0..50 {
        let begun = Instant::now();
        bytes = ["/", "/app.css", "/app.js", "/icon.svg?up"]
            .iter()
            .map(|path| {
                site.send(&format!(
                    "GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"
                ))
                .body
                .len()
            })
            .sum();
        loads.push(begun.elapsed());
    }
    let (usual, longest) = median(loads);
    println!(
        "first load, 1000 nodes, 90 days: {bytes} bytes (wanted: < 100000), {usual:?}, at most {longest:?} (wanted: < 200 ms)"
    );

    let mut events = Events::open(&site.socket, None).await.unwrap();
    let mut took = Vec::new();
    for at in 0..500 {
        let name = &nodes[at % 1_000].node;
        let begun = Instant::now();
        site.turn(name, NodeState::Down(Cause::Silent));
        while !matches!(events.next().await, Some(Happening::Told(_))) {}
        took.push(begun.elapsed());
    }
    let (usual, longest) = median(took);
    println!("from an event to whoever listens: {usual:?}, at most {longest:?} (wanted: < 100 ms)");

    // A page that is open, numbers every 5 s, a change a second, and a scrape every 15 s: what an ordinary day costs.
    let live = open_page(&site);
    let before = cpu();
    let begun = Instant::now();
    for (second, brief) in nodes.iter().enumerate().take(30) {
        site.turn(
            &brief.node,
            if second % 2 == 0 {
                NodeState::Up
            } else {
                NodeState::Down(Cause::Silent)
            },
        );
        if second % 5 == 0 {
            site.sample(1);
        }
        if second % 15 == 0 {
            let answer = site.get("/metrics");
            println!("a scrape: {} bytes", answer.body.len());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let share = cpu().saturating_sub(before).as_secs_f64() / begun.elapsed().as_secs_f64();
    println!(
        "one page open, 1000 nodes, an event a second: {:.3} % of a core",
        share * 100.0
    );
    drop(live);
}

/// A page that is open, as far as the server sees it.
fn open_page(site: &Site) -> std::thread::JoinHandle<()> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(site.address).unwrap();
    stream
        .write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while matches!(stream.read(&mut buffer), Ok(1..)) {}
    })
}
