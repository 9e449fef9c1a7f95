//! Reads the files: blocks, `Include`, and who may write them. Source: OpenSSH `readconf.c`
//! (`read_config_file_depth`, `process_config_line_depth`).

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern, glob_with};

use crate::settings::host_line::HostLine;
use crate::settings::local::Local;
use crate::settings::shared::Mark;
use crate::settings::tokens::{expand_host_name, tilde};

use super::error::{ParseError, ParseErrorKind};
use super::matching::Subject;
use super::options::{Line, Options};
use super::pattern::matches;
use super::words::split;

/// One pass over all files.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    /// What `Host` patterns are held against.
    host: &'a str,
    typed: &'a str,
    last: bool,
    /// A `Match final` asks for a second pass.
    pub(super) wants_final: bool,
    /// What was come by.
    pub(super) marks: Vec<Mark>,
    /// The `Host` lines, where they are all that is asked for: then nothing applies, and nothing is judged.
    pub(super) listed: Option<Vec<HostLine>>,
}

impl<'a> Pass<'a> {
    pub(super) fn first(typed: &'a str) -> Self {
        Self {
            host: typed,
            typed,
            last: false,
            wants_final: false,
            marks: Vec::new(),
            listed: None,
        }
    }

    /// One that lists `Host` lines and does nothing else.
    pub(super) fn listing() -> Pass<'static> {
        Pass {
            listed: Some(Vec::new()),
            ..Pass::first("")
        }
    }

    pub(super) fn last(host: &'a str, typed: &'a str) -> Self {
        Self {
            host,
            typed,
            last: true,
            wants_final: false,
            marks: Vec::new(),
            listed: None,
        }
    }
}

pub(super) struct Reader<'a, 'p> {
    local: &'a Local,
    options: &'a mut Options,
    pass: &'a mut Pass<'p>,
    /// Files read so far.
    files: usize,
}

/// How one file is to be read.
#[derive(Clone, Copy)]
struct Mode {
    /// A user's file: relative includes are in `~/.ssh`, else in `/etc/ssh`.
    of_user: bool,
    /// Only if nobody else can write to it.
    check_owner: bool,
    /// Included from a block that does not apply: it is checked only.
    never: bool,
    depth: usize,
}

impl<'a, 'p> Reader<'a, 'p> {
    pub(super) fn new(local: &'a Local, options: &'a mut Options, pass: &'a mut Pass<'p>) -> Self {
        Self {
            local,
            options,
            pass,
            files: 0,
        }
    }

    /// `-F`: it must be there.
    pub(super) fn named_file(&mut self, file: &Path) -> Result<(), ParseError> {
        let mode = Mode {
            of_user: true,
            check_owner: false,
            never: self.pass.listed.is_some(),
            depth: 0,
        };
        if self.file(file, mode, !mode.never)? {
            return Ok(());
        }
        let why = std::io::Error::from(ErrorKind::NotFound).to_string();
        Err(ParseError::at(file, 0, ParseErrorKind::Unreadable { why }))
    }

    /// `~/.ssh/config`, if it is there.
    pub(super) fn user_file(&mut self, file: &Path) -> Result<(), ParseError> {
        let mode = Mode {
            of_user: true,
            check_owner: true,
            never: self.pass.listed.is_some(),
            depth: 0,
        };
        self.file(file, mode, !mode.never).map(drop)
    }

    /// `/etc/ssh/ssh_config`, if it is there.
    pub(super) fn system_file(&mut self, file: &Path) -> Result<(), ParseError> {
        let mode = Mode {
            of_user: false,
            check_owner: false,
            never: self.pass.listed.is_some(),
            depth: 0,
        };
        self.file(file, mode, !mode.never).map(drop)
    }

    /// Whether the file is there. `active`: whether its lines apply until a `Host` or `Match` says.
    fn file(&mut self, file: &Path, mode: Mode, active: bool) -> Result<bool, ParseError> {
        let at = |line, kind| ParseError::at(file, line, kind);
        if mode.depth > MAX_DEPTH {
            return Err(at(0, ParseErrorKind::TooDeep { limit: MAX_DEPTH }));
        }
        self.files += 1;
        if self.files > MAX_FILES {
            return Err(at(0, ParseErrorKind::TooManyFiles { limit: MAX_FILES }));
        }
        let Some(bytes) = read(file, mode.check_owner).map_err(|kind| at(0, kind))? else {
            return Ok(false);
        };
        self.pass.marks.push(Mark::File(file.to_owned()));
        let mut active = active;
        for (i, bytes) in bytes.split(|b| *b == b'\n').enumerate() {
            if bytes.trim_ascii_start().first().is_none_or(|b| *b == b'#') {
                continue;
            }
            let number = i + 1;
            let text = str::from_utf8(bytes)
                .ok()
                .filter(|text| !text.contains(is_refused))
                .ok_or_else(|| at(number, ParseErrorKind::NotText))?;
            let Some(line) = Line::parse(text).map_err(|kind| at(number, kind))? else {
                continue;
            };
            if line.keyword == "include" {
                let paths = split(line.rest).map_err(|kind| at(number, kind))?;
                self.include(&paths, mode, active)
                    .map_err(|error| match error {
                        Trouble::Here(kind) => at(number, kind),
                        Trouble::There(error) => error,
                    })?;
            } else {
                self.line(&line, mode, &mut active)
                    .map_err(|kind| at(number, kind))?;
                if let ("host", Some(listed)) = (line.keyword.as_str(), &mut self.pass.listed) {
                    let words = split(line.rest).map_err(|kind| at(number, kind))?;
                    listed.push(HostLine::of(words, file, number));
                }
                if active && matches!(line.keyword.as_str(), "host" | "match") {
                    self.pass.marks.push(Mark::Applies(number));
                }
            }
        }
        Ok(true)
    }

