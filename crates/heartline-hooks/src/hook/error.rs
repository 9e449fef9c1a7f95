//! What can be wrong with a hook.

use std::io;
use std::path::PathBuf;

use heartline_ssh::escape;
use thiserror::Error;

/// Why a hook cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HookError {
    /// Its name is none.
    #[error(
        "hook {:?} has no good name; give one of a-z, 0-9, - and _, {MAX_NAME} characters at most",
        shown(hook)
    )]
    Name {
        /// The name.
        hook: String,
    },
    /// Two have one name.
    #[error("two hooks are called {hook:?}; give each a name of its own")]
    Twice {
        /// The name.
        hook: String,
    },
    /// It does nothing, or several things.
    #[error("hook {hook:?} has {came} of run, url and mail; give one")]
    Actions {
        /// The hook.
        hook: String,
        /// How many there are.
        came: usize,
    },
    /// A key that does not belong there.
    #[error("hook {hook:?} has {key} without {of}; leave it out, or give {of}")]
    Alone {
        /// The hook.
        hook: String,
        /// The key.
        key: &'static str,
        /// What it belongs to.
        of: &'static str,
    },
    /// No pattern.
    #[error(
        "hook {hook:?}: {:?} is no pattern ({why}); give a name, where * and ? stand for any",
        shown(pattern)
    )]
    Pattern {
        /// The hook.
        hook: String,
        /// What was given.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// A time out of range.
    #[error("hook {hook:?}: timeout is {came:?}; give 100ms to 1h")]
    Timeout {
        /// The hook.
        hook: String,
        /// What was given.
        came: std::time::Duration,
    },
    /// No program.
    #[error(
        "hook {hook:?}: run names no program; give it and its arguments, as in run = [\"/usr/local/bin/page\", \"--now\"]"
    )]
    NoProgram {
        /// The hook.
        hook: String,
    },
    /// An argument that no program can be given.
    #[error("hook {hook:?}: an argument of run has a NUL in it; leave it out")]
    Nul {
        /// The hook.
        hook: String,
    },
    /// No URL that can be posted to.
    #[error("hook {hook:?}: the url is none to post to ({why}); give http://… or https://…")]
    Url {
        /// The hook.
        hook: String,
        /// What is wrong with it. The URL itself may be a secret.
        why: String,
    },
    /// No client for webhooks can be made.
    #[error(
        "hook {hook:?}: no request can be made ({why}); see that the system's certificates are installed"
    )]
    Client {
        /// The hook.
        hook: String,
        /// Why not.
        why: String,
    },
    /// No mail server.
    #[error(
        "hook {hook:?}: the mail server is none ({why}); give smtp://HOST, smtps://HOST or smtp://HOST?tls=required"
    )]
    Server {
        /// The hook.
        hook: String,
        /// What is wrong with it.
        why: String,
    },
    /// A password would go over the network for all to read.
    #[error(
        "hook {hook:?}: the password would be sent in the clear; give smtps://HOST or smtp://HOST?tls=required"
    )]
    InTheClear {
        /// The hook.
        hook: String,
    },
    /// No address of mail.
    #[error(
        "hook {hook:?}: {:?} is no mail address ({why}); give one like ops@example.org",
        shown(address)
    )]
    Address {
        /// The hook.
        hook: String,
        /// What was given.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody is written to.
    #[error("hook {hook:?}: mail goes to nobody; give an address in to")]
    Nobody {
        /// The hook.
        hook: String,
    },
    /// A secret's file cannot be read.
    #[error("hook {hook:?}: cannot read {}: {source}", path.display())]
    Unreadable {
        /// The hook.
        hook: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A secret's file is open to others.
    #[error("hook {hook:?}: others can get at {} (mode {mode:03o}); chmod 600 it", path.display())]
    Permissions {
        /// The hook.
        hook: String,
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A secret's file has no secret in it.
    #[error("hook {hook:?}: {} {what}; put the secret in it, {MAX_SECRET} bytes at most", path.display())]
    NoSecret {
        /// The hook.
        hook: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
}

fn shown(text: &str) -> String {
    escape(text.as_bytes(), MAX_NAME)
}

/// Characters of a name.
pub(super) const MAX_NAME: usize = 64;
/// Bytes of a secret.
pub(super) const MAX_SECRET: usize = 4096;
