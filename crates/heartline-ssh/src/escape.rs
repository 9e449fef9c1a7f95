//! Bytes of a peer made fit for a person's eyes: a terminal, a log, a page.

use std::fmt::Write;

/// At most `most` bytes of the input, as text: printable ASCII and non-control Unicode as they are, all else as `\xNN` or
/// `\u{…}`. What is cut off is shown by `…`.
///
/// Control characters (C0, DEL, C1), line and paragraph separators and the bidirectional controls never pass, so nothing
/// in it can move a cursor, set a title or turn a line around.
pub fn escape(bytes: &[u8], most: usize) -> String {
    let cut = bytes.get(..most);
    let mut text = String::with_capacity(bytes.len().min(most) + 1);
    for chunk in cut.unwrap_or(bytes).utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_plain(character) {
                text.push(character);
            } else if character.is_ascii() {
                let _ = write!(text, "\\x{:02x}", u32::from(character));
            } else {
                let _ = write!(text, "{}", character.escape_unicode());
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    if cut.is_some_and(|cut| cut.len() < bytes.len()) {
        text.push('…');
    }
    text
}

fn is_plain(character: char) -> bool {
    !character.is_control()
        && character != '\\'
        && !matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_terminal_passes() {
        assert_eq!(escape(b"\x1b]0;owned\x07ok", 99), "\\x1b]0;owned\\x07ok");
        assert_eq!(
            escape("a\u{9b}31m\u{202e}b".as_bytes(), 99),
            "a\\u{9b}31m\\u{202e}b"
        );
        assert_eq!(escape(b"\xff\xfe", 99), "\\xff\\xfe");
        assert_eq!(escape(b"back\\slash", 99), "back\\x5cslash");
        assert_eq!(escape("Grüße".as_bytes(), 99), "Grüße");
    }

    #[test]
    fn is_cut_where_told() {
        assert_eq!(escape(b"abcdef", 3), "abc…");
        assert_eq!(escape(b"abc", 3), "abc");
    }
}
