//! Our terminal while the command has one of its own: its bytes go there as they are typed.

use std::io::{self, IsTerminal};

use heartline_ssh::{Size, Terminal};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::words;

/// Raw until dropped.
#[derive(Debug)]
pub(super) struct Raw {
    before: Termios,
}

impl Raw {
    /// Sets it; none, where standard input is no terminal.
    pub(super) fn set() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        // Not after what is still to be written there: a terminal that is stopped (Ctrl-S) would hold us up.
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // It may be gone, and we with it.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// A terminal like ours for the command, as `-t` asks for it.
pub(super) fn wanted(asked: u8) -> Option<Terminal> {
    let is_ours = io::stdin().is_terminal();
    if asked == 0 || (asked == 1 && !is_ours) {
        if asked == 1 {
            words::complain(&anyhow::anyhow!(
                "no terminal for the command, since standard input is none; -tt gives it one all the same"
            ));
        }
        return None;
    }
    Some(Terminal {
        term: std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned()),
        size: size(),
        settings: tcgetattr(io::stdin()).ok(),
    })
}

/// How large ours is; 0 by 0, where there is none.
pub(super) fn size() -> Size {
    let size = [io::stdin().is_terminal().then(|| tcgetwinsize(io::stdin()))];
    let size = size.into_iter().flatten().find_map(Result::ok);
    Size {
        columns: size.map_or(0, |size| size.ws_col.into()),
        rows: size.map_or(0, |size| size.ws_row.into()),
    }
}
