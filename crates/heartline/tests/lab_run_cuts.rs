//! The command dies with the connection, whatever becomes of either, and `run` returns when it is dead and says so: with the
//! shells that are met in the field, each a login shell and `sh`, and a command that does what it can to live on.

mod running;
mod shells;
mod watching;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Direction, Fault, Lab, Node, NodeSpec, Part, Running, Signal, Span, inject_all};
use running::{begin, begin_quietly};
use shells::{OTHERS, POSIX, Shell, clear_after, is_guarded, node_with};
use watching::{CEILING, go_first, until};

const FUSE: Duration = Duration::from_secs(2);
const BOUND: Duration = Duration::from_secs(1);
const TIMING: &str = "--interval 500ms --count 1 --connect-timeout 3s --fuse 2s";
/// What the far end may take beyond its fuse.
const SLACK: Duration = Duration::from_secs(1);
/// Before that it was not the fuse: a fuse after the beat that came last, which is two thirds of a second before the cut.
const EARLIEST: Duration = Duration::from_secs(1);

/// Ignores HUP and TERM, has children in its group, in a session of their own, and one that has lost its parent.
const STUBBORN: &str = "trap '' HUP TERM INT; sleep 1000 & (setsid sleep 1001 &); (sleep 1002 &); echo ready >&2; \
                        while :; do sleep 1; done";
/// The same, and it writes without end.
const WRITES: &str = "trap '' HUP TERM INT PIPE; sleep 1000 & (setsid sleep 1001 &); echo ready >&2; \
                      while :; do echo it goes on and on; done";

/// A command on a node with each shell.
struct Field {
    _lab: Lab,
    runs: Vec<Run>,
}

struct Run {
    shell: &'static Shell,
    node: Node,
    cable: lab::Cable,
    running: Running,
}

impl Field {
    fn begin(name: &str, lines: &str, command: &str) -> Result<Option<Self>> {
        let Some(lab) = Lab::or_skip(name) else {
            return Ok(None);
        };
        go_first()?;
        let mut runs = Vec::new();
        for shell in &POSIX {
            let Some(node) = node_with(&lab, shell, lines)? else {
                lab::skipped(name, &format!("{} is not installed", shell.program));
                continue;
            };
            let cable = lab.cable(&node)?;
            let mut running = begin_quietly(&lab, shell.name, TIMING, command)?;
            running.wait_for("ready", CEILING, |line| line.text == "ready")?;
            ensure!(is_guarded(&node), "{}", shell.name);
            runs.push(Run {
                shell,
                node,
                cable,
                running,
            });
        }
        // Some beats, so that nothing is measured of the beginning.
        std::thread::sleep(FUSE);
        for run in &runs {
            ensure!(run.running.is_alive(), "{}", run.shell.name);
        }
        Ok(Some(Self { _lab: lab, runs }))
    }

    fn inject(&self, fault: Fault) -> Result<Span> {
        let faults: Vec<_> = self.runs.iter().map(|run| (&run.cable, fault)).collect();
        inject_all(&faults)
    }

    /// Fails unless the far ends are gone in time, counted from `begun`; they must not go before `earliest`.
    fn gone(&self, what: &str, begun: Instant, earliest: Duration) -> Result<()> {
        let after = clear_after(self.runs.iter().map(|run| &run.node), begun)?;
        for (run, after) in self.runs.iter().zip(after) {
            println!(
                "{what}: {:5} gone {after:?} after, fuse {FUSE:?}",
                run.shell.name
            );
            let latest = FUSE * run.shell.fuses + SLACK;
            ensure!(
                after <= latest,
                "{}: {after:?} > {latest:?}",
                run.shell.name
            );
            ensure!(
                after >= earliest,
                "{}: {after:?}: it was not the fuse",
                run.shell.name
            );
        }
        Ok(())
    }

