//! Nodes on which a guard has a hard time: where it cannot work, that is said once with the reason and the line beats on; where
//! it can, it does.

mod watching;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Dropbear, Finished, Lab, Node, NodeSpec, Part, Running};
use watching::{CEILING, Watch, config_file, heartline, until};

const TIMING: &str = "--interval 500ms --count 3 --connect-timeout 2s --fuse 3s";
/// Longer than the longest wait for a guard, and many beats.
const QUIET: Duration = Duration::from_secs(6);

/// A node, and the word that says why there is no guard; none, if there is one.
struct Case {
    name: &'static str,
    spec: fn(NodeSpec) -> NodeSpec,
    prepare: fn(&Node) -> Result<()>,
    why: Option<&'static str>,
    detail: &'static str,
}

const IMPOSSIBLE: [Case; 8] = [
    Case {
        name: "nologin",
        spec: |spec| spec.shell("/usr/sbin/nologin"),
        prepare: |_| Ok(()),
        why: Some("ended"),
        detail: "(status 1)",
    },
    Case {
        name: "false",
        spec: |spec| spec.shell("/bin/false"),
        prepare: |_| Ok(()),
        why: Some("ended"),
        detail: "no POSIX shell, or a forced command",
    },
    Case {
        name: "forced",
        spec: |spec| spec.config("ForceCommand printf 'a\\033[2Jmenu\\n1\\n'; exit 7"),
        prepare: |_| Ok(()),
        why: Some("ended"),
        detail: "(status 7) before a guard answered: no POSIX shell, or a forced command; it said: a\\x1b[2Jmenu 1",
    },
    Case {
        name: "waits",
        spec: |spec| spec.config("ForceCommand sleep 1000"),
        prepare: |_| Ok(()),
        why: Some("mute"),
        detail: "within 2s",
    },
    Case {
        name: "floods",
        spec: |spec| spec.config("ForceCommand yes"),
        prepare: |_| Ok(()),
        why: Some("too_much"),
        detail: "64 KiB",
    },
    Case {
        name: "closed",
        spec: |spec| spec.config("MaxSessions 0"),
        prepare: |_| Ok(()),
        why: Some("no_channel"),
        detail: "opens no channel",
    },
    Case {
        name: "reads",
        spec: |spec| spec.shell("/bin/bash"),
        prepare: |node| rc(node, ".bashrc", "read -r answer\n"),
        why: Some("mute"),
        detail: "an rc file that reads the input",
    },
    Case {
        name: "execs",
        spec: |spec| spec.shell("/bin/bash"),
        prepare: |node| rc(node, ".bashrc", "exec tail -f /dev/null\n"),
        why: Some("mute"),
        detail: "starts another shell",
    },
];

const POSSIBLE: [Case; 7] = [
    Case {
        name: "greets",
        spec: |spec| spec.shell("/bin/bash"),
        prepare: |node| {
            let rc_file = "head -c 40000 /dev/zero | tr '\\0' x\nprintf 'Welcome!'\necho t >&2\n";
            rc(node, ".bashrc", rc_file)
        },
        why: None,
        detail: "",
    },
    Case {
        name: "tcsh",
        spec: |spec| spec.shell("/usr/bin/tcsh"),
        prepare: |node| rc(node, ".tcshrc", "echo hello\nset history=100\n"),
        why: None,
        detail: "",
    },
    Case {
        name: "digits",
        spec: |spec| {
            spec.shell("/bin/bash")
                .config("SetEnv LC_ALL=ps_AF.UTF-8 LANG=ps_AF.UTF-8 SECONDS=7 IFS=3")
        },
        prepare: |_| Ok(()),
        why: None,
        detail: "",
    },
    Case {
        name: "homeless",
        spec: |spec| spec.shell("/bin/sh"),
        prepare: |node| Ok(fs::remove_dir(node.home())?),
        why: None,
        detail: "",
    },
    Case {
        name: "read-only",
        spec: |spec| spec.shell("/bin/sh"),
        prepare: |node| {
            Ok(fs::set_permissions(
                node.home(),
                fs::Permissions::from_mode(0o500),
            )?)
        },
        why: None,
        detail: "",
    },
    Case {
        name: "restricted",
        spec: |spec| spec,
        prepare: |node| {
            let key = fs::read_to_string(node.authorized_keys())?;
            Ok(fs::write(
                node.authorized_keys(),
                format!("restrict {key}"),
            )?)
        },
        why: None,
        detail: "",
    },
    Case {
        name: "wrapped",
        spec: |spec| spec.config("ForceCommand sh -c \"$SSH_ORIGINAL_COMMAND\"; exit"),
        prepare: |_| Ok(()),
        why: None,
        detail: "",
    },
];

