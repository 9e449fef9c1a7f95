//! Patterns of `Host` and `Match`: `*`, `?`, `!`, comma lists. Source: `ssh_config(5)`, PATTERNS;
//! OpenSSH `match.c`.

/// Whether `text` as a whole matches `pattern` (`*` any run, `?` any one character).
pub(super) fn matches(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    let (mut t, mut p) = (0, 0);
    // Where to go on when a later part does not fit: after the last star, one character further.
    let mut retry = None;
    while let Some(c) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                p += 1;
                retry = Some((p, t));
            }
            Some(q) if *q == '?' || q == c => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, from)) => {
                    p = after_star;
                    t = from + 1;
                    retry = Some((p, t));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// Whether `text` matches a comma list: one entry at least, and none that begins with `!`.
pub(super) fn matches_list(text: &str, list: &str) -> bool {
    let mut found = false;
    for entry in list.split(',') {
        match entry.strip_prefix('!') {
            Some(entry) if matches(text, entry) => return false,
            Some(_) => {}
            None => found |= matches(text, entry),
        }
    }
    found
}

/// The same in any case of letters: host names, keywords.
pub(super) fn matches_list_in_any_case(text: &str, list: &str) -> bool {
    matches_list(&text.to_ascii_lowercase(), &list.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (text, pattern) in [
            ("", ""),
            ("", "*"),
            ("db1", "db1"),
            ("db1", "db?"),
            ("db1", "*"),
            ("db1", "d*1"),
            ("a.b.c", "*.c"),
            ("aXbXc", "a*b*c"),
            ("abcabd", "*ab?"),
            ("x", "x**"),
        ] {
            assert!(matches(text, pattern), "{text} {pattern}");
        }
        for (text, pattern) in [
            ("db1", ""),
            ("db1", "db"),
            ("db", "db?"),
            ("DB1", "db1"),
            ("ab", "*ba"),
        ] {
            assert!(!matches(text, pattern), "{text} {pattern}");
        }
    }

    #[test]
    fn lists() {
        assert!(matches_list("b", "a,b"));
        assert!(!matches_list("b", "*,!b"));
        assert!(!matches_list("b", "!b,*"));
        assert!(!matches_list("c", "!b"));
        assert!(matches_list("c", "!b,*"));
        assert!(matches_list_in_any_case("DB1.Example", "db?.EXAMPLE"));
    }

    #[test]
    fn many_stars_end_soon() {
        let pattern = "a*".repeat(500) + "b";
        assert!(!matches(&"a".repeat(1000), &pattern));
    }
}
