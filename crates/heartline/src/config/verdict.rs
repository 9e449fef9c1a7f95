//! What came of a check, for people and for programs.

use std::io::{self, Write};
use std::path::PathBuf;

use heartline_watch::config::{Draft, Mistake};
use serde::Serialize;

/// All that is said of a file.
#[derive(Debug, Serialize)]
pub(super) struct Verdict<'a> {
    file: &'a PathBuf,
    ok: bool,
    nodes: usize,
    lines: usize,
    hooks: usize,
    mistakes: Vec<Said<'a>>,
    warnings: Vec<Said<'a>>,
    /// There may be more.
    more: bool,
}

#[derive(Debug, Serialize)]
struct Said<'a> {
    line: usize,
    column: usize,
    what: &'a str,
    text: &'a str,
}

impl<'a> Verdict<'a> {
    pub(super) fn of(draft: &'a Draft<'_>, file: &'a PathBuf) -> Self {
        let said = |mistakes: &'a [Mistake]| mistakes.iter().map(Said::of).collect();
        let nodes = &draft.file.nodes;
        Self {
            file,
            ok: draft.mistakes.is_empty(),
            nodes: nodes.len(),
            // A node that names no line has one.
            lines: nodes.iter().map(|node| node.lines.len().max(1)).sum(),
            hooks: draft.file.hooks.len(),
            mistakes: said(&draft.mistakes),
            warnings: said(&draft.warnings),
            more: draft.is_full(),
        }
    }

    pub(super) fn is_ok(&self) -> bool {
        self.ok
    }

    pub(super) fn print_json(&self) -> anyhow::Result<()> {
        let text = serde_json::to_string(self)?;
        Ok(writeln!(io::stdout(), "{text}")?)
    }

    /// A line each, and one that counts.
    pub(super) fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let file = self.file.display();
        for (said, word) in self.all() {
            let Said {
                line,
                column,
                what,
                text,
            } = said;
            writeln!(out, "{file}:{line}:{column}: {word}{what}, in `{text}`")?;
        }
        let mut counts = vec![
            counted(self.nodes, "node"),
            counted(self.lines, "line"),
            counted(self.hooks, "hook"),
        ];
        if self.hooks == 0 {
            counts.pop();
        }
        let mut faults = Vec::new();
        if !self.ok {
            faults.push(counted(self.mistakes.len(), "mistake"));
        }
        if !self.warnings.is_empty() {
            faults.push(counted(self.warnings.len(), "warning"));
        }
        let more = if self.more { " and maybe more" } else { "" };
        let faults = match faults.join(", ") {
            none if none.is_empty() => none,
            some => format!("; {some}{more}"),
        };
        writeln!(out, "{file}: {}{faults}", counts.join(", "))
    }

    /// In the order of the file.
    fn all(&self) -> Vec<(&Said<'a>, &'static str)> {
        let mistakes = self.mistakes.iter().map(|said| (said, ""));
        let warnings = self.warnings.iter().map(|said| (said, "warning: "));
        let mut all: Vec<_> = mistakes.chain(warnings).collect();
        all.sort_by_key(|(said, _)| (said.line, said.column));
        all
    }
}

impl<'a> Said<'a> {
    fn of(mistake: &'a Mistake) -> Self {
        Self {
            line: mistake.place.line(),
            column: mistake.place.column(),
            what: &mistake.what,
            text: mistake.place.text(),
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}
