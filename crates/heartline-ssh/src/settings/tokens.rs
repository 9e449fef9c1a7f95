//! `%h`, `~` and `${VARIABLE}` in values of `ssh_config`, keyword by keyword.
//!
//! `ssh -G` prints most values as they were written, so that the expansion is ours with it as well as
//! with the parser. Source: `ssh_config(5)`, TOKENS and ENVIRONMENT VARIABLES; OpenSSH `misc.c`
//! (`vdollar_percent_expand`, `tilde_expand`) and `ssh.c` (which keyword gets which).

use std::fmt::Write as _;
use std::path::PathBuf;

use sha1::{Digest, Sha1};
use thiserror::Error;

use super::destination::shown;
use super::local::Local;

/// What the tokens stand for, for one destination.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    pub(super) local: &'a Local,
    /// `%h`.
    pub(super) host: &'a str,
    /// `%n`.
    pub(super) typed: &'a str,
    /// `%p`.
    pub(super) port: u16,
    /// `%r`.
    pub(super) user: &'a str,
    /// `%k`: the `HostKeyAlias`, else the name as typed.
    pub(super) key_alias: &'a str,
    /// `%j`: the `ProxyJump`, else empty.
    pub(super) jump: String,
}

/// Which tokens a keyword takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// The keyword, for messages.
    pub(super) keyword: &'static str,
    letters: &'static str,
    variables: bool,
}

impl Rule {
    /// `CertificateFile`, `IdentityAgent`, `IdentityFile`, `RevokedHostKeys`, `UserKnownHostsFile`.
    pub(super) const fn file(keyword: &'static str) -> Self {
        Self {
            keyword,
            letters: "CdhijkLlnpru",
            variables: true,
        }
    }

    /// `ProxyCommand`, `ProxyJump`: no environment (a shell does that itself for the command).
    pub(super) const fn proxy(keyword: &'static str) -> Self {
        Self {
            keyword,
            letters: "hknpr",
            variables: false,
        }
    }
}

impl Tokens<'_> {
    /// Expands `%` tokens, and `${VARIABLE}` where the keyword takes it.
    pub(super) fn expand(&self, rule: Rule, text: &str) -> Result<String, TokenError> {
        let variables = rule.variables.then_some(self.local);
        expand(rule.keyword, text, variables, |letter| {
            rule.letters.contains(letter).then(|| self.value(letter))
        })
    }

    /// Expands a path: `~` first, then the tokens; the result is absolute.
    pub(super) fn path(&self, rule: Rule, text: &str) -> Result<PathBuf, TokenError> {
        let text = tilde(rule.keyword, text, self.local)?;
        Ok(Local::absolute(self.expand(rule, &text)?.as_ref()))
    }

    fn value(&self, letter: char) -> String {
        let local = self.local;
        match letter {
            'C' => self.connection_hash(),
            'd' => local.home.to_string_lossy().into_owned(),
            'h' => self.host.to_owned(),
            'i' => local.uid.to_string(),
            'j' => self.jump.clone(),
            'k' => self.key_alias.to_owned(),
            'L' => short(&local.hostname).to_owned(),
            'l' => local.hostname.clone(),
            'n' => self.typed.to_owned(),
            'p' => self.port.to_string(),
            'r' => self.user.to_owned(),
            'u' => local.user.clone(),
            _ => String::new(),
        }
    }

    /// `%C`: the SHA-1 of `%l%h%p%r%j` (before OpenSSH 9.9 without `%j`, which is empty unless there is
    /// a jump host), in hexadecimal. A name for a file, no protection of anything.
    fn connection_hash(&self) -> String {
        let mut hash = Sha1::new();
        for part in [
            self.local.hostname.as_str(),
            self.host,
            &self.port.to_string(),
            self.user,
            &self.jump,
        ] {
            hash.update(part.as_bytes());
        }
        hash.finalize().iter().fold(String::new(), |mut out, byte| {
            // Writing to a String cannot fail.
            let _ = write!(out, "{byte:02x}");
            out
        })
    }
}

/// `HostName`: only `%%` and `%h`, the name as typed.
pub(super) fn expand_host_name(text: &str, host: &str) -> Result<String, TokenError> {
    expand("HostName", text, None, |letter| {
        (letter == 'h').then(|| host.to_owned())
    })
}

/// `~` and `~user` at the beginning of a path; nothing else.
pub(super) fn tilde(
    keyword: &'static str,
    text: &str,
    local: &Local,
) -> Result<String, TokenError> {
    let Some(rest) = text.strip_prefix('~') else {
        return Ok(text.to_owned());
    };
    let (user, path) = rest.split_once('/').unwrap_or((rest, ""));
    let Some(home) = local.home_of(user) else {
        return Err(TokenError::NoSuchUser {
            keyword,
            user: shown(user),
        });
    };
    let path = path.trim_start_matches('/');
    Ok(home.join(path).to_string_lossy().into_owned())
}

