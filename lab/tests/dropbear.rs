//! A dropbear beside sshd lets OpenSSH's client and its own in, and finds its own home.

use std::time::Duration;

use anyhow::Result;
use lab::{Dropbear, Lab, Running, TEST_USER, skipped};

const CEILING: Duration = Duration::from_secs(30);

#[test]
fn dropbear_lets_ssh_and_dbclient_in() -> Result<()> {
    let Some(lab) = Lab::or_skip("dropbear") else {
        return Ok(());
    };
    if !Dropbear::is_installed() {
        skipped(
            "dropbear",
            "dropbear is missing (Debian package dropbear-bin)",
        );
        return Ok(());
    }
    let node = lab.node("db1")?;
    let cable = lab.cable(&node)?;
    let _dropbear = Dropbear::start(&node, 2222, "-K 5")?;
    let _second = Dropbear::start(&node, 2223, "")?;
    let mut ssh = lab.ssh("db1");
    ssh.args(["-p", "2222", "-o", "StrictHostKeyChecking=no"]);
    ssh.args(["-o", "UserKnownHostsFile=/dev/null", "pwd"]);
    let key = lab.dir().join("dropbear_client_key");
    Dropbear::convert_key(&lab.client_key(), &key)?;
    let mut dbclient = lab.watcher().command("dbclient");
    dbclient.args(["-y", "-y", "-p", "2223", "-i"]).arg(key);
    dbclient
        .arg(format!("{TEST_USER}@{}", cable.v4()))
        .arg("pwd");
    for command in [ssh, dbclient] {
        let done = Running::spawn(command)?.finish(CEILING)?.success()?;
        let home = node.dir().join("dropbear/home");
        assert_eq!(done.stdout.trim_end(), home.display().to_string());
    }
    Ok(())
}