    /// All have ended as those that lost contact do, and said this.
    fn say(self, wanted: &str, begun: Instant) -> Result<()> {
        for run in self.runs {
            let ended = run.running.finish(CEILING)?;
            assert_eq!(ended.code(), Some(255), "{}: {ended:?}", run.shell.name);
            let said = ended.stderr.lines().find(|line| line.contains(wanted));
            said.with_context(|| format!("{}: {}", run.shell.name, ended.stderr))?;
            ensure!(ended.stderr.contains("contact lost"), "{}", ended.stderr);
            let took = ended.ended.at.saturating_duration_since(begun);
            println!(
                "{:5} returned {took:?} after, bound {BOUND:?}",
                run.shell.name
            );
        }
        Ok(())
    }
}

const PROVEN: &str = "the command is proven dead, since ";
const BURNT: &str = "the command cannot be alive any more: its fuse has burnt, since ";

/// Nobody can look, so it waits for the fuse; and has waited long enough.
fn cut(name: &str, way: Direction, lines: &str, command: &str) -> Result<()> {
    let Some(field) = Field::begin(name, lines, command)? else {
        return Ok(());
    };
    let fault = field.inject(Fault::Silent(way))?;
    // Where nothing comes from the node, the end of our side still reaches it.
    let earliest = match way {
        Direction::ToWatcher => Duration::ZERO,
        Direction::Both | Direction::ToNode => EARLIEST,
    };
    field.gone(name, fault.complete, earliest)?;
    let gone = Instant::now();
    for run in &field.runs {
        ensure!(
            run.running.is_alive(),
            "{} knew it before it was so",
            run.shell.name
        );
    }
    ensure!(gone > fault.begun);
    field.say(BURNT, fault.begun)
}

#[test]
fn it_dies_when_the_cable_is_cut() -> Result<()> {
    cut("cut", Direction::Both, "", STUBBORN)
}

#[test]
fn it_dies_when_nothing_reaches_the_node() -> Result<()> {
    cut("cut_to_the_node", Direction::ToNode, "", STUBBORN)
}

#[test]
fn it_dies_when_nothing_comes_from_the_node() -> Result<()> {
    cut("cut_to_us", Direction::ToWatcher, "", STUBBORN)
}

#[test]
fn it_dies_while_it_writes_without_end() -> Result<()> {
    cut("cut_while_it_writes", Direction::Both, "", WRITES)
}

/// From OpenSSH 9.2 on that starves sshd's own probes.
#[test]
fn it_dies_while_it_writes_to_an_sshd_that_probes_by_itself() -> Result<()> {
    let lines = "ClientAliveInterval 60\nClientAliveCountMax 3";
    cut("cut_while_sshd_probes", Direction::ToWatcher, lines, WRITES)
}

/// Over two lines it is begun once: where the first is silent the second serves, and when that is cut it is dead, not elsewhere.
#[test]
fn it_runs_over_the_line_that_answers() -> Result<()> {
    let Some(lab) = Lab::or_skip("the_line_that_answers") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let (first, second) = (lab.cable(&node)?, lab.cable(&node)?);
    first.inject(Fault::Silent(Direction::Both))?;
    let flags = format!("--line 10.77.1.2 --line 10.77.2.2 {TIMING}");
    let command = "echo ready >&2; trap '' HUP TERM; while :; do sleep 1; done";
    let mut running = begin(&lab, "db1", &flags, command)?;
    running.wait_for("ready", CEILING, |line| line.text == "ready")?;
    first.heal()?;
    let fault = second.inject(Fault::Silent(Direction::Both))?;
    let ended = running.finish(CEILING)?;
    assert_eq!(ended.code(), Some(255), "{ended:?}");
    // The first line can look.
    ensure!(ended.stderr.contains(PROVEN), "{}", ended.stderr);
    let took = ended.ended.at.saturating_duration_since(fault.begun);
    ensure!(took < FUSE * 3, "{took:?}");
    assert_eq!(
        node.log()?.matches("Starting session: ").count(),
        3,
        "guard, command, inspector"
    );
    until("nothing is left", || Ok(shells::is_clear(&node)))
}

