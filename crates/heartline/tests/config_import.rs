//! `heartline config import`: what is written, that it is taken back, and that Ansible itself sees the same in its inventories.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that finds something else than it needs has failed"
)]

mod importing;
mod program;

use importing::{FIXED, random};
use program::Home;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// What matters of a node: address, port, user, key, tags.
type Node = (
    Option<String>,
    Option<i64>,
    Option<String>,
    Option<String>,
    BTreeSet<String>,
);

/// Imports, sees that the result is taken by `config check`, and gives its nodes and what was said.
fn import(home: &Home, words: &[&str]) -> (Vec<(String, Node)>, String) {
    let mut all = vec!["config", "import"];
    all.extend(words);
    let ended = home.run(&all);
    assert_eq!(ended.code, Some(0), "{words:?}: {ended:?}");
    home.write("out.toml", &ended.stdout);
    let checked = home.run(&["config", "check", "-F", "none", "-c", "out.toml"]);
    assert_eq!(
        checked.code,
        Some(0),
        "{checked:?}\n{}",
        home.read("out.toml")
    );
    let file: toml::Table = toml::from_str(&home.read("out.toml")).unwrap();
    let nodes = file.get("node").and_then(|nodes| nodes.as_array()).cloned();
    let text = |node: &toml::Value, key: &str| {
        node.get(key)
            .and_then(|value| value.as_str())
            .map(str::to_owned)
    };
    let nodes = nodes.unwrap_or_default().into_iter().map(|node| {
        let tags = node.get("tag").and_then(|tags| tags.as_array()).cloned();
        let tags = tags.unwrap_or_default();
        let tags = tags
            .iter()
            .map(|tag| tag.as_str().unwrap().to_owned())
            .collect();
        let port = node.get("port").and_then(toml::Value::as_integer);
        let rest = (
            text(&node, "host"),
            port,
            text(&node, "user"),
            text(&node, "identity_file"),
            tags,
        );
        (text(&node, "name").unwrap(), rest)
    });
    let said = String::from_utf8(ended.stderr).unwrap();
    (nodes.collect(), said)
}

/// What `ansible-inventory --list` printed, as nodes.
fn of_list(list: &Value) -> BTreeMap<String, Node> {
    let groups = list.as_object().unwrap();
    let mut parents: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut hosts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, group) in groups {
        for child in group["children"].as_array().into_iter().flatten() {
            parents
                .entry(child.as_str().unwrap())
                .or_default()
                .insert(name);
        }
        for host in group["hosts"].as_array().into_iter().flatten() {
            hosts
                .entry(host.as_str().unwrap())
                .or_default()
                .insert(name);
        }
    }
    let mut nodes = BTreeMap::new();
    for (host, direct) in hosts {
        let mut within = BTreeSet::new();
        let mut open: Vec<_> = direct.into_iter().collect();
        while let Some(group) = open.pop() {
            if within.insert(group.to_owned()) {
                open.extend(parents.get(group).into_iter().flatten());
            }
        }
        within.remove("all");
        within.remove("ungrouped");
        let vars = &list["_meta"]["hostvars"][host];
        let last = |names: [&str; 2]| {
            let found = names.iter().rev().find_map(|name| vars.get(*name));
            found.map(|value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            })
        };
        let port = last(["ansible_port", "ansible_ssh_port"]).map(|port| port.parse().unwrap());
        let node = (
            last(["ansible_host", "ansible_ssh_host"]).filter(|address| address != host),
            port.filter(|port| *port != 22),
            last(["ansible_user", "ansible_ssh_user"]),
            last(["ansible_private_key_file", "ansible_ssh_private_key_file"]),
            within,
        );
        nodes.insert(host.to_owned(), node);
    }
    nodes
}

/// What Ansible itself makes of it; none, where it is not installed.
fn ansible(home: &Home, file: &str) -> Option<Value> {
    home.write("ansible.cfg", "");
    let mut command = Command::new("ansible-inventory");
    command
        .args(["-i", file, "--list"])
        .current_dir(home.path(""))
        .env("HOME", home.path(""))
        .env("ANSIBLE_CONFIG", home.path("ansible.cfg"))
        .env("ANSIBLE_LOCALHOST_WARNING", "False");
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("{error}"),
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let list = serde_json::from_slice(&output.stdout).unwrap();
    Some(list)
}

