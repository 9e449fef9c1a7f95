//! What runs on the node: POSIX sh, by the rules of `guard/script.rs`.
//!
//! Each line is a question: its number, `count`, `kill` or `end`, a far session. The answer is the token, the number, and how many
//! live. A far session of another boot has nobody. Session ids that were seen (`W`) are kept for as long as it is asked for
//! the same session. With `kill` and `end` they are looked at before the server is killed, after which its children are not known.

use crate::far::MEMBERS;

/// The exec request that starts an inspector.
pub fn inspect_request(token: &str) -> String {
    format!("exec sh -c '{JOIN}' {NAME} '{MEMBERS}' '{INSPECT}' {token}")
}

const JOIN: &str = r#"a=$1$2;shift 2;eval "$a""#;

const INSPECT: &str = concat!(
    "exec 2>/dev/null;set -f;LC_ALL=C;export LC_ALL;g $$&&read -r K </proc/sys/kernel/random/boot_id||",
    "{ echo;echo $1 n;exit;};O=$d;P=;echo;echo $1 i;",
    "while read -r H v p S B C;do n=0 C=SSH_CONNECTION=$C;",
    "[ \"$P\" = \"$p $S\" ]||W=\" \";P=\"$p $S\";",
    "if [ \"$B\" = \"$K\" ];then [ $v = count ]||{ z;[ $v = end ]&&f&&{ kill -TERM $p;for j in 1 2 3 4 5 6 7 8 9 10;do ",
    "f||break;sleep .1||{ sleep 1;break;};done;};f&&kill -KILL $p;",
    "for j in 1 2 3 4 5 6 7 8 9 10;do z KILL||z KILL||break;done;};",
    "z;f&&n=$((n+1));fi;echo $1 $H $n;done",
);
/// What `ps` shows of it, before its arguments.
const NAME: &str = "heartline-inspector";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_login_shell_leaves_it_alone() {
        let request = inspect_request("0123456789abcdef0123456789abcdef");
        assert_eq!(request.matches('\'').count(), 6, "{request}");
        assert!(!request.contains(['\\', '\n', '`']), "{request}");
        let blank_follows = |(at, _)| request[at + 1..].starts_with(' ');
        assert!(request.match_indices('!').all(blank_follows), "{request}");
        assert!(request.split('\'').all(|word| word.len() < 1_024));
    }
}