#[test]
fn it_dies_whatever_the_login_shell_is() -> Result<()> {
    let Some(lab) = Lab::or_skip("whatever_the_login_shell") else {
        return Ok(());
    };
    for shell in &OTHERS {
        let Some(node) = node_with(&lab, shell, "")? else {
            lab::skipped("whatever_the_login_shell", shell.program);
            continue;
        };
        let cable = lab.cable(&node)?;
        let command = "echo ready; sleep 1000 & sleep 1001";
        let mut running = begin(&lab, shell.name, TIMING, command)?;
        running.wait_for("ready", CEILING, |line| line.text == "ready")?;
        let fault = cable.inject(Fault::Silent(Direction::Both))?;
        let after = clear_after([&node].into_iter(), fault.complete)?;
        let latest = FUSE * shell.fuses + SLACK;
        ensure!(
            after.iter().all(|after| *after <= latest),
            "{}: {after:?}",
            shell.name
        );
        let ended = running.finish(CEILING)?;
        ensure!(
            ended.stderr.contains(BURNT),
            "{}: {}",
            shell.name,
            ended.stderr
        );
    }
    Ok(())
}

#[test]
fn it_is_proven_dead_as_soon_as_somebody_can_look() -> Result<()> {
    let Some(field) = Field::begin("proven_dead", "", STUBBORN)? else {
        return Ok(());
    };
    let fault = field.inject(Fault::Silent(Direction::Both))?;
    std::thread::sleep(BOUND + BOUND / 2);
    for run in &field.runs {
        run.cable.heal()?;
    }
    field.gone("healed", fault.complete, Duration::ZERO)?;
    field.say(PROVEN, fault.begun)
}

#[test]
fn it_dies_with_a_client_that_is_killed_behind_a_cut() -> Result<()> {
    let Some(field) = Field::begin("killed_behind_a_cut", "", STUBBORN)? else {
        return Ok(());
    };
    let fault = field.inject(Fault::Silent(Direction::Both))?;
    for run in &field.runs {
        run.running.signal(Signal::SIGKILL)?;
    }
    field.gone("killed behind a cut", fault.complete, EARLIEST)
}

#[test]
fn it_dies_at_once_with_a_client_that_is_killed() -> Result<()> {
    let Some(field) = Field::begin("killed", "", STUBBORN)? else {
        return Ok(());
    };
    let begun = Instant::now();
    for run in &field.runs {
        run.running.signal(Signal::SIGKILL)?;
    }
    field.gone("killed", begun, Duration::ZERO)
}

#[test]
fn it_dies_with_a_client_that_is_frozen_and_that_learns_of_it() -> Result<()> {
    let Some(field) = Field::begin("frozen", "", STUBBORN)? else {
        return Ok(());
    };
    let begun = Instant::now();
    for run in &field.runs {
        run.running.stop()?;
    }
    field.gone("frozen", begun, EARLIEST)?;
    for run in &field.runs {
        run.running.cont()?;
    }
    field.say(PROVEN, begun)
}

/// Its sshd is killed: the connection is closed at once, and a command without a terminal would live on.
#[test]
fn it_dies_with_its_sshd() -> Result<()> {
    let Some(field) = Field::begin("its_sshd", "", STUBBORN)? else {
        return Ok(());
    };
    let begun = Instant::now();
    for run in &field.runs {
        run.node.kill(Part::User)?;
    }
    field.gone("sshd killed", begun, Duration::ZERO)?;
    field.say(PROVEN, begun)
}

