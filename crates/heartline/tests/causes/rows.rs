//! All rows.

use anyhow::Result;
use lab::{Direction, End, Fault, Icmp};

use super::bed::Layout;
use super::deeds::{self, FEW_PLACES, FUSED, PENALTIES};
use super::row::Row;
use super::wanted::{Wanted, Words};

/// Everything that is done.
pub(crate) fn rows() -> Result<Vec<Row>> {
    let mut rows = our_side();
    rows.extend(silences());
    rows.extend(rejections());
    rows.extend(programs());
    rows.extend(logins()?);
    rows.extend(watchers());
    Ok(rows)
}

/// What our own kernel knows of is told by its name, and at once: never first as something else.
fn our_side() -> Vec<Row> {
    let link_down = || Wanted::down(&["link_down"], "link_down");
    vec![
        Row::new(
            "carrier off at our end",
            |bed| bed.fault(Fault::LinkDown(End::Watcher)),
            link_down(),
        ),
        // The other end of the cable takes our carrier with it.
        Row::new(
            "carrier off at the far end",
            |bed| bed.fault(Fault::LinkDown(End::Node)),
            link_down(),
        ),
        Row::new(
            "our route removed",
            |bed| bed.fault(Fault::RouteRemoved(End::Watcher)),
            Wanted::down(&["no_route"], "no_route"),
        ),
        // Its routes go with it, but it goes first.
        Row::new(
            "our address removed",
            |bed| bed.fault(Fault::AddressRemoved(End::Watcher)),
            link_down(),
        ),
    ]
}

/// Nothing comes back, and nothing on our side says why.
fn silences() -> Vec<Row> {
    let silent = || Wanted::down(&["silent"], "silent");
    vec![
        Row::new(
            "address removed at the node",
            |bed| bed.fault(Fault::AddressRemoved(End::Node)),
            silent(),
        ),
        Row::new(
            "dropped both ways",
            |bed| bed.fault(Fault::Silent(Direction::Both)),
            silent(),
        ),
        Row::new(
            "dropped towards the node",
            |bed| bed.fault(Fault::Silent(Direction::ToNode)),
            silent(),
        ),
        Row::new(
            "dropped towards us",
            |bed| bed.fault(Fault::Silent(Direction::ToWatcher)),
            silent(),
        ),
        // Behind a router: at the other end of our own cable it would take our carrier.
        Row::new("node rebooted", |bed| bed.node()?.power_off(), silent())
            .layout(Layout::Routed)
            .mended(|bed| bed.node()?.power_on()),
    ]
}

/// A firewall at the node answers in its place.
fn rejections() -> Vec<Row> {
    vec![
        // The session's next packet is answered by RST, and so is the next dial's first, which is how a port without a
        // listener answers: both say that the host lives and its sshd does not.
        Row::new(
            "rejected with RST",
            |bed| bed.fault(Fault::Reset),
            Wanted::down(&["reset"], "refused"),
        ),
        // "Nothing listens there" (RFC 1122, 3.2.2.1), said by the host itself. A session takes it for a hint alone
        // (4.2.3.9) and hears nothing, so it is silent; a dial is refused by it.
        Row::new(
            "rejected, ICMP port unreachable",
            |bed| bed.fault(Fault::Icmp(Icmp::PortUnreachable)),
            Wanted::down(&["silent", "refused"], "refused"),
        )
        .words(PATIENT),
        // What a router says that found nobody there: nothing came from the host, whoever says it.
        Row::new(
            "rejected, ICMP host unreachable",
            |bed| bed.fault(Fault::Icmp(Icmp::HostUnreachable)),
            Wanted::down(&["silent"], "silent"),
        )
        .words(PATIENT),
        // A firewall in between forbids it; of the host nothing was heard either.
        Row::new(
            "rejected, ICMP prohibited",
            |bed| bed.fault(Fault::Icmp(Icmp::AdminProhibited)),
            Wanted::down(&["silent"], "silent"),
        )
        .words(PATIENT),
    ]
}

