//! What runs on the node: POSIX sh, carried by the exec request, nothing written and nothing installed.
//!
//! The request goes through the user's login shell, whatever that is: sh, csh, fish. All of them leave alone what stands
//! between single quotes, but for a few: csh takes `!` for history unless a blank follows and ends at a line's end, fish
//! knows `\`. So the script is one line without `'` and `\`, and a blank follows every `!`. What differs from one session to
//! the next, the token and the fuse, are arguments; a forced command finds them at the end of `SSH_ORIGINAL_COMMAND`.
//!
//! What it does, in order:
//! * It takes a fuse of digits only: in ksh an arithmetic operand may hold a command, and behind a forced command the
//!   operand is a stranger's.
//! * It looks for the session's server among its ancestors (`f`): the parent, unless a wrapper stands between. Without a
//!   readable `/proc` it takes the parent. To be killed by a server that serves others too would be worse than no fuse.
//! * `e SIGNAL` signals that server, if it still is what it was.
//! * With `read -t` it waits for a line for as long as the fuse; each is answered by itself. The end of input and the end of
//!   the time look alike in busybox and in bash 3. So the last second is waited for apart and by the clock (`u`, in
//!   hundredths): the end of input takes none of it. The clock is the kernel's, which nobody sets; `SECONDS` where there is
//!   no `/proc`.
//! * Without it a second shell holds the fuse (the `sig` method of facts/keepalive.md, section 7): every fuse it looks
//!   whether a beat has set `b` since it last looked. USR1 is ignored before that shell begins, since one that came early
//!   would end it; PIPE, since a first shell that died of it would leave the second to end a session that is well.
//!   When the first shell goes, so do the second and its `sleep`: by KILL, since a child that is not yet `sleep` takes TERM
//!   for its shell's.
//! * TERM first, KILL after a second at most: the end of input, which comes when the server dies, ends the wait.

use heartline_core::Fuse;

/// The exec request that starts a guard.
pub(super) fn request(token: &str, fuse: Fuse) -> String {
    format!("exec sh -c '{GUARD}' {NAME} {token} {}", fuse.as_secs())
}

/// The options before a key in `authorized_keys` (OpenSSH 7.2 and later) by which that key has the right to beat and
/// nothing else: whatever it asks for, the guard runs.
pub fn forced_command() -> String {
    let command = format!("exec sh -c '{ARGUMENTS}{GUARD}' {NAME}");
    format!("restrict,command=\"{}\"", command.replace('"', "\\\""))
}

/// The last two words of what was asked for, as arguments.
const ARGUMENTS: &str = "set -f;set -- $SSH_ORIGINAL_COMMAND;while [ $# -gt 2 ];do shift;done;";

const GUARD: &str = concat!(
    "exec 2>/dev/null;set -f;LC_ALL=C;v=$2;",
    "case $v in [1-9]*);;*)exit;;esac;",
    "while [ $v ];do case $v in [0-9]*)v=${v#?};;*)exit;;esac;done;",
    "p=$PPID;h=1;",
    "f(){ c=;read -r a c b q x </proc/$p/stat;",
    "case $c in \"(sshd\"*|\"(dropbear\"*)return 0;;esac;return 1;};",
    "until f;do [ $c ]||break;p=$q;done;",
    "[ $c ]||{ h=;[ $p = $PPID ]||{ echo;echo $1 n;exit;};};",
    "kill -0 $p||{ echo;echo $1 k;exit;};",
    "e(){ [ $h ]&&{ f||exit;};kill -$1 $p;};",
    "u(){ read s x </proc/uptime||s=$SECONDS.00;s=${s%.*}${s#*.};};",
    "(read -t 1 x </dev/null);r=$?;u;",
    "if [ $r -ne 2 ]&&[ $s -gt 0 ];then n=$(($2-1));echo;echo $1 t;",
    "while :;do read -t $n x||{ u;l=$s;read -t 1 x||break;};echo $x;done;",
    "u;[ $((s-l)) -ge 50 ]&&{ e TERM;read -t 1 x;e KILL;};exit;fi;",
    "trap \"\" USR1 PIPE;",
    "(k(){ kill -9 $! ;exit;};trap k TERM;trap b=1 USR1;b=1;",
    "while [ $b ];do b=;sleep $2& while kill -0 $! ;do wait $! ;done;done;",
    "sleep 1& e TERM;wait $! ;e KILL)</dev/null >/dev/null& w=$! ;",
    "echo;echo $1 s;while read x;do kill -USR1 $w||break;echo $x;done;kill $w",
);
/// What `ps` shows of it, before its arguments.
const NAME: &str = "heartline-guard";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use heartline_core::Interval;

    use super::*;

    fn fuse() -> Fuse {
        let interval = Interval::new(Duration::from_secs(1)).unwrap();
        Fuse::new(Duration::from_secs(30), interval).unwrap()
    }

    #[test]
    fn every_login_shell_leaves_it_alone() {
        let request = request("0123456789abcdef0123456789abcdef", fuse());
        assert_eq!(request.matches('\'').count(), 2, "{request}");
        assert!(!request.contains(['\\', '\n', '`']), "{request}");
        let blank_follows = |(at, _)| request[at + 1..].starts_with(' ');
        assert!(request.match_indices('!').all(blank_follows), "{request}");
        assert!(request.is_ascii());
        // The longest word of an old csh (BUFSIZ).
        assert!(GUARD.len() < 1_024, "{}", GUARD.len());
    }

    #[test]
    fn a_forced_command_is_one_line_of_authorized_keys() {
        let options = forced_command();
        let quoted = options.strip_prefix("restrict,command=\"").unwrap();
        let command = quoted.strip_suffix('"').unwrap().replace("\\\"", "");
        assert!(!command.contains(['"', '\\', '\n']), "{options}");
    }
}