/// Its fuse does not end it, and this user can neither read what it is nor kill it.
#[test]
fn what_has_become_another_users_is_not_said_to_be_dead() -> Result<()> {
    let Some(lab) = Lab::or_skip("another_users") else {
        return Ok(());
    };
    let Some(node) = node_with(&lab, &POSIX[1], "")? else {
        lab::skipped("another_users", POSIX[1].program);
        return Ok(());
    };
    let cable = lab.cable(&node)?;
    // As `sudo` without a terminal of its own.
    let become_root = lab.dir().join("become-root");
    std::fs::copy("/usr/bin/setpriv", &become_root)?;
    std::fs::set_permissions(&become_root, Permissions::from_mode(0o4755))?;
    // Whoever leads its session may be over, and it lives. That one is noted at a beat: what was over before the first of them
    // is not known to have been there.
    for then in ["wait", "sleep 1"] {
        let command = format!(
            "{} --reuid 0 --regid 0 --clear-groups sleep 1003 & echo ready >&2; {then}",
            become_root.display()
        );
        let mut running = begin(&lab, "bash", TIMING, &command)?;
        running.wait_for("ready", CEILING, |line| line.text == "ready")?;
        std::thread::sleep(FUSE);
        cable.inject(Fault::Silent(Direction::Both))?;
        until("its fuse has burnt", || Ok(shells::is_clear(&node)))?;
        cable.heal()?;
        let ended = running.finish(CEILING)?;
        assert_eq!(ended.code(), Some(255), "{ended:?}");
        let wanted = "1 of the command's processes live on there";
        ensure!(ended.stderr.contains(wanted), "{then}: {}", ended.stderr);
        ensure!(!ended.stderr.contains("proven dead"), "{}", ended.stderr);
    }
    Ok(())
}

/// A guard that can start nothing any more still ends it, but for that of a dash, whose own timer is a process.
#[test]
fn it_dies_when_it_has_used_up_all_processes() -> Result<()> {
    let Some(lab) = Lab::or_skip("used_up_all_processes") else {
        return Ok(());
    };
    for shell in &POSIX[1..3] {
        // The kernel counts the user's, wherever they run.
        let shell_script = lab.dir().join(format!("limited-{}", shell.name));
        let script = format!(
            "#!/usr/bin/bash\n\
             ulimit -u $(($(ps -e -o uid= | grep -c \"^ *$UID$\") + 12))\n\
             exec {} {} \"$@\"\n",
            shell.program,
            if shell.name == "ash" { "ash" } else { "" },
        );
        std::fs::write(&shell_script, script)?;
        std::fs::set_permissions(&shell_script, Permissions::from_mode(0o755))?;
        let path = shell_script.display().to_string();
        let folder = shells::folder_of(&lab, shell.name, [("sh", shell.program)])?;
        let config = format!("SetEnv PATH={}:/usr/bin:/bin", folder.display());
        let node = lab.node_with(&NodeSpec::new(shell.name).shell(&path).config(&config))?;
        let cable = lab.cable(&node)?;
        let command = "echo ready >&2; while :; do sleep 1000 & done; wait";
        let mut running = begin(&lab, shell.name, TIMING, command)?;
        running.wait_for("ready", CEILING, |line| line.text == "ready")?;
        until("no more can be started", || {
            Ok(node.user_processes().len() >= 9)
        })?;
        cable.inject(Fault::Silent(Direction::Both))?;
        until("nothing is left", || Ok(shells::is_clear(&node)))
            .with_context(|| shell.name.to_owned())?;
        let ended = running.finish(CEILING)?;
        assert_eq!(ended.code(), Some(255), "{ended:?}");
    }
    Ok(())
}

#[test]
fn what_became_of_it_is_told_as_json_too() -> Result<()> {
    let Some(lab) = Lab::or_skip("told_as_json") else {
        return Ok(());
    };
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    let mut running = begin(&lab, "db1", &format!("{TIMING} --json"), STUBBORN)?;
    running.wait_for("ready", CEILING, |line| line.text == "ready")?;
    cable.inject(Fault::Silent(Direction::Both))?;
    until("nothing is left", || Ok(shells::is_clear(&node)))?;
    let ended = running.finish(CEILING)?;
    let last = ended.stderr.lines().last().unwrap_or_default();
    let told: serde_json::Value = serde_json::from_str(last)?;
    let field = |name: &str| told.get(name).cloned().unwrap_or_default();
    assert_eq!(field("event"), "lost", "{told}");
    assert_eq!(field("command"), "cannot_live", "{told}");
    assert_eq!(field("cause"), "silent", "{told}");
    assert_eq!(field("node"), "db1");
    ensure!(field("by").is_string(), "{told}");
    Ok(())
}
