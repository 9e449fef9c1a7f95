use std::fs;
use std::process::Command as StdCommand;
use std::time::Instant;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::settings::found::{Files, FoundProxy};
use crate::settings::local::Local;
use crate::settings::{Proxy, Strict};

/// An `ssh` that is a shell script. A child writes it: a descriptor of ours, open for writing, could be
/// inherited by a process that another test starts, and the kernel would then refuse to run the file.
fn fake_ssh(dir: &TempDir, script: &str) -> SshG {
    let file = dir.path().join("ssh");
    let status = StdCommand::new("sh")
        .args([
            "-c",
            r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod 755 "$2""#,
            "sh",
        ])
        .arg(script)
        .arg(&file)
        .status()
        .unwrap();
    assert!(status.success());
    SshG::new(file)
}

fn inv(text: &str) -> Invocation {
    Invocation::new(text.parse().unwrap())
}

/// What `ssh -G` of OpenSSH 9.2 prints, shortened.
const BASE: &str = "hostname baseline\nport 22\nuser ann\nidentityfile ~/.ssh/id_rsa\n\
    identityfile ~/.ssh/id_ed25519\nciphers a,b\nuserknownhostsfile /%\n";

fn found(text: &str) -> Found {
    let baseline = Baseline::new(&Dump::parse(BASE.as_bytes()).unwrap()).unwrap();
    Dump::parse(text.as_bytes())
        .unwrap()
        .found(&baseline)
        .unwrap()
}

#[test]
fn the_argument_vector_keeps_ssh_s_order() {
    let mut inv = inv("u@[::1]:2222");
    inv.config_file = Some("/x/c".into());
    inv.options = vec!["Port=1".into(), "-evil".into()];
    inv.port = Some(23);
    inv.user = Some("v".into());
    inv.identity_files = vec!["/x/key".into()];
    inv.jump = Some("ssh://a:1,b".parse().unwrap());
    inv.bind_address = Some("10.0.0.1".into());
    inv.bind_interface = Some("eth0".into());
    inv.family = Family::V6;
    let args: Vec<String> = arguments(&inv, &["BatchMode=no"])
        .into_iter()
        .map(|arg| arg.into_string().unwrap())
        .collect();
    assert_eq!(
        args.join(" "),
        "-G -T -o BatchMode=no -F /x/c -6 -p 23 -l v -J a:1,b -b 10.0.0.1 -B eth0 \
         -o Port=1 -o -evil -p 2222 -l u -- ::1"
    );
}

#[test]
fn what_equals_the_baseline_is_not_set() {
    let f = found(BASE);
    assert!(matches!(f.identity_files, Files::Default(ref files) if files.len() == 2));
    assert_eq!(f.ciphers, None);
    assert!(f.files_expanded);

    let f = found("hostname h\nidentityfile ~/.ssh/id_rsa\nciphers b,a\n");
    assert!(matches!(f.identity_files, Files::Named(ref files) if files.len() == 1));
    assert_eq!(f.ciphers, Some(vec!["b".to_owned(), "a".to_owned()]));
}

#[test]
fn spellings_of_various_releases() {
    for (text, strict) in [
        ("ask", Strict::Yes),
        ("yes", Strict::Yes),
        ("true", Strict::Yes),
        ("accept-new", Strict::AcceptNew),
        ("no", Strict::No),
        ("off", Strict::No),
        ("false", Strict::No),
    ] {
        let f = found(&format!("hostname h\nstricthostkeychecking {text}\n"));
        assert_eq!(f.strict, strict, "{text}");
    }
    for (text, pubkey) in [
        ("true", true),
        ("unbound", true),
        ("no", false),
        ("false", false),
    ] {
        let f = found(&format!("hostname h\npubkeyauthentication {text}\n"));
        assert_eq!(f.pubkey, pubkey, "{text}");
    }
    assert_eq!(
        found("hostname h\nconnecttimeout none\n").connect_timeout,
        None
    );
    let old = found("hostname h\npubkeyacceptedkeytypes x\n");
    assert_eq!(old.accepted_algorithms, Some(vec!["x".to_owned()]));
    let none = found("hostname h\nproxyjump none\nproxycommand none\n");
    assert!(matches!(none.proxy, FoundProxy::None));
}

