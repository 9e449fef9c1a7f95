//! `serve` with `ClientAlive` on a machine of its own, against the clients that are installed: ssh and dbclient. Neither
//! beats by itself here, so what keeps them is that they answer.

mod watching;

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Cable, Direction, Dropbear, Fault, Lab, Line, Running, Stream};
use watching::{CEILING, GRACE, go_first, heartline};

const INTERVAL: Duration = Duration::from_millis(300);
/// With a count of 1.
const BOUND: Duration = Duration::from_millis(600);
/// A dozen probes and more.
const MANY: Duration = Duration::from_secs(5);

/// An endpoint at the far end of a cable, and one session of each client.
struct Scene {
    lab: Lab,
    cable: Cable,
    serve: Running,
    clients: Vec<Running>,
}

impl Scene {
    /// `None` where there is no lab or not every client.
    fn set(name: &str) -> Result<Option<Self>> {
        if !Dropbear::is_installed() {
            lab::skipped(name, "dropbear is missing (Debian package dropbear-bin)");
            return Ok(None);
        }
        let Some(lab) = Lab::or_skip(name) else {
            return Ok(None);
        };
        go_first()?;
        let node = lab.node("db1")?;
        let cable = lab.cable(&node)?;
        Dropbear::convert_key(&lab.client_key(), &lab.dir().join("dropbear_key"))?;
        let mut command = heartline(&lab, node.host());
        command.args(["serve", "--listen", &format!("{}:{PORT}", cable.v4())]);
        command.args(["--interval", "300ms", "--count", "1"]);
        command.arg("--authorized-keys");
        command.arg(lab.client_key().with_extension("pub"));
        let mut serve = Running::spawn(command)?;
        let known = serve.wait_for("host key", CEILING, |line| line.stream == Stream::Stdout)?;
        fs::write(lab.dir().join("known"), known.text + "\n")?;
        let clients = vec![
            Running::spawn(ssh(&lab, &cable))?,
            Running::spawn(dbclient(&lab, &cable))?,
        ];
        for _ in &clients {
            serve.wait_for("session", CEILING, |line| line.text.contains("began"))?;
        }
        Ok(Some(Self {
            lab,
            cable,
            serve,
            clients,
        }))
    }

    /// No session has ended, and no client.
    fn all_stay(&self) -> Result<()> {
        let lines = self.serve.lines();
        let ended = lines.iter().find(|line| is_end(line));
        ensure!(ended.is_none(), "{ended:?}");
        for client in &self.clients {
            ensure!(client.is_alive(), "a client ended: {:?}", client.lines());
        }
        Ok(())
    }

    /// Every session ends as silent: at the bound by its own count, and by the clock on the wall, counted from the fault that
    /// is complete.
    fn all_end(&mut self, fault: Instant, is_cut: bool) -> Result<()> {
        for _ in &self.clients {
            let end = self.serve.wait_for("end", CEILING, is_end)?;
            let field = |name: &str| field(&end, name);
            ensure!(field("cause")? == "silent", "{end:?}");
            let silent = Duration::from_millis(field("silent_ms")?.parse()?);
            let waited = end.at.saturating_duration_since(fault);
            ensure!(
                silent >= BOUND && silent <= BOUND + GRACE && waited <= BOUND + GRACE,
                "{waited:?} after the fault: {end:?}"
            );
            ensure!((field("unacked")? == "0") != is_cut, "{end:?}");
            ensure!(field("probes")? == "1", "{end:?}");
        }
        Ok(())
    }
}

fn is_end(line: &Line) -> bool {
    line.text.contains("Session ended.")
}

fn field<'a>(line: &'a Line, name: &str) -> Result<&'a str> {
    let mut words = line.text.split_whitespace();
    let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.with_context(|| format!("no {name} in {line:?}"))
}

fn ssh(lab: &Lab, cable: &Cable) -> Command {
    let mut command = lab.watcher().command("ssh");
    command.args(["-N", "-F", "none", "-p", PORT, "-i"]);
    command.arg(lab.client_key());
    for option in [
        "BatchMode=yes",
        // Which Debian's ssh sets to 300 by BatchMode.
        "ServerAliveInterval=0",
        "IdentityAgent=none",
        "GlobalKnownHostsFile=none",
        &format!("UserKnownHostsFile={}", lab.dir().join("known").display()),
    ] {
        command.args(["-o", option]);
    }
    command.arg(format!("watcher@{}", cable.v4()));
    command
}

fn dbclient(lab: &Lab, cable: &Cable) -> Command {
    let mut command = lab.watcher().command("dbclient");
    // Whose host keys it knows is in its home.
    command.env("HOME", lab.dir());
    command.args(["-y", "-N", "-T", "-p", PORT, "-i"]);
    command.arg(lab.dir().join("dropbear_key"));
    command.arg(format!("watcher@{}", cable.v4()));
    command
}

#[test]
fn clients_that_answer_stay_and_end_at_the_bound_when_cut_off() -> Result<()> {
    let Some(mut scene) = Scene::set("clients_that_answer_stay_and_end_at_the_bound_when_cut_off")?
    else {
        return Ok(());
    };
    sleep(MANY);
    scene.all_stay()?;
    let cut = scene.cable.inject(Fault::Silent(Direction::Both))?;
    scene.all_end(cut.complete, true)
}

/// Their machine acknowledges; only the program is asked in vain.
#[test]
fn clients_that_freeze_end_at_the_bound() -> Result<()> {
    let Some(mut scene) = Scene::set("clients_that_freeze_end_at_the_bound")? else {
        return Ok(());
    };
    sleep(INTERVAL * 2);
    scene.all_stay()?;
    let frozen = Instant::now();
    for client in &scene.clients {
        client.stop()?;
    }
    scene.all_end(frozen, false)
}

/// And it still judges afterwards, also those who fell silent meanwhile.
#[test]
fn an_endpoint_that_was_stopped_ends_no_healthy_session() -> Result<()> {
    let Some(mut scene) = Scene::set("an_endpoint_that_was_stopped_ends_no_healthy_session")?
    else {
        return Ok(());
    };
    for part in 1..=4 {
        scene.serve.stop()?;
        // Each time at another phase.
        sleep(BOUND * 3 + INTERVAL * part / 4);
        scene.serve.cont()?;
        sleep(BOUND * 2);
        scene.all_stay()?;
    }
    scene.serve.stop()?;
    scene.cable.inject(Fault::Silent(Direction::Both))?;
    sleep(BOUND * 3);
    scene.serve.cont()?;
    for _ in &scene.clients {
        let end = scene.serve.wait_for("end", CEILING, is_end)?;
        ensure!(field(&end, "cause")? == "silent", "{end:?}");
    }
    drop(scene.lab);
    Ok(())
}

/// Of the node, whose own sshd has 22.
const PORT: &str = "2222";
