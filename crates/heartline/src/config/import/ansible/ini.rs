//! An inventory in Ansible's INI, which no crate reads: a line of a group is a host and its variables as words of a shell,
//! `[x:vars]` holds `key = value`, `[x:children]` names of groups. Source: Ansible's `plugins/inventory/ini.py`.

use std::path::Path;

use anyhow::{Context, bail};

use super::inventory::Inventory;
use super::tree::Tree;
use super::vars::Vars;
use super::{range, shell};

/// Reads all of it.
pub(super) fn read(text: &str, file: &Path, inventory: &mut Inventory) -> anyhow::Result<()> {
    let mut reading = Reading {
        section: Section::Hosts(inventory.group("ungrouped")?),
        later: Vec::new(),
        inventory,
    };
    for (i, line) in text.lines().enumerate() {
        let number = i + 1;
        let place = || format!("{} line {number}", file.display());
        reading.line(line.trim(), number).with_context(place)?;
    }
    for (number, later) in std::mem::take(&mut reading.later) {
        let place = || format!("{} line {number}", file.display());
        reading.settle(later).with_context(place)?;
    }
    Ok(())
}

struct Reading<'a> {
    section: Section,
    /// What speaks of groups that may stand further down, and its lines.
    later: Vec<(usize, Later)>,
    inventory: &'a mut Inventory,
}

#[derive(Clone)]
enum Section {
    Hosts(usize),
    Vars(String),
    Children(usize),
}

enum Later {
    Variable(String, String, Tree),
    Child(usize, String),
}

impl Reading<'_> {
    fn line(&mut self, line: &str, number: usize) -> anyhow::Result<()> {
        if line.is_empty() || line.starts_with([';', '#']) {
            return Ok(());
        }
        if let Some((name, kind)) = heading(line) {
            return self.begin(name, kind);
        }
        match self.section.clone() {
            Section::Hosts(group) => self.hosts(line, group),
            Section::Vars(group) => {
                let Some((key, value)) = line.split_once('=') else {
                    bail!("key = value is expected, came {line:?}");
                };
                let later = Later::Variable(group, key.trim().to_owned(), value_of(value.trim()));
                self.later.push((number, later));
                Ok(())
            }
            Section::Children(parent) => {
                let name = line.split('#').next().unwrap_or_default().trim();
                if name.is_empty() || name.contains([':', ']', ' ', '\t']) {
                    bail!("the name of a group is expected, came {line:?}");
                }
                self.later
                    .push((number, Later::Child(parent, name.to_owned())));
                Ok(())
            }
        }
    }

    fn begin(&mut self, name: &str, kind: Option<&str>) -> anyhow::Result<()> {
        self.section = match kind {
            None | Some("hosts") => Section::Hosts(self.inventory.group(name)?),
            Some("vars") => Section::Vars(name.to_owned()),
            Some("children") => Section::Children(self.inventory.group(name)?),
            Some(other) => bail!("[{name}:{other}] is none of hosts, vars and children"),
        };
        Ok(())
    }

    fn hosts(&mut self, line: &str, group: usize) -> anyhow::Result<()> {
        let words = shell::words(line).context("a quote is not closed")?;
        let Some((pattern, assigned)) = words.split_first() else {
            return Ok(());
        };
        if pattern.ends_with(':') {
            bail!("{pattern:?} ends with a colon; a port is to follow");
        }
        let (hosts, port) = range::hosts(pattern, &mut self.inventory.budget)?;
        let mut vars = Vars::default();
        for word in assigned {
            let Some((key, value)) = word.split_once('=') else {
                bail!("key=value is expected behind the host, came {word:?}");
            };
            vars.set(key, value_of(value))?;
        }
        for host in hosts {
            let at = self.inventory.host(&host, group, port)?;
            self.inventory.set_host(at, &vars);
        }
        Ok(())
    }

    fn settle(&mut self, later: Later) -> anyhow::Result<()> {
        let name = match &later {
            Later::Variable(name, ..) | Later::Child(_, name) => name,
        };
        if !(self.inventory.has_group(name) || name == "all") {
            bail!("{name:?} is no group of this inventory");
        }
        let group = self.inventory.group(name)?;
        match later {
            Later::Variable(_, key, value) => self.inventory.set_group(group, &key, value),
            Later::Child(parent, _) => self.inventory.child(parent, group),
        }
    }
}

/// `[name]` or `[name:kind]`, and maybe a comment. Anything else that begins with a bracket is a host.
fn heading(line: &str) -> Option<(&str, Option<&str>)> {
    let (inside, after) = line.strip_prefix('[')?.split_once(']')?;
    let after = after.trim_start();
    if !(after.is_empty() || after.starts_with('#')) || inside.contains(char::is_whitespace) {
        return None;
    }
    let (name, kind) = match inside.split_once(':') {
        Some((name, kind)) => (name, Some(kind)),
        None => (inside, None),
    };
    let is_word = |kind: &str| kind.chars().all(|c| c.is_alphanumeric() || c == '_');
    (!name.is_empty() && kind.is_none_or(is_word)).then_some((name, kind))
}

/// As Python's `ast.literal_eval` would have it, for what a variable of a connection can be: a text in quotes is what they hold.
/// A comment behind a literal is none of it; behind anything else it is.
fn value_of(text: &str) -> Tree {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'));
    if let Some(quote) = quote
        && let Some((inside, after)) = text.get(1..).and_then(|rest| rest.split_once(quote))
        && is_over(after)
        && !inside.contains('\\')
    {
        return Tree::Scalar(inside.to_owned());
    }
    let number = text
        .split_once('#')
        .map_or(text, |(number, _)| number)
        .trim_end();
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let text = if is_number { number } else { text };
    Tree::Scalar(text.to_owned())
}

fn is_over(after: &str) -> bool {
    let after = after.trim_start();
    after.is_empty() || after.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(text: &str) -> String {
        let mut inventory = Inventory::default();
        let error = read(text, Path::new("hosts"), &mut inventory).unwrap_err();
        format!("{error:#}")
    }

    #[test]
    fn mistakes_are_said_with_their_line() {
        for (text, want) in [
            ("[a]\nh 'x\n", "hosts line 2: a quote"),
            ("[a]\nh port\n", "hosts line 2: key=value is expected"),
            ("[a:vars]\nx=1\n", "hosts line 2: \"a\" is no group"),
            ("[a:children]\nb\n", "hosts line 2: \"b\" is no group"),
            ("[a]\nh\n[a:vars]\nx\n", "hosts line 4: key = value"),
            ("[a:what]\n", "hosts line 1: [a:what] is none of"),
            ("h:\n", "hosts line 1: \"h:\" ends with a colon"),
        ] {
            let error = fails(text);
            assert!(error.starts_with(want), "{text:?}: {error}");
        }
    }

    #[test]
    fn values_are_python_s() {
        let value = |text| match value_of(text) {
            Tree::Scalar(text) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(value("\"deploy\""), "deploy");
        assert_eq!(value("'a' # b"), "a");
        assert_eq!(value("22 # ssh"), "22");
        assert_eq!(value("deploy # no comment"), "deploy # no comment");
        assert_eq!(value("'a' 'b'"), "'a' 'b'");
    }
}
