//! facts/keepalive.md, section 1: OpenSSH's client.

use super::*;

#[test]
fn silence_row_by_row() {
    for (interval, count, fault, data) in [
        (1, 1, &[1.63, 1.74][..], &[2.0][..]),
        (1, 2, &[2.28], &[3.0]),
        (1, 3, &[3.08, 3.90], &[4.0]),
        (2, 1, &[3.19], &[4.0]),
        (2, 2, &[4.98, 5.92], &[6.0]),
        (3, 1, &[4.05, 5.94], &[6.0]),
        (5, 1, &[5.04, 8.71], &[9.4, 10.0]),
        (60, 1, &[116.5], &[119.1]),
    ] {
        after_fault(&client(interval, count), fault);
        after_data(&client(interval, count), data);
    }
}

/// `exit = floor(lrx) + I·(C+1)`, and no wider.
#[test]
fn the_windows_are_those_of_the_formula() {
    window(&client(15, 3), (45.0, 60.0), (59.0, 60.0));
    window(&client(1, 1), (1.0, 2.0), (1.0, 2.0));
    window(&client(5, 1), (5.0, 10.0), (9.0, 10.0));
    let ending = explain(&client(15, 3)).ending.unwrap();
    assert_eq!(ending.after_fault.mean(), s(52.5), "interval·(count+0.5)");
    let explanation = explain(&client(15, 3));
    let outcome = explanation.outcome.unwrap();
    assert_eq!(outcome.exit_code, Some(255));
    assert_eq!(outcome.says, "Timeout, server HOST not responding.");
    let at: Vec<_> = explanation.timeline.events;
    let at: Vec<_> = at
        .iter()
        .map(|event| (event.at.as_secs(), event.kind))
        .collect();
    let probe = |unanswered| EventKind::Probe { unanswered };
    let expected = [
        (15, probe(1)),
        (30, probe(2)),
        (45, probe(3)),
        (60, EventKind::Disconnect),
    ];
    assert_eq!(at, expected);
}

#[test]
fn count_zero_kills_a_session_that_is_well() {
    for (interval, measured) in [(1, [0.2, 0.5]), (3, [2.5, 3.0])] {
        let healthy = explain(&client(interval, 0)).healthy_ending.unwrap();
        for seconds in measured {
            assert!(healthy.after_last_data.holds(s(seconds), Duration::ZERO));
        }
    }
    let writes = |scene| {
        let writes = |scene: &mut Scene| scene.traffic.remote_writes = Some(s(0.5));
        explain(&with(scene, writes)).healthy_ending
    };
    assert_eq!(writes(client(2, 0)), None, "data puts the timer off");
    let rounded = writes(client(1, 0)).unwrap();
    assert!(rounded.after_last_data.holds(s(0.52), Duration::ZERO));
    assert_eq!(explain(&client(1, 1)).healthy_ending, None);
}

#[test]
fn off_and_endless() {
    stays(&client(0, 3), 16.0);
    for count in [2_147_483, 2_147_484, 2_147_483_647] {
        let explanation = explain(&client(1, count));
        assert_eq!(explanation.healthy_ending, None);
        assert_eq!(explanation.probe_every, Some(s(1.0)));
        let exact = s(1.0) * (count + 1);
        assert_eq!(explanation.ending.unwrap().after_last_data.max(), exact);
    }
    // poll is clamped to INT_MAX ms, so the first probe comes when it is due all the same.
    for interval in [2_147_483, 2_147_484, 2_147_483_647] {
        let explanation = explain(&client(interval, 3));
        assert!(explanation.probes);
        let first = explanation.timeline.events.first().unwrap().at;
        assert_eq!(first, Duration::from_secs(interval.into()));
    }
}

#[test]
fn debian_makes_batch_mode_300() {
    let of = |banner: &str, interval| {
        let mut scene = client(0, 3);
        scene.software = Software::from_banner(banner, Side::Client);
        scene.interval = interval;
        scene.batch_mode = true;
        explain(&scene).pair.interval
    };
    let debian = "OpenSSH_9.2p1 Debian-2+deb12u10";
    assert_eq!(of(debian, None), 300);
    assert_eq!(of(debian, Some(0)), 0, "an explicit 0 wins");
    assert_eq!(of("OpenSSH_10.5p1", None), 0);
}

