//! `probe` on real cables: what it says of each layer and of who answers, and after how long a silence a NAT forgets.

mod watching;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{
    Direction, Fault, Finished, Lab, Line, Nat, Node, NodeSpec, Router, Running, Signal, Stranger,
};
use serde_json::Value;
use watching::{CEILING, heartline, outcome, until};

/// Beyond what a search here takes.
const LONG: Duration = Duration::from_mins(3);
const MEMORY: Duration = Duration::from_secs(8);

fn start(lab: &Lab, words: &str) -> Result<Running> {
    let mut command = heartline(lab, lab.watcher());
    command.args(["probe", "-F"]).arg(lab.ssh_config());
    command.args(words.split(' '));
    Running::spawn(command)
}

fn probed(lab: &Lab, words: &str) -> Result<(Finished, Value)> {
    let ended = start(lab, &format!("db1 --json {words}"))?.finish(LONG)?;
    let told = serde_json::from_str(ended.stdout.trim()).with_context(|| format!("{ended:?}"))?;
    Ok((ended, told))
}

fn number(of: &Value) -> Result<f64> {
    of.as_f64().with_context(|| format!("{of} is no number"))
}

/// A node behind a router that forgets after eight seconds.
fn behind_a_nat(lab: &Lab, stranger: Stranger) -> Result<(Node, Router)> {
    let node = lab.node("db1")?;
    let router = lab.router("r1")?;
    lab.cable_through(&router, &node)?;
    router.masquerade(Nat {
        forgets_after: MEMORY,
        takes_up_again: false,
        stranger,
    })?;
    Ok((node, router))
}

/// Eight seconds, to the second.
fn is_right(told: &Value) -> Result<()> {
    let idle = &told["idle"];
    assert_eq!(idle["finding"], "forgets", "{told:#}");
    let (survived, died) = (number(&idle["survived_ms"])?, number(&idle["died_ms"])?);
    ensure!(
        (7_000.0..=8_500.0).contains(&survived) && (7_900.0..=9_000.0).contains(&died),
        "{told:#}"
    );
    ensure!(died - survived <= 1_000.0, "{told:#}");
    let limit = number(&idle["limit_ms"])?;
    ensure!((7_000.0..=9_000.0).contains(&limit), "{told:#}");
    let setting = &told["recommended"];
    assert_eq!(setting["server_alive_interval_s"], 4, "{told:#}");
    Ok(())
}

/// Nothing is left of what was begun there.
fn leaves_nothing(node: &Node) -> Result<()> {
    until("nothing is left on the node", || {
        Ok(node.sessions().is_empty() && node.user_processes().is_empty())
    })
}

#[test]
fn a_plain_cable_shows_three_layers_and_who_answers() -> Result<()> {
    let Some(lab) = Lab::or_skip("probe_layers") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    lab.cable(&node)?;
    let (ended, told) = probed(&lab, "--samples 30")?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let ident = told["peer"]["ident"].as_str().context("ident")?;
    ensure!(ident.starts_with("SSH-2.0-OpenSSH"), "{ident}");
    for field in ["kex", "cipher"] {
        ensure!(
            told["peer"][field]
                .as_str()
                .is_some_and(|it| !it.is_empty())
        );
    }
    let layers = told["layers"].as_array().context("layers")?;
    let named: Vec<_> = layers
        .iter()
        .map(|row| (row["layer"].as_str(), row["of"].as_str(), row["n"].as_u64()))
        .collect();
    let row = |layer, of, n| (Some(layer), Some(of), Some(n));
    assert_eq!(
        named,
        [
            row("tcp", "connect", 1),
            row("tcp", "smoothed", 30),
            row("ssh", "beat", 30),
            row("shell", "echo", 30)
        ]
    );
    for layer in layers {
        let spread =
            ["min_ms", "p50_ms", "p90_ms", "p99_ms", "max_ms"].map(|it| number(&layer[it]));
        let spread = spread.into_iter().collect::<Result<Vec<_>>>()?;
        ensure!(spread.is_sorted() && spread[0] > 0.0, "{layer}");
        ensure!(spread[1] < 1_000.0, "{layer}");
    }
    assert_eq!(told["guard"]["state"], "holds", "{told:#}");
    assert_eq!(told["unasked"]["count"], 0, "{told:#}");
    ensure!(told["idle"].is_null() && told["recommended"].is_null());
    assert_eq!(node.logins()?, 1);
    leaves_nothing(&node)?;

    let ended = outcome(&lab, "probe db1 --samples 3 --listen 100ms")?;
    assert_eq!((ended.code(), &*ended.stderr), (Some(0), ""), "{ended:?}");
    for says in [
        "SSH-2.0-OpenSSH",
        "cipher",
        "P99",
        "a beat",
        "a line through cat",
        "guard: possible",
    ] {
        ensure!(ended.stdout.contains(says), "{says}: {}", ended.stdout);
    }
    let ended = outcome(&lab, "probe db1 --samples 3 --listen 0 --fuse 0 --json")?;
    let told: Value = serde_json::from_str(ended.stdout.trim())?;
    assert_eq!(told["guard"]["state"], "not_asked", "nothing is run");
    ensure!(told["shell"]["why"].is_string());
    let channels = node.log()?.matches("Starting session: ").count();
    assert_eq!(channels, 4, "cat and a guard, twice");
    Ok(())
}

