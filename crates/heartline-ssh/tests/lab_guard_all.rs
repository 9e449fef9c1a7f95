//! A guard of everything, against real sshd and with the shells that are met in the field: whatever a session has started is
//! gone by the fuse, at the session's end and when it is asked to, however it was started; nobody else is touched; and an
//! inspector counts the same.
//!
//! The guard and the commands are channels of one connection, by a control master of OpenSSH.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that finds something else than it needs has failed"
)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use heartline_core::{Fuse, Interval};
use heartline_ssh::{Duty, FarSession, guard_request, inspect_request};
use lab::{Lab, Node, NodeSpec, Pid, Running, Signal};

const FUSE: Duration = Duration::from_secs(2);
/// What the far end may take beyond its fuse.
const SLACK: Duration = Duration::from_secs(1);
const CEILING: Duration = Duration::from_secs(30);
const TOKEN: &str = "00112233445566778899aabbccddeeff";

/// As `sh` and as login shell; tcsh and fish as login shell alone.
const SHELLS: [Shell; 6] = [
    Shell::new("dash", "/usr/bin/dash", true, 2),
    Shell::new("bash", "/usr/bin/bash", true, 1),
    Shell::new("ash", "/usr/bin/busybox", true, 1),
    Shell::new("mksh", "/usr/bin/mksh", true, 1),
    Shell::new("tcsh", "/usr/bin/tcsh", false, 2),
    Shell::new("fish", "/usr/bin/fish", false, 2),
];

struct Shell {
    name: &'static str,
    program: &'static str,
    is_posix: bool,
    /// After how many fuses it burns at the latest.
    fuses: u32,
}

impl Shell {
    const fn new(name: &'static str, program: &'static str, is_posix: bool, fuses: u32) -> Self {
        Self {
            name,
            program,
            is_posix,
            fuses,
        }
    }
}

/// What a session starts, and how many processes that are.
const COMMANDS: [(&str, usize); 9] = [
    ("exec sleep 1000", 1),
    ("exec sh -c 'trap \"\" HUP TERM; sleep 1001; exit'", 2),
    ("exec sh -c 'sleep 1002 & (setsid sleep 1003 &); wait'", 3),
    (
        "exec sh -c '(trap \"\" HUP TERM; setsid sh -c \"sleep 1004 & wait\" &) >&- 2>&-; exit'",
        2,
    ),
    ("exec sh -c 'sleep 1005 <&- >&- 2>&- &'", 1),
    ("exec env -i sleep 1006", 1),
    ("exec './a) b ('  1007", 1),
    ("exec sh -c 'exec ./x*Z 1008'", 1),
    ("exec sh -c 'kill -STOP $$; exit'", 1),
];

/// A node with somebody else on it, and an inspector.
struct Bed<'a> {
    lab: &'a Lab,
    shell: &'static Shell,
    node: Node,
    /// Sessions of somebody else.
    strangers: Vec<Running>,
    inspector: Running,
    asked: u32,
    others: BTreeSet<Pid>,
}

/// A session, its guard, and what it has started.
struct Subject {
    master: Running,
    guard: Running,
    commands: Vec<Running>,
    far: FarSession,
    beats: u32,
    started: BTreeSet<Pid>,
}

impl<'a> Bed<'a> {
    fn new(lab: &'a Lab, shell: &'static Shell, node: Node) -> Self {
        let mut inspector = lab.ssh(shell.name);
        inspector.arg(inspect_request(TOKEN)).stdin(Stdio::piped());
        let mut inspector = Running::spawn(inspector).unwrap();
        let hello = format!("{TOKEN} i");
        let hello = inspector.wait_for("hello", CEILING, |line| line.text == hello);
        hello.unwrap();
        let others = node.user_processes().into_iter().collect();
        let mut bed = Self {
            lab,
            shell,
            node,
            strangers: Vec::new(),
            inspector,
            asked: 0,
            others,
        };
        bed.somebody_comes();
        bed
    }

