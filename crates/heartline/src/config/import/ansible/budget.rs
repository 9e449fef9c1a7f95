//! What one inventory may cost: short texts can stand for very many hosts, and for very much work.

use anyhow::bail;

/// The work that one inventory may still make.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: MOST_STEPS }
    }
}

impl Budget {
    /// For so many steps: a host that is named, a value that a range takes, a group that is gone through.
    pub(super) fn spend(&mut self, steps: usize) -> anyhow::Result<()> {
        let Some(left) = self.left.checked_sub(steps) else {
            bail!(
                "so far the inventory takes more than {MOST_STEPS} steps to work out, which is the limit"
            );
        };
        self.left = left;
        Ok(())
    }
}

/// Ten thousand hosts, each in a hundred groups.
const MOST_STEPS: usize = 1_000_000;
/// A watcher's configuration has room for no more; the hosts of an inventory, and its groups.
pub(super) const MOST_HOSTS: usize = 10_000;