#[test]
fn what_the_server_sends_and_closes_by_itself_is_seen() -> Result<()> {
    let Some(lab) = Lab::or_skip("probe_unasked") else {
        return Ok(());
    };
    let config = "ClientAliveInterval 1\nChannelTimeout session:*=4";
    let node = lab.node_with(&NodeSpec::new("db1").config(config))?;
    lab.cable(&node)?;
    let (ended, told) = probed(&lab, "--samples 3 --listen 10s")?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let unasked = &told["unasked"];
    ensure!(number(&unasked["count"])? >= 3.0, "{told:#}");
    // From OpenSSH 9.2 to 9.4 it takes twice as long (facts/keepalive.md, section 2).
    let every = number(&unasked["every_ms"])?;
    ensure!((700.0..=2_500.0).contains(&every), "{told:#}");
    let closed = number(&unasked["channel_closed_ms"])?;
    ensure!((2_000.0..=6_000.0).contains(&closed), "{told:#}");
    leaves_nothing(&node)
}

#[test]
fn a_nat_that_forgets_after_eight_seconds_is_found() -> Result<()> {
    let Some(lab) = Lab::or_skip("probe_idle_dropped") else {
        return Ok(());
    };
    let (node, _router) = behind_a_nat(&lab, Stranger::Dropped)?;
    let (ended, told) = probed(&lab, "--samples 5 --idle --at-most 1m")?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    is_right(&told)?;
    assert_eq!(told["idle"]["how"], "dropped", "{told:#}");
    ensure!(ended.stderr.contains("left"), "progress: {}", ended.stderr);
    assert_eq!(told["idle"]["left_there"], 0, "{ended:?}");
    let config = told["recommended"]["ssh_config"]
        .as_str()
        .context("ssh_config")?;
    assert_eq!(
        config,
        "Host db1\n    ServerAliveInterval 4\n    ServerAliveCountMax 3\n    TCPKeepAlive no"
    );
    // Nobody had told its sshd of those that were forgotten.
    leaves_nothing(&node)
}

#[test]
fn a_firewall_that_resets_what_it_has_forgotten_is_found() -> Result<()> {
    let Some(lab) = Lab::or_skip("probe_idle_reset") else {
        return Ok(());
    };
    let (node, router) = behind_a_nat(&lab, Stranger::Reset)?;
    let mut rule = router.host().command("nft");
    rule.args(
        "insert rule inet nat through ct state invalid meta l4proto tcp reject with tcp reset"
            .split(' '),
    );
    let done = Running::spawn(rule)?.finish(CEILING)?;
    assert_eq!(done.code(), Some(0), "{done:?}");
    let ended = start(&lab, "db1 --samples 5 --idle --at-most 1m")?.finish(LONG)?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    for says in [
        "idle: forgets after about 8",
        "reset when it is used again",
        "    ServerAliveInterval 4\n",
        "heartline keep db1 --keep-alive 4s",
    ] {
        ensure!(ended.stdout.contains(says), "{says}: {ended:?}");
    }
    leaves_nothing(&node)
}

#[test]
fn nothing_forgets_on_a_plain_cable() -> Result<()> {
    let Some(lab) = Lab::or_skip("probe_idle_nothing") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    lab.cable(&node)?;
    let begun = Instant::now();
    let ended =
        start(&lab, "db1 --samples 5 --idle --at-most 12s --connections 3")?.finish(LONG)?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    ensure!(begun.elapsed() >= Duration::from_secs(12));
    for says in [
        "idle: nothing forgets within 12 s\n",
        "    ServerAliveInterval 7\n",
        "3 silences tried, 3 logins",
    ] {
        ensure!(ended.stdout.contains(says), "{says}: {ended:?}");
    }
    assert_eq!(node.logins()?, 4, "and one for the layers");
    leaves_nothing(&node)
}

#[test]
fn a_server_that_closes_idle_connections_is_told_from_a_path_that_forgets() -> Result<()> {
    let Some(lab) = Lab::or_skip("probe_idle_closed") else {
        return Ok(());
    };
    let spec = NodeSpec::new("db1").config("UnusedConnectionTimeout 6");
    let node = lab.node_with(&spec)?;
    lab.cable(&node)?;
    let (ended, told) = probed(&lab, "--samples 3 --idle --at-most 30s")?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let idle = &told["idle"];
    assert_eq!(
        (idle["finding"].as_str(), idle["how"].as_str()),
        (Some("ends"), Some("closed")),
        "{told:#}"
    );
    let after = number(&idle["died_ms"])?;
    ensure!((5_000.0..=8_000.0).contains(&after), "{told:#}");
    assert_eq!(idle["beats_help"], false, "{told:#}");
    ensure!(told["recommended"].is_null(), "{told:#}");
    leaves_nothing(&node)
}