/// Whether Ansible sees the same in the inventory. `None`: there is no Ansible.
fn agrees(name: &str, files: &[(&str, String)]) -> Option<()> {
    let home = Home::new();
    home.key("key");
    for (path, text) in files {
        let folder = Path::new(path).parent().unwrap();
        std::fs::create_dir_all(home.path(&folder.display().to_string())).unwrap();
        home.write(path, text);
    }
    let file = files[0].0;
    let list = ansible(&home, file)?;
    let (nodes, said) = import(&home, &["ansible", file]);
    let ours: BTreeMap<_, _> = nodes.into_iter().collect();
    let theirs = of_list(&list);
    let all = files
        .iter()
        .map(|(path, text)| format!("--- {path}\n{text}"));
    let all = all.collect::<String>();
    assert_eq!(ours, theirs, "{name}:\n{all}\n{said}\n{list:#}");
    // What it prints is an inventory too.
    home.write("list.json", list.to_string());
    std::fs::remove_dir_all(home.path("group_vars")).ok();
    std::fs::remove_dir_all(home.path("host_vars")).ok();
    let (nodes, _) = import(&home, &["ansible", "list.json"]);
    let again: BTreeMap<_, _> = nodes.into_iter().collect();
    assert_eq!(again, theirs, "{name}, from its list:\n{list:#}");
    Some(())
}

#[test]
fn ansible_sees_the_same_in_inventories_as_people_write_them() {
    for (name, files) in FIXED {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (*path, (*text).to_owned()))
            .collect();
        if agrees(name, &files).is_none() {
            let what = "ansible-inventory is missing (Debian package ansible-core)";
            lab::skipped(
                "ansible_sees_the_same_in_inventories_as_people_write_them",
                what,
            );
            return;
        }
    }
}

