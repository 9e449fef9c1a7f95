//! What runs on the node: POSIX sh, by the rules of `guard/script.rs`.
//!
//! Each line is a question: its number, `count`, `kill` or `end`, a far session, and the session ids that its processes had when
//! its guard was last heard. The answer is the token, the number, and how many live; `x`, if that session is none of this node's:
//! of another boot, in another container, on another machine that has the same address. Session ids that it has seen itself (`W`) are
//! kept for as long as it is asked for the same session. Those that it is told count alone: they may be somebody else's by now. With `kill` and `end` they are looked at before the server is killed, after which its children are not known.

use crate::far::{MEMBERS, PLACE};

/// The exec request that starts an inspector.
pub fn inspect_request(token: &str) -> String {
    format!("exec sh -c '{JOIN}' {NAME} '{MEMBERS}' '{PLACE}' '{INSPECT}' {token}")
}

const JOIN: &str = r#"a=$1$2$3;shift 3;eval "$a""#;

const INSPECT: &str = concat!(
    "exec 2>/dev/null;set -f;LC_ALL=C;export LC_ALL;I=1 C=SSH_CONNECTION=$SSH_CONNECTION;",
    "g $$&&O=$d&&S=$t&&Q&&K||{ echo;echo $1 n;exit;};P=;echo;echo $1 i;",
    "while read -r H v p S B a b c e w;do [ \"$B\" = \"$K\" ]||{ echo $1 $H x;continue;};n=0 C=\"SSH_CONNECTION=$a $b $c $e\";",
    "[ \"$P\" = \"$p $S\" ]||W=\" \";P=\"$p $S\";",
    "[ $v = count ]||{ z;[ $v = end ]&&f&&{ kill -TERM $p;for j in 1 2 3 4 5 6 7 8 9 10;do ",
    "f||break;sleep .1||{ sleep 1;break;};done;};f&&kill -KILL $p;",
    "for j in 1 2 3 4 5 6 7 8 9 10;do z KILL||z KILL||break;done;};",
    "z;[ \"$w\" ]&&{ Y=$W;W=\"$W$w \";z;W=$Y;};f&&n=$((n+1));echo $1 $H $n;done",
);
/// What `ps` shows of it, before its arguments.
const NAME: &str = "heartline-inspector";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_login_shell_leaves_it_alone() {
        let request = inspect_request("0123456789abcdef0123456789abcdef");
        assert_eq!(request.matches('\'').count(), 8, "{request}");
        assert!(!request.contains(['\\', '\n', '`']), "{request}");
        let blank_follows = |(at, _)| request[at + 1..].starts_with(' ');
        assert!(request.match_indices('!').all(blank_follows), "{request}");
        assert!(request.split('\'').all(|word| word.len() < 1_024));
    }
}
