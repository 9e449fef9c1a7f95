//! `check` and `wait`: the codes of CLI.md in each state, and what they print.

mod watching;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Direction, Fault, Finished, Lab, Running, inject_all};
use serde_json::Value;
use watching::{CEILING, heartline, outcome, until};

const LINES: &str = "--line 10.77.1.2 --line 10.77.2.2 --connect-timeout 1s";
const CUT: Fault = Fault::Silent(Direction::Both);

#[test]
fn check_says_up_degraded_and_down() -> Result<()> {
    let Some(lab) = Lab::or_skip("check_says") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let (first, second) = (lab.cable(&node)?, lab.cable(&node)?);

    let up = outcome(&lab, &format!("check db1 {LINES}"))?;
    assert_eq!(up.code(), Some(0), "{up:?}");
    let text = "HEARTLINE UP: db1 2 of 2 lines up | lines_up=2;;;0;2 '10.77.1.2_rtt'=";
    ensure!(up.stdout.starts_with(text), "{:?}", up.stdout);
    ensure!(up.stdout.lines().count() == 1 && up.stdout.contains("ms;;;0 '10.77.2.2_rtt'="));
    let json = judged(&lab, "", 0, "up", None)?;
    for line in json["lines"].as_array().context("lines")? {
        assert_eq!(line["state"], "up");
        assert_eq!(line["cause"], Value::Null);
        ensure!(line["rtt_ms"].as_f64().is_some_and(|rtt| rtt > 0.0));
        ensure!(
            line["since"]
                .as_str()
                .is_some_and(|since| since.ends_with('Z'))
        );
    }
    until("no session is left", || Ok(node.sessions().is_empty()))?;

    first.inject(CUT)?;
    let degraded = outcome(&lab, &format!("check db1 {LINES}"))?;
    assert_eq!(degraded.code(), Some(1), "{degraded:?}");
    let text = "HEARTLINE DEGRADED: db1 silent, 1 of 2 lines up; 10.77.1.2 down (silent)";
    ensure!(degraded.stdout.starts_with(text), "{:?}", degraded.stdout);
    let json = judged(&lab, "", 1, "degraded", Some("silent"))?;
    assert_eq!(json["lines"][0]["line"], "10.77.1.2");
    assert_eq!(json["lines"][0]["state"], "down");
    assert_eq!(json["lines"][0]["cause"], "silent");
    assert_eq!(json["lines"][0]["rtt_ms"], Value::Null);
    assert_eq!(json["lines"][1]["state"], "up");

    second.inject(CUT)?;
    let down = outcome(&lab, &format!("check db1 {LINES}"))?;
    assert_eq!(down.code(), Some(2), "{down:?}");
    let text = "HEARTLINE DOWN: db1 silent, 0 of 2 lines up; 10.77.1.2 down (silent)";
    ensure!(down.stdout.starts_with(text), "{:?}", down.stdout);
    judged(&lab, "", 2, "down", Some("silent"))?;
    Ok(())
}

#[test]
fn check_says_unknown_where_it_cannot_tell() -> Result<()> {
    let Some(lab) = Lab::or_skip("check_says_unknown") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let (first, _second) = (lab.cable(&node)?, lab.cable(&node)?);
    judged(&lab, "", 0, "up", None)?;

    let allowed = fs::read(node.authorized_keys())?;
    fs::write(node.authorized_keys(), "")?;
    judged(&lab, "", 3, "unknown", Some("auth_refused"))?;
    // One line that cannot be judged is enough, whatever the other says.
    first.inject(CUT)?;
    judged(&lab, "", 3, "unknown", Some("auth_refused"))?;
    first.heal()?;
    fs::write(node.authorized_keys(), allowed)?;

    node.change_host_keys()?;
    node.restart()?;
    judged(&lab, "", 3, "unknown", Some("host_key_changed"))?;
    fs::write(lab.known_hosts(), "")?;
    judged(&lab, "", 3, "unknown", Some("host_key_unknown"))?;
    let seen = outcome(&lab, &format!("wait db1 --until down --timeout 2s {LINES}"))?;
    assert_eq!(seen.code(), Some(1), "unknown is not down: {seen:?}");
    lab.write_client_files()?;
    judged(&lab, "", 0, "up", None)?;

    // Not heard from by the time that was given.
    node.host().freeze()?;
    let words = "--timeout 2s --connect-timeout 20s";
    let seen = judged_by(
        &lab,
        &format!("check db1 --json --line 10.77.1.2 {words}"),
        3,
    )?;
    assert_eq!(
        (&seen["state"], &seen["cause"]),
        (&"unknown".into(), &"starting".into())
    );
    node.host().thaw()?;
    Ok(())
}

