//! What the command line (or a node of the configuration file) asks for, before `ssh_config` is read.

use std::path::{Path, PathBuf};

use super::Family;
use super::destination::{Destination, DestinationError};
use super::jump::Jump;
use super::line_override::LineOverride;

/// A destination and what was given along with it. Two that are equal resolve to the same
/// [`Settings`](super::Settings), so it is the key under which results are kept.
///
/// Of two sources for one value the first in this list wins, as if they had been given to ssh in this
/// order: the fields `port`, `user`, ..., then `options` in their own order, then what the
/// destination itself names, then `ssh_config`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Invocation {
    /// Where to go; its host is what `Host` patterns of `ssh_config` are matched against.
    pub destination: Destination,
    /// `-F`: read this file in place of the user's and the system's; `none` reads no file at all.
    pub config_file: Option<PathBuf>,
    /// `-o`: lines of `ssh_config`, `KEY=VALUE` or `KEY VALUE`, in the order given.
    pub options: Vec<String>,
    /// `-p`.
    pub port: Option<u16>,
    /// `-l`.
    pub user: Option<String>,
    /// `-i`, in the order given. Each counts as named by somebody: a missing file is an error.
    pub identity_files: Vec<PathBuf>,
    /// `-J`.
    pub jump: Option<Jump>,
    /// `-b`: the source address.
    pub bind_address: Option<String>,
    /// `-B`: the interface to leave by.
    pub bind_interface: Option<String>,
    /// `-4` or `-6`; [`Family::Any`] where neither was given.
    pub family: Family,
    /// What this line says against its node; empty for a node of one line.
    pub line: LineOverride,
}

impl Invocation {
    /// A destination with nothing else given.
    pub fn new(destination: Destination) -> Self {
        Self {
            destination,
            config_file: None,
            options: Vec::new(),
            port: None,
            user: None,
            identity_files: Vec::new(),
            jump: None,
            bind_address: None,
            bind_interface: None,
            family: Family::Any,
            line: LineOverride::default(),
        }
    }

    /// The same node by another line.
    #[must_use]
    pub fn with_line(mut self, line: LineOverride) -> Self {
        self.line = line;
        self
    }

    /// Whether `-F none` forbids every configuration file.
    pub fn reads_no_file(&self) -> bool {
        self.config_file
            .as_deref()
            .and_then(Path::to_str)
            .is_some_and(|name| name.eq_ignore_ascii_case("none"))
    }

    /// How to reach the last of `jumps` (the hop next to this destination), given the list that
    /// [`Proxy::Jump`](super::Proxy::Jump) of this invocation's settings holds; `None` for an empty list.
    ///
    /// It follows OpenSSH (`ssh.c`, where `ProxyJump` becomes `ssh -J earlier,hops -F file -W ... hop`):
    /// the hops before it are its own `-J`; of the rest only `-F` goes along, no `-o`, no `-i`, no user
    /// or port. An earlier hop named so replaces what `ssh_config` says for this one; the nearest hop has
    /// no `-J` left and follows its own `ssh_config`, which may name further hops. Resolve and repeat
    /// until [`Proxy::None`](super::Proxy::None); the caller bounds the depth.
    ///
    /// One thing is ours: `-b`, `-B` and a line's `src` and `dev` go along too, and so take effect on the
    /// first connection that really leaves this machine. ssh drops them; two lines through the same jump
    /// host by two interfaces could then not be told apart.
    pub fn jump_invocation(&self, jumps: &[String]) -> Result<Option<Self>, DestinationError> {
        let Some((last, earlier)) = jumps.split_last() else {
            return Ok(None);
        };
        let mut hop = Self::new(last.parse()?);
        hop.config_file.clone_from(&self.config_file);
        if !earlier.is_empty() {
            hop.jump = Some(earlier.join(",").parse()?);
        }
        hop.bind_address = match self.line.bind_address {
            Some(address) => Some(address.to_string()),
            None => self.bind_address.clone(),
        };
        hop.bind_interface = self
            .line
            .bind_interface
            .clone()
            .or_else(|| self.bind_interface.clone());
        Ok(Some(hop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hops_unfold_from_the_far_end() {
        let mut inv = Invocation::new("u@db1:2222".parse().unwrap());
        inv.config_file = Some("/x/config".into());
        inv.options = vec!["User=other".into()];
        inv.identity_files = vec!["/x/key".into()];
        inv.bind_interface = Some("eth0".into());
        inv.line = "dev=eth1,src=10.0.0.1".parse().unwrap();

        let jumps = ["a:1".to_owned(), "v@b".to_owned()];
        let b = inv.jump_invocation(&jumps).unwrap().unwrap();
        assert_eq!(b.destination, "v@b".parse().unwrap());
        assert_eq!(b.jump, Some("a:1".parse().unwrap()));
        assert_eq!(b.config_file, inv.config_file);
        assert!(b.options.is_empty() && b.identity_files.is_empty());
        assert_eq!(b.bind_interface.as_deref(), Some("eth1"));
        assert_eq!(b.bind_address.as_deref(), Some("10.0.0.1"));

        let a = b.jump_invocation(&jumps[..1]).unwrap().unwrap();
        assert_eq!(a.destination, "a:1".parse().unwrap());
        assert_eq!(a.jump, None);
        assert_eq!(a.bind_interface.as_deref(), Some("eth1"));
        assert_eq!(a.jump_invocation(&[]).unwrap(), None);
    }

    #[test]
    fn a_broken_hop_is_an_error() {
        let inv = Invocation::new("db1".parse().unwrap());
        assert!(inv.jump_invocation(&["-x".to_owned()]).is_err());
    }
}