fn rc(node: &Node, name: &str, text: &str) -> Result<()> {
    fs::write(node.home().join(name), text).context("an rc file")
}

/// A lab with a node of each case.
fn build(lab: &Lab, cases: &'static [Case]) -> Result<Vec<(&'static Case, Node)>> {
    let mut nodes = Vec::new();
    let mut config = String::new();
    for case in cases {
        if case.name == "tcsh" && !std::path::Path::new("/usr/bin/tcsh").is_file() {
            lab::skipped("tcsh", "tcsh is not installed");
            continue;
        }
        let node = lab.node_with(&(case.spec)(NodeSpec::new(case.name)))?;
        (case.prepare)(&node)?;
        lab.cable(&node)?;
        config.extend(["[[node]]\nname = \"", case.name, "\"\n"]);
        nodes.push((case, node));
    }
    fs::write(config_file(lab), config)?;
    Ok(nodes)
}

/// What it has said of fuses, as `NODE WHY`.
fn of_fuses(watch: &mut Watch) -> Result<Vec<String>> {
    let told = watch.told()?.iter();
    let fuses = told.filter(|told| told.text("event") == "fuse");
    Ok(fuses
        .map(|told| format!("{} {}", told.text("node"), told.text("why")))
        .collect())
}

#[test]
fn where_no_guard_can_work_it_is_said_once_and_the_line_beats_on() -> Result<()> {
    let Some(lab) = Lab::or_skip("where_no_guard_can_work") else {
        return Ok(());
    };
    let nodes = build(&lab, &IMPOSSIBLE)?;
    let mut watch = Watch::start(&lab, TIMING)?;
    for (case, _) in &nodes {
        let what = format!("no fuse on {}", case.name);
        let told = watch.until(&what, |told| {
            told.text("event") == "fuse" && told.text("node") == case.name
        })?;
        assert_eq!(Some(told.text("why")), case.why, "{}", told.json);
        assert_eq!(told.json.get("holds"), Some(&false.into()));
        let detail = told.text("detail");
        ensure!(detail.contains(case.detail), "{}: {detail}", case.name);
        watch.node(case.name, "up")?;
    }
    watch.told_within(QUIET)?;
    // A new session, in which a forced command is not run again for nothing.
    for (case, node) in &nodes {
        ensure!(!is_down(&mut watch, case.name)?, "{} went down", case.name);
        assert_eq!(node.logins()?, 1, "{}", case.name);
        node.kill(Part::User)?;
    }
    watch.told_within(QUIET)?;
    let mut said = of_fuses(&mut watch)?;
    said.sort();
    let mut wanted: Vec<_> = nodes
        .iter()
        .map(|(case, _)| format!("{} {}", case.name, case.why.unwrap_or_default()))
        .collect();
    wanted.sort();
    assert_eq!(said, wanted, "once each");
    for (case, node) in &nodes {
        ensure!(node.logins()? >= 2, "{} was not dialed again", case.name);
        if matches!(case.name, "forced" | "nologin" | "floods") {
            let runs = node.log()?.matches("Starting session: ").count();
            assert_eq!(runs, 1, "{}: a command was run again", case.name);
        }
    }
    Ok(())
}

