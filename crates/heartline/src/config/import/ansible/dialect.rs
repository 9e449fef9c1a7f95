//! In what form an inventory is written. As Ansible: a file with an ending of YAML or JSON is that; one without an ending may be
//! YAML, and is INI if it is not.

use std::path::Path;

use anyhow::bail;

use super::tree::Tree;

/// The form, and for all but one what was read.
pub(super) enum Dialect {
    Ini,
    Yaml(Tree),
    /// What a program prints: groups with lists of hosts, and `_meta`.
    Listed(Tree),
}

impl Dialect {
    pub(super) fn of(file: &Path, text: &str) -> anyhow::Result<Self> {
        let shown = file.display();
        if text.starts_with("#!") {
            bail!(
                "{shown} is a program, and heartline runs none; give what ansible-inventory --list prints"
            );
        }
        let ending = file.extension().and_then(|ending| ending.to_str());
        let tree = match ending {
            Some("yml" | "yaml" | "json") => match Tree::parse(text) {
                Ok(tree) => tree,
                Err(why) => bail!("{shown}: {why}"),
            },
            None => match Tree::parse(text) {
                Ok(tree @ Tree::Table(_)) => tree,
                _ => return Ok(Self::Ini),
            },
            Some(_) => return Ok(Self::Ini),
        };
        let Tree::Table(groups) = &tree else {
            bail!("{shown} is no inventory: groups are expected, like all: with hosts: below");
        };
        if groups.iter().any(|(name, _)| name == "plugin") {
            bail!(
                "{shown} asks for a plugin, and heartline runs none; give what ansible-inventory --list prints"
            );
        }
        let is_listed = |(name, group): &(String, Tree)| {
            name == "_meta"
                || matches!(group, Tree::List(_))
                || matches!(group.get("hosts"), Some(Tree::List(_)))
        };
        Ok(if groups.iter().any(is_listed) {
            Self::Listed(tree)
        } else {
            Self::Yaml(tree)
        })
    }
}
