//! Who belongs to a session, in POSIX sh: shared by the guard, who ends them, and the inspector, who counts them.
//!
//! Two words of a request, by the rules of `guard/script.rs`. The first, [`MEMBERS`], is given, in variables:
//! * `p` and `S`, the process of the session's server and its start (field 22 of `/proc/PID/stat`);
//! * `C`, `SSH_CONNECTION=` and the four words of it, which sshd sets for each session and which no two have at a time;
//! * `O`, its own session's id, whose processes are left alone.
//!
//! and defines:
//! * `g PID` reads state, parent, session and start into `s q d t`. A process names itself as it likes, in blanks, brackets
//!   and lines, so all lines are read and what counts is what follows the last bracket. The start is compared by a
//!   difference: mksh counts in 32 bits.
//! * `f`: is the server still there?
//! * `z [SIGNAL]` finds all who belong to the session, signals each, counts them in `n`, and says whether there are any.
//!   A stopped process gets TERM only when it is continued.
//!
//! To it belongs who is no zombie, has not begun before the server, and has either `C` in its environment, which stays with
//! those that made a session of their own, or a session id that a child of the server has, or had when it was last looked at
//! (`W`; an id that nobody has any more is forgotten, since it may come again). An sshd that has just forked for a
//! channel still has the session of all other sshds (`E`): that one is nobody's.
//!
//! The second, [`PLACE`], defines two more:
//! * `K`: can this be found out here at all? It must find this very shell, by its session's id and, where `I` says that its
//!   connection is known, by its environment. Where there is no `grep` nobody would be found, alive or not.
//! * `Q` reads into `K` which processes this node can see: its boot id, its PID namespace, which containers of one
//!   kernel do not share (empty on a kernel that has none), and the start of its first process, since a namespace's number comes
//!   again (empty where that is hidden). It uses `g`.
//!
//! `grep` chooses whom to look at closer, in one go: a shell reads byte by byte. Not by `-F`, with which that of busybox sees nothing
//! behind a first NUL; a dot that stands for another is found out. `G` says among whom.

/// Who belongs to it.
pub(crate) const MEMBERS: &str = concat!(
    "N=$(echo;echo .);N=${N%.} W=\" \" G=\"[0-9]*\";",
    "g(){ l=;while read -r x;do l=\"$l $x\";done </proc/$1/stat;",
    "set -- ${l##*) };s=$1 q=$2 d=$4 t=${20};[ \"$t\" ];};",
    "f(){ g $p&&[ $t = $S ]&&case $s in [ZX])return 1;;esac;};",
    "s(){ [ $k ]&&kill -$k $i;[ \"$k\" = TERM ]&&kill -CONT $i;};",
    "m(){ set +f;grep -l \"$@\" /proc/$G/stat;};",
    "z(){ k=$1 n=0 r=\" \" U=\" \";",
    "f&&{ E=$d;for y in $(m \") . $p \");do y=${y%/*};g ${y##*/}&&[ $q = $p ]&&",
    "case \"$d$W\" in $E\" \"*|*\" $d \"*);;*)W=\"$W$d \";;esac;done;};",
    "set --;for y in $W;do set -- \"$@\" -e \") . [0-9]* [0-9-]* $y \";done;",
    "for y in $([ $1 ]&&m \"$@\";set +f;grep -l \"$C\" /proc/$G/environ);do ",
    "y=${y%/*};i=${y##*/};case \"$r\" in *\" $i \"*)continue;;esac;r=\"$r$i \";",
    "g $i||continue;case $s in [ZX])continue;;esac;",
    "[ $i = $p ]||[ $d = $O ]||[ $((t-S)) -lt 0 ]&&continue;",
    "case \"$W\" in *\" $d \"*)case \"$U\" in *\" $d \"*);;*)U=\"$U$d \";;esac;;",
    "*)case \"$N$(tr \"[:cntrl:]\" \"$N\" </proc/$i/environ)$N\" in *\"$N$C$N\"*);;*)continue;;esac;;esac;",
    "n=$((n+1));s;done;W=$U;[ $n -gt 0 ];};",
);

/// Where this is.
pub(crate) const PLACE: &str = concat!(
    "K(){ (p=0 G=$$ W=\" $O \" C=\"$$ $O\";O=0;z)&&case $I in ?*)(p=0 G=$$ O=0;z);;esac;};",
    "Q(){ read -r K </proc/sys/kernel/random/boot_id&&{ g 1;x=$(readlink /proc/self/ns/pid);x=${x%?};K=$K.${x##*:?}.$t;};};",
);
