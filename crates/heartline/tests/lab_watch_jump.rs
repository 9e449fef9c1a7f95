//! Lines through a jump host, and through a proxy command.

mod watching;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Cable, Direction, Fault, Lab, Node, NodeSpec};
use watching::{Watch, config_file, go_first, until};

/// `--interval 400ms --count 1`.
const BOUND: Duration = Duration::from_millis(800);
const TIMING: &str = "--interval 400ms --count 1 --connect-timeout 2s --detector openssh";
const CUT: Fault = Fault::Silent(Direction::Both);

/// The watcher reaches only the jump host, `gate`; behind it are db1, by two cables, and db2.
struct Behind {
    to_gate: Cable,
    /// db1's two, then db2's.
    cables: [Cable; 3],
    gate: Node,
    db1: Node,
    db2: Node,
    lab: Lab,
}

impl Behind {
    fn or_skip(name: &str) -> Result<Option<Self>> {
        let Some(lab) = Lab::or_skip(name) else {
            return Ok(None);
        };
        go_first()?;
        let (gate, db1, db2) = (lab.node("gate")?, lab.node("db1")?, lab.node("db2")?);
        let to_gate = lab.cable(&gate)?;
        let to = |node: &Node| lab.cable_from(gate.host(), node);
        Ok(Some(Self {
            to_gate,
            cables: [to(&db1)?, to(&db1)?, to(&db2)?],
            gate,
            db1,
            db2,
            lab,
        }))
    }
}

#[test]
fn lines_through_a_jump_host_share_its_connection_and_its_fate() -> Result<()> {
    let Some(behind) = Behind::or_skip("lines_through_a_jump_host")? else {
        return Ok(());
    };
    let config = "[[node]]\nname = \"db1\"\nline = [\n\
                  { host = \"10.77.2.2\", jump = \"gate\", name = \"one\" },\n\
                  { host = \"10.77.3.2\", jump = \"gate\", name = \"two\" } ]\n\
                  [[node]]\nname = \"db2\"\nline = [{ host = \"10.77.4.2\", jump = \"gate\" }]\n";
    fs::write(config_file(&behind.lab), config)?;
    let mut watch = Watch::start(&behind.lab, TIMING)?;
    watch.line("db1", "one", "up")?;
    watch.line("db1", "two", "up")?;
    watch.line("db2", "10.77.4.2 via gate", "up")?;
    assert_eq!(behind.gate.logins()?, 1, "one connection for three lines");
    assert_eq!((behind.db1.logins()?, behind.db2.logins()?), (2, 1));

    // A cable behind the jump host is that line's alone, and the jump host is not suspected.
    watch.told_within(BOUND)?;
    watch.forget()?;
    let fault = behind.cables[0].inject(CUT)?;
    let down = watch.line("db1", "one", "down")?;
    down.is_at_bound(BOUND, fault)?;
    assert_eq!(down.text("cause"), "silent");
    watch.node("db1", "degraded")?;
    let of_jump = |told: &&watching::Told| told.text("cause") == "jump_down";
    ensure!(watch.told()?.iter().find(of_jump).is_none());
    behind.cables[0].heal()?;
    watch.node("db1", "up")?;
    assert_eq!(behind.gate.logins()?, 1, "the same connection still");

    // The jump host's own: what lies behind it is unknown, not down.
    watch.told_within(BOUND)?;
    watch.forget()?;
    let fault = behind.to_gate.inject(CUT)?;
    for (node, line) in [
        ("db1", "one"),
        ("db1", "two"),
        ("db2", "10.77.4.2 via gate"),
    ] {
        let down = watch.line(node, line, "down")?;
        assert_eq!(down.text("cause"), "jump_down", "{}", down.json);
        let waited = down.at - fault.begun;
        let allowed = BOUND + watching::GRACE + (fault.complete - fault.begun);
        ensure!(waited <= allowed, "{waited:?} of {allowed:?}");
    }
    watch.node_for("db1", "unknown", "jump_down")?;
    watch.node_for("db2", "unknown", "jump_down")?;
    let down = |told: &&watching::Told| told.text("event") == "node" && told.text("to") == "down";
    let told = watch.told_within(Duration::from_secs(5))?;
    ensure!(told.iter().find(down).is_none(), "{told:#?}");

    behind.to_gate.heal()?;
    watch.node("db1", "up")?;
    watch.node("db2", "up")?;
    assert_eq!(
        behind.gate.logins()?,
        2,
        "one new connection for three lines"
    );
    watch.running().terminate()?;
    assert_eq!(watch.ended()?.status.code(), Some(0));
    for node in [&behind.db1, &behind.db2, &behind.gate] {
        until("a clean end", || {
            Ok(node.log()?.contains(":11: disconnected by user"))
        })
        .with_context(|| node.name().to_owned())?;
    }
    Ok(())
}

