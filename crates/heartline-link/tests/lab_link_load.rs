//! Many ways, many events, and none: what is told then, and what it costs.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that finds something else than it needs has failed"
)]

mod told;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use heartline_link::{OurSide, Way};
use lab::{End, Fault, Lab, Running};
use tokio::task::spawn_blocking;

use told::{CEILING, Told, ip, on, way, ways};

#[test]
fn when_nothing_happens_nothing_is_done() {
    let Some(lab) = Lab::or_skip("when_nothing_happens") else {
        return;
    };
    let node = lab.node("node").unwrap();
    let cable = lab.cable(&node).unwrap();
    on(lab.watcher(), async move || {
        let mut told = Told::start().await;
        told.follow(&ways(&cable)).await;
        // IPv6 has its own to do on a fresh cable; a quiet second must come.
        let begun = Instant::now();
        loop {
            let before = sleeps();
            tokio::time::sleep(Duration::from_secs(1)).await;
            let woken = sleeps() - before;
            println!("woken {woken} times in a second");
            if woken <= 2 {
                break;
            }
            assert!(begun.elapsed() < CEILING, "never quiet");
        }
    });
}

#[test]
fn a_carrier_gets_through_a_storm() {
    let Some(lab) = Lab::or_skip("a_carrier_gets_through_a_storm") else {
        return;
    };
    let node = lab.node("node").unwrap();
    let cable = lab.cable(&node).unwrap();
    let here = lab.watcher().namespace().to_owned();
    ip(&format!("-n {here} link add s0 type veth peer name s1"));
    batch(
        &here,
        "link set s0 up\nlink set s1 up\naddr add 198.18.0.1/32 dev s0\n",
    );
    on(lab.watcher(), async move || {
        let mut told = Told::start().await;
        told.follow(&ways(&cable)).await;
        let far: Vec<_> = (1..=255u8)
            .map(|n| Ipv4Addr::new(172, 16, n, 7).into())
            .collect();
        let far: Vec<_> = far.into_iter().map(|peer| way(peer, None, None)).collect();
        told.follow(&far).await;
        let routes = |verb: &str| {
            let line = |lines: &mut String, n: u16| {
                let [high, low] = n.to_be_bytes();
                let _ = writeln!(lines, "route {verb} 172.16.{high}.{low}/32 dev s0");
            };
            let mut lines = String::new();
            (0..20_000).for_each(|n| line(&mut lines, n));
            lines
        };
        let flap = "link set s0 down\nlink set s0 up\n".repeat(3_000);
        let storms = [
            ("20 000 routes come", routes("add")),
            ("20 000 routes go", routes("del")),
            ("an interface flaps 3000 times", flap),
        ];
        for (what, lines) in storms {
            let (begun, used) = (Instant::now(), ticks().unwrap());
            let ns = here.clone();
            let storm = spawn_blocking(move || {
                batch(&ns, &lines);
                begun.elapsed()
            });
            tokio::time::sleep(Duration::from_millis(30)).await;
            let near = ways(&cable);
            let all = |sides: &HashMap<Way, OurSide>, wanted| {
                near.iter().all(|way| sides[way].carrier == wanted)
            };
            let (cut, heal) = (cable.clone(), cable.clone());
            let down = Fault::LinkDown(End::Node);
            let during = format!("{what}: cut");
            told.after(
                &during,
                move || cut.inject(down).unwrap(),
                |s| all(s, false),
            )
            .await;
            let was_on = !storm.is_finished();
            told.after("  healed", move || heal.heal().unwrap(), |s| all(s, true))
                .await;
            let took = storm.await.unwrap();
            let used = (ticks().unwrap() - used) * 10;
            println!("{what}: took {took:?} (on at the cut: {was_on}), we used {used} ms");
            let come = what.ends_with("come");
            let truth = |sides: &HashMap<Way, OurSide>| {
                let routed = |way: &&Way| sides[*way].route;
                // 20 000 routes end at 172.16.78.31.
                far.iter().filter(routed).count() == if come { 78 } else { 0 }
            };
            told.until(what, truth).await;
            println!(
                "{what}: the truth {:?} after its end",
                begun.elapsed().saturating_sub(took)
            );
        }
    });
}

#[test]
fn thousands_of_ways() {
    let Some(lab) = Lab::or_skip("thousands_of_ways") else {
        return;
    };
    let node = lab.node("node").unwrap();
    let cable = lab.cable(&node).unwrap();
    on(lab.watcher(), async move || {
        let mut told = Told::start().await;
        let all: Vec<_> = (2..5_002u16)
            .map(|n| match cable.v6() {
                Some(_) => Ipv6Addr::new(0xfd77, 0, 0, 1, 0, 0, 1, n).into(),
                None => Ipv4Addr::from_bits(cable.v4().to_bits() + u32::from(n)).into(),
            })
            .map(|peer| way(peer, None, None))
            .collect();
        told.follow(&all).await;
        let (cut, heal) = (cable.clone(), cable.clone());
        let down = Fault::LinkDown(End::Node);
        told.after(
            "5000 cut",
            move || cut.inject(down).unwrap(),
            |sides| sides.values().all(|side| !side.carrier),
        )
        .await;
        told.after(
            "5000 healed",
            move || heal.heal().unwrap(),
            |sides| sides.values().all(OurSide::is_well),
        )
        .await;
        println!("told {} times", told.all.len());
        for way in &all {
            told.links.forget(way);
        }
        drop(told);
        let begun = Instant::now();
        while ticks().is_some() {
            assert!(begun.elapsed() < CEILING, "the thread lives on");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

/// Gives `ip` many lines.
fn batch(host: &str, lines: &str) {
    let mut command = Command::new("ip");
    command.args(["-n", host, "-force", "-batch", "-"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut running = Running::spawn(command).unwrap();
    running.write_stdin(lines).unwrap();
    running.close_stdin();
    running.finish(CEILING * 5).unwrap();
}

/// How often the thread that follows has slept.
fn sleeps() -> u64 {
    let status = follower("status").unwrap();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

/// What the kernel tells in this file of the thread that follows.
fn follower(file: &str) -> Option<String> {
    let network = |task: &Path| std::fs::read_link(task.join("ns/net")).unwrap_or_default();
    let here = network(Path::new("/proc/thread-self"));
    let read = |task: &Path, file| std::fs::read_to_string(task.join(file));
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    // Other tests may run in this process, on machines of their own.
    let mut tasks = tasks.map(|task| task.path()).filter(|task| {
        let name = read(task, "comm").unwrap_or_default();
        name == "heartline-link\n" && network(task) == here
    });
    read(&tasks.next()?, file).ok()
}

/// What the thread that follows has used of a processor, in clock ticks.
fn ticks() -> Option<u64> {
    let stat = follower("stat")?;
    let (_, fields) = stat.split_once(") ")?;
    let fields: Vec<_> = fields.split(' ').collect();
    Some(fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap())
}
