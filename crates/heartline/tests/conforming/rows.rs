//! All the rows.

use heartline_core::explain::Side;
use lab::Direction;
use lab::hostile::Step;

use super::row::{Client, Happens, Row, Server, server_alive};

/// What is run on this machine; without the rows of dropbear where there is none.
pub(crate) fn rows(with_dropbear: bool) -> Vec<Row> {
    let mut rows = [
        ssh(),
        ssh_other_faults(),
        logins(),
        sshd(),
        sshd_channels(),
        tcp(),
    ]
    .concat();
    rows.extend(both_ends());
    if with_dropbear {
        rows.extend(dropbear());
    }
    rows
}

/// `ServerAlive`, in health and after a cut.
fn ssh() -> Vec<Row> {
    let alive = Row::server_alive;
    vec![
        alive(1, 0),
        alive(2, 0),
        alive(3, 0),
        alive(1, 0).remote_writes(0.5),
        alive(2, 0).remote_writes(0.5),
        alive(1, 1),
        alive(1, 1).cut(),
        alive(1, 2).cut(),
        alive(1, 3).cut(),
        alive(2, 1).cut(),
        alive(2, 2).cut(),
        alive(3, 1).cut(),
        alive(0, 3).cut(),
        alive(1, 3).happens(Happens::Cut(Direction::ToNode)),
        alive(1, 3).happens(Happens::Cut(Direction::ToWatcher)),
        alive(2, 1).client_writes().cut(),
        alive(2, 1).remote_writes(0.5).cut(),
        alive(1, 3).floods().cut(),
    ]
}

/// What else may happen to ssh's other end, and who counts where sessions share a connection.
fn ssh_other_faults() -> Vec<Row> {
    let alive = Row::server_alive;
    let mut on_master = Row::new().judges(
        Side::Client,
        "--interval 0 --master 1/1".to_owned(),
        (1.0, 1.0),
    );
    on_master.master = Some(server_alive(1, 1));
    let mut of_its_own = alive(1, 1).words("--master 0/3");
    of_its_own.master = Some(server_alive(0, 3));
    vec![
        alive(1, 1).happens(Happens::Freezes(Side::Server)),
        alive(1, 1).happens(Happens::CommandHangs),
        alive(1, 3).happens(Happens::Dies(Side::Server)),
        alive(1, 3).happens(Happens::IsReset),
        alive(1, 3).happens(Happens::IsRejected),
        alive(0, 3).happens(Happens::IsRejected),
        on_master.cut(),
        of_its_own.cut(),
    ]
}

/// A login that takes longer than interval times count.
fn logins() -> Vec<Row> {
    let stalls = |interval, count, step| {
        Row::server_alive(interval, count).happens(Happens::LoginStalls(step))
    };
    vec![
        stalls(1, 3, Step::AfterNewKeys),
        stalls(2, 1, Step::AfterNewKeys),
        stalls(1, 2, Step::AfterKexInit),
        stalls(1, 2, Step::AfterBanner),
        stalls(1, 2, Step::BeforeBanner).stays_with("ServerAlive 1/2, no ConnectTimeout"),
        stalls(0, 3, Step::AfterNewKeys),
        stalls(1, 0, Step::AfterNewKeys),
    ]
}

/// `ClientAlive`.
fn sshd() -> Vec<Row> {
    let alive = Row::client_alive;
    vec![
        alive(1, 1),
        alive(1, 0).cut(),
        alive(1, 1).cut(),
        alive(1, 3).cut(),
        alive(2, 1).cut(),
        alive(2, 2).cut(),
        alive(3, 1).cut(),
        alive(1, 1).happens(Happens::Cut(Direction::ToNode)),
        alive(1, 1).happens(Happens::Cut(Direction::ToWatcher)),
        alive(1, 1).client_writes().cut(),
        alive(1, 1).remote_writes(0.5).cut(),
        alive(1, 3).remote_writes(0.5).cut(),
        alive(2, 1).remote_writes(3.0).cut().widest(6.1, 4.1),
        alive(1, 1).floods().cut().widest(1.0, 1.0),
        alive(1, 1).happens(Happens::Freezes(Side::Client)),
        alive(1, 1).happens(Happens::Dies(Side::Client)),
        alive(1, 1).happens(Happens::IsReset),
    ]
}

