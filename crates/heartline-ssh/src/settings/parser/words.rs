//! Cuts a line into its words, by OpenSSH's two rules: `strdelim` (keywords, `Match`) and `argv_split`
//! (everything else). Source: OpenSSH `misc.c`.

use super::error::ParseErrorKind;

/// The next word of `rest`, cut at white space or one `=`; double quotes hold it together. `None` at the
/// end.
pub(super) fn next_word(rest: &mut &str) -> Result<Option<String>, ParseErrorKind> {
    let text = *rest;
    if text.is_empty() {
        return Ok(None);
    }
    let Some(at) = text.find(|c| is_space(c) || c == '"' || c == '=') else {
        *rest = "";
        return Ok(Some(text.to_owned()));
    };
    let (word, tail) = text.split_at(at);
    if let Some(quoted) = tail.strip_prefix('"') {
        let Some((inside, after)) = quoted.split_once('"') else {
            return Err(ParseErrorKind::Quotes);
        };
        *rest = after.trim_start_matches(is_space);
        return Ok(Some(format!("{word}{inside}")));
    }
    let equals = tail.starts_with('=');
    let mut after = tail
        .get(1..)
        .unwrap_or_default()
        .trim_start_matches(is_space);
    if !equals && let Some(past) = after.strip_prefix('=') {
        after = past.trim_start_matches(is_space);
    }
    *rest = after;
    Ok(Some(word.to_owned()))
}

/// All words: cut at blanks, held together by either quote, a backslash before a quote, a backslash or
/// (outside quotes) a space taking its meaning away. A word that begins with `#` ends the line.
pub(super) fn split(text: &str) -> Result<Vec<String>, ParseErrorKind> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| is_blank(*c)).is_some() {}
        match chars.peek() {
            None | Some('#') => return Ok(words),
            Some(_) => {}
        }
        let mut word = String::new();
        let mut quote = None;
        loop {
            let Some(c) = chars.next() else {
                if quote.is_some() {
                    return Err(ParseErrorKind::Quotes);
                }
                break;
            };
            match (c, quote) {
                ('\\', _) => {
                    let escaped = |next: &char| {
                        matches!(next, '\'' | '"' | '\\') || (quote.is_none() && *next == ' ')
                    };
                    word.push(chars.next_if(escaped).unwrap_or('\\'));
                }
                (c, None) if is_blank(c) => break,
                ('\'' | '"', None) => quote = Some(c),
                (c, Some(q)) if c == q => quote = None,
                (c, _) => word.push(c),
            }
        }
        words.push(word);
    }
}

/// OpenSSH's `WHITESPACE`.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut rest = text;
        let mut out = Vec::new();
        while let Some(word) = next_word(&mut rest).unwrap() {
            out.push(word);
        }
        out
    }

    #[test]
    fn keywords_and_match_criteria() {
        assert_eq!(words("Port 22"), ["Port", "22"]);
        assert_eq!(words("Port=22"), ["Port", "22"]);
        assert_eq!(words("Port \t = \t22"), ["Port", "22"]);
        assert_eq!(words("host \"a b\" user c"), ["host", "a b", "user", "c"]);
        assert_eq!(words("ho\"st x\"y"), ["host x", "y"]);
        assert_eq!(next_word(&mut "a\"b"), Err(ParseErrorKind::Quotes));
    }

    #[test]
    fn values() {
        let split = |text| split(text).unwrap();
        assert_eq!(split("a  b\tc # d"), ["a", "b", "c"]);
        assert_eq!(split("a#b"), ["a#b"]);
        assert_eq!(
            split("\"a b\" 'c \"d' e\"f g\"h"),
            ["a b", "c \"d", "ef gh"]
        );
        assert_eq!(
            split(r#"a\ b "c\ d" \"e\' \\ \n"#),
            ["a b", r"c\ d", "\"e'", r"\", r"\n"]
        );
        assert_eq!(split("\"\" x"), ["", "x"]);
        assert!(split("   ").is_empty());
    }

    #[test]
    fn an_open_quote_is_an_error() {
        for text in ["\"a", "'a", "a b\"", "\"a'", "\"a\\\""] {
            assert_eq!(split(text), Err(ParseErrorKind::Quotes), "{text}");
        }
    }
}