    /// Another session of the same user.
    fn somebody_comes(&mut self) {
        let time = format!("{}", 2_000 + self.strangers.len());
        let mut stranger = self.lab.ssh(self.shell.name);
        stranger
            .arg(format!("exec sleep {time}"))
            .stdin(Stdio::piped());
        self.strangers.push(Running::spawn(stranger).unwrap());
        let wanted = format!("sleep\0{time}\0");
        until("somebody else", || {
            let mut pids = self.node.user_processes().into_iter();
            let found = pids.find(|pid| cmdline(*pid) == wanted);
            self.others.extend(found);
            found.is_some()
        });
    }

    /// The sessions of strangers, and the inspector's.
    fn other_sessions(&self) -> usize {
        self.strangers.len() + 1
    }

    /// A session with a guard that holds, and every command running.
    fn subject(&self) -> Subject {
        let name = self.shell.name;
        let control = self.lab.dir().join(format!("master-{name}"));
        let ssh = |words: &[&str]| {
            let mut command = self.lab.ssh(name);
            command
                .arg("-S")
                .arg(&control)
                .args(words)
                .stdin(Stdio::piped());
            Running::spawn(command).unwrap()
        };
        let master = ssh(&["-M", "-N"]);
        until("a master", || control.exists());
        let interval = Interval::new(Duration::from_secs(1)).unwrap();
        let fuse = Fuse::new(FUSE, interval).unwrap();
        let mut guard = ssh(&[&guard_request(TOKEN, fuse, Duty::All)]);
        let hello = guard.wait_for("hello", CEILING, |line| line.text.starts_with(TOKEN));
        let hello = hello.unwrap().text;
        let far = hello.splitn(3, ' ').nth(2).unwrap().parse().unwrap();
        let mut subject = Subject {
            master,
            guard,
            commands: Vec::new(),
            far,
            beats: 0,
            started: BTreeSet::new(),
        };
        let mut wanted = 0;
        for (command, processes) in COMMANDS {
            subject.beat();
            subject.commands.push(ssh(&[command]));
            wanted += processes;
            until(command, || {
                subject.beat();
                thread::sleep(Duration::from_millis(50));
                subject.started = self.started();
                assert!(
                    subject.started.len() <= wanted,
                    "{name}: {command}: {:?}",
                    names(&self.node)
                );
                subject.started.len() == wanted
            });
        }
        subject
    }

    /// What a session has started that lives.
    fn started(&self) -> BTreeSet<Pid> {
        let guard = self.guard_session();
        let all = self.node.user_processes().into_iter();
        all.filter(|pid| !self.others.contains(pid))
            .filter(|pid| {
                stat(*pid).is_some_and(|(state, session)| {
                    state != 'Z' && Some(session) != guard && !is_becoming(*pid)
                })
            })
            .collect()
    }

    /// The session id of the guard.
    fn guard_session(&self) -> Option<i32> {
        let mut pids = self.node.user_processes().into_iter();
        let guard = pids.find(|pid| cmdline(*pid).contains("\0heartline-guard\0"))?;
        stat(guard).map(|(_, session)| session)
    }

    fn ask(&mut self, verb: &str, far: &FarSession) -> usize {
        self.answer(&format!("{verb} {far}")).parse().unwrap()
    }

    fn answer(&mut self, question: &str) -> String {
        self.asked += 1;
        let number = self.asked;
        let question = format!("{number} {question}\n");
        self.inspector.write_stdin(&question).unwrap();
        let begin = format!("{TOKEN} {number} ");
        let answer = self
            .inspector
            .wait_for("answer", CEILING, |line| line.text.starts_with(&begin));
        answer.unwrap().text[begin.len()..].to_owned()
    }

