//! Nodes from an Ansible inventory: INI, YAML, or what `ansible-inventory --list` prints.
//!
//! Each dialect fills an [`Inventory`]; what its variables say of each host is worked out there as Ansible does it (inventory, then
//! group_vars, then the host's own), and made nodes here. Nothing is run and no template is filled in.

mod budget;
mod connection;
mod dialect;
mod ini;
mod inventory;
mod listed;
mod range;
mod shell;
mod tree;
mod vars;
mod vars_files;
mod yaml;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};

use super::found::Import;
use connection::Carrying;
use dialect::Dialect;
use inventory::Inventory;

/// The hosts of this inventory.
pub(super) fn import(file: &Path) -> anyhow::Result<Import> {
    let text = read(file)?;
    let mut inventory = Inventory::default();
    let shown = || file.display().to_string();
    match Dialect::of(file, &text)? {
        Dialect::Ini => ini::read(&text, file, &mut inventory)?,
        Dialect::Yaml(tree) => {
            yaml::read(tree, &mut inventory).with_context(shown)?;
        }
        Dialect::Listed(tree) => {
            listed::read(tree, &mut inventory).with_context(shown)?;
        }
    }
    let mut import = Import::default();
    inventory.settle().with_context(shown)?;
    vars_files::read(file, &mut inventory, &mut import.warnings)?;
    let mut carrying = Carrying::default();
    for host in inventory.hosts() {
        import
            .nodes
            .extend(carrying.node(&host.with_context(shown)?));
    }
    import.warnings.append(&mut inventory.warnings);
    import.warnings.extend(carrying.warnings());
    import.heading = vec![format!(
        "Nodes from the Ansible inventory {}; its groups are their tags.",
        file.display()
    )];
    Ok(import)
}

fn read(file: &Path) -> anyhow::Result<String> {
    let shown = file.display();
    let meta = std::fs::metadata(file).with_context(|| format!("cannot read {shown}"))?;
    if meta.is_dir() {
        bail!(
            "{shown} is a folder; name the inventory's file in it, or give what ansible-inventory --list prints"
        );
    }
    let cannot = || format!("cannot read {shown}");
    let mut text = String::new();
    let opened = File::open(file).with_context(cannot)?;
    opened
        .take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .with_context(cannot)?;
    if text.len() as u64 > MAX_BYTES {
        bail!("{shown} is larger than {MAX_BYTES} bytes, which no inventory is");
    }
    Ok(text)
}

/// Of the inventory and of each file of variables.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