#[test]
fn ansible_sees_the_same_in_inventories_at_random() {
    let seed = std::env::var("HEARTLINE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("HEARTLINE_SEED={seed}");
    let mut random_with = fastrand::Rng::with_seed(seed);
    for round in 0..6 {
        let files = random(&mut random_with);
        if agrees(&format!("HEARTLINE_SEED={seed} round {round}"), &files).is_none() {
            let what = "ansible-inventory is missing (Debian package ansible-core)";
            lab::skipped("ansible_sees_the_same_in_inventories_at_random", what);
            return;
        }
    }
}

#[test]
fn nodes_stand_in_the_order_of_the_inventory_and_so_do_their_tags() {
    let home = Home::new();
    let text = "z\n[web]\nweb[2:1]\nweb[1:2]\na ansible_host=10.0.0.1\n[db]\nz\n[prod:children]\nweb\ndb\n";
    home.write("hosts", text);
    let (_, said) = import(&home, &["ansible", "hosts"]);
    assert_eq!(said, "");
    let written = home.read("out.toml");
    let names: Vec<_> = written
        .lines()
        .filter(|line| line.starts_with("name"))
        .collect();
    assert_eq!(
        names,
        [
            "name = \"z\"",
            "name = \"web1\"",
            "name = \"web2\"",
            "name = \"a\""
        ]
    );
    assert!(written.contains("tag = [\"web\", \"prod\"]"), "{written}");
    assert!(
        written.starts_with("# Nodes from the Ansible inventory hosts;"),
        "{written}"
    );
}

#[test]
fn what_cannot_be_carried_over_is_said_and_the_rest_goes_on() {
    let home = Home::new();
    let text = r#"
me ansible_connection=local
a ansible_user="{{ who }}" ansible_password=x
b ansible_ssh_common_args='-o ProxyJump=u@gate:2222 -o StrictHostKeyChecking=no -o ControlMaster=auto'
c ansible_ssh_common_args='-J one,two' ansible_port=ssh
d$(reboot)
[all:vars]
secret=1
"#;
    home.write("hosts.ini", text);
    std::fs::create_dir(home.path("group_vars")).unwrap();
    home.write("group_vars/all.yml", "$ANSIBLE_VAULT;1.1;AES256\n6162\n");
    let (nodes, said) = import(&home, &["ansible", "hosts.ini"]);
    let names: Vec<_> = nodes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    for want in [
        "group_vars/all.yml is encrypted",
        "me: connection local, which is not SSH: left out",
        "a: ansible_user is a template",
        "a: ansible_password is not carried over",
        "b: ansible_ssh_common_args: -o StrictHostKeyChecking=no is not carried over",
        "c: ansible_port \"ssh\" is no port",
        "d$(reboot): left out: ",
    ] {
        assert!(
            said.lines().any(|line| line.contains(want)),
            "{want}\n{said}"
        );
    }
    assert_eq!(said.lines().count(), 7, "{said}");
    let written = home.read("out.toml");
    assert!(written.contains("jump = \"u@gate:2222\""), "{written}");
    assert!(written.contains("jump = \"one,two\""), "{written}");
}

#[test]
fn nothing_is_run_and_what_is_no_inventory_is_refused() {
    let home = Home::new();
    home.write("program", "#!/bin/sh\ntouch ran\n");
    home.write("plugin.yml", "plugin: community.general.proxmox\n");
    home.write("list.yml", "- a\n- b\n");
    home.write("broken.yml", "all: [\n");
    home.write("loop.ini", "[a:children]\nb\n[b:children]\na\n");
    home.write(
        "nested.yml",
        format!("{}x: 1\n", "a: {children: {".repeat(100)),
    );
    std::fs::create_dir(home.path("folder")).unwrap();
    for (file, says) in [
        ("program", "is a program"),
        ("plugin.yml", "asks for a plugin"),
        ("list.yml", "groups are expected"),
        ("broken.yml", "broken.yml: "),
        ("loop.ini", "is a child of itself"),
        ("nested.yml", "nested.yml"),
        ("folder", "is a folder"),
        ("missing", "missing"),
    ] {
        refuses(&home, file, says);
    }
    assert!(!home.path("ran").exists());
}

#[test]
fn what_would_explode_is_refused_with_its_place_and_the_limit() {
    let home = Home::new();
    let long = "x".repeat(5_000);
    let many = |text: &dyn Fn(usize) -> String| (1..=10_001).map(text).collect::<String>();
    let deep = |i: usize| format!("[g{}:children]\ng{i}\n", i + 1);
    let deep = "[g0]\n".to_owned() + &(0..70).map(deep).collect::<String>();
    for (text, says) in [
        // Nothing comes of it in the end, after many thousand million steps.
        (
            "a\n[1:9999][1:9999][2:1]\n".to_owned(),
            "hosts.ini line 2: ",
        ),
        ("[1:9999][1:9999][2:1]\n".to_owned(), "1000000 steps"),
        (
            "[1:99999][1:99999][2:1]\n".to_owned(),
            "line 1: the range [1:99999]: is of more than 10000 hosts",
        ),
        ("w[1:1]".repeat(9), "line 1: more than 8 ranges in one word"),
        (
            "n[1:9000]\na[1:1001]\n".to_owned(),
            "line 2: the inventory has more than 10000 hosts",
        ),
        (many(&|i| format!("[g{i}]\n")), "more than 10000 groups"),
        ("n[1:9999]\n".repeat(101), "1000000 steps"),
        (
            format!("{long}[1:9999]\n"),
            "line 1: a host's name of more than 1024 bytes",
        ),
        (
            format!("[{long}]\n"),
            "line 1: the name of a group is longer than 255",
        ),
        (
            format!("[1:9999] ansible_user={long}\n"),
            "line 1: ansible_user is longer than 4096 bytes",
        ),
        (deep, "is below more than 64 others"),
    ] {
        home.write("hosts.ini", &text);
        refuses(&home, "hosts.ini", says);
    }
    home.write("h.yml", "all: {hosts: {\"[1:9999][1:9999][2:1]\": {}}}\n");
    refuses(
        &home,
        "h.yml",
        "h.yml: the host \"[1:9999][1:9999][2:1]\" of the group \"all\": ",
    );
    let list = many(&|i| format!("\"h{i}\", "));
    home.write(
        "h.json",
        format!("{{\"all\": {{\"hosts\": [{list}\"h\"]}}}}"),
    );
    refuses(
        &home,
        "h.json",
        "h.json: the inventory has more than 10000 hosts",
    );
}

#[test]
fn variables_are_read_of_regular_files_alone_and_not_without_end() {
    let home = Home::new();
    home.write("hosts", "a\n");
    std::fs::create_dir(home.path("host_vars")).unwrap();
    let vars = home.path("host_vars/a");
    let folder = || std::fs::create_dir(&vars).unwrap();
    let again = || std::fs::remove_dir_all(&vars).unwrap();

    let made = Command::new("mkfifo").arg(&vars).status().unwrap();
    assert!(made.success());
    refuses(&home, "hosts", "host_vars/a is no regular file");
    std::fs::remove_file(&vars).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &vars).unwrap();
    refuses(&home, "hosts", "host_vars/a is no regular file");
    std::fs::remove_file(&vars).unwrap();
    std::fs::File::create(&vars)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    refuses(&home, "hosts", "host_vars/a is larger than 16777216 bytes");
    std::fs::remove_file(&vars).unwrap();

    // Also those that are not read count, and so do folders that hold themselves.
    folder();
    for i in 0..=1_000 {
        home.write(&format!("host_vars/a/{i}.txt"), "");
    }
    refuses(&home, "hosts", "1000 in a folder");
    again();
    folder();
    for i in 0..30 {
        std::os::unix::fs::symlink(".", vars.join(format!("{i}"))).unwrap();
    }
    refuses(&home, "hosts", "which is the limit");
    again();

    // A device as the inventory itself ends as well.
    refuses(&home, "/dev/zero", "/dev/zero");
}