    /// Waits until the inspector counts so many.
    fn counts(&mut self, far: &FarSession, wanted: usize) {
        let mut last = 0;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            last = self.ask("count", far);
            if last == wanted {
                return;
            }
        }
        panic!(
            "{}: {last}, not {wanted}: {:?}",
            self.shell.name,
            names(&self.node)
        );
    }

    /// Everybody else is well.
    fn others_are_well(&self) {
        let now: BTreeSet<_> = self.node.user_processes().into_iter().collect();
        assert!(now.is_superset(&self.others), "{}", self.shell.name);
    }

    /// Waits until all of a session is gone, and says when.
    fn gone(&self) -> Instant {
        let begun = Instant::now();
        until(&format!("{}: all is gone", self.shell.name), || {
            let names = || format!("{}: {:?}", self.shell.name, names(&self.node));
            assert!(begun.elapsed() < CEILING / 3, "{}", names());
            let mut left = self.node.user_processes().into_iter();
            !left.any(|pid| !self.others.contains(&pid))
                && self.node.sessions().len() == self.other_sessions()
        });
        Instant::now()
    }
}

impl Subject {
    fn beat(&mut self) -> Instant {
        self.beats += 1;
        let number = self.beats.to_string();
        self.guard.write_stdin(&format!("{number}\n")).unwrap();
        let echo = self.guard.wait_for("an echo", CEILING, |line| {
            line.text.split(' ').next() == Some(&number)
        });
        echo.unwrap();
        Instant::now()
    }

    fn beat_for(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.beat();
            thread::sleep(Duration::from_millis(300));
        }
    }
}

/// State and session of a process.
fn stat(pid: Pid) -> Option<(char, i32)> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat).into_owned();
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(2)?.parse().ok()?))
}

fn cmdline(pid: Pid) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).into_owned()
}

/// Whether it is a login shell that has yet to become the command.
fn is_becoming(pid: Pid) -> bool {
    let line = cmdline(pid);
    line.is_empty() || line.contains("\0-c\0exec ") || line.starts_with("sshd")
}

fn names(node: &Node) -> Vec<String> {
    let short = |pid| format!("{pid} {:.60}", cmdline(pid));
    node.user_processes().into_iter().map(short).collect()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < CEILING, "not within {CEILING:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn node_with(lab: &Lab, shell: &Shell) -> Node {
    let folder = lab.dir().join(format!("bin-{}", shell.name));
    fs::create_dir(&folder).unwrap();
    symlink(shell.program, folder.join(shell.name)).unwrap();
    if shell.is_posix {
        symlink(shell.program, folder.join("sh")).unwrap();
    }
    let path = format!("SetEnv PATH={}:/usr/bin:/bin", folder.display());
    let login = folder.join(shell.name).display().to_string();
    let spec = NodeSpec::new(shell.name).config(&path).shell(&login);
    let node = lab.node_with(&spec).unwrap();
    for name in ["a) b (", "x\n1 (y) S 1 Z"] {
        fs::copy("/usr/bin/sleep", node.home().join(name)).unwrap();
    }
    lab.cable(&node).unwrap();
    node
}

