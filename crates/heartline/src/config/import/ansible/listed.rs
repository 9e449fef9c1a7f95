//! What `ansible-inventory --list`, or a program in its place, prints: groups with lists, and the hosts' variables in `_meta`.

use anyhow::bail;

use super::inventory::Inventory;
use super::tree::Tree;
use super::vars::Vars;

/// Reads all groups, and what `_meta` says of their hosts.
pub(super) fn read(tree: Tree, inventory: &mut Inventory) -> anyhow::Result<()> {
    let Tree::Table(groups) = tree else {
        bail!("groups are expected, like {{\"all\": {{\"hosts\": []}}}}");
    };
    let mut meta = None;
    for (name, group) in groups {
        if name == "_meta" {
            meta = Some(group);
        } else {
            read_group(&name, group, inventory)?;
        }
    }
    let hostvars = meta.and_then(|meta| meta.take("hostvars"));
    let Some(Tree::Table(hosts)) = hostvars else {
        return Ok(());
    };
    let all = inventory.group("all")?;
    for (host, said) in hosts {
        let at = inventory.host(&host, all, None)?;
        if let Tree::Table(said) = said {
            let mut vars = Vars::default();
            vars.set_all(said)?;
            inventory.set_host(at, &vars);
        }
    }
    Ok(())
}

fn read_group(name: &str, group: Tree, inventory: &mut Inventory) -> anyhow::Result<()> {
    let at = inventory.group(name)?;
    let sections = match group {
        Tree::Table(sections) => sections,
        hosts @ Tree::List(_) => vec![("hosts".to_owned(), hosts)],
        other => bail!("the group {name:?} is {}, and not a table", other.kind()),
    };
    for (section, content) in sections {
        match (section.as_str(), content) {
            ("hosts", Tree::List(hosts)) => {
                for host in names(hosts, name)? {
                    inventory.host(&host, at, None)?;
                }
            }
            ("children", Tree::List(children)) => {
                for child in names(children, name)? {
                    let child = inventory.group(&child)?;
                    inventory.child(at, child)?;
                }
            }
            ("vars", Tree::Table(vars)) => {
                for (key, value) in vars {
                    inventory.set_group(at, &key, value)?;
                }
            }
            (other, content) => inventory.warnings.push(format!(
                "group {name:?}: {other:?} is {}, and is passed over",
                content.kind()
            )),
        }
    }
    Ok(())
}

fn names(list: Vec<Tree>, group: &str) -> anyhow::Result<Vec<String>> {
    let name = |one| match one {
        Tree::Scalar(name) => Ok(name),
        other => bail!("in the group {group:?} {} stands for a name", other.kind()),
    };
    list.into_iter().map(name).collect()
}