/// Each time the jump host's session is ended by us, for want of use, and says nothing of the jump host.
#[test]
fn a_target_that_refuses_costs_its_jump_host_no_fuse() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_target_that_refuses") else {
        return Ok(());
    };
    let (gate, db1) = (lab.node("gate")?, lab.node("db1")?);
    lab.cable(&gate)?;
    lab.cable_from(gate.host(), &db1)?;
    // Where nothing listens.
    let words = format!("db1 --line 10.77.2.2,port=9,jump=gate {TIMING}");
    let mut watch = Watch::start(&lab, &words)?;
    watch.node_for("db1", "down", "refused")?;
    until("some dials", || Ok(gate.logins()? >= 5))?;
    watch.told_within(BOUND)?;
    let complaints = watch.complaints();
    ensure!(!complaints.contains("No fuse"), "{complaints}");
    let channels = |kind: &str| Ok::<_, anyhow::Error>(gate.log()?.matches(kind).count());
    ensure!(channels("ctype direct-tcpip")? >= 5);
    let guards = channels("ctype session")?;
    assert_eq!(guards, 0, "guards of sessions that are of no use");
    Ok(())
}

/// As a switch does: after some tries it is used without one.
#[test]
fn a_jump_host_that_ends_the_session_with_the_guard_is_asked_no_more() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_jump_host_that_ends_the_session") else {
        return Ok(());
    };
    let gate = lab.node_with(&NodeSpec::new("gate").config("ForceCommand kill $PPID"))?;
    let db1 = lab.node("db1")?;
    lab.cable(&gate)?;
    lab.cable_from(gate.host(), &db1)?;
    let words = format!("db1 --line 10.77.2.2,jump=gate {TIMING}");
    let mut watch = Watch::start(&lab, &words)?;
    watch.complains("No fuse on jump host gate: the node ends the whole session")?;
    let guards = || Ok::<_, anyhow::Error>(gate.log()?.matches("Starting session: ").count());
    let tried = guards()?;
    ensure!(tried >= 2, "{tried} guards");
    // A session of the line's may have stood before that.
    watch.told_within(BOUND)?;
    until("db1 is up", || {
        let of_node = |told: &&watching::Told| told.text("event") == "node";
        let last = watch.told()?.iter().rev().find(of_node);
        Ok(last.is_some_and(|last| last.text("to") == "up"))
    })?;
    watch.told_within(BOUND)?;
    assert_eq!(guards()?, tried, "guards");
    Ok(())
}

#[test]
fn as_sshs_own_flag_and_over_two_jump_hosts() -> Result<()> {
    let Some(lab) = Lab::or_skip("two_jump_hosts") else {
        return Ok(());
    };
    let (outer, inner, db1) = (lab.node("outer")?, lab.node("inner")?, lab.node("db1")?);
    lab.cable(&outer)?;
    lab.cable_from(outer.host(), &inner)?;
    lab.cable_from(inner.host(), &db1)?;
    let mut watch = Watch::start(&lab, &format!("db1 -J outer,inner {TIMING}"))?;
    watch.node("db1", "up")?;
    for node in [&outer, &inner, &db1] {
        assert_eq!(node.logins()?, 1, "{}", node.name());
    }
    watch.running().terminate()?;
    assert_eq!(watch.ended()?.status.code(), Some(0));
    for node in [&outer, &inner, &db1] {
        until("no session is left", || Ok(node.sessions().is_empty()))?;
        let log = node.log()?;
        let last: Vec<_> = log
            .lines()
            .filter(|line| !line.starts_with("debug1"))
            .collect();
        ensure!(
            log.contains(":11: disconnected by user"),
            "{}: {last:#?}",
            node.name()
        );
    }
    Ok(())
}

/// As people write them: ssh's own `-W`, and a shell that leaves a helper of its own behind.
#[test]
fn a_proxy_command_carries_a_line_and_leaves_nothing_behind() -> Result<()> {
    let Some(behind) = Behind::or_skip("a_proxy_command")? else {
        return Ok(());
    };
    let config = behind.lab.ssh_config();
    let by_ssh = format!("ssh -F {} -W %h:%p gate", config.display());
    carries(&behind, "db2", &by_ssh, &behind.cables[2])?;
    assert_eq!(behind.gate.sessions().len(), 0);
    let by_shell = "bash -c 'exec 3<>/dev/tcp/%h/%p; cat <&3 & cat >&3; wait'";
    carries(&behind, "gate", by_shell, &behind.to_gate)
}

fn carries(behind: &Behind, node: &str, proxy: &str, cable: &Cable) -> Result<()> {
    let lab = &behind.lab;
    let mut command = watching::heartline(lab, lab.watcher());
    command
        .args(["watch", "--json", "-F"])
        .arg(lab.ssh_config());
    command.args(["-o", &format!("ProxyCommand={proxy}"), node]);
    command.args(TIMING.split_whitespace());
    let mut watch = Watch::of(command)?;
    watch.node(node, "up")?;
    let well = lab.watcher().processes().len();
    watch.told_within(BOUND)?;
    watch.forget()?;
    let fault = cable.inject(CUT)?;
    let down = watch.node(node, "down")?;
    down.is_at_bound(BOUND, fault)?;
    cable.heal()?;
    watch.node(node, "up")?;
    until("no helper of an earlier dial is left", || {
        Ok(lab.watcher().processes().len() <= well)
    })?;
    watch.running().terminate()?;
    assert_eq!(watch.ended()?.status.code(), Some(0));
    until("no helper is left", || {
        Ok(lab.watcher().processes().is_empty())
    })
}
