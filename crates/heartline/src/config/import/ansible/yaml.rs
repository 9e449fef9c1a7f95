//! An inventory in YAML: groups with `hosts`, `vars` and `children`.

use anyhow::{Context, bail};

use super::inventory::Inventory;
use super::range;
use super::tree::Tree;
use super::vars::Vars;

/// Reads all groups.
pub(super) fn read(tree: Tree, inventory: &mut Inventory) -> anyhow::Result<()> {
    let Tree::Table(groups) = tree else {
        bail!("groups are expected, like all: with hosts: below");
    };
    for (name, group) in groups {
        read_group(&name, group, inventory, 0)?;
    }
    Ok(())
}

fn read_group(
    name: &str,
    group: Tree,
    inventory: &mut Inventory,
    depth: usize,
) -> anyhow::Result<usize> {
    if depth > MOST_DEEP {
        bail!("more than {MOST_DEEP} groups one in the other");
    }
    let at = inventory.group(name)?;
    let sections = match group {
        Tree::Table(sections) => sections,
        Tree::Null => return Ok(at),
        other => bail!("the group {name:?} is {}, and not a table", other.kind()),
    };
    for (section, content) in sections {
        let entries = match content {
            Tree::Table(entries) => entries,
            Tree::Null => continue,
            // One name alone is that with nothing in it.
            Tree::Scalar(one) => vec![(one, Tree::Null)],
            other @ Tree::List(_) => {
                bail!(
                    "{section} of the group {name:?} is {}, and not a table",
                    other.kind()
                )
            }
        };
        match section.as_str() {
            "vars" => {
                for (key, value) in entries {
                    inventory.set_group(at, &key, value)?;
                }
            }
            "children" => {
                for (child, content) in entries {
                    let child = read_group(&child, content, inventory, depth + 1)?;
                    inventory.child(at, child)?;
                }
            }
            "hosts" => {
                for (pattern, vars) in entries {
                    read_hosts(&pattern, vars, at, inventory).with_context(|| {
                        let shown: String = pattern.chars().take(SHOWN).collect();
                        format!("the host {shown:?} of the group {name:?}")
                    })?;
                }
            }
            other => inventory.warnings.push(format!(
                "group {name:?}: {other:?} is none of hosts, vars and children, and is passed over"
            )),
        }
    }
    Ok(at)
}

fn read_hosts(
    pattern: &str,
    said: Tree,
    group: usize,
    inventory: &mut Inventory,
) -> anyhow::Result<()> {
    let mut vars = Vars::default();
    match said {
        Tree::Table(said) => vars.set_all(said)?,
        Tree::Null => {}
        other => bail!("has {}, and not a table of variables", other.kind()),
    }
    let (hosts, port) = range::hosts(pattern, &mut inventory.budget)?;
    for host in hosts {
        let at = inventory.host(&host, group, port)?;
        inventory.set_host(at, &vars);
    }
    Ok(())
}

/// Nobody nests groups so deep.
const MOST_DEEP: usize = 64;
/// Characters of a host's name in an error.
const SHOWN: usize = 60;
