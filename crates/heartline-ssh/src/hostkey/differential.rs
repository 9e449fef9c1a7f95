//! Our judgement beside that of the installed ssh and ssh-keygen.

use std::fmt::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::SystemTime;

use russh::Preferred;
use russh::client::{Config, Handler, connect};
use russh::keys::PublicKeyOrCertificate;

use super::cases::{BY_ALIAS, BY_PORT};
use super::testbed::{Sshd, Testbed, user};
use super::tests::settings;
use super::{HostKeyError, Trust, Verifier};
use crate::settings::{HostKeySettings, Strict};

/// One question put to both.
struct Case {
    name: &'static str,
    server: &'static str,
    known: String,
    alias: Option<&'static str>,
    strict: Strict,
    /// What both must say, as ours says it.
    expected: &'static str,
}

#[derive(Debug)]
struct Client {
    verifier: Verifier,
    verdict: Arc<std::sync::Mutex<Option<Result<Trust, HostKeyError>>>>,
}

impl Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        let verdict = self.verifier.check(key, SystemTime::now());
        let is_good = verdict.is_ok();
        *self.verdict.lock().unwrap() = Some(verdict);
        Ok(is_good)
    }
}

#[tokio::test]
async fn we_judge_as_ssh_does() {
    let Some(bed) = Testbed::new() else { return };
    let servers = servers(&bed);
    for case in cases(&bed) {
        let (_, sshd) = servers
            .iter()
            .find(|(name, _)| *name == case.server)
            .unwrap();
        bed.write("known", &case.known);
        let theirs = ssh_accepts(&bed, sshd, &case);
        bed.write("known", &case.known);
        let ours = ours(&bed, sshd, &case).await;
        assert_eq!(word(&ours), case.expected, "{}: {ours:?}", case.name);
        assert_eq!(ours.is_ok(), theirs, "{}: {ours:?}", case.name);
    }
}

fn servers(bed: &Testbed) -> Vec<(&'static str, Sshd)> {
    for (name, kind) in [("ed", "ed25519"), ("ec", "ecdsa"), ("rsa", "rsa-2048")] {
        bed.key(name, kind);
    }
    for name in ["other", "ca", "ca2", "me"] {
        bed.key(name, "ed25519");
    }
    bed.key("rsaca", "rsa-2048");
    let certificates: [(&str, &str, &[&str]); 5] = [
        ("good", "ca", &["-h", "-n", "other.example,host.example"]),
        ("rsa-signed", "rsaca", &["-h", "-n", "host.example"]),
        ("elsewhere", "ca", &["-h", "-n", "other.example"]),
        (
            "expired",
            "ca",
            &["-h", "-n", "host.example", "-V", "20200101:20210101"],
        ),
        ("for-users", "ca", &["-n", "host.example"]),
    ];
    let mut servers = Vec::new();
    for (name, ca, options) in certificates {
        let mut arguments = vec!["-q", "-s", ca, "-I", name];
        arguments.extend(options);
        arguments.push("ed.pub");
        bed.keygen(&arguments);
        std::fs::rename(
            bed.path("ed-cert.pub"),
            bed.path(&format!("{name}-cert.pub")),
        )
        .unwrap();
        let (key, certificate) = (bed.path("ed"), bed.path(&format!("{name}-cert.pub")));
        // sshd refuses to show a user certificate, so what it shows then is the plain key.
        let lines = format!(
            "HostKey {}\nHostCertificate {}",
            key.display(),
            certificate.display()
        );
        servers.push((name, bed.sshd(name, "me.pub", &lines)));
    }
    for (name, keys) in [("plain", vec!["ed", "ec", "rsa"]), ("only-ed", vec!["ed"])] {
        let lines: Vec<_> = keys
            .iter()
            .map(|key| format!("HostKey {}", bed.path(key).display()))
            .collect();
        servers.push((name, bed.sshd(name, "me.pub", &lines.join("\n"))));
    }
    servers
}

/// The table with the keys put in.
fn cases(bed: &Testbed) -> Vec<Case> {
    let fill = |known: &str| {
        // The longer names first, since one may begin another.
        let keys = ["other", "rsaca", "rsa", "ca2", "ca", "ed", "ec"];
        keys.iter().fold(known.to_owned(), |text, key| {
            text.replace(&format!("${key}"), &bed.public(key))
        })
    };
    let rows = BY_ALIAS.iter().map(|row| (row, Some("host.example")));
    let rows = rows.chain(BY_PORT.iter().map(|row| (row, None)));
    rows.map(|(&(name, server, strict, known, expected), alias)| Case {
        name,
        server,
        known: fill(known),
        alias,
        strict,
        expected,
    })
    .collect()
}

fn ssh_accepts(bed: &Testbed, sshd: &Sshd, case: &Case) -> bool {
    let known = bed.read("known").replace("PORT", &sshd.port.to_string());
    let known = bed.write("known", known);
    let strict = match case.strict {
        Strict::Yes => "yes",
        Strict::AcceptNew => "accept-new",
        Strict::No => "no",
    };
    let mut command = Command::new("/usr/bin/ssh");
    command
        .args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
        ])
        .args(["-o", "GlobalKnownHostsFile=none", "-o", "ConnectTimeout=20"])
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", known.display()))
        .arg("-o")
        .arg(format!("StrictHostKeyChecking={strict}"))
        .arg("-i")
        .arg(bed.path("me"))
        .args(["-l", &user(), "-p", &sshd.port.to_string()])
        .stdin(Stdio::null());
    if let Some(alias) = case.alias {
        command.arg("-o").arg(format!("HostKeyAlias={alias}"));
    }
    // It shows no key of its own: a login would run somebody's shell, with start-up files that are nothing of ours.
    command.args(["-o", "PubkeyAuthentication=no", "127.0.0.1", "true"]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let trusted = said.contains("Permission denied");
    let refused = said.contains("Host key verification failed");
    assert_ne!(trusted, refused, "{}: {said}", case.name);
    trusted
}