/// The node's programs.
fn programs() -> Vec<Row> {
    vec![
        // A session that stood is acknowledged and not answered; a dial after it is accepted by the kernel and never
        // greeted. Both say that the kernel lives and sshd hangs, the second of a connection that is new.
        Row::new(
            "sshd stopped",
            deeds::stop_sshd,
            Wanted::down(&["sshd_hung"], "banner_timeout"),
        ),
        Row::new(
            "session's process stopped",
            deeds::stop_session,
            Wanted::up(&["sshd_hung"]).falling(),
        ),
        // With the process its kernel ends the connection, and what it had not read makes a reset of that.
        Row::new(
            "sshd killed",
            deeds::kill_sshd,
            Wanted::down(ENDED, "refused"),
        ),
        // Whether another session gets a shell that runs is another matter.
        Row::new(
            "shell stopped",
            deeds::stop_shell,
            Wanted::down(&["shell_hung"], "shell_hung").passing(),
        )
        .words(FUSED),
        // A guard writes nothing.
        Row::new("disk full for the shell", deeds::fill_disk, Wanted::up(&[]))
            .words(FUSED)
            .checked(deeds::needs_no_disk),
    ]
}

/// Of these nobody can tell how the node is: it is unknown.
fn logins() -> Result<Vec<Row>> {
    Ok(vec![
        // The node is doubted first, for its own silence; only then is the jump host asked whether it is the cause.
        Row::new(
            "jump host cut",
            |bed| bed.fault(Fault::Silent(Direction::Both)),
            Wanted::unknown(&["silent", "jump_down"], "jump_down"),
        )
        .layout(Layout::Jump),
        Row::new(
            "key removed",
            deeds::remove_key,
            Wanted::unknown(ENDED, "auth_refused"),
        ),
        Row::new(
            "host keys changed",
            deeds::change_host_keys,
            Wanted::unknown(ENDED, "host_key_changed"),
        ),
        Row::new(
            "MaxStartups reached",
            deeds::take_all_places,
            Wanted::unknown(ENDED, "penalty"),
        )
        .sshd(FEW_PLACES),
        Row::new(
            "PerSourcePenalties earned",
            deeds::earn_penalty,
            Wanted::unknown(ENDED, "penalty"),
        )
        .sshd(PENALTIES)
        .unless(deeds::no_penalties()?),
    ])
}

/// The watcher's own: it says so once, of itself, and no node is called down for it.
fn watchers() -> Vec<Row> {
    vec![
        Row::new(
            "watcher stopped",
            deeds::stop_watcher,
            Wanted::up(&[]).and_watcher("watcher_stalled"),
        ),
        Row::new(
            "uplink's carrier off, 2 nodes",
            |bed| bed.fault(Fault::LinkDown(End::Watcher)),
            // Without its carrier our interface has no routes either, as a dial finds out.
            isolated(&["watcher_isolated", "link_down"]).by(&["no_route"]),
        )
        .layout(Layout::Uplink(2))
        .mended(|bed| bed.heal()),
        Row::new(
            "uplink dropped both ways, 3 nodes",
            |bed| bed.fault(Fault::Silent(Direction::Both)),
            isolated(&["watcher_isolated", "silent"]),
        )
        .layout(Layout::Uplink(3))
        .mended(|bed| bed.heal()),
    ]
}

/// A line may be doubted, or down, for its own cause before all of them have fallen.
fn isolated(first: Words) -> Wanted {
    Wanted::unknown(first, "watcher_isolated").and_watcher("watcher_isolated")
}

/// How a session ends whose process was killed: closed, or reset if that had still to read something.
const ENDED: Words = &["closed_by_peer", "reset"];
/// An ICMP error that finds the connecting socket busy counts only at the second SYN, 1 s later.
const PATIENT: &str = "--interval 400ms --count 1 --connect-timeout 4s --fuse 0";
