//! Who answers and who we are, by whole dials: revoked host keys, locked keys, an agent, certificates.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use heartline_core::Cause;
use heartline_ssh::PrepareError;
use heartline_ssh::identity::{AskError, Asker, IdentityError, Require};

use crate::bed::{Bed, user};
use crate::client::{Client, patient, prepare, target};

#[tokio::test]
async fn a_revoked_host_key_ends_the_dial() {
    let Some(bed) = Bed::or_skip("a_revoked_host_key_ends_the_dial") else {
        return;
    };
    let sshd = bed.sshd("");
    let client = Client::new();
    let known = bed.read("known");
    for strict in ["yes", "accept-new", "no"] {
        bed.write("known", &known);
        let strict = format!("StrictHostKeyChecking={strict}");
        let target = target(&bed, sshd.addr, patient(), &[&strict]).await;
        drop(client.dial(&target).await);
        // Revoked while the watcher runs: the next dial heeds it.
        bed.write(
            "known",
            format!("{known}@revoked * {}", bed.read("host.pub")),
        );
        let failure = client.try_dial(&target).await.err().unwrap();
        assert_eq!(failure.cause, Cause::HostKeyChanged, "{strict} {failure:?}");
        assert!(failure.cause.stops_dialing());
        let detail = failure.detail.unwrap();
        assert!(detail.contains("REVOKED"), "{detail}");
    }
}

#[tokio::test]
async fn another_host_key_or_an_unknown_one_ends_the_dial() {
    let Some(bed) = Bed::or_skip("another_host_key_or_an_unknown_one_ends_the_dial") else {
        return;
    };
    let sshd = bed.sshd("");
    let client = Client::new();
    for (known, cause) in [
        (
            format!("node {}", bed.read("id.pub")),
            Cause::HostKeyChanged,
        ),
        (String::new(), Cause::HostKeyUnknown),
    ] {
        bed.write("known", known);
        let target = target(&bed, sshd.addr, patient(), &[]).await;
        let failure = client.try_dial(&target).await.err().unwrap();
        assert_eq!(failure.cause, cause, "{failure:?}");
    }
}

#[tokio::test]
async fn a_locked_key_is_opened_by_askpass() {
    let Some(bed) = Bed::or_skip("a_locked_key_is_opened_by_askpass") else {
        return;
    };
    let sshd = bed.sshd("");
    bed.keygen(&["-q", "-p", "-P", "", "-N", "open sesame", "-f", "id"]);
    let program = bed.path("askpass");
    bed.write(
        "askpass",
        "#!/bin/sh\necho \"$1\" >>\"$0.asked\"\necho 'open sesame'\n",
    );
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let client = Client::new();
    let asker = Arc::new(Asker::new(Some(program), Require::Force, false));
    let target = prepare(&bed, sshd.addr, patient(), &[], asker)
        .await
        .unwrap();
    for _ in 0..2 {
        drop(client.dial(&target).await);
    }
    // Once, however often it is dialed.
    let asked = bed.read("askpass.asked");
    assert_eq!(asked.lines().count(), 1, "{asked}");
    assert!(
        asked.contains(&bed.path("id").display().to_string()),
        "{asked}"
    );
    let nobody = Arc::new(Asker::new(None, Require::Never, false));
    let refused = prepare(&bed, sshd.addr, patient(), &[], nobody).await;
    let expected = |error: &PrepareError| {
        let PrepareError::Identity(IdentityError::Locked { why, .. }) = error else {
            return false;
        };
        matches!(why, AskError::NoWay | AskError::Failed { .. })
    };
    assert!(refused.err().is_some_and(|error| expected(&error)));
}

#[tokio::test]
async fn a_key_in_an_agent_lets_us_in() {
    let Some(bed) = Bed::or_skip("a_key_in_an_agent_lets_us_in") else {
        return;
    };
    let sshd = bed.sshd("");
    let agent = Agent::start(&bed);
    agent.add(&bed, "id");
    // From now on only the agent has it.
    fs::remove_file(bed.path("id")).unwrap();
    let socket = format!("IdentityAgent={}", bed.path("agent").display());
    bed.configure("");
    let client = Client::new();
    let target = target(&bed, sshd.addr, patient(), &[&socket]).await;
    drop(client.dial(&target).await);
    drop(agent);
    let failure = client.try_dial(&target).await.err().unwrap();
    assert!(!failure.cause.stops_dialing() || failure.cause == Cause::AuthRefused);
}

#[tokio::test]
async fn a_certificate_lets_us_in() {
    let Some(bed) = Bed::or_skip("a_certificate_lets_us_in") else {
        return;
    };
    bed.keygen(&["-q", "-t", "ed25519", "-N", "", "-f", "authority"]);
    bed.write("authorized", "");
    let trusted = bed.path("authority.pub");
    let sshd = bed.sshd(&format!("TrustedUserCAKeys {}", trusted.display()));
    let client = Client::new();
    let bare = target(&bed, sshd.addr, patient(), &[]).await;
    let failure = client.try_dial(&bare).await.err().unwrap();
    assert_eq!(failure.cause, Cause::AuthRefused, "{failure:?}");
    let user = user();
    bed.keygen(&["-q", "-s", "authority", "-I", "us", "-n", &user, "id.pub"]);
    // Not beside the key, where it would be found without being named.
    fs::rename(bed.path("id-cert.pub"), bed.path("elsewhere")).unwrap();
    let certificate = format!("CertificateFile={}", bed.path("elsewhere").display());
    let certified = target(&bed, sshd.addr, patient(), &[&certificate]).await;
    drop(client.dial(&certified).await);
}

/// A real ssh-agent, killed when dropped.
struct Agent(Child);

impl Agent {
    fn start(bed: &Bed) -> Self {
        let mut child = Command::new("/usr/bin/ssh-agent")
            .args(["-D", "-a"])
            .arg(bed.path("agent"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It says where it listens once it does.
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        Self(child)
    }

    fn add(&self, bed: &Bed, key: &str) {
        let added = Command::new("/usr/bin/ssh-add")
            .arg("-q")
            .arg(bed.path(key))
            .env("SSH_AUTH_SOCK", bed.path("agent"))
            .stdin(Stdio::null())
            .status();
        assert!(added.unwrap().success(), "{:?}", self.0);
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
