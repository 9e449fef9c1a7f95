//! The main job: two cables to a node with a real sshd; one cut, both cut, healed. And a line that idles in health.
//!
//! `HEARTLINE_IDLE` is how many seconds it idles, 20 if unset. For half an hour, past nextest's limit for one test:
//! `HEARTLINE_IDLE=1800 cargo test -p heartline --test lab_watch idle`.

mod watching;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Direction, Fault, Lab, Node, Part, Running, inject_all};
use serde_json::Value;
use watching::{CEILING, Told, Watch, go_first, heartline};

/// `--interval 500ms --count 1`.
const BOUND: Duration = Duration::from_secs(1);
const TIMING: &str = "--interval 500ms --count 1 --connect-timeout 1s --detector openssh";
const CUT: Fault = Fault::Silent(Direction::Both);

#[test]
fn one_cable_cut_degrades_the_node_both_cut_take_it_down_and_healing_brings_it_up() -> Result<()> {
    let Some(lab) = Lab::or_skip("one_cable_cut") else {
        return Ok(());
    };
    go_first()?;
    let node = lab.node("db1")?;
    let (first, second) = (lab.cable(&node)?, lab.cable(&node)?);
    let words =
        format!("db1 --line 10.77.1.2 --line 10.77.2.2,dev=w2,name=spare {TIMING} --rise {RISE}");
    let mut watch = Watch::start(&lab, &words)?;
    watch.line("db1", "10.77.1.2", "up")?;
    watch.line("db1", "spare", "up")?;
    watch.told_within(BOUND)?;
    watch.forget()?;

    let fault = first.inject(CUT)?;
    let down = watch.line("db1", "10.77.1.2", "down")?;
    down.is_at_bound(BOUND, fault)?;
    assert_eq!(down.text("cause"), "silent");
    let degraded = watch.node("db1", "degraded")?;
    assert_eq!(degraded.text("from"), "up");
    assert_eq!(degraded.text("cause"), "silent");
    assert_eq!(states(&degraded), ["10.77.1.2 down silent", "spare up"]);
    assert_eq!(words_of_node(&mut watch)?, ["degraded"]);

    watch.forget()?;
    let fault = second.inject(CUT)?;
    let down = watch.node("db1", "down")?;
    down.is_at_bound(BOUND, fault)?;
    assert_eq!(down.text("cause"), "silent");
    assert_eq!(
        states(&down),
        ["10.77.1.2 down silent", "spare down silent"]
    );

    watch.forget()?;
    let before = beats(&node)?;
    first.heal()?;
    let up = watch.line("db1", "10.77.1.2", "up")?;
    let answered = beats(&node)? - before;
    ensure!(answered >= RISE, "up after {answered} of {RISE} beats");
    assert_eq!(up.text("from"), "down");
    let degraded = watch.node("db1", "degraded")?;
    assert_eq!(states(&degraded), ["10.77.1.2 up", "spare down silent"]);
    second.heal()?;
    let up = watch.node("db1", "up")?;
    assert_eq!(states(&up), ["10.77.1.2 up", "spare up"]);
    assert_eq!(up.json["cause"], Value::Null);

    watch.told()?.iter().try_for_each(is_as_promised)?;
    watch.running().terminate()?;
    assert_eq!(watch.ended()?.status.code(), Some(0));
    Ok(())
}

/// One answer was once counted twice: by itself, and by the next beat.
#[test]
fn a_line_that_was_down_is_up_after_as_many_good_beats_as_asked_for() -> Result<()> {
    let Some(lab) = Lab::or_skip("as_many_good_beats") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    lab.cable(&node)?;
    // So long an interval that beats come from the rising alone.
    let mut watch = Watch::start(&lab, &format!("db1 --interval 5s --rise {RISE}"))?;
    watch.node("db1", "up")?;
    node.kill(Part::Listener)?;
    node.kill(Part::User)?;
    watch.node("db1", "down")?;
    watch.forget()?;
    let before = beats(&node)?;
    node.start()?;
    watch.hang_up()?;
    watch.node("db1", "up")?;
    assert_eq!(beats(&node)? - before, RISE);
    Ok(())
}

