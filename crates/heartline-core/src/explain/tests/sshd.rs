//! facts/keepalive.md, section 2: sshd.

use super::*;

const OLD: &str = "OpenSSH_9.1";
const SLOW: &str = "OpenSSH_9.2p1 Debian-2+deb12u10";
const NEW: &str = "OpenSSH_10.5p1";

fn writing(scene: Scene, every: f64) -> Scene {
    with(scene, |scene| scene.traffic.remote_writes = Some(s(every)))
}

#[test]
fn idle_row_by_row() {
    for (banner, interval, count, measured) in [
        (OLD, 1, 1, &[2.0][..]),
        (OLD, 1, 3, &[4.0]),
        (OLD, 2, 2, &[6.0]),
        (SLOW, 1, 1, &[4.0]),
        (SLOW, 1, 3, &[8.0]),
        (SLOW, 2, 2, &[12.0]),
        (SLOW, 3, 1, &[12.0, 12.1]),
        (NEW, 1, 1, &[2.0]),
        (NEW, 1, 3, &[4.0]),
        (NEW, 2, 2, &[6.0]),
        (NEW, 3, 1, &[6.0, 6.1]),
    ] {
        after_data(&server(banner, interval, count), measured);
    }
    window(&server(NEW, 2, 2), (4.0, 6.0), (6.0, 6.0));
    window(&server(SLOW, 2, 2), (8.0, 12.0), (12.0, 12.0));
    let says = explain(&server(NEW, 1, 1)).outcome.unwrap().says;
    assert_eq!(
        says,
        "Timeout, client not responding from user USER ADDRESS port PORT"
    );
}

#[test]
fn a_writing_command_starves_the_probes_from_9_2_on() {
    after_data(&writing(server(OLD, 1, 1), 0.5), &[2.0]);
    after_data(&writing(server(OLD, 2, 2), 0.5), &[6.0]);
    for banner in [SLOW, NEW] {
        for (interval, count) in [(1, 1), (1, 3), (2, 2), (3, 1)] {
            let scene = writing(server(banner, interval, count), 0.5);
            stays(&scene, 90.0);
            let explanation = explain(&scene);
            assert_eq!(explanation.ending, None);
            assert_eq!(explanation.probe_every, None, "no probe at all");
        }
    }
    // The release is not known: the worst of them.
    assert_eq!(explain(&writing(server("OpenSSH", 1, 1), 0.5)).ending, None);
}

#[test]
fn the_probes_of_a_session_that_is_well() {
    for (banner, idle, with_output) in [(OLD, 6, 6), (SLOW, 3, 0), (NEW, 6, 0)] {
        let probes = |scene: &Scene| explain(scene).probes_within(s(13.0));
        assert_eq!(probes(&server(banner, 2, 2)), idle, "{banner}");
        assert_eq!(
            probes(&writing(server(banner, 2, 2), 0.5)),
            with_output,
            "{banner}"
        );
    }
}

#[test]
fn count_zero_probes_and_never_ends() {
    for banner in [OLD, SLOW, NEW] {
        let explanation = explain(&server(banner, 1, 0));
        assert!(explanation.probes);
        assert_eq!(
            (explanation.ending, explanation.healthy_ending),
            (None, None)
        );
    }
    let before = explain(&server("OpenSSH_8.1", 1, 0));
    assert!(before.healthy_ending.is_some(), "8.2 changed it");
}

/// "1 MB/s: 9.2 5.1 s, 10.5 4.1 s (1,1)": once the window is full, nothing wakes it any more.
#[test]
fn a_full_window_lets_it_probe_again() {
    for (banner, measured) in [(SLOW, 5.1), (NEW, 4.1)] {
        let scene = with(writing(server(banner, 1, 1), 0.1), |scene| {
            scene.traffic.remote_rate = Some(1_000_000);
        });
        after_fault(&scene, &[measured]);
        let span = explain(&scene).ending.unwrap().after_fault;
        assert!(span.max() <= span.min() + s(2.5), "{span:?}");
    }
}

/// "output every 3 s with I=2,C=1: 9.2 5.5 s, 10.5 5.5 s".
#[test]
fn output_less_often_than_the_interval_delays_it() {
    for banner in [SLOW, NEW] {
        let scene = writing(server(banner, 2, 1), 3.0);
        after_fault(&scene, &[5.5]);
    }
    let span = explain(&writing(server(NEW, 2, 1), 3.0)).ending.unwrap();
    // A probe 2 s after the data or after the next output, the end 2 s after the next output again.
    assert!(span.after_last_data.min() >= s(3.9) && span.after_last_data.max() <= s(7.1));
}

#[test]
fn without_client_alive_there_is_only_tcp() {
    let idle = server(NEW, 0, 3);
    stays(&idle, 90.0);
    let backstop = explain(&idle).backstop.unwrap();
    assert_eq!(backstop.by, Mechanism::TcpKeepAlive);
    assert_eq!(backstop.after_fault, Span::new(s(675.0), s(7_875.0)));
    let backstop = explain(&writing(idle, 0.5)).backstop.unwrap();
    assert_eq!(backstop.by, Mechanism::TcpRetransmission);
    assert!(backstop.after_fault.min() > s(900.0) && backstop.after_fault.max() < s(1_200.0));
}

#[test]
fn a_release_that_is_not_known_is_covered_whole() {
    window(&server("OpenSSH", 1, 1), (1.0, 4.0), (2.0, 4.0));
}

/// A count far over what is counted tick by tick.
#[test]
fn many_ticks_go_on_at_the_same_pace() {
    let counted = explain(&writing(server(NEW, 2, 1_000_000), 3.0));
    let total = counted.ending.unwrap().after_last_data;
    assert!(total.holds(s(3_000_000.0), s(30.0)), "{total:?}");
}
