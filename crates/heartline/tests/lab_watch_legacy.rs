//! An OpenSSH of 2008: watched when its owner asks for what it speaks, and else refused.

mod watching;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lab::{Lab, NodeSpec, Running};
use watching::{CEILING, Watch, heartline, outcome};

/// What its sshd spoke, one key exchange, one kind of host key, one cipher, one MAC.
const SSHD: &str = "KexAlgorithms diffie-hellman-group14-sha1\n\
                    HostKeyAlgorithms ssh-rsa\n\
                    Ciphers aes128-cbc\n\
                    MACs hmac-sha1\n\
                    PubkeyAcceptedAlgorithms ssh-rsa";
const ASKED: [&str; 5] = [
    "KexAlgorithms=diffie-hellman-group14-sha1",
    "HostKeyAlgorithms=ssh-rsa",
    "Ciphers=aes128-cbc",
    "MACs=hmac-sha1",
    "PubkeyAcceptedAlgorithms=ssh-rsa",
];

#[test]
fn an_openssh_of_2008_is_watched_when_asked_for() -> Result<()> {
    let Some(lab) = Lab::or_skip("an_openssh_of_2008") else {
        return Ok(());
    };
    let node = match lab.node_with(&NodeSpec::new("old").config(SSHD)) {
        Ok(node) => node,
        // Whoever builds OpenSSH, or the policy of its library, may have left these out.
        Err(why) if why.to_string().contains("Bad SSH2") => {
            lab::skipped("an_openssh_of_2008", &why.to_string());
            return Ok(());
        }
        Err(why) => return Err(why),
    };
    lab.cable(&node)?;
    let key = lab.dir().join("rsa");
    let mut keygen = Command::new("ssh-keygen");
    keygen
        .args(["-q", "-N", "", "-t", "rsa", "-b", "2048", "-f"])
        .arg(&key);
    Running::spawn(keygen)?.finish(CEILING)?.success()?;
    fs::copy(key.with_extension("pub"), node.authorized_keys())?;
    let key = key.to_str().context("path")?;

    // Without being asked heartline does not stoop so low: what it offers by itself has nothing in common with this.
    let seen = outcome(&lab, &format!("check old -i {key} --json"))?;
    assert_eq!(seen.code(), Some(2), "{}", seen.stdout);
    ensure!(
        seen.stdout.contains("\"cause\":\"kex_failed\""),
        "{}",
        seen.stdout
    );

    let mut command = heartline(&lab, lab.watcher());
    command
        .args(["watch", "--json", "-i", key, "-F"])
        .arg(lab.ssh_config());
    for option in ASKED {
        command.args(["-o", option]);
    }
    command.args(["old", "--interval", "300ms"]);
    let mut watch = Watch::of(command)?;
    watch.node("old", "up")?;
    assert_eq!(node.logins()?, 1);
    let log = node.log()?;
    for spoken in [
        "kex: algorithm: diffie-hellman-group14-sha1",
        "kex: host key algorithm: ssh-rsa",
        "cipher: aes128-cbc MAC: hmac-sha1",
    ] {
        ensure!(log.contains(spoken), "not {spoken}: {log}");
    }
    // It goes on being well: every beat passes that cipher and that MAC.
    watch.forget()?;
    let told = watch.told_within(std::time::Duration::from_secs(3))?;
    ensure!(told.is_empty(), "{told:#?}");
    watch.running().terminate()?;
    assert_eq!(watch.ended()?.status.code(), Some(0));
    Ok(())
}
