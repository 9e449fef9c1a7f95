//! How Ansible reaches a host, as a node.

use std::collections::BTreeMap;

use super::super::found::{Line, Node};
use super::inventory::Settled;
use super::shell;
use super::tree::Tree;
use super::vars::{UNUSED, VAULT};

/// Makes nodes, and keeps what cannot be carried over: said once for all hosts that it befalls.
#[derive(Debug, Default)]
pub(super) struct Carrying {
    left: BTreeMap<String, Vec<String>>,
}

impl Carrying {
    /// The node; none, for a host that is not reached by SSH.
    pub(super) fn node(&mut self, host: &Settled<'_>) -> Option<Node> {
        if let Some(way) = self.text(host, &["ansible_connection"])
            && !SSH.contains(&way.as_str())
        {
            self.leave(
                host,
                &format!("connection {way}, which is not SSH: left out"),
            );
            return None;
        }
        let address = self.text(host, &["ansible_host", "ansible_ssh_host"]);
        let port = self.text(host, &["ansible_port", "ansible_ssh_port"]);
        let port = port.and_then(|text| match text.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => {
                self.leave(host, &format!("ansible_port {text:?} is no port"));
                None
            }
        });
        let key = self.text(
            host,
            &["ansible_private_key_file", "ansible_ssh_private_key_file"],
        );
        let mut node = Node {
            name: host.name.clone(),
            host: address.filter(|address| *address != host.name),
            user: self.text(host, &["ansible_user", "ansible_ssh_user"]),
            port: port.filter(|port| *port != 22),
            identity_file: key,
            tags: host.groups.clone(),
            ..Node::default()
        };
        if let Some(jump) = self.jump(host) {
            node.lines.push(Line {
                host: node.host.clone().unwrap_or_else(|| host.name.clone()),
                jump: Some(jump),
                ..Line::default()
            });
        }
        for name in UNUSED {
            if host.vars.contains_key(*name) {
                self.leave(
                    host,
                    &format!("{name} is not carried over: heartline logs in by key"),
                );
            }
        }
        Some(node)
    }

    /// A line for each thing that was left.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        self.left.iter().map(|(what, hosts)| {
            let few: Vec<_> = hosts.iter().take(FEW).map(String::as_str).collect();
            let more = match hosts.len().saturating_sub(few.len()) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("{}{more}: {what}", few.join(", "))
        })
    }

    fn leave(&mut self, host: &Settled<'_>, what: &str) {
        let hosts = self.left.entry(what.to_owned()).or_default();
        hosts.push(host.name.clone());
    }

    /// The last of these that is set, as Ansible chooses among several names for one thing.
    fn text(&mut self, host: &Settled<'_>, names: &[&str]) -> Option<String> {
        let name = names
            .iter()
            .rev()
            .find(|name| host.vars.contains_key(**name))?;
        match host.vars.get(*name)? {
            Tree::Scalar(text) if text.contains("{{") || text.contains("{%") => {
                self.leave(
                    host,
                    &format!("{name} is a template, and is not filled in here"),
                );
                None
            }
            Tree::Scalar(text) if text.starts_with(VAULT) => {
                self.leave(host, &format!("{name} is encrypted (ansible-vault)"));
                None
            }
            Tree::Scalar(text) if text.is_empty() => None,
            Tree::Scalar(text) => Some(text.clone()),
            Tree::Null => None,
            other => {
                self.leave(host, &format!("{name} is {}, and not a word", other.kind()));
                None
            }
        }
    }

    /// The jump hosts among ssh's own arguments; of the others is said that they stay behind.
    fn jump(&mut self, host: &Settled<'_>) -> Option<String> {
        let mut jump = None;
        for name in [
            "ansible_ssh_args",
            "ansible_ssh_common_args",
            "ansible_ssh_extra_args",
        ] {
            let Some(text) = self.text(host, &[name]) else {
                continue;
            };
            let Some(words) = shell::arguments(&text) else {
                self.leave(host, &format!("{name}: a quote is not closed"));
                continue;
            };
            let mut words = words.into_iter();
            while let Some(word) = words.next() {
                match argument(&word, &mut words) {
                    Argument::Jump(hosts) => jump = jump.or(Some(hosts)),
                    Argument::Idle => {}
                    Argument::Other(what) => {
                        self.leave(host, &format!("{name}: {what} is not carried over"));
                    }
                }
            }
        }
        jump
    }
}

enum Argument {
    Jump(String),
    /// Of no matter to whoever holds a session anyway.
    Idle,
    Other(String),
}

fn argument(word: &str, more: &mut impl Iterator<Item = String>) -> Argument {
    let mut value = |glued: &str| match glued {
        "" => more.next().unwrap_or_default(),
        glued => glued.to_owned(),
    };
    if let Some(glued) = word.strip_prefix("-J") {
        return Argument::Jump(value(glued));
    }
    let Some(glued) = word.strip_prefix("-o") else {
        return match word {
            "-C" | "-q" | "-v" | "-vv" | "-vvv" | "-T" => Argument::Idle,
            other => Argument::Other(other.to_owned()),
        };
    };
    let option = value(glued);
    let (key, text) = match option.split_once(['=', ' ']) {
        Some((key, text)) => (key.trim().to_ascii_lowercase(), text.trim()),
        None => (option.to_ascii_lowercase(), ""),
    };
    match key.as_str() {
        "proxyjump" => Argument::Jump(text.to_owned()),
        "controlmaster" | "controlpersist" | "controlpath" | "forwardagent" | "compression" => {
            Argument::Idle
        }
        _ => Argument::Other(format!("-o {option}")),
    }
}

/// What goes over SSH.
const SSH: [&str; 6] = [
    "ssh",
    "smart",
    "paramiko",
    "paramiko_ssh",
    "ansible.builtin.ssh",
    "ansible.netcommon.libssh",
];
/// Hosts that are named of many.
const FEW: usize = 5;
