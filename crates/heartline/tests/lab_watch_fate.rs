//! What falls together: what several lines share, or the watcher itself; and what a reference is for.

mod watching;

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Direction, Fault, Lab};
use serde_json::Value;
use watching::{Told, Watch, go_first};

const TIMING: &str = "--interval 500ms --count 1 --connect-timeout 1s --fuse 0";
const BOUND: Duration = Duration::from_secs(1);
const CUT: Fault = Fault::Silent(Direction::Both);

fn started(lab: &Lab, nodes: &str, words: &str) -> Result<Watch> {
    let mut watch = Watch::start(lab, &format!("{nodes} {TIMING} {words}"))?;
    for node in nodes.split(' ') {
        watch.node(node, "up")?;
    }
    watch.told_within(BOUND * 2)?;
    watch.forget()?;
    Ok(watch)
}

fn never(watch: &mut Watch, what: &str, wanted: impl Fn(&Told) -> bool) -> Result<()> {
    let wrong = watch.told()?.iter().find(|told| wanted(told));
    ensure!(wrong.is_none(), "{what}: {wrong:?}");
    Ok(())
}

/// Somebody else is heard: it is the nodes, or what they share, which is told once; not the watcher.
#[test]
fn lines_that_share_an_interface_and_fall_together_are_told_as_that() -> Result<()> {
    let Some(lab) = Lab::or_skip("lines_that_share_an_interface") else {
        return Ok(());
    };
    go_first()?;
    let (db1, db2, db3) = (lab.node("db1")?, lab.node("db2")?, lab.node("db3")?);
    let uplink = lab.uplink(&lab.router("router")?)?;
    lab.cable_behind(&uplink, &db1)?;
    lab.cable_behind(&uplink, &db2)?;
    lab.cable(&db3)?;
    let mut watch = started(&lab, "db1 db2 db3", "")?;
    uplink.inject(CUT)?;
    watch.node_for("db1", "down", "silent")?;
    watch.node_for("db2", "down", "silent")?;
    let shared = watch.until("what they share", |told| told.text("event") == "shared")?;
    assert_eq!(shared.text("by"), "interface", "{}", shared.json);
    assert_eq!(shared.text("name"), uplink.watcher_interface());
    assert_eq!(shared.text("to"), "down");
    assert_eq!(
        shared.at_place("/nodes"),
        &serde_json::json!(["db1", "db2"])
    );
    watch.told_within(BOUND * 2)?;
    let is_shared = |told: &&Told| told.text("event") == "shared";
    let times = watch.told()?.iter().filter(is_shared).count();
    assert_eq!(times, 1, "once");
    never(&mut watch, "it is not us", |told| {
        told.text("cause") == "watcher_isolated"
    })?;
    never(&mut watch, "db3 is well", |told| told.text("node") == "db3")?;

    watch.forget()?;
    uplink.heal()?;
    let stands = watch.until("that it stands", |told| told.text("event") == "shared")?;
    assert_eq!(stands.text("to"), "up");
    watch.node("db1", "up")?;
    watch.node("db2", "up").map(drop)
}

/// Two nodes that die at once look like a watcher that is cut off, but for what answers still.
#[test]
fn a_reference_tells_dead_nodes_from_a_watcher_that_is_cut_off() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_reference_tells") else {
        return Ok(());
    };
    go_first()?;
    let (db1, db2, gateway) = (lab.node("db1")?, lab.node("db2")?, lab.node("gateway")?);
    let cables = [lab.cable(&db1)?, lab.cable(&db2)?];
    let way_out = lab.cable(&gateway)?;
    // Nothing listens there, and what refuses answers.
    let reference = format!("--reference {}:9", way_out.v4());
    let [first, second] = &cables;
    for (words, is_us) in [(reference.as_str(), false), ("", true)] {
        let mut watch = started(&lab, "db1 db2", words)?;
        lab::inject_all(&[(first, CUT), (second, CUT)])?;
        if is_us {
            watch.node_for("db1", "unknown", "watcher_isolated")?;
            watch.node_for("db2", "unknown", "watcher_isolated")?;
            watch.told_within(BOUND * 2)?;
            never(&mut watch, "nobody is down", |told| {
                told.is("node", "db1", "down")
            })?;
        } else {
            watch.node_for("db1", "down", "silent")?;
            watch.node_for("db2", "down", "silent")?;
            never(&mut watch, "it is not us", |told| {
                told.text("cause") == "watcher_isolated"
            })?;
        }
        lab::heal_all(&[first, second])?;
    }

    // One node is enough, where there is a reference; and it ends the doubt, too.
    let mut watch = started(&lab, "db1", &reference)?;
    lab::inject_all(&[(first, CUT), (&way_out, CUT)])?;
    watch.node_for("db1", "unknown", "watcher_isolated")?;
    never(&mut watch, "db1 is not down", |told| {
        told.is("node", "db1", "down")
    })?;
    way_out.heal()?;
    let over = watch.until("the end of it", |told| {
        told.text("event") == "watcher" && told.at_place("/over") == &Value::Bool(true)
    })?;
    assert_eq!(over.text("cause"), "watcher_isolated");
    watch.node_for("db1", "down", "silent").map(drop)
}
