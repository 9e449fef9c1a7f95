//! Who and where we are: what `~`, `%d`, `%u`, `%i`, `%l` and `${VARIABLE}` stand for.

use std::collections::HashMap;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use nix::unistd::{User, gethostname, getuid};

/// The local user and machine. Taken once, so that all nodes see the same answers.
#[derive(Clone)]
pub(super) struct Local {
    pub(super) user: String,
    pub(super) home: PathBuf,
    pub(super) uid: u32,
    pub(super) hostname: String,
    variables: Variables,
}

#[derive(Clone)]
enum Variables {
    Process,
    #[cfg_attr(not(test), expect(dead_code, reason = "tests bring their own"))]
    Given(HashMap<String, String>),
}

impl Local {
    /// As the password database and the kernel say. ssh takes the home folder from there too, never
    /// from `HOME`; only where the user has no entry (a container under a made-up id) `HOME` and
    /// `USER` stand in.
    pub(super) fn current() -> Self {
        let uid = getuid();
        let (user, home) = match User::from_uid(uid) {
            Ok(Some(entry)) => (entry.name, entry.dir),
            Ok(None) | Err(_) => (
                env::var("USER").unwrap_or_else(|_| uid.to_string()),
                env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from),
            ),
        };
        Self {
            user,
            home,
            uid: uid.as_raw(),
            hostname: gethostname()
                .ok()
                .and_then(|name| name.into_string().ok())
                .unwrap_or_default(),
            variables: Variables::Process,
        }
    }

    /// One made up for a test.
    #[cfg(test)]
    pub(super) fn for_test(home: &Path, variables: &[(&str, &str)]) -> Self {
        Self {
            user: "ann".to_owned(),
            home: home.to_owned(),
            uid: getuid().as_raw(),
            hostname: "watcher.example.org".to_owned(),
            variables: Variables::Given(
                variables
                    .iter()
                    .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                    .collect(),
            ),
        }
    }

    /// An environment variable; `None` where it is unset or not UTF-8.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        match &self.variables {
            Variables::Process => env::var(name).ok(),
            Variables::Given(given) => given.get(name).cloned(),
        }
    }

    /// The home folder of `name`, or our own for an empty name.
    pub(super) fn home_of(&self, name: &str) -> Option<PathBuf> {
        if name.is_empty() || name == self.user {
            return Some(self.home.clone());
        }
        User::from_name(name).ok().flatten().map(|entry| entry.dir)
    }

    /// A path as ssh would open it: relative to the folder we stand in.
    pub(super) fn absolute(path: &Path) -> PathBuf {
        std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
    }
}

/// The environment holds secrets: it is left out.
impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local")
            .field("user", &self.user)
            .field("home", &self.home)
            .field("uid", &self.uid)
            .field("hostname", &self.hostname)
            .finish_non_exhaustive()
    }
}
