//! Words as a shell would cut them: Python's `shlex` in POSIX mode, which Ansible uses for a host's line.

/// The words of a line up to a `#`; nothing, if a quote is not closed.
pub(super) fn words(line: &str) -> Option<Vec<String>> {
    cut(line, true)
}

/// The words of a value in which a `#` means nothing.
pub(super) fn arguments(text: &str) -> Option<Vec<String>> {
    cut(text, false)
}

fn cut(text: &str, comments: bool) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '#' if comments => break,
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        end if end == c => break,
                        '\\' if c == '"' => match chars.next()? {
                            plain @ ('"' | '\\') => word.push(plain),
                            other => word.extend(['\\', other]),
                        },
                        inside => word.push(inside),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            space if space.is_whitespace() => words.extend(word.take()),
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_as_shlex_does() {
        let cut = |line| words(line).map(|words| words.join("|"));
        assert_eq!(cut("a b='c d' # e").as_deref(), Some("a|b=c d"));
        assert_eq!(
            cut(r#"a b="c \"d\" \e" f\ g"#).as_deref(),
            Some(r#"a|b=c "d" \e|f g"#)
        );
        assert_eq!(cut("a#b c").as_deref(), Some("a"));
        assert_eq!(cut("a ''").as_deref(), Some("a|"));
        assert_eq!(cut("a 'b"), None);
        assert_eq!(arguments("-o a=#b").unwrap(), ["-o", "a=#b"]);
    }
}
