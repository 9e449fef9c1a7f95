//! What is warned of, and what is not.

use super::*;

fn lints(scene: &Scene) -> Vec<&'static str> {
    let warnings = explain(scene).warnings;
    warnings.iter().map(|warning| warning.lint.code()).collect()
}

/// For each of them a scene in which it is told.
#[test]
fn every_lint_has_its_case() {
    let keep = |time| {
        KeepAliveSetting::Yes(KernelKeepAlive {
            time,
            interval: 75,
            probes: 9,
        })
    };
    let unequal = |scene: Scene, interval| {
        with(scene, |scene| {
            scene.other_end = Some(Pair { interval, count: 3 });
        })
    };
    let cases = [
        (Lint::ManPageDiffers, client(15, 3)),
        (Lint::CountZeroKills, client(15, 0)),
        (Lint::CountZeroNeverEnds, server("OpenSSH_9.2p1", 15, 0)),
        (
            Lint::CountZeroRefused,
            of("AsyncSSH_2.24.1", Side::Client, 15, 0),
        ),
        (Lint::BothEndsUnequal, unequal(client(15, 3), 30)),
        (Lint::LoginShorterThanAuth, client(5, 3)),
        (
            Lint::IntervalOverNatIdle,
            with(client(400, 3), |scene| scene.nat = Some(s(350.0))),
        ),
        (
            Lint::TcpOnlySpoofable,
            with(client(0, 3), |scene| scene.tcp.keep_alive = keep(60)),
        ),
        (Lint::TcpKeepAliveTwoHours, client(0, 3)),
        (
            Lint::MuxOptionsIgnored,
            with(client(15, 3), |scene| scene.control_master = true),
        ),
        (
            Lint::ServerStarvedByOutput,
            with(server("OpenSSH_10.5", 15, 3), |scene| {
                scene.traffic.remote_writes = Some(s(1.0));
            }),
        ),
        (Lint::ServerTwiceAsSlow, server("OpenSSH_9.2p1", 15, 3)),
        (
            Lint::UnusedConnectionTimeoutKillsIdleTunnel,
            with(server("OpenSSH_9.2p1", 15, 3), |scene| {
                scene.unused_connection_timeout = Some(60);
            }),
        ),
        (
            Lint::ChannelTimeoutSpelling,
            with(server("OpenSSH_9.2p1", 15, 3), |scene| {
                scene.channel_timeouts = ChannelTimeouts::parse("session=5m").unwrap();
            }),
        ),
        (
            Lint::IdleTimeoutIgnoresKeepalives,
            with(of("dropbear_2022.83", Side::Client, 15, 3), |scene| {
                scene.idle_timeout = 60;
            }),
        ),
        (Lint::OverflowNeverProbes, client(2_147_484, 3)),
        (
            Lint::BatchModeDebian300,
            with(client(0, 3), |scene| {
                scene.software = Software::from_banner("OpenSSH_9.2p1 Debian-2", Side::Client);
                scene.interval = None;
                scene.batch_mode = true;
            }),
        ),
        (Lint::GhostWithoutClientAlive, server("OpenSSH_9.2p1", 0, 3)),
        (
            Lint::SendsNeverDetects,
            of("PuTTY_Release_0.78", Side::Client, 15, 3),
        ),
        (
            Lint::RttOverLimit,
            with(client(1, 2), |scene| scene.rtt = Some(s(3.0))),
        ),
        (Lint::ImplementationUnknown, server("libssh_0.9.6", 15, 3)),
        (Lint::ReleaseUnknown, server("OpenSSH", 15, 3)),
    ];
    for lint in Lint::ALL {
        let case = cases.iter().find(|(of, _)| *of == lint);
        let (_, scene) = case.unwrap_or_else(|| panic!("no case for {}", lint.code()));
        assert!(lints(scene).contains(&lint.code()), "{}", lint.code());
    }
    assert_eq!(cases.len(), Lint::ALL.len());
}

#[test]
fn nothing_more_is_warned_of() {
    assert_eq!(lints(&client(15, 3)), ["man_page_differs"]);
    let alike = with(client(15, 3), |scene| {
        scene.other_end = Some(Pair {
            interval: 15,
            count: 3,
        });
        scene.nat = Some(s(350.0));
        scene.rtt = Some(s(0.2));
    });
    assert_eq!(lints(&alike), ["man_page_differs"]);
    assert!(lints(&of("dropbear_2022.83", Side::Client, 15, 3)).is_empty());
    assert!(lints(&of("AsyncSSH_2.24.1", Side::Client, 15, 3)).is_empty());
    assert_eq!(
        lints(&client(0, 3)),
        ["tcp_only_spoofable", "tcp_keepalive_two_hours"]
    );
}

#[test]
fn the_numbers_are_in_the_text() {
    let explanation = explain(&client(15, 3));
    let warning = explanation.warnings.first().unwrap();
    assert_eq!(
        warning.text,
        "The manual's interval·count, 45 s, is not when it ends: it ends 45 s to 60 s after a fault, 60 s after the \
         last data at the latest."
    );
}
