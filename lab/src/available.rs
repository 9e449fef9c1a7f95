//! Whether a lab can be built on this machine: root, the tools, and a kernel that lets us.
//!
//! Root of a user namespace will do where a range of ids is mapped into it, since sshd must change
//! to another user's id: `scripts/in-user-namespace` makes such a one. A test cannot by itself: it
//! is a thread of a program that runs already.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use nix::unistd::geteuid;

use crate::{sshd, tool};

/// Why no lab can be built.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// Namespaces, firewalls and sshd need root.
    NotRoot,
    /// A program is missing.
    Missing {
        /// The program.
        tool: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// It was tried, and the system would not.
    Refused {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        said: String,
    },
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotRoot => write!(f, "not root (nor in scripts/in-user-namespace)"),
            Self::Missing { tool, package } => {
                write!(f, "{tool} is missing (Debian package {package})")
            }
            Self::Refused { action, said } => write!(f, "{action}: {said}"),
        }
    }
}

impl std::error::Error for Why {}

pub(crate) fn available() -> Result<(), Why> {
    static ANSWER: OnceLock<Result<(), Why>> = OnceLock::new();
    ANSWER.get_or_init(find_out).clone()
}

fn find_out() -> Result<(), Why> {
    if !geteuid().is_root() {
        return Err(Why::NotRoot);
    }
    for (tool, package) in TOOLS {
        if !in_path(tool) {
            return Err(Why::Missing { tool, package });
        }
    }
    if sshd::program().is_none() {
        return Err(Why::Missing {
            tool: "sshd",
            package: "openssh-server",
        });
    }
    // Without a name and in a process of its own, so nothing remains: may we make a namespace, and
    // does the kernel have the hook that drops packets?
    let mut command = Command::new("unshare");
    command.args(["--net", "nft", TRIAL]);
    match tool::run(command) {
        Ok(_) => Ok(()),
        Err(why) => Err(Why::Refused {
            action: "a namespace with nftables",
            said: format!("{why:#}"),
        }),
    }
}

pub(crate) fn in_path(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| Path::new(&dir).join(tool).is_file())
}

/// What the lab calls, and where Debian has it.
const TOOLS: [(&str, &str); 10] = [
    ("ip", "iproute2"),
    ("ss", "iproute2"),
    ("nft", "nftables"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("sysctl", "procps"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
    ("useradd", "passwd"),
];
/// The rarest thing the lab needs of nftables.
const TRIAL: &str = "add table netdev t; \
    add chain netdev t c { type filter hook ingress device lo priority 0; }; \
    add rule netdev t c numgen random mod 100 < 50 drop";