/// Sees that an inventory is refused in one line with these words.
fn refuses(home: &Home, file: &str, says: &str) {
    let ended = home.run(&["config", "import", "ansible", file]);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.code, Some(2), "{says}: {ended:?}");
    assert!(ended.stdout.is_empty(), "{says}");
    assert!(
        said.starts_with("heartline: ") && said.contains(says),
        "{says}: {said}"
    );
    assert_eq!(said.lines().count(), 1, "{says}: {said}");
}

#[test]
fn hosts_of_an_ssh_config_are_written_out() {
    let home = Home::new();
    for key in ["key", "other"] {
        home.key(key);
    }
    let config = format!(
        "Include {0}/more\nHost db1 db1.example.org\n  HostName 10.0.0.5\n  IdentityFile {0}/key\n  IdentityFile {0}/other\n\
         Host gate\n  HostName 192.0.2.1\n  Port 2200\n  User jump\n  ProxyJump first\n\
         Host first\n  HostName 192.0.2.9\nHost web? !web9\n  Port 80\n  ProxyCommand nc %h %p\n\
         Match exec \"touch {0}/ran\"\n  Port 9\nHost *\n  User admin\n  ServerAliveInterval 7\n",
        home.path("").display()
    );
    home.write("config", config);
    home.write(
        "more",
        "Host web1\nHost behind\n  HostName 2001:db8::1\n  ProxyJump gate\n  BindInterface eth0\n",
    );
    // Before the Match of the file is come to, all is said that it could change.
    let (nodes, said) = import(&home, &["ssh", "config"]);
    assert!(!home.path("ran").exists(), "Match exec was run");
    assert!(nodes.is_empty(), "{nodes:?}");
    assert!(said.contains("needs an installed ssh"), "{said}");

    let config = home
        .read("config")
        .replace("Match exec", "# Match exec")
        .replace("  Port 9\n", "");
    home.write("config", config);
    let (nodes, said) = import(&home, &["ssh", "config"]);
    let names: Vec<_> = nodes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["web1", "behind", "db1", "gate", "first"], "{said}");
    let user = Some("admin".to_owned());
    let key = Some(home.path("key").display().to_string());
    assert_eq!(
        nodes[2].1,
        (
            Some("10.0.0.5".to_owned()),
            None,
            user.clone(),
            key,
            BTreeSet::new()
        )
    );
    assert_eq!(nodes[0].1, (None, Some(80), user, None, BTreeSet::new()));
    let written = home.read("out.toml");
    assert!(
        written.contains("jump = \"admin@192.0.2.9,jump@192.0.2.1:2200\""),
        "{written}"
    );
    assert!(written.contains("dev = \"eth0\""), "{written}");
    assert!(written.contains("interval = \"7s\""), "{written}");
    for want in [
        "db1.example.org: left out: it is db1 by another name",
        "db1: IdentityFile: only the first",
        "web1: ProxyCommand is not carried over",
    ] {
        assert!(
            said.lines().any(|line| line.contains(want)),
            "{want}\n{said}"
        );
    }
}
