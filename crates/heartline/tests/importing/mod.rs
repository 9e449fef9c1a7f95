//! Inventories: some as people write them, and any number made up.

use std::fmt::Write;

use fastrand::Rng;

/// A name, and files; the first is the inventory.
type Fixed = (&'static str, &'static [(&'static str, &'static str)]);

/// Each has something that others have not.
pub(crate) const FIXED: &[Fixed] = &[
    (
        "ranges, ports, quotes, comments",
        &[(
            "hosts",
            r#"# a comment
; another
alone
[web] # the front
web[01:03].example.org:2222 ansible_user=deploy
web[a:c:2] ansible_host=10.0.0.1   # inline
"quoted" ansible_user='two words'
[db]
db-[0:4:2] ansible_port=22 ansible_ssh_port=2200
[2001:db8::1]:2022 ansible_user="one-more"
2001:db8::2
[db:vars]
ansible_user = "dba"
ansible_ssh_private_key_file=key
x = [1, 2]
"#,
        )],
    ),
    (
        "groups in groups, and who has the last word",
        &[(
            "hosts.ini",
            r"
[south:children]
raleigh
atlanta
[north:children]
boston
[usa:children]
south
north
[atlanta]
h1
h2 ansible_user=own
[raleigh]
h2
h3
[boston]
h4
h1
[all:vars]
ansible_user=of_all
ansible_port=1001
[usa:vars]
ansible_port=1002
[south:vars]
ansible_port=1003
ansible_user=of_south
[atlanta:vars]
ansible_user=of_atlanta
[raleigh:vars]
ansible_user=of_raleigh
ansible_group_priority=10
[boston:vars]
ansible_port=1004 # a number
",
        )],
    ),
    (
        "YAML",
        &[(
            "inventory.yml",
            r#"
all:
  vars: &common
    ansible_user: admin
  hosts:
    lone:
    "ported:2222":
    mail: {ansible_host: 10.1.1.1}
  children:
    web:
      hosts:
        web[01:02]:
          ansible_port: 2201
        other: null
      vars:
        <<: *common
        ansible_private_key_file: key
    db:
      hosts: single
      children:
        replicas:
          hosts:
            r1:
            single:
              ansible_user: 1000
          vars:
            ansible_port: "2300"
    empty:
"#,
        )],
    ),
    (
        "YAML in a file without an ending, and two groups at the top",
        &[(
            "hosts",
            "web:\n  hosts:\n    a:\n    b:\ndb:\n  hosts:\n    a:\n  vars:\n    ansible_user: x\nungrouped:\n  hosts:\n    c:\n",
        )],
    ),
    (
        "JSON",
        &[(
            "hosts.json",
            r#"{"all": {"hosts": {"a": {"ansible_port": 23}}, "children": {"g": {"hosts": {"b": {}}}}}}"#,
        )],
    ),
    (
        "group_vars and host_vars",
        &[
            (
                "site/hosts",
                "[web]\nw1\nw2 ansible_user=inline\n[db]\nd1\nw1\n[both:children]\nweb\ndb\n[web:vars]\nansible_user=section\nansible_port=1\n",
            ),
            (
                "site/group_vars/all.yml",
                "ansible_user: of_all\nansible_port: 11\n",
            ),
            ("site/group_vars/web", "---\nansible_port: 12\n"),
            ("site/group_vars/db/10-first.yaml", "ansible_port: 13\n"),
            ("site/group_vars/db/20-second.yml", "ansible_port: 14\n"),
            ("site/group_vars/db/.hidden.yml", "ansible_port: 15\n"),
            (
                "site/group_vars/both.json",
                "{\"ansible_private_key_file\": \"key\"}",
            ),
            ("site/group_vars/nobody.yml", "ansible_port: 99\n"),
            ("site/host_vars/d1.yml", "ansible_user: of_host\n"),
            ("site/host_vars/w2.yml", "# nothing\n---\n"),
        ],
    ),
];

/// An inventory in INI or YAML with groups, ranges and variables at random, and perhaps variables beside it.
pub(crate) fn random(random: &mut Rng) -> Vec<(&'static str, String)> {
    let mut files = Vec::new();
    if random.bool() {
        files.push(("hosts.ini", ini(random)));
    } else {
        files.push(("hosts.yml", yaml(random)));
    }
    if random.bool() {
        files.push(("group_vars/g1.yml", vars(random, "", ": ")));
        files.push(("group_vars/all.yml", vars(random, "", ": ")));
        files.push(("host_vars/h1.yml", vars(random, "", ": ")));
    }
    files
}

fn ini(random: &mut Rng) -> String {
    let mut text = String::new();
    for group in 0..GROUPS {
        let _ = writeln!(text, "[g{group}]");
        for _ in 0..random.usize(..4) {
            let _ = writeln!(
                text,
                "{} {}",
                host(random),
                vars(random, "", "=").replace('\n', " ")
            );
        }
    }
    for group in 0..GROUPS {
        if random.bool() {
            let _ = writeln!(text, "[g{group}:vars]\n{}", vars(random, "", " = "));
        }
        // Children come later, so that no group is within itself.
        if group + 1 < GROUPS && random.bool() {
            let child = random.usize(group + 1..GROUPS);
            let _ = writeln!(text, "[g{group}:children]\ng{child}");
        }
    }
    if random.bool() {
        let _ = writeln!(text, "[all:vars]\n{}", vars(random, "", "="));
    }
    text
}

fn yaml(random: &mut Rng) -> String {
    let mut text = "all:\n  children:\n".to_owned();
    for group in 0..GROUPS {
        let _ = writeln!(text, "    g{group}:\n      vars:\n        x: 1");
        text.push_str(&vars(random, "        ", ": "));
        text.push_str("      hosts:\n");
        let mut seen = std::collections::HashSet::new();
        for _ in 0..random.usize(..4) {
            let host = host(random);
            if seen.insert(host.clone()) {
                let _ = writeln!(text, "        {host}:\n          y: 1");
                text.push_str(&vars(random, "          ", ": "));
            }
        }
        if group + 1 < GROUPS && random.bool() {
            let child = random.usize(group + 1..GROUPS);
            let _ = writeln!(text, "      children:\n        g{child}:");
        }
    }
    text
}

fn host(random: &mut Rng) -> String {
    let n = random.usize(..6);
    match random.usize(..4) {
        0 => format!("h[{n}:{}]", n + random.usize(..3)),
        1 => format!("h0[0{n}:0{}].example.org", n + random.usize(..4)),
        _ => format!("h{n}"),
    }
}

/// Some of the variables that matter, one a line.
fn vars(random: &mut Rng, indent: &str, equals: &str) -> String {
    let mut text = String::new();
    let n = random.usize(1..100);
    let all = [
        ("ansible_user", format!("u{n}")),
        ("ansible_ssh_user", format!("v{n}")),
        ("ansible_port", format!("{}", 2000 + n)),
        ("ansible_host", format!("10.0.0.{n}")),
        ("ansible_ssh_private_key_file", "key".to_owned()),
    ];
    for (name, value) in all {
        if random.usize(..3) == 0 {
            let _ = writeln!(text, "{indent}{name}{equals}{value}");
        }
    }
    text
}

const GROUPS: usize = 5;
