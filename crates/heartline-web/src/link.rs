//! Where things are. A name may hold any characters, and an address may not.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// As one part of an address.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNSAFE).to_string()
}

/// The page of a node. What browsers take for a step up is asked for in another way.
pub(crate) fn node(name: &str) -> String {
    match name {
        "" | "." | ".." => format!("/node?name={}", encode(name)),
        _ => format!("/node/{}", encode(name)),
    }
}

const UNSAFE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_part() {
        assert_eq!(node("db1.example-2"), "/node/db1.example-2");
        assert_eq!(node("a/../b?c#d"), "/node/a%2F..%2Fb%3Fc%23d");
        assert_eq!(node(".."), "/node?name=..");
        assert_eq!(node("\u{e9}\""), "/node/%C3%A9%22");
    }
}
