//! Asking for a passphrase: on the terminal, or by `SSH_ASKPASS` (OpenSSH's readpass.c `read_passphrase`).

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{askpass, terminal};

/// A passphrase: wiped when dropped, never shown.
pub struct Passphrase(Zeroizing<String>);

/// A source of passphrases.
pub trait Passphrases: Send + Sync {
    /// Asks for one, `prompt` being the whole line to show. Bounded in time.
    ///
    /// # Errors
    /// None came.
    fn ask<'a>(&'a self, prompt: &'a str) -> Asking<'a>;
}

/// What [`Passphrases::ask`] is waited on by.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<Passphrase, AskError>> + Send + 'a>>;

/// Why no passphrase came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// `BatchMode` forbids asking.
    #[error("BatchMode is on")]
    Batch,
    /// There is no terminal, and no `SSH_ASKPASS` that may be run.
    #[error("there is no terminal and no SSH_ASKPASS to ask on")]
    NoWay,
    /// Whoever was asked gave none.
    #[error("no passphrase was given")]
    Declined,
    /// Nobody answered in time.
    #[error("no passphrase came within {} s", after.as_secs())]
    Timeout {
        /// How long we waited.
        after: Duration,
    },
    /// The answer was longer than any passphrase, or not UTF-8.
    #[error("what came is no passphrase")]
    NotAPassphrase,
    /// The terminal or the program failed.
    #[error("asking failed: {why}")]
    Failed {
        /// The system's words.
        why: String,
    },
}

/// Asks a person: on the controlling terminal where we are in its foreground, else by `SSH_ASKPASS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    askpass: Option<PathBuf>,
    require: Require,
    display: bool,
}

/// `SSH_ASKPASS_REQUIRE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Require {
    /// Unset: `SSH_ASKPASS` where there is a display and no terminal.
    #[default]
    Unset,
    /// `prefer`: `SSH_ASKPASS` where there is a display, also with a terminal.
    Prefer,
    /// `force`: `SSH_ASKPASS` in any case.
    Force,
    /// `never`: the terminal or nothing.
    Never,
}

/// Where a passphrase is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Way<'a> {
    Terminal,
    Program(&'a PathBuf),
    None,
}

impl Passphrase {
    /// Takes it over; the caller's copy is this one.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

impl Asker {
    /// As told; `display` says whether `DISPLAY` or `WAYLAND_DISPLAY` is set.
    pub fn new(askpass: Option<PathBuf>, require: Require, display: bool) -> Self {
        Self {
            askpass,
            require,
            display,
        }
    }

    /// As the environment tells: `SSH_ASKPASS`, `SSH_ASKPASS_REQUIRE`, `DISPLAY`, `WAYLAND_DISPLAY`. ssh's built-in default
    /// program is not tried.
    pub fn from_env() -> Self {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let require = set("SSH_ASKPASS_REQUIRE").map(|value| value.to_ascii_lowercase());
        let require = match require.as_ref().and_then(|value| value.to_str()) {
            Some("force") => Require::Force,
            Some("prefer") => Require::Prefer,
            Some("never") => Require::Never,
            _ => Require::Unset,
        };
        let display = set("DISPLAY").or_else(|| set("WAYLAND_DISPLAY")).is_some();
        Self::new(set("SSH_ASKPASS").map(PathBuf::from), require, display)
    }

    fn way(&self, terminal: bool) -> Way<'_> {
        let allowed = match self.require {
            Require::Force => true,
            Require::Never => false,
            Require::Unset | Require::Prefer => self.display,
        };
        let program = self.askpass.as_ref().filter(|_| allowed);
        let first = matches!(self.require, Require::Force | Require::Prefer);
        match program {
            Some(program) if first || !terminal => Way::Program(program),
            _ if terminal && self.require != Require::Force => Way::Terminal,
            _ => Way::None,
        }
    }
}

impl Passphrases for Asker {
    fn ask<'a>(&'a self, prompt: &'a str) -> Asking<'a> {
        Box::pin(async move {
            match self.way(terminal::is_ours()) {
                Way::Terminal => terminal::ask(prompt).await,
                Way::Program(program) => askpass::ask(program, prompt).await,
                Way::None => Err(AskError::NoWay),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_is_as_in_openssh() {
        let program = PathBuf::from("/bin/ask");
        let of = |require, display, terminal| {
            let asker = Asker::new(Some(program.clone()), require, display);
            match asker.way(terminal) {
                Way::Terminal => "terminal",
                Way::Program(_) => "program",
                Way::None => "none",
            }
        };
        for (require, display, terminal, expected) in [
            (Require::Unset, false, true, "terminal"),
            (Require::Unset, true, true, "terminal"),
            (Require::Unset, true, false, "program"),
            (Require::Unset, false, false, "none"),
            (Require::Prefer, true, true, "program"),
            (Require::Prefer, false, true, "terminal"),
            (Require::Prefer, false, false, "none"),
            (Require::Force, false, true, "program"),
            (Require::Force, false, false, "program"),
            (Require::Never, true, true, "terminal"),
            (Require::Never, true, false, "none"),
        ] {
            let came = of(require, display, terminal);
            assert_eq!(came, expected, "{require:?} {display} {terminal}");
        }
    }

    #[test]
    fn a_passphrase_is_not_shown() {
        let passphrase = Passphrase::new("open sesame".to_owned());
        assert!(!format!("{passphrase:?}").contains("sesame"));
    }
}
