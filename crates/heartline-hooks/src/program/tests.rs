use std::fs;
use std::path::Path;
use std::time::Instant;

use tempfile::{TempDir, tempdir};

use super::*;

fn shell(script: &str) -> Program {
    Program {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
    }
}

fn tell(program: &Program, letter: &Letter, body: &str, limit: Duration) -> (Outcome, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let begun = Instant::now();
    let outcome = runtime.block_on(program.tell(letter, body, limit));
    (outcome, begun.elapsed())
}

fn run(script: &str, limit: Duration) -> (Outcome, Duration) {
    tell(&shell(script), &Letter::default(), "{}", limit)
}

fn letter() -> Letter {
    Letter {
        hook: "page".into(),
        key: "page-7-1".into(),
        token: Some(7),
        node: Some("d\0b\n1".into()),
        tags: vec!["db".into(), "ham".into()],
        from: "up".into(),
        to: "down".into(),
        t: "2026-11-20T23:31:00.123Z".into(),
        after_ms: Some(9804),
        flapping: true,
        ..Letter::default()
    }
}

/// The process whose id the script wrote there.
fn pid_in(folder: &TempDir, name: &str) -> i32 {
    let path = folder.path().join(name);
    fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

/// Soon, at least: a signal that was sent is acted on when the kernel comes to it.
fn is_gone(pid: i32) -> bool {
    let until = Instant::now() + Duration::from_secs(2);
    while lives(pid) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    !lives(pid)
}

fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie has nothing left but its number.
    !stat.is_empty() && !stat.contains(") Z")
}

fn kill(pid: i32) {
    let _ = rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

#[test]
fn it_gets_the_body_and_the_environment_and_no_shell_reads_them() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let script =
        "cat > \"$0\"; env -0 | grep -z ^HEARTLINE_ | sort -z > \"$1\"; echo \"$2\" > \"$3\"";
    let mut program = shell(script);
    program.arguments.extend([
        path("body"),
        path("env"),
        "$(id) ; `id`".into(),
        path("arg"),
    ]);
    let (outcome, _) = tell(
        &program,
        &letter(),
        "{\"a\":\"'\"}",
        Duration::from_secs(10),
    );
    assert_eq!(outcome, Outcome::Done);
    let read = |name: &str| fs::read_to_string(Path::new(&path(name))).unwrap();
    assert_eq!(read("body"), "{\"a\":\"'\"}\n");
    assert_eq!(read("arg"), "$(id) ; `id`\n");
    let env = read("env");
    // Beside what it is given stands what we were given.
    let is_ours = |name: &str| std::env::var_os(name).is_some();
    let mut env: Vec<_> = env.split_terminator('\0').collect();
    env.retain(|word| !word.split('=').next().is_some_and(is_ours));
    assert_eq!(
        env,
        [
            "HEARTLINE_AFTER_MS=9804",
            "HEARTLINE_CAUSE=",
            "HEARTLINE_CHANGES=",
            "HEARTLINE_FLAPPING=1",
            "HEARTLINE_FROM=up",
            "HEARTLINE_HOOK=page",
            "HEARTLINE_KEY=page-7-1",
            "HEARTLINE_LINE=",
            "HEARTLINE_NODE=d\u{fffd}b\n1",
            "HEARTLINE_T=2026-11-20T23:31:00.123Z",
            "HEARTLINE_TAGS=db,ham",
            "HEARTLINE_TO=down",
            "HEARTLINE_TOKEN=7",
        ]
    );
}

#[test]
fn its_exit_code_says_what_became_of_it() {
    let limit = Duration::from_secs(10);
    assert_eq!(run("exit 0", limit).0, Outcome::Done);
    let (later, _) = run("echo wait >&2; exit 75", limit);
    let Outcome::Later { wait: None, why } = later else {
        panic!("{later:?}");
    };
    assert!(why.ends_with("75; it said: wait"), "{why}");
    let (failed, _) = run("printf 'no\\033[2J\\nway'; exit 3", limit);
    let want = "exit status: 3; it said: no\\x1b[2J\\x0away";
    assert_eq!(failed, Outcome::Failed(want.into()));
    let (killed, _) = run("kill -KILL $$", limit);
    assert_eq!(killed, Outcome::Failed("signal: 9 (SIGKILL)".into()));
}

#[test]
fn one_that_does_not_exist_or_may_not_be_run_fails() {
    for program in ["/no/such/program", "no-such-program", "/etc/passwd", "/"] {
        let program = Program {
            program: program.into(),
            arguments: Vec::new(),
        };
        let (outcome, _) = tell(&program, &letter(), "{}", Duration::from_secs(1));
        let Outcome::Failed(why) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(why.starts_with("cannot run "), "{why}");
    }
}

