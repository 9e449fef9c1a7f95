//! facts/keepalive.md, section 6: ChannelTimeout and UnusedConnectionTimeout.

use super::*;

const RELEASES: [&str; 2] = ["OpenSSH_9.2p1", "OpenSSH_10.5p1"];

fn timeouts(scene: Scene, value: &str) -> Scene {
    with(scene, |scene| {
        scene.channel_timeouts = ChannelTimeouts::parse(value).unwrap();
    })
}

#[test]
fn an_idle_session_is_closed_whatever_is_probed() {
    for release in RELEASES {
        for interval in [0, 1] {
            let scene = timeouts(server(release, interval, 3), "session:*=4");
            let ending = explain(&scene).healthy_ending.unwrap();
            assert_eq!(ending.by, Mechanism::ChannelTimeout);
            assert_eq!(ending.after_last_data, Span::new(s(3.0), s(4.0)));
            for measured in [3.1, 3.8] {
                assert!(ending.after_last_data.holds(s(measured), Duration::ZERO));
            }
            let misspelt = timeouts(server(release, interval, 3), "session=4");
            assert_eq!(explain(&misspelt).healthy_ending, None);
        }
        let flowing = with(timeouts(server(release, 0, 3), "session:*=4"), |scene| {
            scene.traffic.client_writes = Some(s(0.5));
        });
        assert_eq!(explain(&flowing).healthy_ending, None);
    }
    // The same seen from the client's end.
    let client = timeouts(client(1, 3), "session:*=4");
    assert!(explain(&client).healthy_ending.is_some());
    let global = |release| explain(&timeouts(server(release, 1, 3), "global=4")).healthy_ending;
    assert!(
        global("OpenSSH_10.5p1")
            .unwrap()
            .after_last_data
            .holds(s(3.8), Duration::ZERO)
    );
    assert_eq!(global("OpenSSH_9.2p1"), None);
}

#[test]
fn after_a_cut_the_channel_goes_but_the_connection_stays() {
    for (release, measured) in RELEASES.into_iter().zip([4.5, 6.35]) {
        let scene = with(timeouts(server(release, 0, 3), "session:*=4"), |scene| {
            scene.traffic.client_writes = Some(s(0.5));
        });
        let close = explain(&scene).channel_close.unwrap();
        for measured in [3.1, 3.7] {
            assert!(close.holds(s(measured), SLACK));
        }
        stays(&scene, 30.0);
        let ends = with(scene.clone(), |scene| {
            scene.unused_connection_timeout = Some(2);
        });
        after_fault(&ends, &[measured]);
        let writing = with(ends, |scene| scene.traffic.remote_writes = Some(s(0.5)));
        assert_eq!(explain(&writing).channel_close, None);
        stays(&writing, 30.0);
    }
}

#[test]
fn a_connection_without_channels_is_ended() {
    for release in RELEASES {
        for interval in [0, 1] {
            let scene = with(server(release, interval, 3), |scene| {
                scene.unused_connection_timeout = Some(3);
                scene.has_session = false;
            });
            let ending = explain(&scene).healthy_ending.unwrap();
            for measured in [3.2, 3.9] {
                assert!(ending.after_last_data.holds(s(measured), Duration::ZERO));
            }
            let with_session = with(scene, |scene| scene.has_session = true);
            assert_eq!(explain(&with_session).healthy_ending, None);
        }
    }
}
