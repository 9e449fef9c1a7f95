//! The sign of life that a watcher gives of itself.

mod watching;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{End, Fault, Lab};
use watching::{Watch, config_file, until};

/// Answers whoever asks; how often that was.
fn count(listener: TcpListener) -> Arc<AtomicUsize> {
    let asked = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 2_048];
            let length = stream.read(&mut head).unwrap_or_default();
            let is_it = head
                .get(..length)
                .unwrap_or_default()
                .starts_with(b"GET /ping/4711 ");
            count.fetch_add(usize::from(is_it), Ordering::Relaxed);
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        }
    });
    asked
}

#[test]
fn it_is_given_while_the_watcher_is_well_and_not_while_it_is_cut_off() -> Result<()> {
    let Some(lab) = Lab::or_skip("heartbeat") else {
        return Ok(());
    };
    let (db1, db2) = (lab.node("db1")?, lab.node("db2")?);
    let cables = [lab.cable(&db1)?, lab.cable(&db2)?];
    let listener = lab.watcher().enter(|| TcpListener::bind("127.0.0.1:0"))??;
    let url = format!("http://{}/ping/4711", listener.local_addr()?);
    let asked = count(listener);
    let file = lab.dir().join("alive");
    let text = format!(
        "[defaults]\ninterval = \"1s\"\n[heartbeat]\nfile = {file:?}\nurl = {url:?}\ninterval = \"5s\"\n[[node]]\nname = \"db1\"\n[[node]]\nname = \"db2\"\n"
    );
    fs::write(config_file(&lab), text)?;
    let mut watch = Watch::start(&lab, "")?;
    watch.node("db1", "up")?;
    watch.node("db2", "up")?;
    let given = || fs::read_to_string(&file).unwrap_or_default();
    until("it is given", || Ok(!given().is_empty()))?;
    let first = given();
    until("it is given again", || Ok(given() != first))?;
    until("the address is asked", || {
        Ok(asked.load(Ordering::Relaxed) >= 2)
    })?;

    for cable in &cables {
        cable.inject(Fault::LinkDown(End::Watcher))?;
    }
    watch.until("it is cut off", |told| {
        told.text("cause") == "watcher_isolated"
    })?;
    // What was said before the cut may still be on its way.
    sleep(Duration::from_secs(2));
    let last = given();
    sleep(Duration::from_secs(12));
    ensure!(
        given() == last,
        "given though it is cut off: {last} {}",
        given()
    );
    for cable in &cables {
        cable.heal()?;
    }
    until("it is given again", || Ok(given() != last))?;
    watch.running().terminate()?;
    assert_eq!(watch.ended()?.status.code(), Some(0));
    Ok(())
}