#[test]
fn one_that_hangs_is_ended_with_its_group() {
    let folder = tempdir().unwrap();
    let at = folder.path().display();
    let script = format!("sleep 1000 & echo $! > {at}/child; echo $$ > {at}/own; wait");
    let (outcome, took) = run(&script, Duration::from_millis(300));
    let late = "not done within 300ms, and ended";
    assert_eq!(outcome, Outcome::Failed(late.into()));
    assert!(took < Duration::from_millis(1500), "{took:?}");
    assert!(is_gone(pid_in(&folder, "child")) && is_gone(pid_in(&folder, "own")));
}

#[test]
fn one_that_will_not_go_is_killed_two_seconds_later() {
    let folder = tempdir().unwrap();
    let at = folder.path().display();
    let script = format!("trap '' TERM; echo $$ > {at}/own; while :; do sleep 0.05; done");
    let (_, took) = run(&script, Duration::from_millis(200));
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert!(took < Duration::from_millis(3500), "{took:?}");
    assert!(is_gone(pid_in(&folder, "own")));
}

#[test]
fn one_that_leaves_a_child_with_its_pipes_is_done_when_it_is() {
    let folder = tempdir().unwrap();
    let at = folder.path().display();
    let script = format!("setsid sleep 1000 & echo $! > {at}/child; echo said; exit 4");
    let (outcome, took) = run(&script, Duration::from_secs(20));
    // setsid(1) runs in the child that the shell made.
    kill(pid_in(&folder, "child"));
    let want = "exit status: 4; it said: said";
    assert_eq!(outcome, Outcome::Failed(want.into()));
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn one_that_forks_away_and_hangs_holds_nobody_up_for_longer_than_its_limit() {
    let folder = tempdir().unwrap();
    let at = folder.path().display();
    let script = format!("setsid sleep 1000 & echo $! > {at}/child; sleep 1000");
    let (_, took) = run(&script, Duration::from_millis(300));
    kill(pid_in(&folder, "child"));
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_gigabyte_costs_no_memory_and_holds_nobody_up() {
    let before = resident();
    let (outcome, _) = run("head -c 1000000000 /dev/zero", Duration::from_mins(1));
    assert_eq!(outcome, Outcome::Done);
    let grown = resident().saturating_sub(before);
    // Other tests of this process grow, too.
    assert!(grown < 256 * 1024, "{grown} KiB");
    let (outcome, took) = run("yes", Duration::from_millis(300));
    let Outcome::Failed(why) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(why.len() < 20_000, "{}", why.len());
    assert!(took < Duration::from_millis(2500), "{took:?}");
}

#[test]
fn one_that_reads_nothing_of_a_megabyte_is_none_the_worse() {
    let body = "x".repeat(1_000_000);
    let limit = Duration::from_secs(10);
    let (outcome, took) = tell(&shell("exit 0"), &letter(), &body, limit);
    assert_eq!(outcome, Outcome::Done);
    assert!(took < Duration::from_secs(3), "{took:?}");
    let limit = Duration::from_millis(300);
    let (outcome, took) = tell(&shell("sleep 1000"), &letter(), &body, limit);
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    let mut program = shell("wc -c > \"$0\"");
    let folder = tempdir().unwrap();
    let count = folder.path().join("count");
    program.arguments.push(count.display().to_string());
    let (outcome, _) = tell(&program, &letter(), &body, Duration::from_secs(10));
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(fs::read_to_string(count).unwrap().trim(), "1000001");
}

#[test]
fn a_value_longer_than_the_kernel_takes_is_cut() {
    let mut letter = letter();
    letter.tags = vec!["ü".repeat(200_000)];
    let (outcome, _) = tell(&shell("exit 0"), &letter, "{}", Duration::from_secs(10));
    assert_eq!(outcome, Outcome::Done);
}

#[test]
fn whoever_stops_waiting_leaves_none_of_its_group_behind() {
    let folder = tempdir().unwrap();
    let at = folder.path().display();
    let script = format!("sleep 1000 & echo $! > {at}/child; echo $$ > {at}/own; wait");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (program, letter) = (shell(&script), letter());
        let told = program.tell(&letter, "{}", Duration::from_secs(100));
        let _ = timeout(Duration::from_millis(500), told).await;
    });
    assert!(is_gone(pid_in(&folder, "child")) && is_gone(pid_in(&folder, "own")));
}

/// KiB of this process.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().nth(1));
    number.unwrap().parse().unwrap()
}
