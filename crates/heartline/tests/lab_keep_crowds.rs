//! `keep` and many at once: who reads nothing, a thousand together, ten thousand one after another.

mod keeping;
mod watching;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use keeping::{Echo, TIMING, answers, connect, expect, place, standing};
use watching::{CEILING, Watch};

/// Its own connection waits; whoever else uses the tunnel does not, nor do the beats.
#[test]
fn who_reads_nothing_stops_nobody_else() -> Result<()> {
    let Some((lab, node, _cable)) = place("reads_nothing")? else {
        return Ok(());
    };
    let there = Echo::on(node.host(), "there ")?;
    let floods = node.host().enter(|| TcpListener::bind("127.0.0.1:0"))??;
    let port = floods.local_addr()?.port();
    thread::spawn(move || {
        for mut stream in floods.incoming().flatten() {
            thread::spawn(move || while stream.write_all(&[7; 8 * 1024]).is_ok() {});
        }
    });
    let words = format!(
        "{TIMING} -L 7001:localhost:{} -L 7002:localhost:{port}",
        there.port
    );
    let mut held = standing(&lab, "db1", &words, 2)?;
    let mut never_read: Vec<_> = (0..10)
        .map(|_| connect(lab.watcher(), 7002))
        .collect::<Result<_>>()?;
    for _ in 0..30 {
        answers(&mut connect(lab.watcher(), 7001)?, "there ")?;
        thread::sleep(Duration::from_millis(100));
    }
    let told = held.told()?;
    ensure!(
        !told.iter().any(|told| told.is("node", "db1", "down")),
        "{told:?}"
    );
    let resident = resident_kb(&held)?;
    println!("{resident} KiB with ten connections that nobody reads");
    // Each may have a window of 2 MiB and half a backlog on its way.
    ensure!(resident < 100_000, "{resident} KiB");
    // Once it is read, it comes.
    let mut first = never_read.remove(0);
    let mut bytes = vec![0; 64 * 1024];
    let mut got = 0;
    while got < 20_000_000 {
        got += first.read(&mut bytes)?;
    }
    Ok(())
}

fn resident_kb(held: &Watch) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", held.running().pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line
        .context("no VmRSS")?
        .trim()
        .trim_end_matches("kB")
        .trim();
    Ok(number.parse()?)
}

#[test]
fn a_thousand_connections_at_once() -> Result<()> {
    let Some((lab, node, _cable)) = place("a_thousand_connections")? else {
        return Ok(());
    };
    let there = Echo::on(node.host(), "there ")?;
    let words = format!(
        "--interval 500ms --count 5 -L 7001:localhost:{}",
        there.port
    );
    let _held = standing(&lab, "db1", &words, 1)?;
    let mut all = (0..1_000)
        .map(|_| connect(lab.watcher(), 7001))
        .collect::<Result<Vec<_>>>()?;
    for stream in &mut all {
        expect(stream, b"there ")?;
    }
    for (number, stream) in all.iter_mut().enumerate() {
        stream.write_all(format!("{number:>6}").as_bytes())?;
    }
    for (number, stream) in all.iter_mut().enumerate() {
        expect(stream, format!("{number:>6}").as_bytes())?;
    }
    assert_eq!(there.taken(), 1_000);
    Ok(())
}

/// More than may be carried at once: the others wait for those to end, and everybody is served.
#[test]
fn ten_thousand_connections_at_once_are_served_one_after_another() -> Result<()> {
    let Some((lab, node, _cable)) = place("ten_thousand")? else {
        return Ok(());
    };
    let there = Echo::on(node.host(), "there ")?;
    let words = format!(
        "--interval 1s --count 5 --max-connections 300 --hold 60s -L 7001:localhost:{}",
        there.port
    );
    let mut held = standing(&lab, "db1", &words, 1)?;
    let served: usize = thread::scope(|scope| {
        let crowds = (0..20).map(|_| {
            scope.spawn(|| {
                let mut served = 0;
                // Fifty at once, ten times: a thousand are in the queue at any time.
                for _ in 0..10 {
                    let all: Vec<_> = (0..50).map(|_| connect(lab.watcher(), 7001)).collect();
                    for stream in all {
                        let mut stream = stream?;
                        stream.set_read_timeout(Some(CEILING * 2))?;
                        expect(&mut stream, b"there ")?;
                        served += 1;
                    }
                }
                Ok::<_, anyhow::Error>(served)
            })
        });
        let crowds: Vec<_> = crowds.collect();
        let served = crowds
            .into_iter()
            .map(|crowd| crowd.join().map_err(|_| anyhow::anyhow!("panicked"))?);
        served.sum::<Result<usize>>()
    })?;
    assert_eq!(served, 10_000);
    let told = held.told()?;
    ensure!(
        !told.iter().any(|told| told.is("node", "db1", "down")),
        "{told:?}"
    );
    println!("{} KiB", resident_kb(&held)?);
    Ok(())
}
