//! What OpenSSH's own client gets, where there is one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use heartline_serve::{PrivateKey, host_key};
use russh::keys::ssh_key::LineEnding;
use tokio::process::Command;

use crate::support::{Endpoint, within};

/// A folder with a key and a `known_hosts`, and the options that make ssh use nothing else.
struct Ssh {
    folder: tempfile::TempDir,
    addr: SocketAddr,
}

impl Ssh {
    /// `None`, and said so, where there is no ssh.
    fn new(test: &str, endpoint: &Endpoint, key: &PrivateKey) -> Option<Self> {
        if !installed("ssh") {
            lab::skipped(test, "no ssh installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let text = key.to_openssh(LineEnding::LF).unwrap();
        write_private(&folder.path().join("key"), &text);
        let host = endpoint.host_key.public_key().to_openssh().unwrap();
        let (addr, port) = (endpoint.addr.ip(), endpoint.addr.port());
        let known = format!("[{addr}]:{port} {host}\n");
        std::fs::write(folder.path().join("known_hosts"), known).unwrap();
        Some(Self {
            folder,
            addr: endpoint.addr,
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, program: &str, port_flag: &str, options: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(["-F", "none", port_flag, &self.addr.port().to_string()])
            .args(["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"])
            .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"])
            .arg("-o")
            .arg(format!("IdentityFile={}", self.file("key").display()))
            .arg("-o")
            .arg(format!(
                "UserKnownHostsFile={}",
                self.file("known_hosts").display()
            ))
            .args(["-o", "GlobalKnownHostsFile=none"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, options: &[&str], rest: &[&str]) -> Output {
        let mut command = self.command("ssh", "-p", options);
        command
            .arg(format!("watcher@{}", self.addr.ip()))
            .args(rest);
        within("ssh ends", command.output()).await.unwrap()
    }
}

fn installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;

    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_failed(status: ExitStatus, code: i32) {
    assert_eq!(status.code(), Some(code));
}

#[tokio::test]
async fn ssh_n_with_a_beat_a_second_stays_up() {
    let endpoint = Endpoint::start().await;
    let Some(ssh) = Ssh::new(
        "ssh_n_with_a_beat_a_second_stays_up",
        &endpoint,
        &endpoint.user_key,
    ) else {
        return;
    };
    let options = [
        "-v",
        "-N",
        "-o",
        "ServerAliveInterval=1",
        "-o",
        "ServerAliveCountMax=1",
    ];
    let mut command = ssh.command("ssh", "-p", &options);
    command.arg(format!("watcher@{}", ssh.addr.ip()));
    let mut child = command.spawn().unwrap();
    // Unanswered, the second beat ends it: after 2 s. So 4 s and alive is answered.
    let ended = tokio::time::timeout(Duration::from_secs(4), child.wait()).await;
    assert!(ended.is_err(), "ssh ended: {ended:?}");
    child.start_kill().unwrap();
    let output = within("ssh ends", child.wait_with_output()).await.unwrap();
    let said = stderr(&output);
    assert!(said.contains("Authenticated to"), "{said}");
    assert!(
        said.contains("remote software version heartline_"),
        "{said}"
    );
}

#[tokio::test]
async fn a_shell_a_command_and_a_subsystem_are_refused() {
    let endpoint = Endpoint::start().await;
    let Some(ssh) = Ssh::new(
        "a_shell_a_command_and_a_subsystem_are_refused",
        &endpoint,
        &endpoint.user_key,
    ) else {
        return;
    };
    let cases: [(&[&str], &[&str]); 5] = [
        (&["-T"], &[]),
        (&["-tt"], &[]),
        (&[], &["true"]),
        (&["-s"], &["sftp"]),
        (&["-A", "-X"], &["true"]),
    ];
    for (options, rest) in cases {
        let output = ssh.run(options, rest).await;
        assert_failed(output.status, 255);
        let said = stderr(&output);
        assert!(
            said.contains("administratively prohibited"),
            "{options:?}: {said}"
        );
    }
    if !installed("sftp") {
        lab::skipped("sftp is refused", "no sftp installed");
        return;
    }
    let mut sftp = ssh.command("sftp", "-P", &[]);
    sftp.arg(format!("watcher@{}", ssh.addr.ip()));
    let output = within("sftp ends", sftp.output()).await.unwrap();
    assert!(!output.status.success());
}

#[tokio::test]
async fn forwards_are_refused_both_ways() {
    let endpoint = Endpoint::start().await;
    let Some(ssh) = Ssh::new(
        "forwards_are_refused_both_ways",
        &endpoint,
        &endpoint.user_key,
    ) else {
        return;
    };
    let remote = [
        "-N",
        "-o",
        "ExitOnForwardFailure=yes",
        "-R",
        "0:127.0.0.1:9",
    ];
    let output = ssh.run(&remote, &[]).await;
    assert_failed(output.status, 255);
    assert!(stderr(&output).contains("remote port forwarding failed"));
    // -W opens the channel that -L and -D open for every connection they take.
    let output = ssh.run(&["-W", "127.0.0.1:22"], &[]).await;
    assert_failed(output.status, 255);
    assert!(stderr(&output).contains("administratively prohibited"));
    let socket = format!("{}:127.0.0.1:9", ssh.file("socket").display());
    let output = ssh
        .run(
            &["-N", "-o", "ExitOnForwardFailure=yes", "-R", &socket],
            &[],
        )
        .await;
    assert_failed(output.status, 255);
}

#[tokio::test]
async fn a_wrong_key_is_refused() {
    let endpoint = Endpoint::start().await;
    let stranger = host_key::generate().unwrap();
    let Some(ssh) = Ssh::new("a_wrong_key_is_refused", &endpoint, &stranger) else {
        return;
    };
    let output = ssh.run(&["-N"], &[]).await;
    assert_failed(output.status, 255);
    let said = stderr(&output);
    assert!(said.contains("Permission denied (publickey)"), "{said}");
}

#[tokio::test]
async fn ssh_keyscan_reads_the_host_key() {
    let endpoint = Endpoint::start().await;
    if !installed("ssh-keyscan") {
        lab::skipped("ssh_keyscan_reads_the_host_key", "no ssh-keyscan installed");
        return;
    }
    let mut keyscan = Command::new("ssh-keyscan");
    keyscan
        .args(["-p", &endpoint.addr.port().to_string(), "-t", "ed25519"])
        .arg(endpoint.addr.ip().to_string());
    let output = within("ssh-keyscan ends", keyscan.output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = endpoint.host_key.public_key().to_openssh().unwrap();
    assert!(said.contains(host.trim()), "{said}");
}
