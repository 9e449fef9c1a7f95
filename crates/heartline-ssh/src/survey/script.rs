//! What runs on the node: POSIX sh, by the rules of `guard/script.rs`. It tells facts and judges nothing.
//!
//! * `b`, behind the token: the clock and its ticks, the boot, the user, the parent of this shell, its `SSH_CONNECTION`.
//! * `s`, each sshd of this user in this network (a container's have another): process, parent, session, start, what it calls itself.
//! * `p`, each process that has one of them for its parent, or an `SSH_CONNECTION`: process, parent, session, start, and
//!   that. The environment of another user's cannot be read.
//! * The connections of the machine, by `ss`, which tells when each was last heard; behind a line `q` by `/proc/net/tcp`,
//!   where there is no `ss`.
//! * `e`, behind the token: nothing is missing.
//!
//! Whether two processes are in one network shows in the files of `/proc/PID/net`, which everybody may look at; `/proc/PID/ns`
//! of an sshd only root may. What came from elsewhere is cut down to plain characters, since an `echo` may know `\`.

use crate::far::{MEMBERS, PLACE};

/// The exec request for a survey.
pub(super) fn survey_request(token: &str) -> String {
    format!("exec sh -c '{JOIN}' {NAME} '{MEMBERS}' '{PLACE}' '{SESSIONS}' '{REST}' {token}")
}

const JOIN: &str = r#"a=$1$2$3$4;shift 4;eval "$a""#;

/// The clock, and the sshds; they become the arguments of a `grep` for their children.
const SESSIONS: &str = concat!(
    "exec 2>/dev/null;set -f;LC_ALL=C PATH=$PATH:/usr/sbin:/sbin;export LC_ALL PATH;T=$1;set --;echo;",
    "g $$&&read -r u x </proc/uptime&&Q||{ echo $T n;exit;};",
    "h=$(getconf CLK_TCK);M=$(id -u);",
    "w(){ tr -c \"[:alnum:]:@/,._%-\" \" \";};",
    "echo $T b $u ${h:-100} $K $M $PPID $(echo $SSH_CONNECTION|w);",
    "for y in $(m \"(sshd\");do y=${y%/*};i=${y##*/};g $i||continue;case $s in [ZX])continue;;esac;",
    "v=;while read -r a b x;do [ $a = Uid: ]&&{ v=$b;break;};done </proc/$i/status;",
    "[ \"$v\" = \"$M\" ]&&[ /proc/$i/net/tcp -ef /proc/$$/net/tcp ]||continue;set -- \"$@\" -e \") . $i \";",
    "echo s $i $q $d $t $(w </proc/$i/cmdline);done;",
);
/// The processes and the connections.
const REST: &str = concat!(
    "r=\" \";",
    "for y in $([ $# -gt 0 ]&&m \"$@\";set +f;grep -l SSH_CONNECTION= /proc/[0-9]*/environ);do ",
    "y=${y%/*};i=${y##*/};case \"$r\" in *\" $i \"*)continue;;esac;r=\"$r$i \";",
    "g $i||continue;case $s in [ZX])continue;;esac;",
    "x=$(tr \"[:cntrl:]\" \"$N\" </proc/$i/environ|grep ^SSH_CONNECTION=);",
    "echo p $i $q $d $t $(echo ${x#*=}|w);done;",
    "ss -tanoie||{ echo;echo q;cat /proc/net/tcp /proc/net/tcp6;};echo;echo $T e",
);
/// What `ps` shows of it, before its arguments.
const NAME: &str = "heartline-survey";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_login_shell_leaves_it_alone() {
        let request = survey_request("0123456789abcdef0123456789abcdef");
        assert_eq!(request.matches('\'').count(), 10, "{request}");
        assert!(!request.contains(['\\', '\n', '`']), "{request}");
        let blank_follows = |(at, _)| request[at + 1..].starts_with(' ');
        assert!(request.match_indices('!').all(blank_follows), "{request}");
        let longest = request.split('\'').map(str::len).max().unwrap();
        assert!(longest < 1_024, "{longest}");
    }
}