#[test]
fn a_person_reads_one_line_for_each_change() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_person_reads") else {
        return Ok(());
    };
    go_first()?;
    let node = lab.node("db1")?;
    let (first, second) = (lab.cable(&node)?, lab.cable(&node)?);
    let mut command = heartline(&lab, lab.watcher());
    command.args(["watch", "-F"]).arg(lab.ssh_config());
    let words = format!("db1 --line 10.77.1.2 --line 10.77.2.2 {TIMING}");
    command.args(words.split_whitespace());
    let mut running = Running::spawn(command)?;
    let mut reads = |wanted: &str| {
        let line = running.wait_for(wanted, CEILING, |line| line.text.contains(wanted))?;
        ensure!(!line.text.contains('\x1b'), "{:?}", line.text);
        let (clock, rest) = line.text.split_once("  ").context("a clock")?;
        ensure!(
            is_like(clock, "00:00:00.000") && rest.trim_start().starts_with("db1  "),
            "{:?}",
            line.text
        );
        Ok(())
    };
    reads("db1  up  [")?;
    inject_all(&[(&first, CUT), (&second, CUT)])?;
    reads(
        "db1  down  silent: nothing comes back: host down, or the line is cut, 1.0 s after its last sign of life  [10.77.1.2 down (silent), 10.77.2.2 down (silent)]",
    )?;
    lab::heal_all(&[&first, &second])?;
    reads("up  answers in ")?;
    reads("db1  up  [10.77.1.2 up, 10.77.2.2 up]")?;
    running.terminate()?;
    assert_eq!(running.wait(CEILING)?.status.code(), Some(0));
    Ok(())
}

#[test]
fn idle_and_well_there_is_nothing_to_tell_and_one_login_for_each_line() -> Result<()> {
    let Some(lab) = Lab::or_skip("idle_and_well") else {
        return Ok(());
    };
    go_first()?;
    let time = std::env::var("HEARTLINE_IDLE").map_or(Ok(20), |text| text.parse())?;
    let (db1, db2) = (lab.node("db1")?, lab.node("db2")?);
    lab.cable(&db1)?;
    lab.cable(&db1)?;
    lab.cable(&db2)?;
    // A beat is doubted after half an interval, and a busy machine keeps anybody waiting for 100 ms now and then.
    let config = "[defaults]\ninterval = \"500ms\"\ncount = 1\n\
                  [[node]]\nname = \"db1\"\nline = [{ host = \"10.77.1.2\" }, { host = \"10.77.2.2\" }]\n\
                  [[node]]\nname = \"db2\"\n";
    std::fs::write(watching::config_file(&lab), config)?;
    let mut watch = Watch::start(&lab, "")?;
    watch.line("db1", "10.77.1.2", "up")?;
    watch.line("db1", "10.77.2.2", "up")?;
    watch.node("db2", "up")?;
    watch.told_within(BOUND)?;
    watch.forget()?;
    let before = beats(&db2)?;

    let told = watch.told_within(Duration::from_secs(time))?;
    ensure!(told.is_empty(), "{told:#?}");
    assert_eq!((db1.logins()?, db2.logins()?), (2, 1));
    let beaten = beats(&db2)? - before;
    let due = usize::try_from(time * 2)?;
    ensure!(beaten >= due * 9 / 10, "{beaten} of {due} beats");
    watch.running().terminate()?;
    assert_eq!(watch.ended()?.status.code(), Some(0));
    assert_eq!((db1.logins()?, db2.logins()?), (2, 1));
    Ok(())
}

/// Beats that a node's sshd has answered, by its log.
fn beats(node: &Node) -> Result<usize> {
    Ok(node.log()?.matches("rtype keepalive@openssh.com").count())
}

/// The states that a node went through since the test last forgot.
fn words_of_node(watch: &mut Watch) -> Result<Vec<String>> {
    let told = watch.told()?.iter();
    let nodes = told.filter(|told| told.text("event") == "node");
    Ok(nodes.map(|told| told.text("to").to_owned()).collect())
}

/// The lines that come with a node, each as `NAME STATE CAUSE`.
fn states(node: &Told) -> Vec<String> {
    let lines = node.at_place("/lines").as_array();
    let words = |line: &Value| {
        let word = |field: &str| line.get(field).and_then(Value::as_str).unwrap_or_default();
        let text = format!("{} {} {}", word("line"), word("state"), word("cause"));
        text.trim_end().to_owned()
    };
    lines.into_iter().flatten().map(words).collect()
}

/// The fields of CLI.md, and what may stand in them.
fn is_as_promised(told: &Told) -> Result<()> {
    let own: &[&str] = match told.text("event") {
        "line" => &["line", "evidence"],
        "node" => &["lines"],
        other => anyhow::bail!("an event {other:?}"),
    };
    let fields = ["t", "event", "node", "from", "to", "cause", "after_ms"];
    let object = told.json.as_object().context("no object")?;
    let there: BTreeSet<_> = object.keys().map(String::as_str).collect();
    let missing = fields
        .iter()
        .chain(own)
        .find(|field| !there.contains(*field));
    ensure!(missing.is_none(), "no {missing:?} in {}", told.json);
    ensure!(
        is_like(told.text("t"), "0000-00-00T00:00:00.000Z"),
        "{}",
        told.json
    );
    ensure!(told.text("from") != told.text("to"), "{}", told.json);
    let is_well = told.text("to") == "up";
    ensure!(
        told.at_place("/cause").is_null() == is_well,
        "{}",
        told.json
    );
    told.after().map(drop)
}

/// Whether a text is the form, with any digit for each 0.
fn is_like(text: &str, form: &str) -> bool {
    let digits = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c });
    digits.eq(form.chars())
}

const RISE: usize = 4;