#[test]
fn what_is_not_understood_is_an_error_with_its_keyword() {
    let baseline = Baseline::new(&Dump::parse(BASE.as_bytes()).unwrap()).unwrap();
    for line in [
        "port x",
        "batchmode maybe",
        "stricthostkeychecking x",
        "addressfamily ipx",
    ] {
        let dump = Dump::parse(format!("hostname h\n{line}\n").as_bytes()).unwrap();
        let error = dump.found(&baseline).unwrap_err().to_string();
        assert!(error.contains(line), "{error}");
    }
    assert!(Dump::parse(b"user \xff\n").is_err());
    assert!(Dump::parse(b"port 22\n").unwrap().found(&baseline).is_err());
}

#[tokio::test]
async fn a_refusal_is_passed_on_in_ssh_s_words_escaped() {
    let dir = tempfile::tempdir().unwrap();
    let ssh = fake_ssh(
        &dir,
        r#"for last; do :; done
        if [ "$last" = baseline ]; then echo hostname baseline; exit; fi
        printf 'command-line line 0: Bad port \033[2Jx.\r\nterminating\n' >&2; exit 255"#,
    );
    let error = ssh.find(&inv("db1")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "command-line line 0: Bad port \\x1b[2Jx.; terminating"
    );
    assert!(matches!(
        error,
        SettingsError::Refused {
            code: Some(255),
            ..
        }
    ));
}

