//! facts/keepalive.md, section 5: other implementations.

use super::*;

#[test]
fn dropbear() {
    let dbclient = |interval| of("dropbear_2022.83", Side::Client, interval, 3);
    after_fault(&dbclient(1), &[2.5, 2.7]);
    after_data(&dbclient(1), &[3.0]);
    after_fault(&dbclient(2), &[5.4]);
    after_data(&dbclient(2), &[6.0]);
    window(&dbclient(2), (4.0, 6.0), (6.0, 6.0));
    let outcome = explain(&dbclient(1)).outcome.unwrap();
    assert_eq!(
        (outcome.exit_code, outcome.says),
        (Some(1), "exited: Keepalive timeout")
    );

    let dropbear = of("dropbear_2022.83", Side::Server, 1, 3);
    after_fault(&dropbear, &[2.5]);
    let writing = with(dropbear, |scene| scene.traffic.remote_writes = Some(s(0.5)));
    after_fault(&writing, &[2.1]);
}

/// It looks at its clock when its own output wakes it: up to a second earlier than idle, up to one output later.
#[test]
fn dropbear_with_output_ends_at_the_first_output_after_the_third_interval() {
    let writing = |every: f64| {
        let dropbear = of("dropbear_2022.83", Side::Server, 1, 3);
        with(dropbear, |scene| {
            scene.traffic.remote_writes = Some(s(every));
        })
    };
    after_fault(&writing(0.5), &[3.27, 3.28]);
    after_data(&writing(0.5), &[3.33, 3.45]);
    window(&writing(0.5), (2.0, 3.5), (2.0, 3.5));
    window(&writing(10.0), (2.0, 4.0), (2.0, 4.0));
}

/// `-I`, also on a session that is well, and exit code 0 (!).
#[test]
fn dropbear_idle_timeout() {
    let idle = |side, interval, timeout| {
        with(of("dropbear_2022.83", side, interval, 3), |scene| {
            scene.idle_timeout = timeout;
        })
    };
    let healthy = |scene: &Scene, measured: f64| {
        let ending = explain(scene).healthy_ending.unwrap();
        assert!(
            ending.after_last_data.holds(s(measured), SLACK),
            "{ending:?}"
        );
        assert!(ending.after_last_data.max() <= ending.after_last_data.min() + s(1.0));
    };
    let scene = idle(Side::Client, 0, 4);
    healthy(&scene, 4.0);
    after_data(&scene, &[4.0]);
    let outcome = explain(&scene).outcome.unwrap();
    assert_eq!((outcome.exit_code, outcome.says), (Some(0), "Idle timeout"));
    healthy(&idle(Side::Client, 1, 6), 6.0);
    for measured in [5.0, 4.7] {
        healthy(&idle(Side::Server, 0, 5), measured);
    }
    healthy(&idle(Side::Server, 1, 5), 5.0);
}

#[test]
fn those_that_send_and_never_detect() {
    for banner in ["PuTTY_Release_0.78", "paramiko_5.1.0"] {
        let scene = of(banner, Side::Client, 1, 3);
        stays(&scene, 60.0);
        let explanation = explain(&scene);
        assert!(explanation.probes && !explanation.disconnects(), "{banner}");
        assert!(!explanation.timeline.events.is_empty());
    }
}

#[test]
fn asyncssh() {
    for (interval, count, measured) in [(1, 1, &[2.3][..]), (1, 3, &[4.1, 4.3]), (2, 2, &[6.1])] {
        after_data(
            &of("AsyncSSH_2.24.1", Side::Client, interval, count),
            measured,
        );
    }
    window(
        &of("AsyncSSH_2.24.1", Side::Client, 2, 2),
        (4.05, 6.3),
        (6.05, 6.3),
    );
    let refused = explain(&of("AsyncSSH_2.24.1", Side::Client, 1, 0));
    assert!(!refused.probes);
    assert!(
        refused
            .warnings
            .iter()
            .any(|warning| warning.lint == Lint::CountZeroRefused)
    );
}

#[test]
fn autossh() {
    let autossh = |poll| of("autossh", Side::Client, poll, 3);
    for (poll, measured) in [(2, 1.15), (4, 4.14), (10, 13.2)] {
        after_fault(&autossh(poll), &[measured]);
    }
    let default = with(autossh(600), |scene| scene.interval = None);
    window(&default, (15.0, 615.0), (615.0, 615.0));
    // -M 0 is ssh itself.
    stays(&client(0, 3), 40.0);
    after_fault(&client(1, 3), &[3.3, 3.6]);
}

#[test]
fn an_unknown_program_is_not_guessed_at() {
    for side in [Side::Client, Side::Server] {
        let explanation = explain(&of("libssh_0.9.6", side, 15, 3));
        assert_eq!(explanation.ending, None);
        assert!(!explanation.probes);
        let lints: Vec<_> = explanation
            .warnings
            .iter()
            .map(|warning| warning.lint)
            .collect();
        assert_eq!(lints, [Lint::ImplementationUnknown]);
    }
}
