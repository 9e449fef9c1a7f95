//! Maintenance: by command, by signal and by the configuration.

mod watching;

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Direction, Fault, Lab, Signal};
use watching::{Watch, config_file, go_first, heartline, until};

fn told(lab: &Lab, words: &str) -> Result<(Option<i32>, String)> {
    let mut command = heartline(lab, lab.watcher());
    command.args(words.split(' '));
    let done = lab::Running::spawn(command)?.finish(watching::CEILING)?;
    let said = format!("{}{}", done.stdout, done.stderr);
    Ok((done.ended.status.code(), said))
}

#[test]
fn a_paused_node_is_left_alone_until_it_is_resumed() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_paused_node") else {
        return Ok(());
    };
    go_first()?;
    let (db1, db2) = (lab.node("db1")?, lab.node("db2")?);
    let cable = lab.cable(&db1)?;
    lab.cable(&db2)?;
    let text =
        "[defaults]\ninterval = \"400ms\"\n[[node]]\nname = \"db1\"\n[[node]]\nname = \"db2\"\n";
    fs::write(config_file(&lab), text)?;
    let mut watch = Watch::start(&lab, "")?;
    watch.node("db1", "up")?;
    watch.node("db2", "up")?;
    watch.forget()?;

    let (code, said) = told(&lab, "pause db1 nosuch")?;
    assert_eq!(code, Some(1), "{said}");
    ensure!(
        said.contains("db1  told to pause") && said.contains("nosuch: that watcher"),
        "{said}"
    );
    watch.node("db1", "paused")?;
    until("its session is over", || Ok(db1.sessions().is_empty()))?;
    // What happens to it is no news, also when the configuration is read again.
    watch.forget()?;
    watch.hang_up()?;
    cable.inject(Fault::Silent(Direction::Both))?;
    let news = watch.told_within(Duration::from_secs(3))?;
    ensure!(news.is_empty(), "{news:#?}");
    let (code, said) = told(&lab, "check db1")?;
    assert_eq!(code, Some(3), "{said}");
    ensure!(said.starts_with("HEARTLINE PAUSED: db1"), "{said}");
    cable.heal()?;
    assert_eq!(told(&lab, "resume db1")?.0, Some(0));
    watch.node("db1", "up")?;

    watch.forget()?;
    watch.running().signal(Signal::SIGUSR1)?;
    watch.node("db1", "paused")?;
    watch.node("db2", "paused")?;
    watch.running().signal(Signal::SIGUSR2)?;
    watch.node("db1", "up")?;
    watch.node("db2", "up")?;

    watch.forget()?;
    assert_eq!(told(&lab, "pause --all --for 1s")?.0, Some(0));
    watch.node("db2", "paused")?;
    watch.node("db2", "up")?;

    // What the configuration pauses no command resumes.
    watch.forget()?;
    fs::write(config_file(&lab), format!("{text}paused = true\n"))?;
    watch.hang_up()?;
    watch.node("db2", "paused")?;
    watch.forget()?;
    assert_eq!(told(&lab, "resume --all")?.0, Some(0));
    let news = watch.told_within(Duration::from_secs(2))?;
    ensure!(news.is_empty(), "{news:#?}");

    watch.running().terminate()?;
    watch.ended()?;
    let (code, said) = told(&lab, "pause db1")?;
    assert_eq!(code, Some(2), "{said}");
    ensure!(said.contains("no watcher of this user answers"), "{said}");
    Ok(())
}