fn expand(
    keyword: &'static str,
    text: &str,
    variables: Option<&Local>,
    value: impl Fn(char) -> Option<String>,
) -> Result<String, TokenError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['%', '$']) {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        if let (Some(local), Some(after)) = (variables, tail.strip_prefix("${")) {
            let Some((name, after)) = after.split_once('}') else {
                return Err(TokenError::Unterminated {
                    keyword,
                    came: shown(text),
                });
            };
            let value = local.variable(name);
            out.push_str(&value.ok_or_else(|| TokenError::NoSuchVariable {
                keyword,
                variable: shown(name),
            })?);
            rest = after;
        } else if let Some(after) = tail.strip_prefix('%') {
            let mut letters = after.chars();
            match letters.next() {
                Some('%') => out.push('%'),
                Some(letter) => {
                    let value = value(letter).ok_or_else(|| TokenError::Unknown {
                        keyword,
                        token: shown(&format!("%{letter}")),
                    })?;
                    out.push_str(&value);
                }
                None => {
                    return Err(TokenError::Unterminated {
                        keyword,
                        came: shown(text),
                    });
                }
            }
            rest = letters.as_str();
        } else {
            let mut chars = tail.chars();
            out.extend(chars.next());
            rest = chars.as_str();
        }
        if out.len() > MAX_EXPANDED {
            return Err(TokenError::TooLong {
                keyword,
                limit: MAX_EXPANDED,
            });
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn short(hostname: &str) -> &str {
    hostname.split('.').next().unwrap_or(hostname)
}

/// Why a value cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// A token this keyword does not take.
    #[error("{keyword} does not take {token} (write %% for a percent sign)")]
    Unknown {
        /// The `ssh_config` keyword.
        keyword: &'static str,
        /// The token, escaped.
        token: String,
    },
    /// A `%` at the end, or a `${` without its `}`.
    #[error("{keyword} ends within a token: `{came}`")]
    Unterminated {
        /// The `ssh_config` keyword.
        keyword: &'static str,
        /// The value, escaped.
        came: String,
    },
    /// A variable that the environment does not have, or not as UTF-8.
    #[error("{keyword} names ${{{variable}}}, which is not set")]
    NoSuchVariable {
        /// The `ssh_config` keyword.
        keyword: &'static str,
        /// The variable's name, escaped.
        variable: String,
    },
    /// A `~user` whom nobody knows.
    #[error("{keyword} names ~{user}, and there is no such user")]
    NoSuchUser {
        /// The `ssh_config` keyword.
        keyword: &'static str,
        /// The name, escaped.
        user: String,
    },
    /// The value grew beyond what any path or command may be.
    #[error("{keyword} expands to more than {limit} bytes")]
    TooLong {
        /// The `ssh_config` keyword.
        keyword: &'static str,
        /// The bound, in bytes.
        limit: usize,
    },
}

/// Far over `PATH_MAX`; a command line stays far below.
const MAX_EXPANDED: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn with<T>(f: impl FnOnce(&Tokens<'_>) -> T) -> T {
        let local = Local::for_test(Path::new("/home/ann"), &[("DIR", "/srv"), ("EMPTY", "")]);
        f(&Tokens {
            local: &local,
            host: "db1.example.org",
            typed: "db1",
            port: 2222,
            user: "bob",
            key_alias: "alias",
            jump: "gate".to_owned(),
        })
    }

    const FILE: Rule = Rule::file("IdentityFile");

    #[test]
    fn every_file_token() {
        let uid = nix::unistd::getuid();
        let came = with(|t| {
            t.expand(
                FILE,
                "%h %n %p %r %k %j %d %u %i %l %L %% $x ${DIR}${EMPTY}",
            )
        });
        assert_eq!(
            came.unwrap(),
            format!(
                "db1.example.org db1 2222 bob alias gate /home/ann ann {uid} \
                 watcher.example.org watcher % $x /srv"
            )
        );
    }

    #[test]
    fn the_connection_hash_is_openssh_s() {
        // printf %s watcher.example.orgdb1.example.org2222bobgate | sha1sum
        assert_eq!(
            with(|t| t.expand(FILE, "%C")).unwrap(),
            "5e64ea0c80efc162f0ad97603ba550cdb65e4113"
        );
    }

    #[test]
    fn paths_become_absolute() {
        let path = |text| with(|t| t.path(FILE, text));
        assert_eq!(path("~/k/%n").unwrap(), Path::new("/home/ann/k/db1"));
        assert_eq!(path("~").unwrap(), Path::new("/home/ann"));
        assert_eq!(path("~ann//k").unwrap(), Path::new("/home/ann/k"));
        assert_eq!(path("/x/~/y").unwrap(), Path::new("/x/~/y"));
        assert!(path("relative").unwrap().is_absolute());
        assert!(matches!(
            path("~no-such-user-here/x"),
            Err(TokenError::NoSuchUser { .. })
        ));
    }

    #[test]
    fn each_keyword_takes_its_own_tokens() {
        let proxy = |text| with(|t| t.expand(Rule::proxy("ProxyCommand"), text));
        assert_eq!(
            proxy("nc %h %p ${HOME} 100%%").unwrap(),
            "nc db1.example.org 2222 ${HOME} 100%"
        );
        assert!(matches!(proxy("%d"), Err(TokenError::Unknown { .. })));
        assert_eq!(expand_host_name("%h.net%%", "a").unwrap(), "a.net%");
        assert!(matches!(
            expand_host_name("%p", "a"),
            Err(TokenError::Unknown { .. })
        ));
    }

    #[test]
    fn broken_tokens_are_errors() {
        let file = |text| with(|t| t.expand(FILE, text));
        assert!(matches!(file("a%"), Err(TokenError::Unterminated { .. })));
        assert!(matches!(
            file("${DIR"),
            Err(TokenError::Unterminated { .. })
        ));
        assert!(matches!(
            file("${NOPE}"),
            Err(TokenError::NoSuchVariable { .. })
        ));
        assert!(matches!(file("%ä"), Err(TokenError::Unknown { .. })));
        assert!(matches!(
            file(&"%h".repeat(50_000)),
            Err(TokenError::TooLong { .. })
        ));
    }
}
