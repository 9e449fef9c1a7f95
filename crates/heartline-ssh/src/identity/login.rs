//! Logging in to real sshd, with real keys, a real agent, and some that fail.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use russh::client::{self, Config, Handle, connect};
use russh::keys::PublicKeyOrCertificate;
use russh::server::{self, Auth};
use tokio::net::TcpListener;

use super::tests::{Script, settings};
use super::{Asker, AuthError, Identities, Method, Require, Source, authenticate};
use crate::hostkey::testbed::{CEILING, Sshd, Testbed, user};
use crate::settings::IdentitySettings;

mod agent;

struct Client;

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _key: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

/// A real ssh-agent, killed when dropped.
struct RealAgent {
    child: Child,
    socket: PathBuf,
}

impl RealAgent {
    fn start(bed: &Testbed, name: &str, keys: &[&str]) -> Self {
        let socket = bed.path(name);
        let mut child = Command::new("/usr/bin/ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It says where it listens once it does.
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let agent = Self { child, socket };
        for key in keys {
            let added = Command::new("/usr/bin/ssh-add")
                .arg("-q")
                .arg(bed.path(key))
                .env("SSH_AUTH_SOCK", &agent.socket)
                .stdin(Stdio::null())
                .status();
            assert!(added.unwrap().success(), "{key}");
        }
        agent
    }
}

impl Drop for RealAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn host(bed: &Testbed, authorized: &str, lines: &str) -> Sshd {
    if !bed.path("host").exists() {
        bed.key("host", "ed25519");
    }
    let lines = format!("HostKey {}\n{lines}", bed.path("host").display());
    bed.sshd("sshd", authorized, &lines)
}

async fn dial(port: u16) -> Handle<Client> {
    let config = Arc::new(Config::default());
    connect(config, ("127.0.0.1", port), Client).await.unwrap()
}

async fn login(port: u16, identities: &Identities) -> Result<Method, AuthError> {
    login_accepting(port, identities, None).await
}

async fn login_accepting(
    port: u16,
    identities: &Identities,
    accepted: Option<&[String]>,
) -> Result<Method, AuthError> {
    let mut handle = dial(port).await;
    let user = user();
    let login = authenticate(&mut handle, &user, identities, accepted);
    tokio::time::timeout(CEILING, is_send(login)).await.unwrap()
}

/// A line's task is spawned, so logging in must be `Send`.
fn is_send<T: Send>(future: T) -> T {
    future
}

async fn load(settings: &IdentitySettings) -> Identities {
    Identities::load(settings, &Script::new(&[])).await.unwrap()
}

fn by_key(method: &Result<Method, AuthError>) -> &Source {
    match method {
        Ok(Method::Key { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_key_of_each_kind_lets_us_in() {
    let Some(bed) = Testbed::new() else { return };
    let kinds = ["ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-2048"];
    let mut authorized = String::new();
    for kind in kinds {
        bed.key(kind, kind);
        authorized += &[&bed.public(kind), "\n"].concat();
    }
    bed.write("authorized", authorized);
    let sshd = host(&bed, "authorized", "");
    for kind in kinds {
        let identities = load(&settings(&[bed.path(kind)])).await;
        let method = login(sshd.port, &identities).await;
        assert_eq!(*by_key(&method), Source::File(bed.path(kind)), "{kind}");
    }
}

#[tokio::test]
async fn rsa_follows_what_the_owner_accepts() {
    let Some(bed) = Testbed::new() else { return };
    let key = bed.key("rsa", "rsa-2048");
    let sshd = host(
        &bed,
        "rsa.pub",
        "LogLevel VERBOSE\nPubkeyAcceptedAlgorithms +ssh-rsa",
    );
    let identities = load(&settings(&[key])).await;
    for accepted in ["rsa-sha2-512", "rsa-sha2-256"] {
        let list = [accepted.to_owned()];
        let method = login_accepting(sshd.port, &identities, Some(&list)).await;
        by_key(&method);
    }
    let list = ["ssh-ed25519".to_owned()];
    let method = login_accepting(sshd.port, &identities, Some(&list)).await;
    assert!(
        matches!(method, Err(AuthError::NoIdentities { .. })),
        "{method:?}"
    );
}

#[tokio::test]
async fn sha1_is_used_only_where_the_owner_lists_it() {
    let Some(bed) = Testbed::new() else { return };
    let key = bed.key("rsa", "rsa-2048");
    let sshd = host(&bed, "rsa.pub", "PubkeyAcceptedAlgorithms ssh-rsa");
    let identities = load(&settings(&[key])).await;
    // This sshd says it knows SHA-2 and refuses it all the same.
    let method = login(sshd.port, &identities).await;
    assert!(
        matches!(method, Err(AuthError::Refused { tried: 1, .. })),
        "{method:?}"
    );
    let list = ["ssh-rsa".to_owned()];
    let method = login_accepting(sshd.port, &identities, Some(&list)).await;
    by_key(&method);
}

#[tokio::test]
async fn an_encrypted_key_is_opened_by_askpass() {
    let Some(bed) = Testbed::new() else { return };
    bed.keygen(&["-q", "-t", "ed25519", "-N", "open sesame", "-f", "id"]);
    let sshd = host(&bed, "id.pub", "");
    let script = bed.write(
        "ask",
        "#!/bin/sh\ncase $1 in *id*) echo 'open sesame';; esac\n",
    );
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let asker = Asker::new(Some(script), Require::Force, false);
    let identities = Identities::load(&settings(&[bed.path("id")]), &asker)
        .await
        .unwrap();
    by_key(&login(sshd.port, &identities).await);
}

#[tokio::test]
async fn user_certificates_let_us_in() {
    let Some(bed) = Testbed::new() else { return };
    bed.key("ca", "ed25519");
    let user = user();
    for (name, kind) in [("ed", "ed25519"), ("ec", "ecdsa-384"), ("rsa", "rsa-2048")] {
        bed.key(name, kind);
        bed.keygen(&[
            "-q",
            "-s",
            "ca",
            "-I",
            "me",
            "-n",
            &user,
            &format!("{name}.pub"),
        ]);
    }
    bed.write("nobody", "");
    let lines = format!("TrustedUserCAKeys {}", bed.path("ca.pub").display());
    let sshd = host(&bed, "nobody", &lines);
    let is_certificate = |method: &Result<Method, AuthError>, name: &str| {
        assert!(
            matches!(method, Ok(Method::Certificate { .. })),
            "{name}: {method:?}"
        );
    };
    for name in ["ed", "ec", "rsa"] {
        let identities = load(&settings(&[bed.path(name)])).await;
        is_certificate(&login(sshd.port, &identities).await, name);
    }
    // ssh-add takes the certificate beside the key along.
    let agent = RealAgent::start(&bed, "agent", &["rsa"]);
    let mut of_agent = settings(&[]);
    of_agent.agent = Some(agent.socket.clone());
    is_certificate(&login(sshd.port, &load(&of_agent).await).await, "agent");
    // The agent holds the plain key, the certificate is a file.
    fs::rename(bed.path("ed-cert.pub"), bed.path("named")).unwrap();
    let plain = RealAgent::start(&bed, "plain", &["ed"]);
    of_agent.agent = Some(plain.socket.clone());
    of_agent.certificates = vec![bed.path("named")];
    is_certificate(&login(sshd.port, &load(&of_agent).await).await, "plain");
}

#[tokio::test]
async fn a_refused_key_is_told_with_what_the_host_takes() {
    let Some(bed) = Testbed::new() else { return };
    for name in ["good", "bad"] {
        bed.key(name, "ed25519");
    }
    let sshd = host(
        &bed,
        "good.pub",
        "PasswordAuthentication yes\nKbdInteractiveAuthentication no",
    );
    let method = login(sshd.port, &load(&settings(&[bed.path("bad")])).await).await;
    match method {
        Err(AuthError::Refused {
            tried: 1,
            remaining,
            agent: None,
        }) => {
            assert_eq!(remaining, ["publickey", "password"]);
        }
        other => panic!("{other:?}"),
    }
    let both = load(&settings(&[bed.path("bad"), bed.path("good")])).await;
    assert_eq!(
        *by_key(&login(sshd.port, &both).await),
        Source::File(bed.path("good"))
    );
    let mut off = settings(&[bed.path("good")]);
    off.pubkey = false;
    let method = login(sshd.port, &load(&off).await).await;
    assert!(method.is_err(), "{method:?}");
}

#[tokio::test]
async fn no_key_is_shown_to_a_host_that_takes_none() {
    let Some(bed) = Testbed::new() else { return };
    let key = bed.key("good", "ed25519");
    let lines =
        "PubkeyAuthentication no\nPasswordAuthentication yes\nKbdInteractiveAuthentication no";
    let sshd = host(&bed, "good.pub", lines);
    let method = login(sshd.port, &load(&settings(&[key])).await).await;
    match method {
        Err(AuthError::Refused {
            tried: 0,
            remaining,
            ..
        }) => assert_eq!(remaining, ["password"]),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn too_many_keys_end_the_connection_and_are_told_apart() {
    let Some(bed) = Testbed::new() else { return };
    let keys: Vec<_> = (0..5)
        .map(|n| bed.key(&format!("bad{n}"), "ed25519"))
        .collect();
    bed.key("good", "ed25519");
    let sshd = host(&bed, "good.pub", "MaxAuthTries 3");
    let method = login(sshd.port, &load(&settings(&keys)).await).await;
    assert!(
        matches!(method, Err(AuthError::Closed { tried: 2 | 3 })),
        "{method:?}"
    );
}

#[tokio::test]
async fn a_host_that_wants_two_keys_gets_two_and_one_that_wants_a_password_says_so() {
    let Some(bed) = Testbed::new() else { return };
    let keys = [bed.key("one", "ed25519"), bed.key("two", "ed25519")];
    bed.write(
        "authorized",
        format!("{}\n{}\n", bed.public("one"), bed.public("two")),
    );
    let lines = "PasswordAuthentication yes\nAuthenticationMethods publickey,publickey";
    let sshd = host(&bed, "authorized", lines);
    let identities = load(&settings(&keys)).await;
    assert_eq!(
        *by_key(&login(sshd.port, &identities).await),
        Source::File(keys[1].clone())
    );
    let single = load(&settings(&keys[..1])).await;
    let method = login(sshd.port, &single).await;
    assert!(
        matches!(method, Err(AuthError::Partial { .. })),
        "{method:?}"
    );
    drop(sshd);
    let lines = "PasswordAuthentication yes\nAuthenticationMethods publickey,password";
    let sshd = host(&bed, "authorized", lines);
    match login(sshd.port, &identities).await {
        Err(AuthError::Partial { remaining }) => assert_eq!(remaining, ["password"]),
        other => panic!("{other:?}"),
    }
}

/// Lets anybody in, or ends the connection on the first word.
struct Open {
    hangs_up: bool,
}

impl server::Handler for Open {
    type Error = russh::Error;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, russh::Error> {
        if self.hangs_up {
            return Err(russh::Error::Disconnect);
        }
        Ok(Auth::Accept)
    }
}

async fn open_host(hangs_up: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let algorithm = russh::keys::Algorithm::Ed25519;
    let key = russh::keys::PrivateKey::random(&mut russh::keys::key::safe_rng(), algorithm);
    let key = key.unwrap();
    tokio::spawn(async move {
        let config = server::Config {
            keys: vec![key],
            ..server::Config::default()
        };
        let (stream, _) = listener.accept().await.unwrap();
        let session = server::run_stream(Arc::new(config), stream, Open { hangs_up });
        let _ = session.await.unwrap().await;
    });
    port
}

#[tokio::test]
async fn a_host_that_asks_for_nothing_is_shown_nothing() {
    let port = open_host(false).await;
    let method = login(port, &load(&settings(&[])).await).await;
    assert!(matches!(method, Ok(Method::None)), "{method:?}");
}

#[tokio::test]
async fn a_connection_that_ends_at_once_is_no_refusal() {
    let port = open_host(true).await;
    let method = login(port, &load(&settings(&[])).await).await;
    assert!(
        matches!(method, Err(AuthError::Closed { tried: 0 })),
        "{method:?}"
    );
}
