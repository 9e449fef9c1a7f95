//! What runs on the node: POSIX sh, carried by the exec request, nothing written and nothing installed.
//!
//! The request goes through the user's login shell, whatever that is: sh, csh, fish. All of them leave alone what stands
//! between single quotes, but for a few: csh takes `!` for history unless a blank follows and ends at a line's end, fish
//! knows `\`. So the script is one line without `'` and `\`, and a blank follows every `!`. What differs from one session to
//! the next, the token and the fuse, are arguments; a forced command finds them at the end of `SSH_ORIGINAL_COMMAND`.
//!
//! What the guard of [`Duty::Session`] does, in order:
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
//!
//! The guard of [`Duty::All`] is longer. Since an old csh takes no word over 1024 bytes it is sent as several, which a tiny
//! first script joins. What is another there:
//! * Its letters are capital: behind a forced command the other guard answers, which ends less.
//! * It says no hello where it could not find a process of its own (`K`): what it does not find it does not end.
//! * The hello names the far session (`I`), where there is a `/proc` and the session's connection is known; an answer to a
//!   beat names the sessions whose processes belong to it, if there are others than it told before, for whoever looks after them when the server is gone.
//! * The end of input burns the fuse too, so nothing needs a clock. The wait is in two parts all the same: on a node that
//!   stood still for longer than the fuse the second part finds the beats that have come meanwhile.
//! * `w` ends what the session has started, by [`MEMBERS`]: TERM, a look every tenth of a second, KILL until nobody was
//!   found twice in a row, since a process that forks and ends may be missed once. Without `/proc`, whoever `ps` shows
//!   below the session's server.
//! * `d` burns: `w`, then the server. Should the node have no process left for `w` (a command that has used up its user's), which
//!   ends a shell, in bash after 15 s, then its own end kills the process groups (`v`, no fork) and the server; TERM to them comes first. A dash's second shell, which forks once a
//!   fuse, is lost then, and the first ends at the next beat, by which we learn that there is no fuse.
//! * At each beat `o` notes the children of the server, each of which sshd gives a session of its own: when the server
//!   has died, its children are not known any more, nor is one that has ended before those it left. That is a read and no fork. Not every kernel lists children
//!   (`CONFIG_PROC_CHILDREN`); without it, who has neither the environment nor a living server is not found.
//! * `end` is `w` alone, and how many are left is told; the fuse is held on, so that a session whose contact is lost at its very
//!   end goes too. `s NAME` signals all who are there, and counts as a beat.
//! * PIPE and HUP are ignored: who dies of an answer that nobody takes ends nothing.

use heartline_core::Fuse;

use super::Duty;
use crate::far::{MEMBERS, PLACE};

/// The exec request that starts a guard.
pub fn guard_request(token: &str, fuse: Fuse, duty: Duty) -> String {
    let fuse = fuse.as_secs();
    match duty {
        Duty::Session => format!("exec sh -c '{FIND}{SESSION}' {NAME} {token} {fuse}"),
        Duty::All => format!(
            "exec sh -c '{JOIN}' {NAME} '{FIND}' '{MEMBERS}' '{PLACE}' '{OTHERWISE}' '{ALL}' {token} {fuse}"
        ),
    }
}

/// The exec request by which a session without a guard says its name, as the hello of [`Duty::All`] does.
pub(crate) fn name_request(token: &str) -> String {
    format!(
        "exec sh -c '{JOIN}' {NAMER} '{FIND}' '{MEMBERS}' '{PLACE}' '{OTHERWISE}' '{TELL}' {token} 1"
    )
}

/// The options before a key in `authorized_keys` (OpenSSH 7.2 and later) by which that key has the right to beat and
/// nothing else: whatever it asks for, the guard runs.
pub fn forced_command() -> String {
    let command = format!("exec sh -c '{ARGUMENTS}{FIND}{SESSION}' {NAME}");
    format!("restrict,command=\"{}\"", command.replace('"', "\\\""))
}

/// The last two words of what was asked for, as arguments.
const ARGUMENTS: &str = "set -f;set -- $SSH_ORIGINAL_COMMAND;while [ $# -gt 2 ];do shift;done;";

/// Joins the five words of a long script, and leaves the rest as arguments.
const JOIN: &str = r#"a=$1$2$3$4$5;shift 5;eval "$a""#;

/// The fuse, and whom to end.
const FIND: &str = concat!(
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
);