#[test]
fn a_server_that_speaks_by_itself_holds_its_connections_open() -> Result<()> {
    let Some(lab) = Lab::or_skip("probe_idle_held") else {
        return Ok(());
    };
    let node = lab.node_with(&NodeSpec::new("db1").config("ClientAliveInterval 1"))?;
    lab.cable(&node)?;
    let (ended, told) = probed(&lab, "--samples 3 --idle --at-most 1h")?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert_eq!(told["idle"]["finding"], "held_open", "{told:#}");
    let every = number(&told["idle"]["survived_ms"])?;
    ensure!((700.0..=4_000.0).contains(&every), "{told:#}");
    leaves_nothing(&node)
}

#[test]
fn a_path_that_is_down_is_not_taken_for_one_that_forgets() -> Result<()> {
    let Some(lab) = Lab::or_skip("probe_idle_down") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    let words =
        "db1 --samples 3 --listen 0 --idle --at-most 6s --connections 2 --connect-timeout 1s";
    let mut probing = start(&lab, words)?;
    probing.wait_for("a silence", CEILING, |line| {
        line.text.contains("silent for")
    })?;
    cable.inject(Fault::Silent(Direction::Both))?;
    let ended = probing.finish(LONG)?;
    assert_eq!(ended.code(), Some(3), "{ended:?}");
    ensure!(ended.stderr.contains("could not tell"), "{ended:?}");
    ensure!(!ended.stdout.contains("forgets"), "{ended:?}");

    let (ended, told) = probed(&lab, "--connect-timeout 1s")?;
    assert_eq!(ended.code(), Some(3), "{ended:?}");
    ensure!(told["why"].is_string() && told["layers"] == Value::Array(Vec::new()));
    ensure!(ended.stderr.contains("nothing was measured"), "{ended:?}");
    Ok(())
}

/// An outage just when they are asked: they are asked again once a new connection can be made.
#[test]
fn an_outage_is_not_taken_for_a_path_that_forgets() -> Result<()> {
    let Some(lab) = Lab::or_skip("probe_idle_outage") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    let words = "db1 --samples 3 --listen 0 --idle --at-most 6s --connections 2";
    let mut probing = start(&lab, words)?;
    let says = |words: &'static str| move |line: &Line| line.text.contains(words);
    probing.wait_for("one that answers", CEILING, says("after 3 s: answered"))?;
    cable.inject(Fault::Silent(Direction::Both))?;
    probing.wait_for("one that does not", CEILING, says("no answer"))?;
    cable.heal()?;
    let ended = probing.finish(LONG)?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    for says in ["nothing forgets within 6 s", "2 silences tried"] {
        ensure!(ended.stdout.contains(says), "{says}: {ended:?}");
    }
    leaves_nothing(&node)
}

/// Interrupted between two rounds or within one: its sessions do not stay on the node.
#[test]
fn an_interrupted_search_leaves_nothing() -> Result<()> {
    let Some(lab) = Lab::or_skip("probe_interrupted") else {
        return Ok(());
    };
    let (node, _router) = behind_a_nat(&lab, Stranger::Dropped)?;
    let words = "db1 --samples 3 --listen 0 --idle --at-most 1m --connections 4";
    let mut probing = start(&lab, words)?;
    // Two of them are forgotten then.
    probing.wait_for("an answer", CEILING, |line| {
        line.text.contains("after 9.9 s: no answer")
    })?;
    probing.signal(Signal::SIGTERM)?;
    let ended = probing.finish(CEILING)?;
    assert_eq!(ended.code(), Some(128 + 15), "{ended:?}");
    leaves_nothing(&node)
}

/// The jump host's own connection keeps its beats, so a NAT before it is not in the way; what is measured lies behind it.
#[test]
fn through_a_jump_host_it_is_the_way_from_there_on() -> Result<()> {
    let Some(lab) = Lab::or_skip("probe_jump") else {
        return Ok(());
    };
    let (gate, node) = (lab.node("gate")?, lab.node("db1")?);
    let router = lab.router("r1")?;
    lab.cable_through(&router, &gate)?;
    lab.cable_from(gate.host(), &node)?;
    router.masquerade(Nat {
        forgets_after: MEMORY,
        takes_up_again: false,
        stranger: Stranger::Dropped,
    })?;
    let words = "-J gate --interval 2s --samples 3 --idle --at-most 12s --connections 3";
    let (ended, told) = probed(&lab, words)?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert_eq!(told["idle"]["finding"], "nothing_forgets", "{told:#}");
    let layers = told["layers"].as_array().context("layers")?;
    let named: Vec<_> = layers.iter().map(|row| row["layer"].as_str()).collect();
    assert_eq!(named, [Some("ssh"), Some("shell")], "no TCP of ours");
    // Whoever leaves it last says goodbye there too, between the layers and the search.
    assert_eq!((gate.logins()?, node.logins()?), (2, 4));
    leaves_nothing(&node)
}