/// `ChannelTimeout` and `UnusedConnectionTimeout`, which no keepalive holds off.
fn sshd_channels() -> Vec<Row> {
    let channel = |lines: &str, words: &str| {
        let row = Row::new()
            .sshd(lines)
            .judges(Side::Server, words.to_owned(), (2.5, 1.0));
        row.ssh(server_alive(1, 3))
    };
    let mut unused = Row::new().judges(
        Side::Client,
        "-N --unused-connection-timeout 2".to_owned(),
        (1.0, 1.0),
    );
    unused.remote = None;
    // In a Match block sshd takes ChannelTimeout and does not heed it.
    let alone = |mut row: Row| {
        row.own_node = true;
        row
    };
    let closes = "ChannelTimeout session:*=3";
    let both = "ChannelTimeout session:*=3\nUnusedConnectionTimeout 2";
    let after_cut = |lines: &str, words: &str| {
        let row = Row::new()
            .sshd(lines)
            .judges(Side::Server, words.to_owned(), (2.5, 2.0));
        row.client_writes().cut()
    };
    vec![
        alone(channel(closes, "--channel-timeout session:*=3").counts_channel()),
        alone(channel(
            "ChannelTimeout session=3",
            "--channel-timeout session=3",
        )),
        channel(closes, "").stays_with("ChannelTimeout session:*=3 in a Match block"),
        channel("UnusedConnectionTimeout 2", "--unused-connection-timeout 2"),
        unused
            .sshd("UnusedConnectionTimeout 2")
            .ssh(server_alive(1, 3))
            .counts_channel(),
        alone(after_cut(closes, "--channel-timeout session:*=3")),
        alone(after_cut(
            both,
            "--channel-timeout session:*=3 --unused-connection-timeout 2",
        )),
    ]
}

/// Both sides' settings in one session.
fn both_ends() -> Vec<Row> {
    vec![
        Row::server_alive(2, 1).and_client_alive(1, 1).cut(),
        Row::server_alive(1, 3).and_client_alive(2, 1).cut(),
        Row::server_alive(1, 1).and_client_alive(1, 1),
    ]
}

/// Ends by TCP, where both kernels have short times.
fn tcp() -> Vec<Row> {
    let short = |words: &str, widest| {
        let mut row = Row::new().judges(Side::Client, words.to_owned(), widest);
        row.short_tcp = true;
        row
    };
    let idle = "--tcp-keepalive 3/1/2";
    let retries = "--tcp-retries2 2";
    let huge = format!("--interval 1 --count 2147483647 {retries}");
    vec![
        short(idle, (3.0, 0.1))
            .judges(Side::Server, idle.to_owned(), (3.0, 0.1))
            .cut()
            .counts_all(),
        short(retries, (2.5, 2.5))
            .client_writes()
            .cut()
            .counts_all(),
        short(&huge, (3.0, 3.0))
            .ssh(server_alive(1, 2_147_483_647))
            .cut(),
        {
            let mut row = short(retries, (2.5, 2.5));
            row.judged
                .iter_mut()
                .for_each(|judged| judged.side = Side::Server);
            row.remote_writes(0.5).cut().counts_all()
        },
    ]
}

/// dbclient against sshd, ssh against dropbear, and the two together.
fn dropbear() -> Vec<Row> {
    let (client, server) = (Row::dbclient, Row::dropbear);
    let mut own = client("-K 1", "--interval 1").cut();
    own.server = Server::Dropbear("-K 5".to_owned());
    let mut healthy = Row::server_alive(1, 1);
    healthy.server = Server::Dropbear(String::new());
    let mut writing = server("-K 1", "--interval 1")
        .remote_writes(0.5)
        .cut()
        .widest(1.5, 1.5);
    writing.client = Client::Ssh(server_alive(1, 3));
    let slow = |row: Row| {
        let mut row = row.cut().widest(2.0, 0.1);
        row.phase = 2.0;
        row
    };
    let idle = |row: Row| row.widest(4.0, 1.0).counts_channel();
    vec![
        client("-K 1", "--interval 1"),
        client("-K 1", "--interval 1").cut(),
        slow(client("-K 2", "--interval 2")),
        own,
        idle(client("-I 3", "--idle-timeout 3")),
        idle(client("-K 1 -I 4", "--interval 1 --idle-timeout 4")),
        server("-K 1", "--interval 1").cut(),
        slow(server("-K 2", "--interval 2")),
        writing,
        idle(server("-I 3", "--idle-timeout 3")).ssh(server_alive(1, 3)),
        healthy,
    ]
}