/// Ends the session.
const SESSION: &str = concat!(
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

/// The far session's name, and `v`. Without `/proc`, `z` by `ps`: the processes below the session's server, but for the guard's. Those who have lost their parent are not found.
const OTHERWISE: &str = concat!(
    "I=;X=${SSH_CONNECTION%%UNKNOWN*};C=SSH_CONNECTION=$X;export LC_ALL;",
    "if [ $h ];then g $$;O=$d;g $p;S=$t;Q&&[ \"$X\" ]&&I=\"$p $S $K $X\";",
    "else z(){ k=$1 n=0 r=\" $p \" c=1 y=$(ps -A -o pid= -o ppid=);",
    "while [ $c ];do c=;set -- $y;while [ $# -gt 1 ];do ",
    "case \"$r\" in *\" $1 \"*);;*\" $2 \"*)[ $1 = $$ ]||{ r=\"$r$1 \";c=1;};;esac;shift 2;done;done;",
    "for i in ${r#\" $p \"};do n=$((n+1));s;done;[ $n -gt 0 ];};K(){ [ \"$(ps -A -o pid= -o ppid=)\" ];};fi;",
    "v(){ for y in $W;do [ $y = $O ]||kill -$1 -$y;done;};",
);

/// Ends everything the session has started, then the session.
const ALL: &str = concat!(
    "K||{ echo;echo $1 g;exit;};",
    "w(){ z TERM&&for j in 1 2 3;do sleep .1||{ sleep 1;break;};z||break;done;",
    "for j in 1 2 3 4 5 6 7 8 9 10;do z KILL||z KILL||break;done;};",
    "d(){ trap \"v KILL;e KILL\" 0;v TERM;w;e TERM;for j in 1 2 3 4 5 6 7 8 9 10;do ",
    "sleep .1||{ sleep 1;break;};[ $h ]&&{ f||exit;};kill -0 $p||exit;done;e KILL;exit;};",
    "o(){ read -r y </proc/$p/task/$p/children;[ \"$y\" = \"$Z\" ]||{ Z=$y;for y in $y;do case \"$W\" in *\" $y \"*);;*)W=\"$W$y \";;esac;done;V=$W;};};",
    "c(){ o;case $x in \"s \"*)z ${x#s };;*)echo $x$V;V=;;esac;};",
    "trap \"\" PIPE HUP;",
    "if echo|(read -t 1 x);then o=$(($2-1));echo;echo $1 T $I;",
    "while read -t $o x||read -t 1 x;do [ \"$x\" = end ]&&{ w;echo e $n;continue;};c;done;d;fi;",
    "trap \"\" USR1;",
    "(k(){ kill -9 $! ;exit;};trap k TERM;trap b=1 USR1;b=1;",
    "while [ $b ];do b=;sleep $2& while kill -0 $! ;do wait $! ;done;done;",
    "trap \"\" USR1;trap exit TERM;d)</dev/null >/dev/null& v=$! ;",
    "echo;echo $1 S $I;while read x;do ",
    "[ \"$x\" = end ]&&{ w;echo e $n;continue;};kill -USR1 $v||exit;c;done;kill $v;d",
);

/// Says the name, which is empty where the node cannot tell.
const TELL: &str = "echo;echo $1 I $I";

/// What `ps` shows of it, before its arguments.
const NAME: &str = "heartline-guard";
/// The same, of one that says a name and ends.
const NAMER: &str = "heartline-name";

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
        let token = "0123456789abcdef0123456789abcdef";
        for (request, quoted) in [
            (guard_request(token, fuse(), Duty::Session), 1),
            (guard_request(token, fuse(), Duty::All), 6),
            (name_request(token), 6),
        ] {
            assert_eq!(request.matches('\'').count(), quoted * 2, "{request}");
            assert!(!request.contains(['\\', '\n', '`']), "{request}");
            let blank_follows = |(at, _)| request[at + 1..].starts_with(' ');
            assert!(request.match_indices('!').all(blank_follows), "{request}");
            assert!(request.is_ascii());
            // The longest word of an old csh (BUFSIZ).
            let longest = request.split('\'').map(str::len).max().unwrap();
            assert!(longest < 1_024, "{longest} {request}");
        }
    }

    #[test]
    fn a_forced_command_is_one_line_of_authorized_keys() {
        let options = forced_command();
        let quoted = options.strip_prefix("restrict,command=\"").unwrap();
        let command = quoted.strip_suffix('"').unwrap().replace("\\\"", "");
        assert!(!command.contains(['"', '\\', '\n']), "{options}");
    }
}