#[tokio::test]
async fn a_program_without_g_is_no_openssh() {
    let dir = tempfile::tempdir().unwrap();
    let ssh = fake_ssh(&dir, "echo 'Invalid option -G' >&2; exit 1");
    assert!(ssh.find(&inv("db1")).await.unwrap().is_none());
    let ssh = fake_ssh(&dir, "exit 0");
    assert!(ssh.find(&inv("db1")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_program_that_is_gone_is_an_error() {
    let ssh = SshG::new("/nonexistent/ssh".into());
    let error = ssh.find(&inv("db1")).await.unwrap_err();
    assert!(matches!(error, SettingsError::Spawn { .. }), "{error}");
}

#[tokio::test]
async fn one_that_hangs_is_ended_at_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let mut ssh = fake_ssh(
        &dir,
        &format!("echo $$ > {}; exec sleep 600", pid_file.display()),
    );
    ssh.deadline = Duration::from_secs(4);
    let error = ssh.find(&inv("db1")).await.unwrap_err();
    assert!(matches!(error, SettingsError::Deadline { .. }), "{error}");

    let pid: i32 = fs::read_to_string(&pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let start = Instant::now();
    while kill(Pid::from_raw(pid), None).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(30), "still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_flood_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let ssh = fake_ssh(&dir, "head -c 3000000 /dev/zero | tr '\\0' '\\n'");
    let error = ssh.find(&inv("db1")).await.unwrap_err();
    assert!(
        matches!(error, SettingsError::TooMuchOutput { .. }),
        "{error}"
    );

    let ssh = fake_ssh(&dir, "head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 255");
    let Err(SettingsError::Refused { said, .. }) = ssh.run(Vec::new()).await else {
        panic!("not refused");
    };
    assert_eq!(said.len(), MAX_STDERR);
}

#[tokio::test]
async fn at_most_eight_run_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let running = dir.path().join("running");
    fs::create_dir(&running).unwrap();
    let ssh = fake_ssh(
        &dir,
        &format!(
            "cd {}; : > $$; ls | wc -l >> ../counts; sleep 0.2; rm $$; echo hostname x",
            running.display()
        ),
    );
    let runs = (0..24).map(|_| ssh.run(Vec::new()));
    for run in futures::future::join_all(runs).await {
        run.unwrap();
    }
    let counts = fs::read_to_string(dir.path().join("counts")).unwrap();
    let most = counts
        .lines()
        .map(|line| line.trim().parse::<usize>().unwrap())
        .max()
        .unwrap();
    assert!((2..=AT_ONCE).contains(&most), "{most} at once");
}

#[tokio::test]
async fn debian_s_300_seconds_of_batch_mode_are_nobody_s_word() {
    let dir = tempfile::tempdir().unwrap();
    // As Debian's: an unset interval becomes 300 with BatchMode; one that was asked for stays.
    let script = r#"set_interval=0; batch=
        for arg; do case "$arg" in
            BatchMode=*) : "${batch:=${arg#*=}}" ;;
            ServerAliveInterval=*) set_interval=${arg#*=} ;;
        esac; done
        [ "$set_interval" = 0 ] && [ "$batch" = yes ] && set_interval=300
        printf 'hostname x\nbatchmode %s\nserveraliveinterval %s\n' "${batch:-no}" "$set_interval""#;
    let ssh = fake_ssh(&dir, script);
    let mut inv = inv("db1");
    inv.options = vec!["BatchMode=yes".into()];
    let found = ssh.find(&inv).await.unwrap().unwrap();
    assert_eq!((found.batch_mode, found.alive_interval), (true, Some(0)));
    inv.options.push("ServerAliveInterval=300".into());
    let found = ssh.find(&inv).await.unwrap().unwrap();
    assert_eq!((found.batch_mode, found.alive_interval), (true, Some(300)));
}

#[test]
fn what_ssh_expanded_is_not_expanded_again() {
    let local = Local::for_test(Path::new("/home/ann"), &[]);
    let f = found("hostname h\nuserknownhostsfile /a%b /c\nidentityagent /d%e\n");
    let settings = f.finish(&inv("h"), &local).unwrap();
    assert_eq!(
        settings.host_key.user_files,
        [Path::new("/a%b"), Path::new("/c")]
    );
    assert_eq!(settings.identity.agent.as_deref(), Some(Path::new("/d%e")));
    assert_eq!(settings.proxy, Proxy::None);
}

proptest! {
    #[test]
    fn no_output_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let local = Local::for_test(Path::new("/home/ann"), &[]);
        let baseline = Baseline::new(&Dump::parse(BASE.as_bytes()).unwrap()).unwrap();
        if let Ok(dump) = Dump::parse(&bytes) {
            let _ = dump.found(&baseline);
        }
        let mut text = b"hostname h\n".to_vec();
        text.extend(bytes);
        if let Ok(found) = Dump::parse(&text).and_then(|dump| dump.found(&baseline)) {
            let _ = found.finish(&inv("h"), &local);
        }
    }

    #[test]
    fn no_value_panics(
        lines in prop::collection::vec((prop::sample::select(KEYWORDS), "\\PC{0,30}"), 0..20),
    ) {
        let local = Local::for_test(Path::new("/home/ann"), &[]);
        let baseline = Baseline::new(&Dump::parse(BASE.as_bytes()).unwrap()).unwrap();
        let lines: Vec<_> = lines.iter().map(|(k, v)| format!("{k} {v}\n")).collect();
        let text = "hostname h\n".to_owned() + &lines.concat();
        if let Ok(found) = Dump::parse(text.as_bytes()).and_then(|dump| dump.found(&baseline)) {
            let _ = found.finish(&inv("h"), &local);
        }
    }
}

const KEYWORDS: &[&str] = &[
    "hostname",
    "port",
    "user",
    "addressfamily",
    "identityfile",
    "identityagent",
    "certificatefile",
    "userknownhostsfile",
    "globalknownhostsfile",
    "revokedhostkeys",
    "hostkeyalias",
    "proxyjump",
    "proxycommand",
    "ciphers",
    "connecttimeout",
    "serveraliveinterval",
];
