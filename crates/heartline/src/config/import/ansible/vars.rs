//! Variables: of all that an inventory says only what `connection` asks for is kept, and nothing that is too long for it.

use std::collections::HashMap;

use anyhow::bail;

use super::tree::Tree;

/// The last word on each name is the one that counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Vars(HashMap<&'static str, Tree>);

impl Vars {
    /// Sets one; nothing happens if nobody asks for it.
    pub(super) fn set(&mut self, name: &str, value: Tree) -> anyhow::Result<()> {
        let mut known = CARRIED.iter().chain(UNUSED);
        if let Some(name) = known.find(|known| **known == name) {
            self.0.insert(name, short(name, value)?);
        }
        Ok(())
    }

    /// Sets all of a table.
    pub(super) fn set_all(&mut self, all: Vec<(String, Tree)>) -> anyhow::Result<()> {
        for (name, value) in all {
            self.set(&name, value)?;
        }
        Ok(())
    }

    /// Lays these over what is there.
    pub(super) fn lay(&mut self, over: &Self) {
        self.0.extend(over.0.clone());
    }

    pub(super) fn get(&self, name: &str) -> Option<&Tree> {
        self.0.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &Tree)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }
}

/// As much of a value as matters: of what cannot be carried over, what it is.
fn short(name: &str, value: Tree) -> anyhow::Result<Tree> {
    Ok(match value {
        _ if UNUSED.contains(&name) => Tree::Null,
        Tree::Scalar(text) if text.starts_with(VAULT) => Tree::Scalar(VAULT.to_owned()),
        Tree::Scalar(text) if text.len() > MOST_BYTES => {
            bail!("{name} is longer than {MOST_BYTES} bytes, which is the limit")
        }
        Tree::List(_) => Tree::List(Vec::new()),
        Tree::Table(_) => Tree::Table(Vec::new()),
        value @ (Tree::Null | Tree::Scalar(_)) => value,
    })
}

/// What an encrypted file or value begins with.
pub(super) const VAULT: &str = "$ANSIBLE_VAULT";
/// Ways to log in that heartline has not.
pub(super) const UNUSED: &[&str] = &[
    "ansible_password",
    "ansible_ssh_pass",
    "ansible_ssh_password",
];
/// What is asked for.
const CARRIED: &[&str] = &[
    "ansible_connection",
    "ansible_group_priority",
    "ansible_host",
    "ansible_ssh_host",
    "ansible_port",
    "ansible_ssh_port",
    "ansible_user",
    "ansible_ssh_user",
    "ansible_private_key_file",
    "ansible_ssh_private_key_file",
    "ansible_ssh_args",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
];
/// Of one value: longer than any name, path, or arguments of ssh.
const MOST_BYTES: usize = 4_096;
