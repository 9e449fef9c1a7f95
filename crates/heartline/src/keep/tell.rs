//! What people and programs are told: lines as of `watch`, what became of each forward, and a file that says how it stands.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use heartline_keep::{Carrier, ForwardState, Stand};
use heartline_watch::{NodeBrief, Told};
use jiff::Timestamp;
use serde_json::{Value, json};
use tracing::warn;

use super::args::KeepArgs;
use crate::printer::Printer;
use crate::words;

/// How it stands.
pub(super) struct Standing<'a> {
    pub(super) brief: &'a NodeBrief,
    pub(super) carrier: Option<&'a Carrier>,
    pub(super) forwards: &'a [ForwardState],
    /// A line is up.
    pub(super) is_up: bool,
}

/// See the module.
pub(super) struct Teller {
    node: Arc<str>,
    printer: Printer,
    json: bool,
    coloured: bool,
    /// Whoever has read this reads no more; the tunnels stay.
    is_unheard: bool,
    /// As last told.
    stands: Vec<(Stand, Option<u16>)>,
    file: Option<PathBuf>,
    /// As last written.
    written: Value,
}

impl Standing<'_> {
    /// A session stands, and every forward.
    pub(super) fn is_whole(&self) -> bool {
        let stands = |state: &ForwardState| state.stand == Stand::Stands;
        self.is_up && self.carrier.is_some() && self.forwards.iter().all(stands)
    }

    /// In one line, for a person.
    pub(super) fn sentence(&self) -> String {
        let brief = self.brief;
        let mut text = match brief.state.cause() {
            None => brief.state.word().to_owned(),
            Some(cause) => format!("{} ({cause}: {})", brief.state.word(), cause.sentence()),
        };
        if let Some(carrier) = self.carrier.filter(|_| self.is_up) {
            text.push_str(" by ");
            text.push_str(&words::plain(&carrier.line));
        }
        for state in self.forwards {
            match &state.stand {
                Stand::Stands => {}
                Stand::Waits => drop(write!(text, "; {} waits for a line", state.spec)),
                Stand::Fails(why) => drop(write!(text, "; {} fails: {why}", state.spec)),
            }
        }
        text
    }

    fn json(&self) -> Value {
        json!({
            "node": &*self.brief.node,
            "state": self.brief.state.word(),
            "cause": self.brief.state.cause(),
            "whole": self.is_whole(),
            "carrier": self.carrier.filter(|_| self.is_up).map(|carrier| &*carrier.line),
            "says": self.sentence(),
            "lines": self.brief.lines,
            "forwards": self.forwards.iter().map(forward).collect::<Vec<_>>(),
        })
    }
}

impl Teller {
    pub(super) fn start(args: &KeepArgs, node: Arc<str>) -> anyhow::Result<Self> {
        Ok(Self {
            node,
            printer: Printer::start(args.json)?,
            json: args.json,
            coloured: words::is_coloured(),
            is_unheard: false,
            stands: Vec::new(),
            file: args.status_file.clone(),
            written: Value::Null,
        })
    }

    pub(super) fn told(&mut self, told: &Told) {
        if self.json {
            if let Ok(text) = serde_json::to_string(told) {
                self.line(text);
            }
        } else if words::is_worth_telling(told) {
            self.line(words::told(told, self.coloured));
        }
    }

    /// Another line carries.
    pub(super) fn carries(&mut self, carrier: Option<&Carrier>) {
        let line = carrier.map(|carrier| Arc::clone(&carrier.line));
        if self.json {
            self.say(&json!({"event": "carrier", "line": line}), "");
        } else if let Some(line) = line {
            let text = format!("connections go by {}", words::plain(&line));
            self.say(&Value::Null, &text);
        }
    }

    /// What each forward is now; those that have changed are told.
    pub(super) fn forwards(&mut self, states: &[ForwardState]) {
        self.stands
            .resize_with(states.len(), || (Stand::Waits, None));
        let mut changed = Vec::new();
        for (state, was) in states.iter().zip(&mut self.stands) {
            if (&state.stand, state.port) != (&was.0, was.1) {
                *was = (state.stand.clone(), state.port);
                changed.push(state.clone());
            }
        }
        for state in changed {
            let spec = state.spec.to_string();
            let text = match (&state.stand, state.port) {
                (Stand::Stands, None) => format!("{spec}  stands"),
                (Stand::Stands, Some(port)) => format!("{spec}  stands, on port {port}"),
                (Stand::Waits, _) => format!("{spec}  waits for a line"),
                (Stand::Fails(why), _) => format!("{spec}  fails: {why}"),
            };
            let mut event = forward(&state);
            if let Value::Object(event) = &mut event {
                event.insert("event".to_owned(), "forward".into());
            }
            self.say(&event, &text);
        }
    }

    /// A probe has found that a forward passes nothing, or that it does again.
    pub(super) fn proven(&mut self, state: &ForwardState, why: Option<&str>) {
        let spec = state.spec.to_string();
        let event = json!({"event": "proof", "forward": spec, "passes": why.is_none(), "why": why});
        let text = match why {
            None => format!("{spec}  passes"),
            Some(why) => format!("{spec}  passes nothing: {why}"),
        };
        self.say(&event, &text);
    }

    /// Writes down how it stands, if that has changed.
    pub(super) fn status(&mut self, standing: &Standing<'_>) {
        let Some(file) = &self.file else { return };
        let now = standing.json();
        if now == self.written {
            return;
        }
        let mut shown = now.clone();
        if let Value::Object(shown) = &mut shown {
            shown.insert("t".to_owned(), time().into());
        }
        match write(file, &shown) {
            Ok(()) => self.written = now,
            Err(error) => {
                // Once for each thing that could not be written.
                self.written = now;
                warn!(
                    "The status file {} cannot be written: {error}.",
                    file.display()
                );
            }
        }
    }

    pub(super) fn finish(self) {
        if let Some(file) = &self.file {
            let _ = fs::remove_file(file);
        }
        self.printer.finish();
    }

    fn say(&mut self, event: &Value, text: &str) {
        if self.json {
            let mut event = event.clone();
            if let Value::Object(event) = &mut event {
                event.insert("t".to_owned(), time().into());
                event.insert("node".to_owned(), (&*self.node).into());
            }
            self.line(event.to_string());
        } else {
            let clock = words::clock(Timestamp::now());
            self.line(format!("{clock}  {}  {text}", words::plain(&self.node)));
        }
    }

    fn line(&mut self, text: String) {
        if !self.is_unheard {
            self.is_unheard = self.printer.line(text).is_err();
        }
    }
}

fn forward(state: &ForwardState) -> Value {
    let (to, why) = match &state.stand {
        Stand::Stands => ("stands", None),
        Stand::Waits => ("waits", None),
        Stand::Fails(why) => ("fails", Some(why)),
    };
    json!({
        "forward": state.spec.to_string(),
        "to": to,
        "why": why,
        "port": state.port,
        "open": state.open,
        "carried": state.carried,
        "failed": state.failed,
        "last_failure": state.last_failure,
    })
}

fn time() -> String {
    format!("{:.3}", Timestamp::now())
}

/// Whole or not at all, for whoever reads it meanwhile.
fn write(file: &Path, value: &Value) -> std::io::Result<()> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut temporary = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    writeln!(temporary, "{value}")?;
    // Others may read it: there is no secret in it.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    temporary.as_file().set_permissions(mode)?;
    temporary.persist(file).map_err(|error| error.error)?;
    Ok(())
}
