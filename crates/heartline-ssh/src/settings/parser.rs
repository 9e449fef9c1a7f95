//! Reads `ssh_config` itself, for machines without an `ssh`.
//!
//! Why our own: of the crates that read `ssh_config`, `ssh2-config` 0.9 has no `Match` and no tokens,
//! `russh-config` no `Match` and no `Include`, and `puressh` 0.2 (which has both) evaluates `Match host`
//! against a fixed name rather than the `HostName` found so far, refuses the names of algorithms it does
//! not know, and comes with a cryptography library of its own. What is needed is small beside that.
//!
//! It follows OpenSSH's `readconf.c`: `Host` with negation, `Match` (all, host, originalhost, user,
//! localuser, final, canonical), `Include` with wildcards inside blocks, first value wins, quotes,
//! `key=value`, a second pass for `Match final`, `+`, `-` and `^` lists. What cannot be done right without
//! ssh is refused with its place, never guessed at: `Match exec` (it would run programs), the `Match`
//! criteria after OpenSSH 9.2, and canonical names by DNS. Keywords that have no meaning for a heartbeat
//! are known and passed over; a misspelt one is an error, as in ssh.

pub(super) mod algorithms;
mod error;
mod keywords;
mod matching;
mod options;
mod pattern;
mod reader;
mod values;
mod words;

use std::path::{Path, PathBuf};

pub use self::error::{ParseError, ParseErrorKind};
use self::options::Options;
use self::reader::{Pass, Reader};
use super::host_line::HostLine;
use super::invocation::Invocation;
use super::local::Local;
use super::shared::{Mark, Parsed};
use super::tokens::expand_host_name;

/// Where the files are.
#[derive(Debug)]
pub(super) struct Parser {
    user_file: PathBuf,
    system_file: PathBuf,
}

impl Parser {
    pub(super) fn new(local: &Local) -> Self {
        Self {
            user_file: local.home.join(".ssh/config"),
            system_file: PathBuf::from("/etc/ssh/ssh_config"),
        }
    }

    /// Reads the command line's options, then the files. Blocks on the disk.
    pub(super) fn find(&self, inv: &Invocation, local: &Local) -> Result<Parsed, ParseError> {
        let typed = inv.destination.host();
        let mut options = Options::default();
        options.set_flags(inv);
        for option in &inv.options {
            options.set_command_line(option)?;
        }
        options.set_destination(&inv.destination);

        let mut pass = Pass::first(typed);
        self.read(inv, local, &mut options, &mut pass)?;
        let mut host = match &options.host_name {
            Some(name) => {
                expand_host_name(name, typed).map_err(|e| ParseError::nowhere(e.into()))?
            }
            None => typed.to_owned(),
        };
        // The scope of an address (`%Eth0`) keeps its letters.
        if !host.contains('%') {
            host = host.to_ascii_lowercase();
        }
        if options.canonicalizes()? || pass.wants_final {
            options.host_name = Some(host.clone());
            let mut last = Pass::last(&host, typed);
            self.read(inv, local, &mut options, &mut last)?;
            pass.marks.push(Mark::Again);
            pass.marks.append(&mut last.marks);
        }
        Ok(Parsed {
            found: options.into_found(host),
            marks: pass.marks,
        })
    }

    /// The `Host` lines of this file, or of the user's and the system's, with what they include, in order. Blocks on the disk.
    pub(super) fn host_lines(
        &self,
        file: Option<&Path>,
        local: &Local,
    ) -> Result<Vec<HostLine>, ParseError> {
        let mut options = Options::default();
        let mut pass = Pass::listing();
        let mut reader = Reader::new(local, &mut options, &mut pass);
        if let Some(file) = file {
            reader.named_file(file)?;
        } else {
            reader.user_file(&self.user_file)?;
            reader.system_file(&self.system_file)?;
        }
        Ok(pass.listed.unwrap_or_default())
    }

    fn read(
        &self,
        inv: &Invocation,
        local: &Local,
        options: &mut Options,
        pass: &mut Pass<'_>,
    ) -> Result<(), ParseError> {
        if inv.reads_no_file() {
            return Ok(());
        }
        let mut reader = Reader::new(local, options, pass);
        if let Some(file) = &inv.config_file {
            return reader.named_file(file);
        }
        reader.user_file(&self.user_file)?;
        reader.system_file(&self.system_file)
    }
}

#[cfg(test)]
mod tests;