#[test]
fn what_is_wrong_with_the_words_is_unknown_to_check_and_usage_to_wait() -> Result<()> {
    let Some(lab) = Lab::or_skip("what_is_wrong") else {
        return Ok(());
    };
    lab.watcher().set_names(&[])?;
    for words in [
        "db1 --interval 0",
        "db1 --nonsense",
        "nowhere.invalid",
        "127.0.0.1 -i /nowhere/key",
        "127.0.0.1 --count 0",
    ] {
        for (command, code) in [("check", 3), ("wait --until up", 2)] {
            let seen = outcome(&lab, &format!("{command} {words}"))?;
            assert_eq!(seen.code(), Some(code), "{command} {words}: {seen:?}");
            ensure!(
                seen.stdout.is_empty() && seen.stderr.lines().count() == 1,
                "{seen:?}"
            );
            ensure!(seen.stderr.starts_with("heartline: "), "{seen:?}");
        }
    }
    for words in ["wait 127.0.0.1", "wait 127.0.0.1 --until sideways"] {
        assert_eq!(outcome(&lab, words)?.code(), Some(2), "{words}");
    }
    Ok(())
}

#[test]
fn wait_returns_when_it_is_so() -> Result<()> {
    let Some(lab) = Lab::or_skip("wait_returns") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let (first, second) = (lab.cable(&node)?, lab.cable(&node)?);
    let both = [(&first, CUT), (&second, CUT)];
    let words = |until: &str| format!("wait db1 --until {until} {LINES} --interval 400ms");
    let code = |words: &str| Ok::<_, anyhow::Error>(outcome(&lab, words)?.code());

    assert_eq!(code(&words("up"))?, Some(0), "up already");
    assert_eq!(
        code(&format!("{} --timeout 2s", words("down")))?,
        Some(1),
        "still up"
    );
    first.inject(CUT)?;
    assert_eq!(code(&words("up"))?, Some(0), "degraded is reachable");
    assert_eq!(
        code(&format!("{} --timeout 3s", words("down")))?,
        Some(1),
        "degraded"
    );
    second.inject(CUT)?;
    assert_eq!(code(&words("down"))?, Some(0), "down already");
    assert_eq!(
        code(&format!("{} --timeout 2s", words("up")))?,
        Some(1),
        "still down"
    );

    // It comes true while they wait.
    let waiting = start(&lab, &format!("{} --json", words("up")))?;
    until("it dials", || Ok(waiting.is_alive() && has_socket(&lab)?))?;
    lab::heal_all(&[&first, &second])?;
    let reached = waiting.finish(CEILING)?;
    assert_eq!(reached.code(), Some(0), "{reached:?}");
    let json: Value = serde_json::from_str(&reached.stdout)?;
    ensure!(
        json["state"] == "up" || json["state"] == "degraded",
        "{json}"
    );
    until("a clean end", || {
        Ok(node.log()?.contains("disconnected by user"))
    })?;

    let logins = node.logins()?;
    let waiting = start(&lab, &words("down"))?;
    until("both lines are there", || Ok(node.logins()? == logins + 2))?;
    let fault = inject_all(&both)?;
    let reached = waiting.finish(CEILING)?;
    assert_eq!(reached.code(), Some(0), "{reached:?}");
    // The verdict at the bound, then the goodbye to nobody.
    let waited = reached.ended.at - fault.begun;
    ensure!(waited < Duration::from_secs(4), "{waited:?}");
    Ok(())
}

/// Fails unless `check --json` has this code and says this.
fn judged(lab: &Lab, more: &str, code: i32, state: &str, cause: Option<&str>) -> Result<Value> {
    let json = judged_by(lab, &format!("check db1 --json {LINES} {more}"), code)?;
    let word = |field: &str| json.get(field).and_then(Value::as_str);
    assert_eq!(word("node"), Some("db1"), "{json}");
    assert_eq!(word("state"), Some(state), "{json}");
    assert_eq!(word("cause"), cause, "{json}");
    let lines = json.get("lines").and_then(Value::as_array);
    assert_eq!(lines.map(Vec::len), Some(2), "{json}");
    Ok(json)
}

fn judged_by(lab: &Lab, words: &str, code: i32) -> Result<Value> {
    let seen: Finished = outcome(lab, words)?;
    ensure!(seen.code() == Some(code), "{seen:?}");
    ensure!(seen.stdout.lines().count() == 1, "{seen:?}");
    serde_json::from_str(&seen.stdout).context("not JSON")
}

fn start(lab: &Lab, words: &str) -> Result<Running> {
    let mut command = heartline(lab, lab.watcher());
    let (name, words) = words.split_once(' ').context("words")?;
    command.args([name, "-F"]).arg(lab.ssh_config());
    command.args(words.split_whitespace());
    Running::spawn(command)
}

/// Whether anybody on the watcher has begun to connect.
fn has_socket(lab: &Lab) -> Result<bool> {
    let mut command = lab.watcher().command("ss");
    command.args(["--tcp", "--no-header", "state", "syn-sent"]);
    Ok(!Running::spawn(command)?.finish(CEILING)?.stdout.is_empty())
}