/// Does this with one shell after another: times are measured, and each has processes enough for a small machine.
fn with_each_shell(test: &str, work: impl Fn(&mut Bed<'_>)) {
    let Some(lab) = Lab::or_skip(test) else {
        return;
    };
    let mut nodes = Vec::new();
    for shell in &SHELLS {
        if Path::new(shell.program).is_file() {
            nodes.push((shell, node_with(&lab, shell)));
        } else {
            lab::skipped(test, &format!("{} is not installed", shell.program));
        }
    }
    for (shell, node) in nodes {
        work(&mut Bed::new(&lab, shell, node));
    }
}

#[test]
fn when_no_beat_comes_everything_the_session_started_is_gone_in_time() {
    with_each_shell("when_no_beat_comes", |bed| {
        let mut subject = bed.subject();
        bed.somebody_comes();
        // For as long as beats come, nothing is touched.
        subject.beat_for(FUSE * 3);
        assert_eq!(bed.started(), subject.started, "{}", bed.shell.name);
        let beat = subject.beat();
        let after = bed.gone() - beat;
        println!(
            "{:5} gone {after:?} after the last beat, fuse {FUSE:?}",
            bed.shell.name
        );
        let latest = FUSE * bed.shell.fuses + SLACK;
        assert!(
            after <= latest,
            "{}: {after:?} > {latest:?}",
            bed.shell.name
        );
        assert!(after >= FUSE, "{}: {after:?}", bed.shell.name);
        bed.others_are_well();
        bed.counts(&subject.far, 0);
    });
}

#[test]
fn when_asked_to_a_guard_ends_everything_but_the_session() {
    with_each_shell("when_asked_to", |bed| {
        let mut subject = bed.subject();
        bed.somebody_comes();
        let far = subject.far.clone();
        let guard = if bed.shell.fuses == 1 { 1 } else { 3 };
        bed.counts(&far, 1 + guard + subject.started.len());
        subject.beat();
        let asked = Instant::now();
        subject.guard.write_stdin("end\n").unwrap();
        let ended = subject
            .guard
            .wait_for("an end", CEILING, |line| line.text.starts_with('e'));
        let took = asked.elapsed();
        assert_eq!(ended.unwrap().text, "e 0", "{}", bed.shell.name);
        println!("{:5} ended everything in {took:?}", bed.shell.name);
        assert!(took < SLACK, "{}: {took:?}", bed.shell.name);
        assert_eq!(bed.started(), BTreeSet::new(), "{}", bed.shell.name);
        // The session stays, and the guard, which beats come to, holds the fuse.
        subject.beat_for(FUSE * 2);
        assert!(subject.master.is_alive() && bed.node.sessions().len() == bed.other_sessions() + 1);
        bed.others_are_well();
        bed.counts(&far, 1 + guard);
        let last = subject.beat();
        let after = bed.gone() - last;
        assert!(after <= FUSE * bed.shell.fuses + SLACK, "{after:?}");
        bed.others_are_well();
    });
}

#[test]
fn when_the_session_dies_everything_it_started_is_gone_at_once() {
    with_each_shell("when_the_session_dies", |bed| {
        let mut subject = bed.subject();
        bed.somebody_comes();
        let beat = subject.beat();
        let pid = Pid::from_raw(subject.far.pid().try_into().unwrap());
        assert!(
            bed.node
                .sessions()
                .iter()
                .any(|session| session.user == pid)
        );
        nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
        let after = bed.gone() - beat;
        println!(
            "{:5} gone {after:?} after the sshd was killed",
            bed.shell.name
        );
        assert!(after < SLACK, "{}: {after:?}", bed.shell.name);
        bed.others_are_well();
        bed.counts(&subject.far, 0);
    });
}

#[test]
fn an_inspector_kills_what_no_guard_does() {
    with_each_shell("an_inspector_kills", |bed| {
        let subject = bed.subject();
        bed.somebody_comes();
        let far = subject.far.clone();
        // Another boot, and another container of this machine.
        let words: Vec<_> = far.to_string().split(' ').map(str::to_owned).collect();
        let place: Vec<_> = words[2].split('.').collect();
        let (boot, namespace, first) = (place[0], place[1], place[2]);
        assert!(!namespace.is_empty() && !first.is_empty());
        for elsewhere in [
            format!(
                "{}.{namespace}.{first}",
                boot.replace(&boot[..8], "00000000")
            ),
            format!("{boot}.1.{first}"),
            format!("{boot}..{first}"),
            format!("{boot}.{namespace}.{first}0"),
        ] {
            let elsewhere = far.to_string().replace(&words[2], &elsewhere);
            let _: FarSession = elsewhere.parse().unwrap();
            assert_eq!(bed.answer(&format!("count {elsewhere}")), "x");
            assert_eq!(bed.answer(&format!("kill {elsewhere}")), "x");
        }
        assert!(bed.ask("count", &far) > subject.started.len());
        assert_eq!(bed.ask("kill", &far), 0, "{}", bed.shell.name);
        bed.gone();
        bed.others_are_well();
    });
}
