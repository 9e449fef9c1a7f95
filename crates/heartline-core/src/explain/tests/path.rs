//! facts/keepalive.md: outages and round trips (section 1), NAT (section 4).

use super::*;

/// "1/3 outage 2.0 s survives, 3.0 s and 3.9 s die".
#[test]
fn outages() {
    let outage = explain(&client(1, 3)).outage.unwrap();
    assert!(
        outage.surely <= s(2.0) && s(2.0) <= outage.at_best,
        "{outage:?}"
    );
    assert!(outage.at_best < s(3.0), "{outage:?}");
    let longer = explain(&client(15, 3)).outage.unwrap();
    assert_eq!(longer.surely, s(25.6));
    assert_eq!(longer.at_best, s(40.6));
    assert_eq!(explain(&client(0, 3)).outage, None);
}

/// "RTT jump 1.6 s/(1,2) ok, 2.1 s dead; 2.6 s/(1,3) ok, 4.0 dead".
#[test]
fn round_trips() {
    for (count, well, dead) in [(2, 1.6, 2.1), (3, 2.6, 4.0)] {
        let limit = explain(&client(1, count)).rtt_limit.unwrap();
        assert!(s(well) < limit && limit <= s(dead));
    }
    let over = |rtt| {
        let explanation = explain(&with(client(1, 2), |scene| scene.rtt = Some(s(rtt))));
        explanation
            .warnings
            .iter()
            .any(|warning| warning.lint == Lint::RttOverLimit)
    };
    assert!(over(2.1) && !over(1.6));
}

/// A NAT of 8 s.
#[test]
fn what_keeps_a_firewall_open() {
    let kept = |scene: Scene| {
        let scene = with(scene, |scene| scene.nat = Some(s(8.0)));
        let explanation = explain(&scene);
        let warns = |lint| {
            explanation
                .warnings
                .iter()
                .any(|warning| warning.lint == lint)
        };
        assert_eq!(
            warns(Lint::IntervalOverNatIdle),
            !explanation.nat.unwrap().is_kept()
        );
        explanation.nat.unwrap().is_kept()
    };
    let keep_alive = |scene, time| {
        with(scene, |scene| {
            scene.tcp.keep_alive = KeepAliveSetting::Yes(KernelKeepAlive {
                time,
                interval: 75,
                probes: 9,
            });
        })
    };
    assert!(kept(keep_alive(client(0, 3), 3)));
    assert!(kept(keep_alive(server("OpenSSH_9.2p1", 0, 3), 3)));
    assert!(kept(client(3, 1)) && kept(client(3, 3)));
    assert!(kept(server("OpenSSH_9.2p1", 3, 3)));
    assert!(kept(with(client(0, 3), |scene| {
        scene.other_end = Some(Pair {
            interval: 3,
            count: 3,
        });
    })));
    assert!(!kept(client(0, 3)));
    assert!(!kept(keep_alive(client(0, 3), 7_200)));
    assert!(!kept(client(10, 1)));
    // 9.2 probes at every second interval only.
    assert!(!kept(server("OpenSSH_9.2p1", 5, 3)));
    assert!(kept(server("OpenSSH_10.5p1", 5, 3)));
    // Probes that output keeps from leaving are not needed.
    let writing = with(server("OpenSSH_10.5p1", 10, 3), |scene| {
        scene.traffic.remote_writes = Some(s(1.0));
    });
    assert!(kept(writing));
}
