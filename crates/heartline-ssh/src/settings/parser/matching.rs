//! `Match`: whether a block applies. Source: `ssh_config(5)`; OpenSSH `readconf.c` (`match_cfg_line`).

use super::error::ParseErrorKind;
use super::pattern::{matches_list, matches_list_in_any_case};
use super::words::next_word;

/// What the criteria are held against, as known so far.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    /// `HostName` so far, with its token expanded, or the host.
    pub(super) host: &'a str,
    /// The host as typed.
    pub(super) typed: &'a str,
    /// `User` so far, or the local user.
    pub(super) user: &'a str,
    pub(super) local_user: &'a str,
    /// The second pass over the files.
    pub(super) last_pass: bool,
    /// Within an `Include` that does not apply: nothing here can.
    pub(super) never: bool,
}

/// What became of one `Match` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) applies: bool,
    /// A second pass is asked for.
    pub(super) wants_final: bool,
}

impl Subject<'_> {
    /// Reads the criteria in `text`.
    pub(super) fn judge(&self, text: &str) -> Result<Outcome, ParseErrorKind> {
        let mut rest = text;
        let mut criteria = 0;
        let mut outcome = Outcome {
            applies: true,
            wants_final: false,
        };
        while let Some(word) = next_word(&mut rest)?.filter(|word| !word.is_empty()) {
            if word.starts_with('#') {
                break;
            }
            let (name, negated) = match word.strip_prefix('!') {
                Some(name) => (name.to_ascii_lowercase(), true),
                None => (word.to_ascii_lowercase(), false),
            };
            if name == "all" {
                let more = next_word(&mut rest)?
                    .is_some_and(|word| !word.is_empty() && !word.starts_with('#'));
                if criteria > 1 || more {
                    return Err(ParseErrorKind::BadMatch {
                        why: "`all` cannot be combined with other criteria",
                    });
                }
                outcome.applies &= !negated;
                return Ok(self.unless_never(outcome));
            }
            criteria += 1;
            let holds = if name == "final" || name == "canonical" {
                outcome.wants_final |= name == "final";
                self.last_pass
            } else {
                let argument = next_word(&mut rest)?
                    .filter(|word| !word.is_empty() && !word.starts_with('#'))
                    .ok_or(ParseErrorKind::BadMatch {
                        why: "a criterion has no argument",
                    })?;
                self.holds(&name, &argument, outcome.applies)?
            };
            outcome.applies &= holds != negated;
        }
        if criteria == 0 {
            return Err(ParseErrorKind::BadMatch {
                why: "a criterion is needed",
            });
        }
        Ok(self.unless_never(outcome))
    }

    /// `matters`: all criteria before this one hold.
    fn holds(&self, name: &str, argument: &str, matters: bool) -> Result<bool, ParseErrorKind> {
        Ok(match name {
            "host" => matches_list_in_any_case(self.host, argument),
            "originalhost" => matches_list_in_any_case(self.typed, argument),
            "user" => matches_list(self.user, argument),
            "localuser" => matches_list(self.local_user, argument),
            "exec" | "localnetwork" | "tagged" | "sessiontype" | "command" | "version" => {
                if matters && !self.never {
                    return Err(ParseErrorKind::NeedsSsh {
                        what: needs_ssh(name),
                    });
                }
                false
            }
            _ => {
                return Err(ParseErrorKind::BadMatch {
                    why: "no such criterion",
                });
            }
        })
    }

    fn unless_never(&self, outcome: Outcome) -> Outcome {
        Outcome {
            applies: outcome.applies && !self.never,
            ..outcome
        }
    }
}

fn needs_ssh(name: &str) -> &'static str {
    match name {
        "exec" => "Match exec (it runs a program)",
        "localnetwork" => "Match localnetwork",
        "tagged" => "Match tagged",
        "sessiontype" => "Match sessiontype",
        "version" => "Match version",
        _ => "Match command",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Subject<'_> = Subject {
        host: "db1.example.org",
        typed: "db1",
        user: "bob",
        local_user: "ann",
        last_pass: false,
        never: false,
    };

    fn applies(text: &str) -> bool {
        FIRST.judge(text).unwrap().applies
    }

    #[test]
    fn criteria_are_and_ed() {
        assert!(applies("all"));
        assert!(!applies("!all"));
        assert!(applies(
            "host *.Example.org originalhost db1 user a,b* localuser ann"
        ));
        assert!(applies("host=db1* # all"));
        assert!(!applies("host db1* user carl"));
        assert!(applies("!host web* !user carl"));
        assert!(!applies("host db*,!db1*"));
        assert!(applies("host db1* all"));
    }

    #[test]
    fn the_last_pass() {
        let first = FIRST.judge("final host db1*").unwrap();
        assert_eq!((first.applies, first.wants_final), (false, true));
        let canonical = FIRST.judge("canonical").unwrap();
        assert_eq!((canonical.applies, canonical.wants_final), (false, false));
        let last = Subject {
            last_pass: true,
            ..FIRST
        };
        assert!(last.judge("final all").unwrap().applies);
        assert!(!last.judge("!final").unwrap().applies);
    }

    #[test]
    fn what_needs_ssh_is_refused_only_where_it_decides() {
        assert!(matches!(
            FIRST.judge("exec true"),
            Err(ParseErrorKind::NeedsSsh { .. })
        ));
        assert!(!applies("host web1 exec true"));
        let never = Subject {
            never: true,
            ..FIRST
        };
        assert!(!never.judge("exec true").unwrap().applies);
    }

    #[test]
    fn broken_lines() {
        for text in [
            "",
            "#",
            "host",
            "host #x",
            "colour red",
            "all host x",
            "user a user b all",
        ] {
            let error = FIRST.judge(text).unwrap_err();
            assert!(
                matches!(error, ParseErrorKind::BadMatch { .. }),
                "{text}: {error}"
            );
        }
    }
}