    fn line(
        &mut self,
        line: &Line<'_>,
        mode: Mode,
        active: &mut bool,
    ) -> Result<(), ParseErrorKind> {
        match line.keyword.as_str() {
            "host" => {
                *active = host_applies(self.pass.host, &split(line.rest)?)? && !mode.never;
                Ok(())
            }
            "match" => {
                *active = self.match_applies(line.rest, mode.never)?;
                Ok(())
            }
            _ => self.options.set(line, *active),
        }
    }

    fn match_applies(&mut self, text: &str, never: bool) -> Result<bool, ParseErrorKind> {
        let pass = &mut *self.pass;
        let host = match &self.options.host_name {
            Some(name) if pass.last => name.clone(),
            Some(name) => expand_host_name(name, pass.host)?,
            None => pass.host.to_owned(),
        };
        let user = self.options.user.as_deref().unwrap_or(&self.local.user);
        let subject = Subject {
            host: &host,
            typed: pass.typed,
            user,
            local_user: &self.local.user,
            last_pass: pass.last,
            never,
        };
        let outcome = subject.judge(text)?;
        pass.wants_final |= outcome.wants_final;
        Ok(outcome.applies)
    }

    fn include(&mut self, paths: &[String], mode: Mode, active: bool) -> Result<(), Trouble> {
        let inner = Mode {
            check_owner: true,
            never: mode.never || !active,
            depth: mode.depth + 1,
            ..mode
        };
        for path in paths {
            for file in self.included(path, mode)? {
                self.file(&file, inner, active).map_err(Trouble::There)?;
            }
        }
        Ok(())
    }

    /// The files one argument of `Include` stands for, in the order of their names; none is no error.
    fn included(&self, path: &str, mode: Mode) -> Result<Vec<PathBuf>, ParseErrorKind> {
        if path.is_empty() {
            return Err(ParseErrorKind::NoValue {
                keyword: "include".to_owned(),
            });
        }
        let pattern = if path.starts_with('~') {
            if !mode.of_user {
                return Err(ParseErrorKind::BadValue {
                    keyword: "include".to_owned(),
                    expected: "a path without ~ in a file of the system",
                    came: crate::settings::destination::shown(path),
                });
            }
            match tilde("Include", path, self.local) {
                Ok(path) => path,
                // As a wildcard that matches nothing.
                Err(_) => return Ok(Vec::new()),
            }
        } else if path.starts_with('/') {
            path.to_owned()
        } else if mode.of_user {
            let home = self.local.home.to_string_lossy();
            format!("{}/.ssh/{path}", Pattern::escape(&home))
        } else {
            format!("/etc/ssh/{path}")
        };
        // `**` is ssh's `*`, and more to the crate that looks.
        let mut pattern = pattern;
        while pattern.contains("**") {
            pattern = pattern.replace("**", "*");
        }
        match glob_with(&pattern, GLOB) {
            Ok(found) => Ok(found.filter_map(Result::ok).take(MAX_FILES + 1).collect()),
            // A bracket that does not close stands for itself.
            Err(_) => Ok(vec![PathBuf::from(pattern)]),
        }
    }
}

/// Where an `Include` went wrong: at its own line, or in the file it names.
enum Trouble {
    Here(ParseErrorKind),
    There(ParseError),
}

impl From<ParseErrorKind> for Trouble {
    fn from(kind: ParseErrorKind) -> Self {
        Self::Here(kind)
    }
}

/// A `Host` line: one pattern at least, and none that begins with `!`.
fn host_applies(host: &str, patterns: &[String]) -> Result<bool, ParseErrorKind> {
    let mut applies = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            _ if pattern.is_empty() => {
                return Err(ParseErrorKind::NoValue {
                    keyword: "host".to_owned(),
                });
            }
            Some(pattern) if matches(host, pattern) => return Ok(false),
            Some(_) => {}
            None => applies |= matches(host, pattern),
        }
    }
    Ok(applies)
}

/// The bytes of a file; `None` if it is not there.
fn read(file: &Path, check_owner: bool) -> Result<Option<Vec<u8>>, ParseErrorKind> {
    if file == Path::new("/dev/null") {
        return Ok(Some(Vec::new()));
    }
    let unreadable = |error: std::io::Error| ParseErrorKind::Unreadable {
        why: error.to_string(),
    };
    match file.metadata() {
        Ok(meta) if meta.is_file() => {}
        // Opening a pipe would wait for somebody to write to it.
        Ok(_) => {
            return Err(ParseErrorKind::Unreadable {
                why: "not a regular file".to_owned(),
            });
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    }
    let opened = File::open(file).map_err(unreadable)?;
    let meta = opened.metadata().map_err(unreadable)?;
    let stranger = meta.uid() != 0 && meta.uid() != nix::unistd::getuid().as_raw();
    if check_owner && (stranger || meta.mode() & 0o022 != 0) {
        return Err(ParseErrorKind::Permissions);
    }
    let mut bytes = Vec::new();
    opened
        .take(MAX_SIZE + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_SIZE {
        return Err(ParseErrorKind::TooLarge { limit: MAX_SIZE });
    }
    Ok(Some(bytes))
}

/// Control characters have no place in a configuration, but for the white space ssh knows.
fn is_refused(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\r' | '\u{c}')
}

/// As glob(3) does for ssh: a leading dot is not matched by a wildcard.
const GLOB: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// `READCONF_MAX_DEPTH`.
const MAX_DEPTH: usize = 16;

/// Files in one pass; `/etc/ssh/ssh_config.d` has a handful.
const MAX_FILES: usize = 1024;

/// In bytes; the longest real ones have some ten thousand lines.
const MAX_SIZE: u64 = 1024 * 1024;
