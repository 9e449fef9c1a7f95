//! `group_vars` and `host_vars` beside the inventory. Source: Ansible's `find_vars_files`: of `name`, `name.yml`, `name.yaml` and
//! `name.json` the first that is there; of a folder all files in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::inventory::Inventory;
use super::tree::Tree;
use super::vars::{VAULT, Vars};

/// Reads those of all groups and hosts.
pub(super) fn read(
    inventory_file: &Path,
    inventory: &mut Inventory,
    warnings: &mut Vec<String>,
) -> anyhow::Result<()> {
    let beside = inventory_file.parent().unwrap_or(Path::new(""));
    let mut reading = Reading {
        entries: 0,
        bytes: 0,
        warnings,
    };
    let groups = beside.join("group_vars");
    if groups.is_dir() {
        let names: Vec<String> = inventory.group_names().map(str::to_owned).collect();
        for name in names {
            let vars = reading.of(&groups, &name)?;
            inventory.set_group_file(&name, &vars);
        }
    }
    let hosts = beside.join("host_vars");
    if hosts.is_dir() {
        let names: Vec<String> = inventory.host_names().map(str::to_owned).collect();
        for name in names {
            let vars = reading.of(&hosts, &name)?;
            inventory.set_host_file(&name, &vars);
        }
    }
    Ok(())
}

/// What was read so far.
struct Reading<'a> {
    /// Of folders, whatever they are.
    entries: usize,
    bytes: usize,
    warnings: &'a mut Vec<String>,
}

impl Reading<'_> {
    fn of(&mut self, folder: &Path, name: &str) -> anyhow::Result<Vars> {
        let mut vars = Vars::default();
        // A name is a file's, and leads nowhere else.
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Ok(vars);
        }
        let paths = ENDINGS.map(|ending| folder.join(format!("{name}{ending}")));
        let Some(found) = paths.iter().find(|path| path.exists()) else {
            return Ok(vars);
        };
        let mut files = Vec::new();
        self.gather(found, 0, &mut files)?;
        for file in files {
            self.read_one(&file, &mut vars)?;
        }
        Ok(vars)
    }

    fn gather(
        &mut self,
        path: &Path,
        depth: usize,
        files: &mut Vec<PathBuf>,
    ) -> anyhow::Result<()> {
        let shown = path.display();
        if !path.is_dir() {
            files.push(path.to_owned());
            return Ok(());
        }
        if depth > MOST_DEEP {
            bail!("{shown} lies more than {MOST_DEEP} folders deep, which is the limit");
        }
        let cannot = || format!("cannot read {shown}");
        let mut inside = Vec::new();
        for entry in fs::read_dir(path).with_context(cannot)? {
            self.entries += 1;
            if inside.len() >= MOST_FILES || self.entries > MOST_ENTRIES {
                bail!(
                    "{shown} holds more files than anybody's variables: {MOST_FILES} in a folder, {MOST_ENTRIES} in all are the limit"
                );
            }
            inside.push(entry.with_context(cannot)?.path());
        }
        inside.sort();
        for path in inside {
            let name = path.file_name().and_then(|name| name.to_str());
            let is_hidden = name.is_none_or(|name| name.starts_with('.') || name.ends_with('~'));
            let ending = path.extension().and_then(|ending| ending.to_str());
            let is_read = matches!(ending, None | Some("yml" | "yaml" | "json"));
            if !is_hidden && (is_read || path.is_dir()) {
                self.gather(&path, depth + 1, files)?;
            }
        }
        Ok(())
    }

    fn read_one(&mut self, file: &Path, vars: &mut Vars) -> anyhow::Result<()> {
        let shown = file.display();
        let about = fs::metadata(file).with_context(|| format!("cannot read {shown}"))?;
        // A pipe would be waited for, and a device never ends.
        if !about.is_file() {
            bail!("{shown} is no regular file, and variables stand in nothing else");
        }
        let text = super::read(file)?;
        self.bytes += text.len();
        if self.bytes > MOST_BYTES {
            bail!(
                "{shown}: the files of variables are larger than {MOST_BYTES} bytes together, which is the limit"
            );
        }
        if text.starts_with(VAULT) {
            self.warnings.push(format!(
                "{shown} is encrypted (ansible-vault), and is passed over"
            ));
            return Ok(());
        }
        match Tree::parse(&text) {
            Ok(Tree::Table(entries)) => vars.set_all(entries).with_context(|| shown.to_string()),
            Ok(Tree::Null) => Ok(()),
            Ok(other) => bail!("{shown} is {}, and not a table of variables", other.kind()),
            // Comments alone.
            Err(_)
                if text
                    .lines()
                    .all(|line| line.is_empty() || line.starts_with(['#', '-'])) =>
            {
                Ok(())
            }
            Err(why) => bail!("{shown}: {why}"),
        }
    }
}

const ENDINGS: [&str; 4] = ["", ".yml", ".yaml", ".json"];
const MOST_DEEP: usize = 16;
/// In one folder.
const MOST_FILES: usize = 1_000;
/// In all folders.
const MOST_ENTRIES: usize = 100_000;
/// Of all files.
const MOST_BYTES: usize = 64 * 1024 * 1024;