/// The table "What counts as a fault", 1/3 against off.
#[test]
fn what_counts_as_a_fault() {
    let fault = |scene, fault| with(scene, |scene| scene.fault = fault);
    // Dropped both ways, one way, the other; link down there, here, address gone; sshd stopped; rebooted unseen.
    let silent = [3.0, 3.9, 3.54, 3.21, 3.18, 3.56, 3.87, 3.08];
    after_fault(&client(1, 3), &silent);
    stays(&client(0, 3), 60.0);
    after_fault(&fault(client(1, 3), Fault::Frozen), &[3.93]);
    stays(&fault(client(0, 3), Fault::Frozen), 15.0);
    for kind in [Fault::Closed, Fault::Reset] {
        for scene in [client(1, 3), client(0, 3)] {
            let scene = fault(scene, kind);
            window(&scene, (0.0, 0.0), (0.0, 0.0));
            after_fault(&scene, &[0.01]);
        }
    }
    let outcome = explain(&fault(client(1, 3), Fault::Closed))
        .outcome
        .unwrap();
    assert_eq!(outcome.says, "Connection to HOST closed by remote host.");
    let outcome = explain(&fault(client(1, 3), Fault::Reset)).outcome.unwrap();
    assert_eq!(outcome.says, "client_loop: send disconnect: Broken pipe");
    // The remote command hangs, the monitor is stopped or killed, the listener is killed: the layer still answers.
    stays(&fault(client(1, 3), Fault::CommandHung), 12.0);
    stays(&fault(client(0, 3), Fault::CommandHung), 15.0);
    // A rejection, but only as an answer.
    after_fault(&fault(client(1, 3), Fault::ResetOnSend), &[0.75]);
    stays(&fault(client(0, 3), Fault::ResetOnSend), 15.0);
    let writing = with(client(0, 3), |scene| {
        scene.traffic.client_writes = Some(s(0.5));
    });
    after_fault(&fault(writing, Fault::ResetOnSend), &[0.03]);
}

#[test]
fn outgoing_traffic_never_delays_the_end() {
    let flows = |client_writes, remote_writes| {
        with(client(1, 3), |scene| {
            scene.traffic.client_writes = client_writes;
            scene.traffic.remote_writes = remote_writes;
        })
    };
    after_fault(&flows(Some(s(0.5)), None), &[3.17]);
    after_fault(&flows(Some(s(0.001)), None), &[3.93]);
    after_fault(&flows(None, Some(s(0.5))), &[3.01, 3.68]);
    after_fault(&flows(None, Some(s(0.001))), &[3.95]);
    window(&flows(Some(s(0.5)), None), (3.0, 4.0), (3.0, 4.0));
}

#[test]
fn only_the_masters_settings_count() {
    let mut scene = client(1, 1);
    scene.master = Some(Pair {
        interval: 0,
        count: 3,
    });
    stays(&scene, 12.0);
    scene.interval = Some(0);
    scene.master = Some(Pair {
        interval: 1,
        count: 1,
    });
    after_fault(&scene, &[1.17]);
    let outcome = explain(&scene).outcome.unwrap();
    assert_eq!(
        (outcome.exit_code, outcome.says),
        (Some(255), ""),
        "without a word"
    );
}

#[test]
fn before_the_session_it_is_a_hard_limit() {
    for (interval, count, measured) in [(1, 3, 3.03), (2, 3, 6.0), (5, 1, 5.0)] {
        let limit = explain(&client(interval, count)).login_limit.unwrap();
        assert!(Span::exact(limit).holds(s(measured), SLACK));
    }
    assert_eq!(explain(&client(0, 3)).login_limit, None);
    assert_eq!(explain(&client(3, 0)).login_limit, None);
    let huge = explain(&client(2_147_483_647, 2_147_483_647)).login_limit;
    assert_eq!(huge, Some(s(2_147_483.647)));
}

/// "Probe counting (I=1 or 2, ~11 s)".
#[test]
fn probes_on_a_connection_that_is_well() {
    let count = |interval, client_writes: Option<f64>, remote_writes: Option<f64>, stretch| {
        let scene = with(client(interval, 3), |scene| {
            scene.traffic.client_writes = client_writes.map(s);
            scene.traffic.remote_writes = remote_writes.map(s);
        });
        explain(&scene).probes_within(s(stretch))
    };
    assert_eq!(count(1, None, None, 11.0), 11);
    // One fewer: the first second had just begun.
    assert_eq!(
        count(1, None, Some(0.5), 10.9),
        10,
        "data each 0.5 s does not put it off"
    );
    assert_eq!(count(2, None, Some(0.5), 11.0), 0);
    assert_eq!(
        count(2, Some(0.5), None, 11.0),
        5,
        "what is sent does not count"
    );
    assert_eq!(count(2, Some(0.5), Some(0.5), 11.0), 0, "an echo does");
}