fn is_down(watch: &mut Watch, node: &str) -> Result<bool> {
    let told = watch.told()?.iter();
    let mut of_node = told.filter(|told| told.text("event") == "node");
    Ok(of_node.any(|told| told.text("node") == node && told.text("to") == "down"))
}

#[test]
fn where_a_guard_can_work_it_does_whatever_is_in_its_way() -> Result<()> {
    let Some(lab) = Lab::or_skip("where_a_guard_can_work") else {
        return Ok(());
    };
    let nodes = build(&lab, &POSSIBLE)?;
    let mut watch = Watch::start(&lab, TIMING)?;
    for (case, _) in &nodes {
        watch.node(case.name, "up")?;
    }
    let told = watch.told_within(QUIET)?;
    let of_fuses: Vec<_> = told
        .iter()
        .filter(|told| told.text("event") == "fuse")
        .collect();
    ensure!(of_fuses.is_empty(), "{of_fuses:#?}");
    for (case, node) in &nodes {
        ensure!(
            !node.user_processes().is_empty(),
            "no guard on {}",
            case.name
        );
    }
    // They all end their sessions: the watcher stands still, and sends no beat.
    watch.running().stop()?;
    until("every fuse burns", || {
        Ok(nodes.iter().all(|(_, node)| node.sessions().is_empty()))
    })?;
    until("nothing is left", || {
        Ok(nodes
            .iter()
            .all(|(_, node)| node.user_processes().is_empty()))
    })?;
    watch.running().cont()
}

#[test]
fn a_person_reads_why_there_is_no_fuse_and_what_holds() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_person_reads_why") else {
        return Ok(());
    };
    let node = lab.node_with(&NodeSpec::new("db1").shell("/bin/false"))?;
    lab.cable(&node)?;
    let mut command = heartline(&lab, lab.watcher());
    command.args(["watch", "db1", "-F"]).arg(lab.ssh_config());
    let mut running = Running::spawn(command)?;
    running.wait_for("why", CEILING, |line| {
        line.text.contains(
            "    db1  line 10.77.1.2  no fuse  what the login runs ended (status 1) before a guard answered: no POSIX shell, \
             or a forced command; the line beats on, and its far end lives as long as the node's own sshd lets it",
        )
    })?;
    running.terminate()
}

/// As switches do, which take the end of a command for the end of the session.
#[test]
fn a_node_that_ends_the_session_with_the_command_is_asked_twice() -> Result<()> {
    let Some(lab) = Lab::or_skip("ends_the_session") else {
        return Ok(());
    };
    let node = lab.node_with(&NodeSpec::new("db1").config("ForceCommand kill $PPID"))?;
    lab.cable(&node)?;
    let mut watch = Watch::start(&lab, &format!("db1 {TIMING}"))?;
    watch.until("why there is no fuse", |told| {
        told.text("why") == "ends_session"
    })?;
    watch.forget()?;
    // A node's word comes after its lines'.
    watch.node("db1", "up")?;
    watch.forget()?;
    let told = watch.told_within(QUIET)?;
    // A busy machine makes a line suspect now and then.
    let fell = told
        .iter()
        .any(|told| told.text("to") == "down" || told.text("event") == "fuse");
    ensure!(!fell, "{told:#?}");
    assert_eq!(node.log()?.matches("Starting session: ").count(), 2);
    assert_eq!(node.logins()?, 3);
    Ok(())
}