async fn ours(bed: &Testbed, sshd: &Sshd, case: &Case) -> Result<Trust, HostKeyError> {
    let known = bed.read("known").replace("PORT", &sshd.port.to_string());
    let settings = HostKeySettings {
        name: case.alias.unwrap_or("127.0.0.1").to_owned(),
        port: case.alias.is_none().then_some(sshd.port),
        user_files: vec![bed.write("known", known)],
        strict: case.strict,
        ..settings("unused")
    };
    let verifier = Verifier::load(&settings)?;
    let (key, certificates) = verifier.preference();
    let config = Config {
        preferred: Preferred {
            key: key.into(),
            host_key_certificates: certificates.into(),
            ..Preferred::default()
        },
        ..Config::default()
    };
    let verdict = Arc::default();
    let client = Client {
        verifier,
        verdict: Arc::clone(&verdict),
    };
    let connected = connect(Arc::new(config), ("127.0.0.1", sshd.port), client).await;
    let verdict = verdict.lock().unwrap().take();
    let verdict = verdict
        .unwrap_or_else(|| panic!("{}: no key came: {:?}", case.name, connected.as_ref().err()));
    assert_eq!(connected.is_ok(), verdict.is_ok(), "{}", case.name);
    verdict
}

pub(super) fn word(verdict: &Result<Trust, HostKeyError>) -> &'static str {
    match verdict {
        Ok(Trust::Known { .. }) => "known",
        Ok(Trust::Certified { .. }) => "certified",
        Ok(Trust::Added { .. }) => "added",
        Ok(Trust::NotWritten { .. }) => "not written",
        Ok(Trust::Changed { .. }) => "changed, taken",
        Err(HostKeyError::Unknown { .. }) => "unknown",
        Err(HostKeyError::Changed { .. }) => "changed",
        Err(HostKeyError::OtherType { .. }) => "other type",
        Err(HostKeyError::Revoked { .. }) => "revoked",
        Err(HostKeyError::ShortRsa { .. }) => "short",
        Err(HostKeyError::NotOffered { .. }) => "not offered",
        Err(_) => "not loaded",
    }
}

/// Which lines speak of a host, ours beside `ssh-keygen -F`'s, in the clear and hashed by `ssh-keygen -H`.
#[test]
fn we_find_the_lines_that_ssh_keygen_finds() {
    let Some(bed) = Testbed::new() else { return };
    bed.key("one", "ed25519");
    let key = bed.public("one");
    let names = [
        "host",
        "host.example",
        "a.example",
        "b.example",
        "[host]:2222",
        "::1",
        "10.0.0.1",
        "other",
    ];
    let mut known = String::from("# comment\n\n   \n");
    for field in [
        "host,10.0.0.1",
        "Host.EXAMPLE",
        "*.example,!b.example",
        "!*,host",
        "h?st",
        "[host]:2222",
        "::1",
        "other\t",
        "*",
        "host,,",
    ] {
        let _ = writeln!(known, "{field} {key} comment # more");
    }
    let _ = writeln!(
        known,
        "@revoked host {key}\n@cert-authority  *.example {key}"
    );
    bed.write("known", format!("{known}@other host {key}\n"));
    compare_with_keygen(&bed, &names);
    // Only plain names can be hashed; -H leaves patterns as they are, and wants no bad line.
    bed.write("known", &known);
    bed.keygen(&["-H", "-f", "known"]);
    assert!(bed.read("known").contains("|1|"));
    compare_with_keygen(&bed, &names);
}

fn compare_with_keygen(bed: &Testbed, names: &[&str]) {
    for name in names {
        let found = bed.try_keygen(&["-F", name, "-f", "known"]);
        let found = String::from_utf8(found.stdout).unwrap();
        let theirs: Vec<usize> = found
            .lines()
            .filter_map(|line| line.split_once("found: line "))
            .map(|(_, rest)| rest.split(' ').next().unwrap().parse().unwrap())
            .collect();
        assert!(!theirs.is_empty(), "{name}: {found}");
        let (host, port) = match name.strip_prefix('[') {
            Some(rest) => rest
                .split_once("]:")
                .map(|(host, port)| (host, port.parse().ok()))
                .unwrap(),
            None => (*name, None),
        };
        let settings = HostKeySettings {
            name: host.to_owned(),
            port,
            user_files: vec![bed.path("known")],
            ..settings("unused")
        };
        let verifier = Verifier::load(&settings).unwrap();
        // A bare name that a port was asked for is a second look; ssh-keygen takes only the first.
        let ours = verifier.entries.iter().filter(|entry| entry.matched.has(0));
        let ours: Vec<_> = ours.map(|entry| entry.place.line()).collect();
        assert_eq!(ours, theirs, "{name} in\n{}", bed.read("known"));
    }
}
