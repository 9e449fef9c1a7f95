//! Logging in by an agent: real, absent, and one that swallows what it is asked.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::super::tests::{Script, settings};
use super::super::{AgentFault, AuthError, Identities, Method, Source};
use super::{RealAgent, by_key, host, load, login};
use crate::hostkey::testbed::Testbed;

#[tokio::test]
async fn an_agent_lets_us_in_without_a_file_and_with_a_public_one() {
    let Some(bed) = Testbed::new() else { return };
    for (name, kind) in [
        ("good", "ed25519"),
        ("rsa", "rsa-2048"),
        ("other", "ed25519"),
    ] {
        bed.key(name, kind);
    }
    let agent = RealAgent::start(&bed, "agent", &["other", "rsa"]);
    let sshd = host(&bed, "rsa.pub", "");
    let mut settings = settings(&[]);
    settings.agent = Some(agent.socket.clone());
    let method = login(sshd.port, &load(&settings).await).await;
    assert_eq!(*by_key(&method), Source::Agent);
    // ssh -i KEY.pub -o IdentitiesOnly=yes; and KEY itself gone, its .pub still there.
    settings.identities_only = true;
    for name in ["rsa.pub", "rsa"] {
        let _ = fs::remove_file(bed.path("rsa"));
        settings.files = super::super::tests::settings(&[bed.path(name)]).files;
        let method = login(sshd.port, &load(&settings).await).await;
        assert_eq!(*by_key(&method), Source::File(bed.path(name)));
    }
    settings.files = super::super::tests::settings(&[bed.path("good.pub")]).files;
    let method = login(sshd.port, &load(&settings).await).await;
    assert!(
        matches!(method, Err(AuthError::NoIdentities { .. })),
        "{method:?}"
    );
}

#[tokio::test]
async fn a_locked_key_that_the_agent_holds_is_not_asked_for() {
    let Some(bed) = Testbed::new() else { return };
    bed.key("id", "ed25519");
    let agent = RealAgent::start(&bed, "agent", &["id"]);
    bed.keygen(&["-q", "-p", "-P", "", "-N", "secret", "-f", "id"]);
    let sshd = host(&bed, "id.pub", "");
    let mut settings = settings(&[bed.path("id")]);
    settings.agent = Some(agent.socket.clone());
    let script = Script::new(&["secret"]);
    let identities = Identities::load(&settings, &script).await.unwrap();
    assert_eq!(script.asked(), 0);
    by_key(&login(sshd.port, &identities).await);
    drop(agent);
    let identities = Identities::load(&settings, &script).await.unwrap();
    assert_eq!(script.asked(), 1);
    assert_eq!(identities.notes().len(), 1, "{:?}", identities.notes());
    by_key(&login(sshd.port, &identities).await);
}

#[tokio::test]
async fn an_agent_that_is_gone_is_told_and_files_still_do() {
    let Some(bed) = Testbed::new() else { return };
    let key = bed.key("good", "ed25519");
    let sshd = host(&bed, "good.pub", "");
    let mut settings = settings(&[]);
    settings.agent = Some(bed.path("absent"));
    let method = login(sshd.port, &load(&settings).await).await;
    assert!(
        matches!(
            method,
            Err(AuthError::Agent(AgentFault::Unreachable { .. }))
        ),
        "{method:?}"
    );
    settings.files = super::super::tests::settings(&[key]).files;
    by_key(&login(sshd.port, &load(&settings).await).await);
}

/// Passes all on to a real agent but requests of one type, which it swallows.
async fn swallow(socket: PathBuf, real: PathBuf, swallowed: u8) {
    let listener = UnixListener::bind(socket).unwrap();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        tokio::spawn(relay(client, real.clone(), swallowed));
    }
}

async fn relay(mut client: UnixStream, real: PathBuf, swallowed: u8) -> std::io::Result<()> {
    let mut agent = UnixStream::connect(real).await?;
    loop {
        let mut request = vec![0; client.read_u32().await? as usize];
        client.read_exact(&mut request).await?;
        if request[0] == swallowed {
            continue;
        }
        let length = u32::try_from(request.len()).unwrap();
        agent.write_u32(length).await?;
        agent.write_all(&request).await?;
        let length = agent.read_u32().await?;
        let mut answer = vec![0; length as usize];
        agent.read_exact(&mut answer).await?;
        client.write_u32(length).await?;
        client.write_all(&answer).await?;
    }
}

async fn behind_a_swallowing_agent(
    bed: &Testbed,
    port: u16,
    swallowed: u8,
    files: &[PathBuf],
) -> (Result<Method, AuthError>, Duration) {
    let real = RealAgent::start(bed, &format!("real{swallowed}"), &["good"]);
    let socket = bed.path(&format!("fake{swallowed}"));
    let relay = tokio::spawn(swallow(socket.clone(), real.socket.clone(), swallowed));
    while !Path::new(&socket).exists() {
        tokio::task::yield_now().await;
    }
    let mut settings = settings(files);
    settings.agent = Some(socket);
    let identities = load(&settings).await;
    let since = Instant::now();
    let method = login(port, &identities).await;
    relay.abort();
    (method, since.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_list_is_given_up_at_its_deadline() {
    let Some(bed) = Testbed::new() else { return };
    bed.key("good", "ed25519");
    let sshd = host(&bed, "good.pub", "");
    let (method, took) = behind_a_swallowing_agent(&bed, sshd.port, 11, &[]).await;
    assert!(
        matches!(method, Err(AuthError::Agent(AgentFault::Timeout { .. }))),
        "{method:?}"
    );
    assert!(took < Duration::from_secs(9), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_sign_is_given_up_and_the_next_key_does() {
    let Some(bed) = Testbed::new() else { return };
    bed.key("good", "ed25519");
    let second = bed.key("second", "ed25519");
    bed.write(
        "authorized",
        format!("{}\n{}\n", bed.public("good"), bed.public("second")),
    );
    let sshd = host(&bed, "authorized", "");
    let (method, took) = behind_a_swallowing_agent(&bed, sshd.port, 13, &[second]).await;
    assert!(matches!(by_key(&method), Source::File(_)));
    assert!(
        took > Duration::from_secs(9) && took < Duration::from_secs(15),
        "{took:?}"
    );
}
