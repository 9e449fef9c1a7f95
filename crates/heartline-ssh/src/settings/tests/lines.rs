//! What a line says against its node.

use std::fs;

use proptest::prelude::*;

use crate::settings::{Destination, Invocation, Proxy, Resolver, Settings, SettingsError};

async fn resolve(config: &str, node: &str, line: &str) -> Result<Settings, SettingsError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    fs::write(&file, config).unwrap();
    let mut inv = Invocation::new(node.parse().unwrap());
    inv.config_file = Some(file);
    if !line.is_empty() {
        inv = inv.with_line(line.parse().unwrap());
    }
    Resolver::with_parser().resolve(&inv).await
}

const NODE: &str = "Host db1\n HostName %h.Example.org\n Port 2222\n User bob\n\
    IdentityFile /keys/%n-%h-%p\n BindInterface eth9\n BindAddress 192.0.2.9\n";

#[tokio::test]
async fn a_line_changes_the_way_and_nothing_else() {
    let s = resolve(
        NODE,
        "db1",
        "10.0.1.5,dev=eth0,src=10.0.1.1,port=23,name=first",
    )
    .await
    .unwrap();
    assert_eq!(
        (s.typed.as_str(), s.host.as_str(), s.port),
        ("db1", "10.0.1.5", 23)
    );
    assert_eq!(s.user, "bob");
    assert_eq!(s.bind_interface.as_deref(), Some("eth0"));
    assert_eq!(s.bind_address.as_deref(), Some("10.0.1.1"));
    assert_eq!(
        s.identity.files[0].path.to_str(),
        Some("/keys/db1-10.0.1.5-23")
    );
    assert!(s.identity.files[0].explicit);

    let s = resolve(NODE, "db1", "dev=eth0").await.unwrap();
    assert_eq!((s.host.as_str(), s.port), ("db1.example.org", 2222));
    assert_eq!(s.bind_interface.as_deref(), Some("eth0"));
    assert_eq!(s.bind_address.as_deref(), Some("192.0.2.9"));
}

#[tokio::test]
async fn the_host_key_is_looked_up_by_the_line_then_by_the_node() {
    let s = resolve(NODE, "db1", "").await.unwrap();
    assert_eq!(
        (s.host_key.name.as_str(), s.host_key.port),
        ("db1.example.org", Some(2222))
    );
    assert!(s.host_key.also.is_empty());

    let s = resolve(NODE, "db1", "Backup.Example.org,port=23")
        .await
        .unwrap();
    assert_eq!(
        (s.host_key.name.as_str(), s.host_key.port),
        ("backup.example.org", Some(23))
    );
    assert_eq!(
        s.host_key.also,
        [("db1.example.org".to_owned(), Some(2222))]
    );

    let config = NODE.to_owned() + " HostKeyAlias DB\n";
    let s = resolve(&config, "db1", "10.0.1.5").await.unwrap();
    assert_eq!((s.host_key.name.as_str(), s.host_key.port), ("db", None));
    assert!(s.host_key.also.is_empty());
}

#[tokio::test]
async fn a_line_s_jump_replaces_the_node_s_proxy() {
    let jump = NODE.to_owned() + " ProxyJump gate,%r@inner-%n\n";
    let s = resolve(&jump, "db1", "").await.unwrap();
    assert_eq!(
        s.proxy,
        Proxy::Jump(vec!["gate".into(), "bob@inner-db1".into()])
    );
    let s = resolve(&jump, "db1", "10.0.1.5,jump=other:24")
        .await
        .unwrap();
    assert_eq!(s.proxy, Proxy::Jump(vec!["other:24".into()]));
    let s = resolve(&jump, "db1", "10.0.1.5,jump=none").await.unwrap();
    assert_eq!(s.proxy, Proxy::None);

    let command = NODE.to_owned() + " ProxyCommand nc %h %p 100%%\n";
    let s = resolve(&command, "db1", "10.0.1.5").await.unwrap();
    assert_eq!(s.proxy, Proxy::Command("nc 10.0.1.5 2222 100%".into()));
    let s = resolve(&command, "db1", "10.0.1.5,jump=gate")
        .await
        .unwrap();
    assert_eq!(s.proxy, Proxy::Jump(vec!["gate".into()]));
}

#[tokio::test]
async fn a_host_is_not_its_own_jump_host() {
    let error = resolve("", "gate", "jump=gate").await.unwrap_err();
    assert!(
        matches!(error, SettingsError::JumpLoop { ref host } if host == "gate"),
        "{error}"
    );
    resolve("", "gate", "jump=gate:23").await.unwrap();
    resolve("", "gate", "jump=someone-else@gate").await.unwrap();
}

#[tokio::test]
async fn given_keys_go_before_configured_ones_and_displace_the_default_ones() {
    let dir = tempfile::tempdir().unwrap();
    let mut inv = Invocation::new("db1".parse().unwrap());
    inv.config_file = Some("none".into());
    let key = dir.path().join("absent");
    inv.identity_files = vec![key.clone(), key.clone()];
    let resolver = Resolver::with_parser();
    let s = resolver.resolve(&inv).await.unwrap();
    assert_eq!(s.identity.files.len(), 1);
    assert!(s.identity.files[0].explicit && s.identity.files[0].path == key);

    inv.options = vec!["IdentityFile=/k".into(), "IdentityFile=none".into()];
    let s = resolver.resolve(&inv).await.unwrap();
    let paths: Vec<_> = s.identity.files.iter().map(|f| f.path.clone()).collect();
    assert_eq!(paths, [key, "/k".into()]);
}

#[tokio::test]
async fn a_host_name_that_could_be_an_option_is_refused() {
    for config in ["HostName -oX\n", "HostName a;b\n", "User -x\n"] {
        let error = resolve(config, "db1", "").await.unwrap_err();
        assert!(
            matches!(error, SettingsError::Destination { .. }),
            "{config} {error}"
        );
    }
}

proptest! {
    #[test]
    fn a_destination_is_read_back_from_its_own_words(text in "\\PC{0,40}") {
        if let Ok(destination) = text.parse::<Destination>() {
            let again: Destination = destination.to_string().parse().unwrap();
            prop_assert_eq!(again, destination);
        }
    }

    #[test]
    fn a_likely_destination_is_read_back(text in "(ssh://)?([a-z@%0-9]{0,4}@)?\\[?[a-f0-9:.%-]{1,12}\\]?(:[0-9]{1,5})?") {
        if let Ok(destination) = text.parse::<Destination>() {
            let again: Destination = destination.to_string().parse().unwrap();
            prop_assert_eq!(again, destination);
        }
    }
}