#[test]
fn a_dropbear_whose_session_belongs_to_root_has_no_fuse() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_dropbear") else {
        return Ok(());
    };
    if !Dropbear::is_installed() {
        lab::skipped(
            "a_dropbear",
            "dropbear is missing (Debian package dropbear-bin)",
        );
        return Ok(());
    }
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    let _dropbear = Dropbear::start(&node, 2222, "")?;
    let mut command = node.command("dropbearkey");
    command
        .args(["-y", "-f"])
        .arg(node.dir().join("dropbear/host_key"));
    let said = Running::spawn(command)?.finish(CEILING)?.success()?.stdout;
    let key = said.lines().find(|line| line.starts_with("ssh-ed25519 "));
    let key = key.context("no public key")?;
    let mut known = OpenOptions::new().append(true).open(lab.known_hosts())?;
    writeln!(known, "[{}]:2222 {key}", cable.v4())?;
    let words = format!("db1 --line {},port=2222 {TIMING}", cable.v4());
    let mut watch = Watch::start(&lab, &words)?;
    watch.node("db1", "up")?;
    watch.told_within(QUIET)?;
    assert_eq!(of_fuses(&mut watch)?, ["db1 not_ours"]);
    assert!(!is_down(&mut watch, "db1")?);
    Ok(())
}

#[test]
fn a_key_with_the_guards_command_has_the_right_to_beat_and_nothing_else() -> Result<()> {
    let Some(lab) = Lab::or_skip("a_key_with_the_guards_command") else {
        return Ok(());
    };
    let mksh = "/usr/bin/mksh";
    let has_mksh = std::path::Path::new(mksh).is_file();
    if !has_mksh {
        lab::skipped("a_key_with_the_guards_command", "mksh is not installed");
        return Ok(());
    }
    // In a ksh an arithmetic operand may hold a command.
    let folder = lab.dir().join("bin");
    fs::create_dir(&folder)?;
    std::os::unix::fs::symlink(mksh, folder.join("sh"))?;
    let config = format!("SetEnv PATH={}:/usr/bin:/bin", folder.display());
    let node = lab.node_with(&NodeSpec::new("db1").config(&config).shell(mksh))?;
    lab.cable(&node)?;
    let mut command = heartline(&lab, lab.watcher());
    command
        .arg("guard-command")
        .arg(lab.client_key().with_extension("pub"));
    let line = Running::spawn(command)?.finish(CEILING)?.success()?.stdout;
    assert_eq!(line.lines().count(), 1);
    fs::write(node.authorized_keys(), &line)?;

    let mut watch = Watch::start(&lab, &format!("db1 {TIMING}"))?;
    watch.node("db1", "up")?;
    let told = watch.told_within(QUIET)?;
    ensure!(
        told.iter().all(|told| told.text("event") != "fuse"),
        "{told:#?}"
    );
    ensure!(!node.user_processes().is_empty(), "no guard");
    watch.running().stop()?;
    until("its fuse burns", || Ok(node.sessions().is_empty()))?;
    watch.running().cont()?;
    watch.running().terminate()?;

    let ssh = |words: &[&str]| -> Result<Finished> {
        let mut command = lab.ssh("db1");
        command.args(words);
        Running::spawn(command)?.finish(CEILING)
    };
    let evil = node.home().join("evil");
    let tricks = [
        "id".to_owned(),
        format!("touch {}", evil.display()),
        format!("x y a[$(touch${{IFS}}{})]", evil.display()),
        format!("x y 1a[`touch${{IFS}}{}`]", evil.display()),
        format!("x y 1+a[$(touch${{IFS}}{})]", evil.display()),
        format!("x ; touch {}", evil.display()),
        format!("x $(touch${{IFS}}{}) 3", evil.display()),
        format!("x '\n touch {} \n' 3", evil.display()),
        "x * 1".to_owned(),
    ];
    for trick in &tricks {
        let done = ssh(&[trick])?;
        ensure!(!done.stdout.contains("uid="), "{trick:?}: {}", done.stdout);
        ensure!(!evil.exists(), "{trick:?} ran");
    }
    let forward = ssh(&[
        "-o",
        "ExitOnForwardFailure=yes",
        "-R",
        "18080:127.0.0.1:1",
        "-N",
    ])?;
    assert_eq!(forward.code(), Some(255), "it forwards");
    Ok(())
}
