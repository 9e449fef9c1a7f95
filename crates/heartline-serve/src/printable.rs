//! A peer's words, made safe to print.

/// At most `max` characters of `words`, on one line: ASCII that shows stays, everything else is
/// escaped, a cut is marked with `…`.
///
/// Spaces are escaped too, since a user name with one could pretend to be another log field.
pub(crate) fn printable(words: &str, max: usize) -> String {
    let mut shown = String::new();
    let mut chars = words.chars();
    for c in chars.by_ref().take(max) {
        if c.is_ascii_graphic() && c != '\\' {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Of a user name. POSIX systems stop at 32; some directories allow more.
pub(crate) const USER_SHOWN: usize = 64;

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nothing_that_moves_a_terminal_or_breaks_a_line_gets_through() {
        assert_eq!(printable("root", 64), "root");
        assert_eq!(
            printable("a\x1b[2J\n b\\\u{202e}", 64),
            "a\\u{1b}[2J\\u{a}\\u{20}b\\u{5c}\\u{202e}"
        );
        assert_eq!(printable("abcdef", 3), "abc…");
        assert_eq!(printable("abc", 3), "abc");
        assert_eq!(printable("", 3), "");
    }
}
