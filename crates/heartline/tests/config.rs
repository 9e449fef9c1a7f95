//! `heartline config check` and `config schema`, as a person and a program use them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that finds something else than it needs has failed"
)]

mod program;

use std::net::TcpListener;

use program::{Ended, Home};
use serde_json::Value;

fn said(ended: &Ended) -> String {
    String::from_utf8(ended.stdout.clone()).unwrap()
}

/// Checks the file, with these flags too.
fn check(home: &Home, more: &str) -> Ended {
    let mut words = vec!["config", "check", "-F", "none"];
    words.extend(more.split_whitespace());
    home.run(&words)
}

#[test]
fn a_file_that_is_fine_is_counted_and_nobody_dialed() {
    let home = Home::new();
    let node = TcpListener::bind("127.0.0.1:0").unwrap();
    node.set_nonblocking(true).unwrap();
    home.key("key");
    let text = format!(
        "[[node]]\nname = \"a\"\nhost = \"{}\"\nidentity_file = \"key\"\nline = [ {{ host = \"127.0.0.1\" }}, {{ host = \"127.0.0.2\" }} ]\n\
         [[node]]\nname = \"no-such-host.invalid\"\n[[hook]]\nname = \"h\"\nrun = [\"true\"]\n",
        node.local_addr().unwrap()
    );
    home.write("heartline.toml", text);
    let ended = check(&home, "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(said(&ended), "heartline.toml: 2 nodes, 3 lines, 1 hook\n");
    assert!(ended.stderr.is_empty(), "{ended:?}");
    assert!(node.accept().is_err(), "somebody dialed");

    let ended = check(&home, "--resolve");
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let says = said(&ended);
    assert!(
        says.starts_with("heartline.toml:7:1: no-such-host.invalid: cannot resolve"),
        "{says}"
    );
    assert!(
        says.ends_with("heartline.toml: 2 nodes, 3 lines, 1 hook; 1 mistake\n"),
        "{says}"
    );
}

#[test]
fn what_only_a_look_at_the_machine_shows() {
    let home = Home::new();
    home.key("key");
    home.write("not-a-key", "hello\n");
    let text = r#"
[defaults]
interval = "5s"
[page]
token_file = "missing-token"
[[node]]
name = "a"
identity_file = "missing"
[[node]]
name = "b"
fuse = "3s"
[[node]]
name = "c"
line = [ { host = "10.0.0.1" }, { host = "10.0.0.1" } ]
[[node]]
name = "d"
identity_file = "not-a-key"
[[node]]
name = "e"
identity_file = "key"
[[hook]]
name = "h"
url = "https://example.org"
secret_file = "missing-secret"
"#;
    home.write("heartline.toml", text);
    let ended = check(&home, "");
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let says = said(&ended);
    for want in [
        "heartline.toml:5:1: cannot read the token in missing-token: ",
        "heartline.toml:8:1: a: identity file ",
        "heartline.toml:11:1: fuse 3s is shorter than two beats",
        "heartline.toml:14:1: two lines of \"c\"",
        "heartline.toml:17:1: d: identity file ",
        "heartline.toml:23:1: ",
        "heartline.toml: 5 nodes, 6 lines, 1 hook; 6 mistakes",
    ] {
        assert!(
            says.lines().any(|line| line.starts_with(want)),
            "{want}\n{says}"
        );
    }
    assert_eq!(says.lines().count(), 7, "{says}");
    assert!(says.contains("missing-secret"), "{says}");

    let ended = check(&home, "--json");
    let value: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(value["ok"], false);
    assert_eq!((&value["nodes"], &value["lines"]), (&5.into(), &6.into()));
    let lines = value["mistakes"].as_array().unwrap().iter();
    let lines: Vec<_> = lines
        .map(|mistake| mistake["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, [5, 8, 11, 14, 17, 23]);
}

#[test]
fn what_ssh_config_says_of_a_node_is_looked_at_too() {
    let home = Home::new();
    home.write(
        "heartline.toml",
        "[[node]]\nname = \"a\"\n[[node]]\nname = \"b\"\n",
    );
    home.write(
        "ssh_config",
        "Host a\n IdentityFile /nowhere/key\nHost b\n ProxyJump b\n",
    );
    let ended = home.run(&["config", "check", "-F", "ssh_config"]);
    let says = said(&ended);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        says.contains("heartline.toml:2:1: a: identity file /nowhere/key"),
        "{says}"
    );
    assert!(says.contains("heartline.toml:4:1: b: "), "{says}");
}

#[test]
fn a_locked_key_is_a_warning_and_nobody_is_asked() {
    let home = Home::new();
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "secret", "-f"])
        .arg(home.path("key"))
        .status();
    if !made.is_ok_and(|status| status.success()) {
        lab::skipped(
            "a_locked_key_is_a_warning_and_nobody_is_asked",
            "no ssh-keygen",
        );
        return;
    }
    home.write(
        "heartline.toml",
        "[[node]]\nname = \"a\"\nidentity_file = \"key\"\n",
    );
    let ended = check(&home, "");
    let says = said(&ended);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        says.starts_with("heartline.toml:2:1: warning: private key "),
        "{says}"
    );
    assert!(says.ends_with("1 node, 1 line; 1 warning\n"), "{says}");
}

#[test]
fn no_file_or_one_that_is_none() {
    let home = Home::new();
    home.write("binary", [0xff, 0xfe]);
    std::fs::create_dir(home.path("folder")).unwrap();
    for (flags, says) in [
        ("-c missing", "missing"),
        ("-c folder", "folder"),
        ("-c binary", "UTF-8"),
    ] {
        let ended = check(&home, flags);
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stdout.is_empty(), "{ended:?}");
        assert!(
            stderr.starts_with("heartline: ") && stderr.contains(says),
            "{stderr}"
        );
    }
}

#[test]
fn the_schema_is_json_and_every_command_has_a_page() {
    let home = Home::new();
    let ended = home.run(&["config", "schema"]);
    let schema: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    let ended = home.run(&["man", "--all", "pages"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for page in [
        "heartline",
        "heartline-watch",
        "heartline-config-check",
        "heartline-config-import-ansible",
    ] {
        let text = home.read(&format!("pages/{page}.1"));
        assert!(text.contains(&format!(".TH {page} 1")), "{text}");
    }
    let one = home.run(&["man", "config", "check"]);
    assert_eq!(said(&one), home.read("pages/heartline-config-check.1"));
}
